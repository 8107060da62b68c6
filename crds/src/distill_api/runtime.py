"""How the training runs in the cluster: resources, pod template, policy."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from distill_api.base import ApiModel, Duration, Name, Rule
from distill_api.delivery import Quantity

ResourceName = Annotated[
    str,
    Field(
        min_length=3,
        max_length=253,
        pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$",
        json_schema_extra={
            "x-says": "must be <vendor>/<resource>, as in nvidia.com/gpu or nvidia.com/mig-1g.10gb"
        },
    ),
]
LabelKey = Annotated[
    str,
    Field(
        max_length=317,
        pattern=r"^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        json_schema_extra={"x-says": "must be the key of a label or taint, as in example.com/pool"},
    ),
]
LabelValue = Annotated[
    str,
    Field(
        max_length=63,
        pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        json_schema_extra={
            "x-says": "must be a label's value: at most 63 letters, digits, -, _ and ., as in a100"
        },
    ),
]


class TolerationOperator(StrEnum):
    """How a toleration compares."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


_EXISTS_HAS_NO_VALUE = Rule(
    "self.operator != 'Exists' || !has(self.value)",
    "must be left out with operator Exists: it tolerates every value",
    field="value",
)
_ALL_KEYS_NEED_EXISTS = Rule(
    "has(self.key) || self.operator == 'Exists'",
    "is required with operator Equal: name the taint's key, or set operator: Exists to tolerate every taint",
    field="key",
)


class EnvVar(ApiModel):
    """An environment variable of the training container. For secrets use a Secret and an image that reads it."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        description="Name of the variable.",
        json_schema_extra={"x-says": "must be letters, digits and _, as in HF_HUB_OFFLINE"},
    )
    value: Annotated[str, Field(max_length=4096)] = Field(description="Its value.")


class Toleration(ApiModel):
    """A taint the training pods tolerate (core/v1 Toleration)."""

    cel = (_EXISTS_HAS_NO_VALUE, _ALL_KEYS_NEED_EXISTS)

    key: LabelKey | None = Field(default=None, description="Key of the taint; all keys when not given.")
    operator: TolerationOperator = Field(
        default=TolerationOperator.EQUAL, description="Equal compares the value; Exists takes any."
    )
    value: LabelValue | None = Field(default=None, description="Value of the taint, for Equal.")
    effect: TaintEffect | None = Field(
        default=None, description="Effect of the taint; all effects when not given."
    )

    @model_validator(mode="after")
    def _check_operator(self) -> Self:
        exists = self.operator is TolerationOperator.EXISTS
        _EXISTS_HAS_NO_VALUE.check(holds=not exists or self.value is None)
        _ALL_KEYS_NEED_EXISTS.check(holds=exists or self.key is not None)
        return self


class PullSecret(ApiModel):
    """A Secret with the credentials of a registry."""

    name: Name = Field(description="Name of the Secret, in the job's namespace.")


class PodTemplate(ApiModel):
    """Where the training pods run, and with which image."""

    image: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        default=None,
        description="Training image instead of the installation's own; it must keep its command line.",
    )
    image_pull_secrets: list[PullSecret] = Field(
        default=[], max_length=8, description="Credentials of a private registry."
    )
    node_selector: dict[str, LabelValue] = Field(
        default={}, max_length=32, description="Labels that a node must have."
    )
    tolerations: list[Toleration] = Field(default=[], max_length=32, description="Taints that are tolerated.")
    priority_class_name: Name | None = Field(default=None, description="PriorityClass of the pods.")
    runtime_class_name: Name | None = Field(default=None, description="RuntimeClass of the pods.")
    env: list[EnvVar] = Field(default=[], max_length=64, description="Further environment variables.")


class Resources(ApiModel):
    """What a training pod asks for, and how many there are."""

    nodes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Training pods that train together, each with these resources; they may share a node where it has room. "
        "Claims must be mountable by all of them (ReadWriteMany) where they run on different nodes.",
    )
    gpus_per_node: int = Field(
        default=1,
        ge=0,
        le=64,
        description="GPUs of each training pod, with a process for each; 0 trains on the CPU, where that is allowed.",
    )
    gpu_resource: ResourceName = Field(
        default="nvidia.com/gpu",
        description="Resource name of the GPU (a MIG profile's name, or another vendor's).",
    )
    cpu: Quantity = Field(default="1", description="CPU request of each pod.")
    memory: Quantity = Field(default="2Gi", description="Memory request and limit of each pod.")
    shared_memory: Quantity | None = Field(
        default=None, description="Size of /dev/shm; 1Gi when a GPU is asked for and nothing is said."
    )
    template: PodTemplate = Field(
        default=PodTemplate(), description="Where the pods run, and with which image."
    )


class Policy(ApiModel):
    """What happens when something goes wrong, or is over."""

    backoff_limit: int = Field(
        default=3,
        ge=0,
        le=100,
        description="Retries after failures; evictions are not counted, wrong input is not retried.",
    )
    pending_deadline: Duration = Field(
        default="30m",
        description="A pod that has not started after this time (no GPU, no image, no volume) fails the job.",
    )
    active_deadline: Duration | None = Field(
        default=None, description="Longest time that training may take; no limit when not given."
    )
    ttl_after_finished: Duration | None = Field(
        default=None,
        description="The DistillationJob is deleted this long after it ended; kept when not given.",
    )
