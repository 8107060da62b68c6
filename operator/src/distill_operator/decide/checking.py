"""The contract check: do teacher, student and data fit, before a GPU is asked for?"""

from __future__ import annotations

from datetime import timedelta

from distill_api.status import ConditionType
from distill_operator.decide.pending import waiting
from distill_operator.decide.reasons import Reason
from distill_operator.observe import Child
from distill_operator.verdict import (
    Action,
    Case,
    CreateCheck,
    CreateConfig,
    CreateTraining,
    Said,
    Verdict,
    no,
    unknown,
    yes,
)

NO_GPU = "No GPU was requested"


def held_back(case: Case) -> Verdict | None:
    """Suspended before anything was started: nothing is."""
    if case.training is not None or not case.spec.suspend:
        return None
    message = "spec.suspend is true; set it to false to start"
    return Verdict(said=(no(ConditionType.RUNNING, Reason.SUSPENDED, message),))


def unchecked(case: Case) -> Verdict | None:
    """No check has been made yet."""
    if case.training is not None or case.observed.check is not None or _passed_before(case):
        return None
    return Verdict(said=(_checking(),), actions=(CreateConfig(), CreateCheck()))


def check_failed(case: Case) -> Verdict | None:
    """The contract does not hold, or the check itself could not run."""
    check = case.observed.check
    if case.training is not None or check is None or not check.failed_reason:
        return None
    pod = check.failed_pod
    if pod is None:
        return _broken(Reason.CHECK_FAILED, check.failed_message or "the check's pods could not be made")
    if pod.outcome is not None:
        sentence = pod.outcome.message.rstrip(".").removesuffix(NO_GPU).rstrip(". ")
        return _broken(pod.outcome.reason, f"{sentence}. {NO_GPU}")
    if pod.end_reason == "OOMKilled":
        return _broken(Reason.CHECK_FAILED, f"the check ran out of memory. {NO_GPU}")
    said = pod.end_message.strip().splitlines()[-1:] or ["it left no message"]
    return _broken(
        Reason.CHECK_FAILED, f"the check ended with exit code {pod.exit_code}: {said[0][:300]}. {NO_GPU}"
    )


def check_overdue(case: Case) -> Verdict | None:
    """The check runs for longer than it may."""
    check, limit = case.observed.check, case.settings.check_timeout
    pod = check.running_pod if check else None
    if case.training is not None or pod is None or pod.started is None:
        return None
    if case.now < pod.started + timedelta(seconds=limit):
        return None
    return _broken(Reason.CHECK_TIMED_OUT, f"the check did not end within {limit:g} s. {NO_GPU}")


def check_runs(case: Case) -> Verdict | None:
    """The check has not ended yet."""
    check = case.observed.check
    if case.training is not None or check is None or check.complete or _passed_before(case):
        return None
    said = (_checking(),)
    pod = check.running_pod
    if pod is None or pod.started is None:
        return _waits(case, check, said)
    due = pod.started + timedelta(seconds=case.settings.check_timeout) - case.now
    return Verdict(said=said, requeue=due.total_seconds())


def check_passed(case: Case) -> Verdict | None:
    """Teacher, student and data fit: the training may ask for its GPUs."""
    if case.training is not None:
        return None
    restarts = case.observed.status.restarts
    left = max(0, case.spec.policy.backoff_limit - restarts)
    check = case.observed.check
    known = check is not None and case.plan is not None and check.config_name == case.plan.config_name
    config: tuple[Action, ...] = () if known else (CreateConfig(),)
    starting = no(ConditionType.RUNNING, Reason.STARTING, "The training pod starts")
    return Verdict(said=(contract_valid(case), starting), actions=(*config, CreateTraining(left)))


def contract_valid(case: Case) -> Said:
    """The condition of a check that passed."""
    for condition in case.observed.status.conditions:
        if condition.type == ConditionType.CONTRACT_VALID and condition.status == "True":
            return yes(ConditionType.CONTRACT_VALID, condition.reason, condition.message)
    pod = case.observed.check.succeeded_pod if case.observed.check else None
    outcome = pod.outcome if pod else None
    message = outcome.message if outcome and outcome.message else "Teacher, student and data fit together"
    return yes(ConditionType.CONTRACT_VALID, Reason.CONTRACT_VALID, message)


def _passed_before(case: Case) -> bool:
    """The check's Job may be gone; that it passed is on record."""
    return any(
        condition.type == ConditionType.CONTRACT_VALID and condition.status == "True"
        for condition in case.observed.status.conditions
    )


def _waits(case: Case, check: Child, said: tuple[Said, ...]) -> Verdict:
    """A check that simply starts says nothing new; one that cannot start says why."""
    verdict = waiting(case, check, said)
    quiet = tuple(one for one in verdict.said if one.reason not in {Reason.STARTING, Reason.RETRYING})
    return Verdict(said=quiet, requeue=verdict.requeue)


def _checking() -> Said:
    message = f"Whether teacher, student and data fit is checked. {NO_GPU} yet"
    return unknown(ConditionType.CONTRACT_VALID, Reason.CHECKING, message)


def _broken(reason: str, message: str) -> Verdict:
    return Verdict(
        said=(no(ConditionType.CONTRACT_VALID, reason, message), yes(ConditionType.FAILED, reason, message)),
    )
