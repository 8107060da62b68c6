"""The first checks: is there anything to be done at all, and may it be done?"""

from __future__ import annotations

from datetime import datetime, timedelta

from distill_api.base import seconds
from distill_api.status import ConditionType, Phase
from distill_operator.decide.delivery import delivery, is_settled
from distill_operator.decide.reasons import Reason
from distill_operator.observe import Child
from distill_operator.verdict import Action, Case, DeleteChild, DeleteSelf, Said, Verdict, no, yes

FINAL = {Phase.SUCCEEDED, Phase.FAILED}


def being_deleted(case: Case) -> Verdict | None:
    """Kubernetes removes what belongs to the job; nothing is started in its place."""
    return Verdict(silent=True) if case.observed.deleting else None


def expired(case: Case) -> Verdict | None:
    """The job ended long enough ago (policy.ttlAfterFinished), and its student's rollout too, as its status says.

    A canary whose job goes is rolled back: the job has to outlive it.
    """
    left = _time_to_live(case)
    if left is None or left > 0 or not is_settled(case, case.observed.status.serving):
        return None
    return Verdict(actions=(DeleteSelf(),), silent=True)


def finished(case: Case) -> Verdict | None:
    """The end is final: only the rollout of the student is still told."""
    status = case.observed.status
    if status.phase not in FINAL:
        return None
    left = _time_to_live(case)
    if status.phase is Phase.FAILED or case.observed.spec is None:
        return Verdict(cleanup=leftovers(case), requeue=left, silent=True)
    verdict = delivery(case)
    if not is_settled(case, verdict.serving):
        left = None  # the rollout's end is an event
    waits = [wait for wait in (left, verdict.requeue) if wait is not None]
    return Verdict(
        said=verdict.said,
        cleanup=verdict.cleanup,
        serving=verdict.serving,
        requeue=min(waits, default=None),
        silent=not verdict.said,
    )


def refused(case: Case) -> Verdict | None:
    """The spec passed the schema and is refused all the same."""
    reason, message = _refusal(case)
    if reason is None:
        return None
    return Verdict(
        said=(
            no(ConditionType.ACCEPTED, reason, message),
            yes(ConditionType.FAILED, reason, message),
        ),
        cleanup=leftovers(case),
    )


def leftovers(case: Case) -> tuple[Action, ...]:
    """Children of a job that failed and that may still hold a GPU."""
    return tuple(
        DeleteChild(child.name, child.uid)
        for child in (case.observed.check, case.observed.training)
        if child is not None and _alive(child)
    )


def accepted() -> Said:
    """What every later verdict stands on."""
    return yes(ConditionType.ACCEPTED, Reason.ACCEPTED, "The spec is valid")


def _alive(child: Child) -> bool:
    return not child.ended and not child.deleting


def _refusal(case: Case) -> tuple[Reason | None, str]:
    if case.observed.spec is None:
        return Reason.INVALID_SPEC, case.observed.invalid
    spec, settings = case.spec, case.settings
    if settings.require_gpu and spec.resources.gpus_per_node == 0:
        return Reason.GPU_REQUIRED, (
            "spec.resources.gpusPerNode is 0, and this installation trains on GPUs only (requireGpu); "
            "set spec.resources.gpusPerNode to 1 or more. No pod was started"
        )
    image = spec.resources.template.image
    if image and settings.allowed_images and not image.startswith(settings.allowed_images):
        allowed = ", ".join(settings.allowed_images)
        return Reason.IMAGE_NOT_ALLOWED, (
            f'spec.resources.template.image is "{image}", and this installation allows images that begin with '
            f"{allowed} only; use one of them, or ask the administrator to add it to allowedImages"
        )
    return None, ""


def _time_to_live(case: Case) -> float | None:
    """Seconds until the job is to be deleted."""
    spec, ended = case.observed.spec, case.observed.status.completion_time
    if spec is None or spec.policy.ttl_after_finished is None or ended is None:
        return None
    due = datetime.fromisoformat(ended) + timedelta(seconds=seconds(spec.policy.ttl_after_finished))
    return max(0.0, (due - case.now).total_seconds())
