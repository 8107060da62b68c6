"""What the process remembers of a job besides its caches: progress, pods seen, time of the last status write.

Only conveniences: after a restart everything starts from the status, and nothing but a count may differ.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from distill_api.status import DistillationJobStatus, Progress
from distill_operator.observe import Child


@dataclass
class JobMemory:
    """One job's."""

    progress: Progress | None = None
    last_write: datetime | None = None
    """When the status was last written by this process."""
    _pods: set[str] = field(default_factory=set)
    _disrupted: set[tuple[int, str]] = field(default_factory=set)
    _attempt_base: int | None = None
    _disruption_base: int | None = None

    def count(self, training: Child | None, status: DistillationJobStatus) -> tuple[int, int]:
        """Attempts and disruptions so far: pods vanish from the cluster, so those seen are remembered.

        Pods that train together begin and end together: attempts are those of the one that leads, and a disruption of
        any is one of all.
        """
        pods = training.pods if training else ()
        leading = (pod for pod in pods if pod.index == 0)
        started = {pod.uid for pod in leading if pod.started is not None or pod.exit_code is not None}
        taken = {(pod.index, pod.uid) for pod in pods if pod.disrupted}
        if self._attempt_base is None or self._disruption_base is None:
            self._attempt_base = max(0, status.attempt - len(started))
            self._disruption_base = max(0, status.disruptions - _times(taken))
        self._pods |= started
        self._disrupted |= taken
        return self._attempt_base + len(self._pods), self._disruption_base + _times(self._disrupted)


def _times(taken: set[tuple[int, str]]) -> int:
    """How often the pod that was taken away most often was."""
    return max(Counter(index for index, _ in taken).values(), default=0)


class Memory:
    """All jobs', by uid."""

    def __init__(self) -> None:
        self._jobs: dict[str, JobMemory] = {}
        self._uids: dict[tuple[str, str], str] = {}

    def of(self, namespace: str, name: str, uid: str) -> JobMemory:
        """The memory of a job; a successor of the same name starts with none."""
        before = self._uids.get((namespace, name))
        if before is not None and before != uid:
            self._jobs.pop(before, None)
        self._uids[namespace, name] = uid
        return self._jobs.setdefault(uid, JobMemory())

    def forget(self, namespace: str, name: str) -> None:
        """The job is gone."""
        uid = self._uids.pop((namespace, name), None)
        if uid is not None:
            self._jobs.pop(uid, None)
