"""What the rules ask about an observed service. Pure; used by `rules`, `decide` and `reconcile`."""

from __future__ import annotations

from distill_operator.rollout.model import Candidate, ObservedService, State, Version


def is_open(state: State, candidate: Candidate) -> bool:
    """Whether the job's rollout has not ended yet."""
    return not candidate.ended and not state.ended(candidate.uid)


def owners(service: ObservedService, state: State, version: str | None) -> tuple[Candidate, ...]:
    """Living jobs whose rollout the version is."""
    return tuple(candidate for candidate in service.candidates_of(version) if is_open(state, candidate))


def newest(service: ObservedService, state: State) -> Candidate | None:
    """The newest job whose student is to be served."""
    return max(
        (candidate for candidate in service.candidates if is_open(state, candidate)),
        key=lambda candidate: candidate.order,
        default=None,
    )


def strays(service: ObservedService, state: State) -> list[Version]:
    """Versions that are neither stable nor canary."""
    kept = {state.stable, state.canary}
    return [version for version in service.versions if version.name not in kept and not version.deleting]


def ready(service: ObservedService, version: str) -> bool:
    """Whether the version answers."""
    known = service.version(version)
    return known is not None and known.ready


def warm(service: ObservedService, version: str) -> bool:
    """Whether every replica of it answers."""
    known = service.version(version)
    return known is not None and known.warm


def confirmed(service: ObservedService) -> bool:
    """Whether the gateway has taken the route as it stands."""
    return service.route is not None and service.route.confirmed


def trouble(service: ObservedService, version: str) -> str:
    """Why the version is not Ready, as far as known."""
    known = service.version(version)
    return known.trouble if known else ""


def recovered_stable(service: ObservedService) -> str | None:
    """Which version served, when no state says it: the one with the largest share, else the oldest Ready one.

    A canary is newer than the version that it is to replace. Where nothing was ever Ready, a version without a job
    is the one that served: a canary would be rolled back without its job.
    """
    there = [version for version in service.versions if not version.deleting]
    shares = dict(service.route.weights) if service.route else {}
    shared = [version for version in there if shares.get(version.name)]
    if shared:
        return max(shared, key=lambda version: shares[version.name]).name
    ready = [version for version in there if version.ready]
    orphans = [version for version in there if not service.candidates_of(version.name)]
    chosen = sorted(ready or orphans, key=lambda version: version.order)
    return chosen[0].name if chosen else None
