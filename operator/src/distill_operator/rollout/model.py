"""What a rollout is made of: candidates, versions, the route and the remembered state, all frozen.

`observe` fills these from cached objects, `decide` and `status` judge them, `manifests` writes them. Nothing here
knows Kubernetes' JSON or a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from distill_api.status import RolloutPhase

Order = tuple[str, str]
"""Creation time and name of a job: the newer supersedes, and no two jobs of a namespace are equal."""
NO_ORDER: Order = ("", "")
Weights = tuple[tuple[str, int], ...]
"""Version and percent, in the order of the route's backendRefs."""


@dataclass(frozen=True)
class Step:
    """One step: percent of the requests, and the seconds that it is held."""

    weight: int
    hold: int


@dataclass(frozen=True)
class Plan:
    """How a version takes over. It is fixed when the rollout begins and kept on its InferenceService."""

    steps: tuple[Step, ...]
    progress_deadline: int
    """Seconds in which the version must get Ready."""


@dataclass(frozen=True)
class Candidate:
    """A living job whose student passed its gate and is to be served."""

    job: str
    uid: str
    created: str
    digest: str
    uri: str
    """Folder of the student."""
    version: str
    """Name of its InferenceService."""
    plan: Plan
    replicas: int = 1
    cpu: str = "100m"
    memory: str = "512Mi"
    ended: bool = False
    """Its status says already that this version was rolled back or superseded."""

    @property
    def order(self) -> Order:
        """Its place among the jobs of the service."""
        return self.created, self.job


@dataclass(frozen=True)
class Version:
    """An InferenceService of ours."""

    name: str
    uid: str
    digest: str
    order: Order
    plan: Plan
    says_ready: bool = False
    """KServe's condition Ready. Not enough by itself: it has been seen True before a pod was."""
    ready_pods: int = 0
    deleting: bool = False
    trouble: str = ""
    """Why it is not ready, as far as its containers or KServe say."""
    replicas: int = 1
    memory: str = ""
    cpu: str = ""

    @property
    def ready(self) -> bool:
        """Whether it answers: enough to keep a share of the requests."""
        return self.says_ready and self.ready_pods > 0 and not self.deleting

    @property
    def warm(self) -> bool:
        """Whether every replica answers: needed to be given a share."""
        return self.ready and self.ready_pods >= self.replicas


@dataclass(frozen=True)
class Route:
    """The HTTPRoute that splits the requests."""

    resource_version: str
    weights: Weights
    intact: bool = True
    """Hosts, gateway and rules are as we write them; weights are judged apart."""
    confirmed: bool = False
    """The gateway has taken this generation: Accepted and ResolvedRefs are True for it."""
    trouble: str = ""
    """What the gateway says against it."""
    ours: bool = True

    def weight(self, version: str) -> int:
        """Percent that `version` gets by the spec; 0 where it is not named."""
        return dict(self.weights).get(version, 0)


@dataclass(frozen=True)
class Ending:
    """How a job's rollout ended when it was not promoted. Kept until the job's own status says it."""

    uid: str
    phase: RolloutPhase
    message: str


@dataclass(frozen=True)
class State:
    """What must survive the operator; an annotation of the HTTPRoute, written together with its weights.

    A version is known by its InferenceService's name, which holds its digest.
    """

    stable: str | None = None
    canary: str | None = None
    phase: RolloutPhase = RolloutPhase.DEPLOYING
    step: int = 0
    """Index of the canary's step."""
    since: datetime | None = None
    """Begin of the phase or the step; None while the gateway has not taken the step's weights yet."""
    changed: datetime | None = None
    """When the backends last changed: what is out of the route is deleted some seconds later."""
    losses: int = 0
    """How often the canary was Ready and then no longer."""
    refused: str = ""
    """Why the API server did not take what comes next; it is tried again, ever more rarely."""
    endings: tuple[Ending, ...] = ()

    def ended(self, uid: str) -> bool:
        """Whether the rollout of this job has ended without a promotion."""
        return any(ending.uid == uid for ending in self.endings)


@dataclass(frozen=True)
class ObservedService:
    """All that a decision is made from. Candidates are sorted by order."""

    namespace: str
    name: str
    route: Route | None = None
    state: State | None = None
    """None where there is no route, or its annotation cannot be read."""
    versions: tuple[Version, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    jobs: frozenset[str] = field(default=frozenset())
    """uids of all living jobs that name this service, trained or not."""

    def version(self, name: str | None) -> Version | None:
        """The version of that name, or None."""
        return next((version for version in self.versions if version.name == name), None)

    def candidates_of(self, version: str | None) -> tuple[Candidate, ...]:
        """Living jobs whose student this version is."""
        return tuple(candidate for candidate in self.candidates if candidate.version == version)

    def order(self, version: str | None) -> Order:
        """The newest place among the version's jobs, also of those that were deleted since."""
        known = self.version(version)
        orders = [candidate.order for candidate in self.candidates_of(version)]
        return max([*orders, known.order if known else NO_ORDER])
