"""What is to be done about one DistillationJob: a table of small pure checks, read from the top.

The first check that returns a verdict wins. To add a failure reason: add it to `reasons`, add or change a check, and
add a row to tests/operator/test_decide.py, which is a table of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable

from distill_operator.decide.acceptance import being_deleted, expired, finished, leftovers, refused
from distill_operator.decide.checking import (
    check_failed,
    check_overdue,
    check_passed,
    check_runs,
    held_back,
    unchecked,
)
from distill_operator.decide.ending import trained
from distill_operator.decide.training import (
    going_away,
    out_of_memory,
    to_resume,
    to_suspend,
    training_failed,
    training_overdue,
    training_runs,
    training_waits,
)
from distill_operator.verdict import Case, Said, Verdict

CHECKS: tuple[Callable[[Case], Verdict | None], ...] = (
    being_deleted,  # the object goes: hands off
    expired,  # it ended long enough ago: delete it
    finished,  # it has ended: nothing starts again; tell how the rollout goes
    refused,  # the spec, or this installation, does not allow it
    going_away,  # its Job is being deleted: wait
    trained,  # the Job is complete: result, gate, delivery
    out_of_memory,  # killed by the kernel: the same again would end the same
    training_failed,  # the Job was given up
    training_overdue,  # it ran longer than it may
    to_suspend,  # the user wants the pods away
    to_resume,  # the user wants them back
    training_runs,  # a pod trains: tell how far it is
    training_waits,  # a pod should train and does not: tell why, and end it at the deadline
    held_back,  # suspended before anything started
    unchecked,  # nothing was made yet: check the contract first
    check_failed,  # teacher, student and data do not fit
    check_overdue,  # the check hangs
    check_runs,  # the check has not ended
    check_passed,  # the contract holds: start the training
)


def decide(case: Case) -> Verdict:
    """The verdict on one job."""
    for check in CHECKS:
        verdict = check(case)
        if verdict is not None:
            return _with_cleanup(case, verdict)
    raise AssertionError("check_passed is the last check and speaks whenever there is no training Job")


def _with_cleanup(case: Case, verdict: Verdict) -> Verdict:
    """A job that fails now must hold no GPU afterwards."""
    fails = any(said.type == "Failed" and said.status == "True" for said in verdict.said)
    if not fails or verdict.cleanup:
        return verdict
    return Verdict(
        said=verdict.said,
        actions=verdict.actions,
        cleanup=leftovers(case),
        progress=verdict.progress,
        result=verdict.result,
        lineage=verdict.lineage,
    )


__all__ = ["CHECKS", "Case", "Said", "Verdict", "decide"]
