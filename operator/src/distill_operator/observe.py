"""What is known about one job, as frozen values: raw objects of the caches in, views for `decide` out.

Pure: no client, no clock. `reconcile` calls `observe_child` with what the caches hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from distill_api.contract import ExitCode, Outcome
from distill_api.job import DistillationJobSpec
from distill_api.naming import DOMAIN
from distill_api.status import DistillationJobStatus, Progress, ServingStatus
from distill_api.validate import explain
from distill_operator.kinds import Object, Owner

FAULTS_SHOWN = 3
INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
CONFIG_ANNOTATION = f"{DOMAIN}/config"
"""On a Job: the ConfigMap that its pods read."""


@dataclass(frozen=True)
class PodView:
    """One pod of a child Job, reduced to what decisions need."""

    name: str
    uid: str
    phase: str
    created: datetime
    ip: str = ""
    scheduled: datetime | None = None
    """When it was given a node: from then on it holds what it asked for."""
    started: datetime | None = None
    """When the container began to run."""
    ended: datetime | None = None
    """When it gave back what it asked for, but for its name."""
    waiting_reason: str = ""
    waiting_message: str = ""
    unschedulable: str = ""
    """The scheduler's sentence while it finds no node."""
    exit_code: int | None = None
    end_reason: str = ""
    """OOMKilled, Error, Completed, or the pod's own (Evicted, …)."""
    end_message: str = ""
    """The termination message, or the pod's own."""
    disrupted: bool = False
    deleting: bool = False
    index: int = 0
    """Its number among the pods that train together; 0 leads and speaks for all."""

    @property
    def running(self) -> bool:
        """Whether the trainer's process is there."""
        return self.started is not None and self.exit_code is None and self.phase == "Running"

    @property
    def pending(self) -> bool:
        """Whether it has not started yet."""
        return self.phase == "Pending" and not self.deleting

    @property
    def outcome(self) -> Outcome | None:
        """What the trainer said at its end; None where it said nothing that can be read."""
        try:
            return Outcome.model_validate_json(self.end_message)
        except ValidationError:
            return None


@dataclass(frozen=True)
class Child:
    """A batch/v1 Job of ours with its pods, ordered by their creation."""

    name: str
    uid: str
    created: datetime
    start_time: datetime | None = None
    completion_time: datetime | None = None
    suspended: bool = False
    deleting: bool = False
    complete: bool = False
    failed_reason: str = ""
    failed_message: str = ""
    failures: int = 0
    """Times that its pods failed and that count against the limit; pods that train together fail once."""
    backoff_limit: int = 0
    nodes: int = 1
    """Pods that train together."""
    config_name: str = ""
    pods: tuple[PodView, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether Kubernetes is through with it."""
        return self.complete or bool(self.failed_reason)

    @property
    def running_pod(self) -> PodView | None:
        """The pod that leads, once all that train together run."""
        running = {pod.index: pod for pod in self.pods if pod.running}
        return running.get(0) if len(running) >= self.nodes else None

    @property
    def pending_pod(self) -> PodView | None:
        """The pod that has not started yet."""
        return next((pod for pod in reversed(self.pods) if pod.pending), None)

    @property
    def succeeded_pod(self) -> PodView | None:
        """The pod that led and ended well."""
        ended = (pod for pod in self.pods if pod.exit_code == ExitCode.SUCCEEDED)
        return next((pod for pod in ended if pod.index == 0), None)

    @property
    def failed_pod(self) -> PodView | None:
        """The last pod that failed by itself; where none did, the last one that was taken away.

        Of several that train together one that left its words: it says what happened to another, too.
        """
        failed = [pod for pod in self.pods if pod.phase == "Failed" or (pod.exit_code or 0) != 0]
        own = [pod for pod in failed if not pod.disrupted] or failed
        spoke = [pod for pod in own if pod.outcome] if self.nodes > 1 else []
        return next(reversed(spoke or own), None)


@dataclass(frozen=True)
class Observed:
    """Everything that is known about one DistillationJob."""

    owner: Owner
    generation: int
    spec: DistillationJobSpec | None
    """None where it is invalid."""
    invalid: str = ""
    """Why the spec is refused, in a sentence."""
    status: DistillationJobStatus = field(default_factory=DistillationJobStatus)
    deleting: bool = False
    check: Child | None = None
    training: Child | None = None
    progress: Progress | None = None
    attempt: int = 0
    disruptions: int = 0
    serving_installed: bool = False
    serving: ServingStatus | None = None


def read_time(text: str | None) -> datetime | None:
    """A Kubernetes time (RFC 3339) with its zone."""
    return datetime.fromisoformat(text) if text else None


def observe_spec(raw: Any) -> tuple[DistillationJobSpec | None, str]:
    """The spec, or the sentence why it is none: `spec.objective.alpha: …`."""
    try:
        return DistillationJobSpec.model_validate(raw), ""
    except ValidationError as error:
        return None, "; ".join(explain(error, DistillationJobSpec, at="spec")[:FAULTS_SHOWN])


def observe_status(raw: Any) -> DistillationJobStatus:
    """The status as it stands; an unreadable one counts as none, and is written anew."""
    try:
        return DistillationJobStatus.model_validate(raw or {})
    except ValidationError:
        return DistillationJobStatus()


def observe_child(job: Object | None, pods: list[Object]) -> Child | None:
    """The view of a Job and its pods."""
    if job is None:
        return None
    metadata, spec, status = job["metadata"], job["spec"], job.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", []) if c["status"] == "True"}
    failed = conditions.get("Failed", {})
    nodes = spec.get("completions") or 1
    views = sorted((observe_pod(pod) for pod in pods), key=lambda pod: (pod.created, pod.name))
    return Child(
        name=metadata["name"],
        uid=metadata["uid"],
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        start_time=read_time(status.get("startTime")),
        completion_time=read_time(status.get("completionTime")),
        suspended=bool(spec.get("suspend")),
        deleting="deletionTimestamp" in metadata,
        complete="Complete" in conditions,
        failed_reason=failed.get("reason", "Failed") if failed else "",
        failed_message=failed.get("message", ""),
        failures=-(-status.get("failed", 0) // nodes),
        backoff_limit=spec.get("backoffLimit", 0) // nodes,
        nodes=nodes,
        config_name=metadata.get("annotations", {}).get(CONFIG_ANNOTATION, ""),
        pods=tuple(views),
    )


def observe_pod(pod: Object) -> PodView:
    """The view of a pod with one container."""
    metadata, status = pod["metadata"], pod.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    scheduled = conditions.get("PodScheduled", {})
    statuses: list[Object] = status.get("containerStatuses") or [{}]
    state: Object = statuses[0].get("state") or {}
    waiting, running, ended = (state.get(name) or {} for name in ("waiting", "running", "terminated"))
    return PodView(
        name=metadata["name"],
        uid=metadata["uid"],
        phase=status.get("phase", "Pending"),
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        ip=status.get("podIP", ""),
        scheduled=_since(scheduled) if scheduled.get("status") == "True" else None,
        started=read_time(running.get("startedAt") or ended.get("startedAt")),
        ended=_ended(status, ended),
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        unschedulable=scheduled.get("message", "") if scheduled.get("status") == "False" else "",
        exit_code=ended.get("exitCode"),
        end_reason=status.get("reason") or ended.get("reason", ""),
        end_message=ended.get("message") or status.get("message", ""),
        disrupted=_disrupted(conditions, ended),
        deleting="deletionTimestamp" in metadata,
        index=int(metadata.get("annotations", {}).get(INDEX_ANNOTATION, "0")),
    )


def _ended(status: Object, ended: Object) -> datetime | None:
    """When the container ended; where the kubelet never said so (node lost, evicted early), the last change of the pod."""
    if ended.get("finishedAt"):
        return read_time(ended["finishedAt"])
    if status.get("phase") not in {"Succeeded", "Failed"}:
        return None
    changes = (_since(condition) for condition in status.get("conditions", []))
    return max((change for change in changes if change), default=None)


def _since(condition: Object) -> datetime | None:
    return read_time(condition.get("lastTransitionTime"))


def _disrupted(conditions: dict[str, Object], ended: Object) -> bool:
    """Evicted, preempted or told to go: not the training's own fault."""
    taken = conditions.get("DisruptionTarget", {}).get("status") == "True"
    return taken or ended.get("exitCode") == ExitCode.DISRUPTED
