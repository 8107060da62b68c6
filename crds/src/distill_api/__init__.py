"""The DistillationJob API: its models are the source of the CRD, of the chart's copy and of the reference page.

Everything else in this repository imports this package; it imports pydantic and the standard library alone.
"""

from distill_api.job import DistillationJob, DistillationJobSpec
from distill_api.status import DistillationJobStatus

GROUP = "distillation.dev"
VERSION = "v1alpha1"
PLURAL = "distillationjobs"
KIND = "DistillationJob"

__all__ = [
    "GROUP",
    "KIND",
    "PLURAL",
    "VERSION",
    "DistillationJob",
    "DistillationJobSpec",
    "DistillationJobStatus",
]
