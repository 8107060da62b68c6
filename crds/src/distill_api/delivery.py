"""What happens with the trained student: gate, output, serving."""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from distill_api.base import ApiModel, Duration, Rule, ServiceName, Uri
from distill_api.training import Metric


def _whole_number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Quantity = Annotated[
    str,
    Field(
        min_length=1,
        max_length=32,
        pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$",
        json_schema_extra={
            "x-says": "must be a Kubernetes quantity such as 500m, 2 or 4Gi",
            "x-int-or-string": True,
        },
    ),
    BeforeValidator(
        _whole_number_as_text
    ),  # after Field: in front of it pydantic loses the pattern in the schema
]
"""An amount as Kubernetes writes it; `cpu: 2` is as good as `cpu: "2"`."""

_SOMETHING_JUDGED = Rule(
    "has(self.maxDropVsTeacher) || has(self.minValue)",
    "set maxDropVsTeacher or minValue (or both): without them nothing is judged",
)
_HAS_SAFETENSORS = Rule(
    "!has(self.formats) || self.formats.exists(f, f == 'Safetensors')",
    "must name Safetensors, which is what is served; add ONNX or TorchExport to it",
    field="formats",
)
OUTPUT_URI_BYTES = 900
_FITS_THE_RESULT = Rule(
    f"size(bytes(self.uri)) <= {OUTPUT_URI_BYTES}",
    f"must have at most {OUTPUT_URI_BYTES} bytes: use a shorter path",
    field="uri",
)
# The API server judges the default {} before it fills it in: hence has().
_STEPS_ASCEND = Rule(
    "!has(self.steps) || self.steps.map(s, s.weight).isSorted()",
    "weights must not fall from one step to the next: order them, as in 10, 50",
    field="steps",
)


class Format(StrEnum):
    """How the student is written."""

    SAFETENSORS = "Safetensors"
    ONNX = "ONNX"
    TORCH_EXPORT = "TorchExport"


class Gate(ApiModel):
    """What the student must reach before it may be served. Judged on the test split."""

    metric: Metric = Field(default=Metric.ACCURACY, description="The metric that is judged.")
    max_drop_vs_teacher: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="How much worse than the teacher the student may be, as a difference of the metric (0.02: two "
        "points). The upper end of the drop's interval is compared when confidence is given, else the drop itself.",
        json_schema_extra={"x-says": "must be between 0 (no worse at all) and 1"},
    )
    min_value: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Least value of the student's metric, between 0 and 1.",
        json_schema_extra={"x-says": "must be between 0 and 1, as in 0.95"},
    )
    confidence: float | None = Field(
        default=None,
        ge=0.5,
        lt=1,
        description="Judge the unfavourable ends of the intervals, not the point estimates. Intervals are measured at "
        "evaluation.confidence, so give the same level.",
        json_schema_extra={"x-says": "must be at least 0.5 and less than 1, as in 0.95"},
    )
    cel = (_SOMETHING_JUDGED,)

    @model_validator(mode="after")
    def _check_something_judged(self) -> Self:
        _SOMETHING_JUDGED.check(holds=self.max_drop_vs_teacher is not None or self.min_value is not None)
        return self


class Output(ApiModel):
    """Where the student is written."""

    cel = (_FITS_THE_RESULT, _HAS_SAFETENSORS)

    uri: Uri = Field(
        description="Folder, pvc://<claim>/<path>. Each version gets a folder of its own below versions/, named by "
        f"the digest of its content; nothing is overwritten. At most {OUTPUT_URI_BYTES} bytes: a result, which names "
        "a version's folder twice, must fit into a container's termination message."
    )
    formats: list[Format] = Field(
        default=[Format.SAFETENSORS],
        min_length=1,
        max_length=3,
        description="How the student is written: Safetensors, and for use without this trainer ONNX (model.onnx) or TorchExport "
        "(model.pt2), each compared with the student on test samples.",
    )

    @model_validator(mode="after")
    def _check_formats(self) -> Self:
        _HAS_SAFETENSORS.check(holds=Format.SAFETENSORS in self.formats)
        return self

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        _FITS_THE_RESULT.check(holds=len(self.uri.encode()) <= OUTPUT_URI_BYTES)
        return self


class ServerResources(ApiModel):
    """What one server pod asks for."""

    cpu: Quantity = Field(default="100m", description="CPU request.")
    memory: Quantity = Field(default="1Gi", description="Memory request and limit.")


class KServe(ApiModel):
    """Serving with KServe (https://kserve.github.io) in Standard mode behind a Gateway."""

    inference_service: ServiceName = Field(
        description="Name of the service. Jobs that name the same one roll out new versions of it."
    )
    min_replicas: int = Field(default=1, ge=1, le=100, description="Server pods per version.")
    resources: ServerResources = Field(
        default=ServerResources(), description="What each server pod asks for."
    )


class CanaryStep(ApiModel):
    """One step of a rollout."""

    weight: int = Field(
        ge=1,
        le=99,
        description="Percent of requests that the new version gets.",
        json_schema_extra={"x-says": "must be between 1 and 99: 100 is the promotion after the last step"},
    )
    hold: Duration = Field(description="How long the step lasts.")


class Canary(ApiModel):
    """How a new version of a service that is served already takes over."""

    cel = (_STEPS_ASCEND,)

    steps: list[CanaryStep] = Field(
        default=[CanaryStep(weight=10, hold="1m"), CanaryStep(weight=50, hold="1m")],
        min_length=1,
        max_length=16,
        description="Shares of the requests and how long each is held; the promotion to 100 % follows the last.",
    )
    progress_deadline: Duration = Field(
        default="10m", description="A new version that is not Ready after this time is rolled back."
    )

    @model_validator(mode="after")
    def _check_steps_ascend(self) -> Self:
        _STEPS_ASCEND.check(holds=all(a.weight <= b.weight for a, b in pairwise(self.steps)))
        return self


class Serving(ApiModel):
    """Where the student is served once it has passed its gate."""

    kserve: KServe = Field(description="The KServe service.")
    canary: Canary = Field(default=Canary(), description="How it takes over from the version now served.")
