"""A pod that does not start: what is said about it, and when its time is over (policy.pendingDeadline)."""

from __future__ import annotations

from datetime import timedelta

from distill_api.base import seconds
from distill_api.status import ConditionType
from distill_operator.decide.reasons import Reason
from distill_operator.decide.trouble import Trouble, trouble
from distill_operator.observe import Child
from distill_operator.verdict import Case, Said, Verdict, no, yes


def waiting(case: Case, child: Child, said: tuple[Said, ...]) -> Verdict:
    """The verdict on a child none of whose pods runs; `said` is what holds besides."""
    pod = child.pending_pod
    since = pod.created if pod else (child.start_time or child.created)
    deadline = since + timedelta(seconds=seconds(case.spec.policy.pending_deadline))
    found = trouble(pod, case.plan.image if case.plan else "") if pod else None
    if case.now >= deadline:
        return _overdue(case, found)
    running = _running(case, child, found, f"{since:%H:%M:%S}", f"{deadline:%H:%M:%S}")
    return Verdict(said=(*said, running), requeue=(deadline - case.now).total_seconds())


def _running(case: Case, child: Child, found: Trouble | None, since: str, until: str) -> Said:
    if found is not None:
        limit = f"fails at {until} (policy.pendingDeadline {case.spec.policy.pending_deadline})"
        sticky = found.reason is not Reason.UNSCHEDULABLE
        message = f"{found.message}. Waiting since {since} UTC; {limit}"
        return no(ConditionType.RUNNING, found.reason, message, sticky=sticky)
    failed = child.failed_pod
    if failed is not None and failed.disrupted:
        message = "The training pod was taken away; the next one goes on from the last checkpoint"
        return no(ConditionType.RUNNING, Reason.DISRUPTED, message)
    if failed is not None:
        what = failed.outcome.message if failed.outcome else f"exit code {failed.exit_code}"
        return no(
            ConditionType.RUNNING, Reason.RETRYING, f"The last pod failed ({what[:300]}); another one starts"
        )
    return no(ConditionType.RUNNING, Reason.STARTING, "The pod starts")


def _overdue(case: Case, found: Trouble | None) -> Verdict:
    limit = f"policy.pendingDeadline {case.spec.policy.pending_deadline}"
    reason = found.reason if found else Reason.PENDING_DEADLINE_EXCEEDED
    what = found.message if found else "the pod did not start"
    message = f"{what}. Not started within {limit}; its pods were deleted"
    return Verdict(
        said=(no(ConditionType.RUNNING, reason, message), yes(ConditionType.FAILED, reason, message)),
    )
