"""What happens with the trained student: gate, output, serving."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from distill_api.base import ApiModel, Duration, Rule, ServiceName, Uri
from distill_api.training import Metric

Quantity = Annotated[
    str, Field(min_length=1, max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
]


class Gate(ApiModel):
    """What the student must reach before it may be served. Judged on the test split."""

    metric: Metric = Field(default=Metric.ACCURACY, description="The metric that is judged.")
    max_drop_vs_teacher: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="How much worse than the teacher the student may be. The upper end of the drop's confidence "
        "interval is compared, not the point estimate, when `confidence` is given.",
    )
    min_value: float | None = Field(default=None, ge=0, le=1, description="Least value of the metric.")
    confidence: float | None = Field(
        default=None,
        ge=0.5,
        lt=1,
        description="Judge the bounds of the interval at this level; the point estimates when not given.",
    )
    cel = (
        Rule(
            "has(self.maxDropVsTeacher) || has(self.minValue)",
            "a gate needs maxDropVsTeacher or minValue: without them nothing is judged",
        ),
    )


class Output(ApiModel):
    """Where the student is written."""

    uri: Uri = Field(
        description="Folder, pvc://<claim>/<path>. Each version gets a folder of its own below versions/, named by "
        "the digest of its content; nothing is overwritten."
    )


class ServerResources(ApiModel):
    """What one server pod asks for."""

    cpu: Quantity = Field(default="100m", description="CPU request.")
    memory: Quantity = Field(default="512Mi", description="Memory request and limit.")


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

    steps: list[CanaryStep] = Field(
        default=[CanaryStep(weight=10, hold="1m"), CanaryStep(weight=50, hold="1m")],
        min_length=1,
        max_length=16,
        description="Shares of the requests and how long each is held; the promotion to 100 % follows the last.",
    )
    progress_deadline: Duration = Field(
        default="10m", description="A new version that is not Ready after this time is rolled back."
    )


class Serving(ApiModel):
    """Where the student is served once it has passed its gate."""

    kserve: KServe = Field(description="The KServe service.")
    canary: Canary = Field(default=Canary(), description="How it takes over from the version now served.")
