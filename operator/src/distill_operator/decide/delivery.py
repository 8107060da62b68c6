"""What is said about the rollout of a student that passed its gate. The rollout itself is `rollout`'s business."""

from __future__ import annotations

from distill_api.status import ConditionType, Phase, RolloutPhase, ServingStatus
from distill_operator.decide.reasons import Reason
from distill_operator.verdict import Case, Deliver, Said, Verdict, no, unknown, yes

RETRY_SECONDS = 60.0
SETTLED = {RolloutPhase.PROMOTED, RolloutPhase.ROLLED_BACK, RolloutPhase.SUPERSEDED}


def delivery(case: Case) -> Verdict:
    """The Delivered condition and what still has to be done for it; empty where nothing is served."""
    serving = case.spec.serving
    if serving is None:
        return Verdict()
    name = serving.kserve.inference_service
    if not case.observed.serving_installed:
        return Verdict(said=(_unavailable(),), requeue=RETRY_SECONDS)
    status = case.observed.serving
    if status is not None and status.phase in SETTLED:
        return Verdict(said=(_delivered(name, status),), serving=status)
    # A gateway that takes no route sends no event: from time to time the job looks by itself.
    said = (_delivered(name, status),)
    return Verdict(said=said, cleanup=(Deliver(name),), serving=status, requeue=RETRY_SECONDS)


def is_settled(case: Case, status: ServingStatus | None) -> bool:
    """Whether nothing more will happen to the student's rollout, going by `status`."""
    failed = case.observed.status.phase is Phase.FAILED
    if failed or case.spec.serving is None or not case.observed.serving_installed:
        return True
    return status is not None and status.phase in SETTLED


def _unavailable() -> Said:
    message = (
        "spec.serving.kserve needs KServe and the Gateway API, and this cluster lacks their "
        "CustomResourceDefinitions; install them, and the student is delivered"
    )
    return no(ConditionType.DELIVERED, Reason.SERVING_UNAVAILABLE, message)


def _delivered(name: str, status: ServingStatus | None) -> Said:
    if status is None or status.phase is None:
        return unknown(
            ConditionType.DELIVERED, Reason.DEPLOYING, f'The student is delivered to service "{name}"'
        )
    message = status.message or f'Service "{name}": {status.phase.value}'
    if status.phase is RolloutPhase.PROMOTED:
        return yes(ConditionType.DELIVERED, status.phase.value, message)
    if status.phase in SETTLED:
        return no(ConditionType.DELIVERED, status.phase.value, message)
    return unknown(ConditionType.DELIVERED, status.phase.value, message)
