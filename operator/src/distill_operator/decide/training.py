"""The training: its pods come and go, suspended and resumed, and it ends well or badly."""

from __future__ import annotations

from datetime import timedelta

from distill_api.base import seconds
from distill_api.contract import ExitCode
from distill_api.status import ConditionType
from distill_operator.decide.pending import waiting
from distill_operator.decide.reasons import Reason
from distill_operator.observe import Child, PodView
from distill_operator.verdict import Case, Said, SetSuspend, Verdict, no, yes

AFTER_TRAINING = {"Evaluating", "Writing"}
BY_EXIT_CODE = {
    ExitCode.CONFIG_INVALID: Reason.CONFIG_INVALID,
    ExitCode.CONTRACT_BROKEN: Reason.CONTRACT_BROKEN,
    ExitCode.DIVERGED: Reason.DIVERGED,
}


def going_away(case: Case) -> Verdict | None:
    """The training Job was deleted by hand and still goes: it is made anew once it is gone."""
    training = case.training
    return Verdict(silent=True) if training is not None and training.deleting else None


def out_of_memory(case: Case) -> Verdict | None:
    """The kernel ended the training: the next try would end the same way."""
    training = case.training
    killed = [pod for pod in training.pods if pod.end_reason == "OOMKilled"] if training else []
    if not killed:
        return None
    memory = case.spec.resources.memory
    return failed(
        Reason.OUT_OF_MEMORY,
        f"the training pod used more than its memory limit of {memory} and was killed; "
        "raise spec.resources.memory, or lower spec.training.batchSize",
    )


def training_failed(case: Case) -> Verdict | None:
    """Kubernetes gave the training Job up."""
    training = case.training
    if training is None or not training.failed_reason:
        return None
    pod = training.failed_pod
    if pod is None:
        return failed(training.failed_reason, training.failed_message or "the training Job failed")
    permanent = pod.exit_code is not None and pod.exit_code in BY_EXIT_CODE
    if pod.outcome is not None and permanent:
        return failed(pod.outcome.reason, pod.outcome.message)
    if permanent:
        return failed(BY_EXIT_CODE[ExitCode(pod.exit_code)], _last_words(pod))  # type: ignore[arg-type]
    if training.failed_reason == Reason.BACKOFF_LIMIT_EXCEEDED:
        limit = case.spec.policy.backoff_limit
        message = f"training failed more often than policy.backoffLimit {limit} allows; the last time: {_last_words(pod)}"
        return failed(Reason.BACKOFF_LIMIT_EXCEEDED, message)
    return failed(training.failed_reason, f"{training.failed_message.rstrip('.')}; {_last_words(pod)}")


def training_overdue(case: Case) -> Verdict | None:
    """The training ran for longer than policy.activeDeadline; time in which no pod ran does not count."""
    left = _active_seconds_left(case)
    if left is None or left > 0:
        return None
    limit = case.spec.policy.active_deadline
    message = (
        f"training ran longer than policy.activeDeadline {limit} and was stopped; its last checkpoint is kept"
    )
    return failed(Reason.ACTIVE_DEADLINE_EXCEEDED, message)


def to_suspend(case: Case) -> Verdict | None:
    """spec.suspend: the pods go, after they wrote a checkpoint."""
    training = case.training
    if training is None or training.ended or not case.spec.suspend:
        return None
    actions = () if training.suspended else (SetSuspend(training.name, suspend=True),)
    message = "spec.suspend is true; set it to false to go on from the last checkpoint"
    return Verdict(
        said=(no(ConditionType.RUNNING, Reason.SUSPENDED, message),),
        actions=actions,
    )


def to_resume(case: Case) -> Verdict | None:
    """No longer suspended: a pod comes back and goes on."""
    training = case.training
    if training is None or training.ended or not training.suspended:
        return None
    starting = no(ConditionType.RUNNING, Reason.STARTING, "The training pod starts")
    return Verdict(said=(starting,), actions=(SetSuspend(training.name, suspend=False),))


def training_runs(case: Case) -> Verdict | None:
    """A training pod runs."""
    training = case.training
    pod = training.running_pod if training and not training.ended else None
    if pod is None:
        return None
    return Verdict(
        said=(_running(case, pod),),
        progress=case.observed.progress,
        requeue=_active_seconds_left(case),
    )


def training_waits(case: Case) -> Verdict | None:
    """No training pod runs yet, or not again."""
    training = case.training
    if training is None or training.ended:
        return None
    if _just_ended(training):
        return Verdict(silent=True)
    return waiting(case, training, ())


def failed(reason: str, message: str) -> Verdict:
    """The training ended badly, for good."""
    sentence = message or "the training left no message"
    return Verdict(
        said=(
            no(ConditionType.RUNNING, Reason.ENDED, "The training has ended"),
            no(ConditionType.TRAINED, reason, sentence),
            yes(ConditionType.FAILED, reason, sentence),
        ),
    )


def _running(case: Case, pod: PodView) -> Said:
    progress = case.observed.progress
    if progress is not None and progress.stage in AFTER_TRAINING:
        return yes(
            ConditionType.RUNNING, Reason.EVALUATING, "Student and teacher are compared on the test split"
        )
    return yes(ConditionType.RUNNING, Reason.TRAINING, f"Pod {pod.name} trains")


def _just_ended(training: Child) -> bool:
    """A process has ended well and the Job's status does not say so yet; it will in a moment."""
    latest = {pod.index: pod for pod in training.pods}
    return any(pod.exit_code == ExitCode.SUCCEEDED for pod in latest.values())


def _active_seconds_left(case: Case) -> float | None:
    limit = case.spec.policy.active_deadline
    training = case.training
    if limit is None or training is None or training.ended:
        return None
    starts = [pod.started for pod in training.pods if pod.started is not None]
    if not starts or training.running_pod is None:
        return None
    return (min(starts) + timedelta(seconds=seconds(limit)) - case.now).total_seconds()


def _last_words(pod: PodView) -> str:
    if pod.outcome is not None:
        return pod.outcome.message
    lines = pod.end_message.strip().splitlines()
    ending = f"exit code {pod.exit_code}" if pod.exit_code is not None else (pod.end_reason or "no exit code")
    return f"{ending}: {lines[-1][:500]}" if lines else ending
