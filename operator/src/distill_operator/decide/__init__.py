"""What is to be done about one DistillationJob: a table of small pure checks, read from the top.

The first check that returns a verdict wins. To add a failure reason: add it to `reasons`, add or change a check, and
add a row to tests/operator/test_decide.py, which is a table of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from distill_api.status import ConditionType
from distill_operator.decide.acceptance import (
    FINAL,
    accepted,
    being_deleted,
    expired,
    finished,
    leftovers,
    refused,
)
from distill_operator.decide.checking import (
    check_failed,
    check_overdue,
    check_passed,
    check_runs,
    contract_valid,
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
            return _completed(case, verdict)
    raise AssertionError("check_passed is the last check and speaks whenever there is no training Job")


def _completed(case: Case, verdict: Verdict) -> Verdict:
    """What goes without saying in each check: what it stands on, and that a job that fails holds no GPU afterwards.

    Said every time, since the process that should have said it first may have died before it did.
    """
    if verdict.silent or case.observed.status.phase in FINAL:
        return verdict
    already = {said.type for said in verdict.said}
    said = (*(one for one in _standing(case) if one.type not in already), *verdict.said)
    fails = any(one.type is ConditionType.FAILED and one.status == "True" for one in said)
    cleanup = leftovers(case) if fails and not verdict.cleanup else verdict.cleanup
    return replace(verdict, said=said, cleanup=cleanup)


def _standing(case: Case) -> tuple[Said, ...]:
    if case.training is None:
        return (accepted(),)
    return (accepted(), contract_valid(case))


__all__ = ["CHECKS", "Case", "Said", "Verdict", "decide"]
