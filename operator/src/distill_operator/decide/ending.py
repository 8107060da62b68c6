"""A training that ended well: its result, the gate, and the way to delivery."""

from __future__ import annotations

from datetime import timedelta

from distill_api.contract import Outcome
from distill_api.gate import judge
from distill_api.status import ConditionType, Result
from distill_api.training import Metric
from distill_operator.decide.delivery import delivery
from distill_operator.decide.reasons import Reason
from distill_operator.verdict import Case, Said, Verdict, no, yes

RESULT_WAIT = timedelta(seconds=10)
"""The Job's end and its pod's come by two watches; one may be late."""


def trained(case: Case) -> Verdict | None:
    """The training Job is complete."""
    training = case.training
    if training is None or not training.complete:
        return None
    pod = training.succeeded_pod
    outcome = pod.outcome if pod else None
    ended = training.completion_time or case.now
    if pod is None and case.now < ended + RESULT_WAIT:
        return Verdict(silent=True, requeue=1.0)
    said = (
        no(ConditionType.RUNNING, Reason.ENDED, "The training has ended"),
        _trained(outcome),
    )
    result = outcome.result if outcome else None
    after = _after(case, result)
    return Verdict(
        said=said + after.said,
        cleanup=after.cleanup,
        serving=after.serving,
        progress=case.observed.progress,
        result=result,
        lineage=outcome.lineage if outcome else None,
    )


def _trained(outcome: Outcome | None) -> Said:
    if outcome is None or outcome.result is None:
        message = "The student is trained; its summary could not be read: see result.json below output.uri"
        return yes(ConditionType.TRAINED, Reason.RESULT_UNREADABLE, message)
    result = outcome.result
    same = "have the same nearest neighbour" if result.metric is Metric.SPEARMAN else "predict the same"
    message = (
        f"student {result.student.metric:.3f}, {result.compression:.1f} times smaller than the teacher with "
        f"{result.teacher.metric:.3f}; both {same} for {result.agreement * 100:.1f} % of the samples"
    )
    return yes(ConditionType.TRAINED, Reason.TRAINED, message)


def _after(case: Case, result: Result | None) -> Verdict:
    """Gate, then delivery."""
    gate = case.spec.gate
    if result is None:
        if gate is None and case.spec.serving is None:
            return Verdict()
        return _stopped(
            Reason.NO_RESULT, "the training left no result that could be judged; nothing was deployed"
        )
    if gate is None:
        return delivery(case)
    judgement = judge(gate, result)
    if not judgement.passed:
        return _stopped(judgement.reason, f"{judgement.message}. Nothing was deployed; the student is kept")
    passed = yes(ConditionType.GATE_PASSED, judgement.reason, judgement.message)
    after = delivery(case)
    return Verdict(said=(passed, *after.said), cleanup=after.cleanup, serving=after.serving)


def _stopped(reason: str, message: str) -> Verdict:
    return Verdict(
        said=(
            no(ConditionType.GATE_PASSED, reason, message),
            yes(ConditionType.FAILED, Reason.GATE_FAILED, message),
        )
    )
