"""What a job's status says about its rollout: read from the route, never from a state that claims it.

Pure. The reconciliation of jobs calls `serving_status` with cached objects and writes what it returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from distill_api.naming import ROLLOUT_ANNOTATION
from distill_api.status import RolloutPhase, ServingStatus
from distill_operator.kinds import Object
from distill_operator.rollout import transitions
from distill_operator.rollout.manifests import Ingress
from distill_operator.rollout.model import NO_ORDER, Candidate, Ending, ObservedService, Route, State, Version
from distill_operator.rollout.observe import FINAL, candidate_of, is_version, route_of, version_of
from distill_operator.rollout.rules import not_ours
from distill_operator.rollout.state import decode
from distill_operator.rollout.times import span, to_text

MESSAGE_LIMIT = 1000


def serving_status(
    job: Object,
    inference_services: Iterable[Object],
    route: Object | None,
    now: datetime,  # noqa: ARG001 - part of the agreed shape; times are said as such, so that a status does not change by itself
    *,
    pods: Iterable[Object] | None = None,
) -> ServingStatus | None:
    """The rollout of this job's student; None where it has none that may be served (yet).

    `inference_services` and `route` are those of the service that the job names, `pods` their servers; without pods
    KServe's word is taken for their readiness.
    """
    candidate = candidate_of(job)
    if candidate is None:
        return None
    namespace = job["metadata"]["namespace"]
    name = job["spec"]["serving"]["kserve"]["inferenceService"]
    notes = (route["metadata"].get("annotations") or {}) if route else {}
    pods = None if pods is None else list(pods)
    service = ObservedService(
        namespace=namespace,
        name=name,
        route=route_of(route, name, namespace, _ingress_of(route)) if route else None,
        state=decode(notes.get(ROLLOUT_ANNOTATION)) if route else None,
        versions=tuple(version_of(item, pods) for item in inference_services if is_version(item, name)),
        candidates=(candidate,),
    )
    said = (job.get("status") or {}).get("serving") or {}
    return _status(service, candidate, said, _url(route))


def _ingress_of(route: Object) -> Ingress:
    """The gateway that the route itself names."""
    parent = (route["spec"].get("parentRefs") or [{}])[0]
    return Ingress(parent.get("namespace", ""), parent.get("name", ""), "")


def _url(route: Object | None) -> str | None:
    hosts = (route["spec"].get("hostnames") or []) if route else []
    return f"http://{hosts[0]}" if hosts else None


def _status(service: ObservedService, candidate: Candidate, said: Object, url: str | None) -> ServingStatus:
    state = service.state or State()
    ending = next((end for end in state.endings if end.uid == candidate.uid), None)
    if ending is None and candidate.ended and said.get("phase") in FINAL:
        ending = Ending(candidate.uid, RolloutPhase(said["phase"]), said.get("message", ""))
    if ending is None and _replaced(service, state, candidate):
        ending = Ending(candidate.uid, RolloutPhase.SUPERSEDED, f"{state.stable}, of a newer job, is served")
    if ending is not None:
        return _ended(service, state, candidate, ending, url)
    if candidate.version == state.stable:
        return _with_refusal(state, _stable(service, candidate, url))
    if candidate.version == state.canary:
        return _with_refusal(state, _canary(service, state, candidate, url))
    return _say(candidate, url, RolloutPhase.DEPLOYING, _waiting(service, state), stable=state.stable)


def _with_refusal(state: State, said: ServingStatus) -> ServingStatus:
    """What the API server did not take is said beside how things stand."""
    if not state.refused:
        return said
    return said.model_copy(update={"message": _cut(f"{said.message}; {state.refused}")})


def _ended(
    service: ObservedService, state: State, candidate: Candidate, ending: Ending, url: str | None
) -> ServingStatus:
    weight = _weight(service.route, candidate.version)
    text = f"{weight}%" if weight else ending.phase.value
    # The same content may be served for another job: then the share is that job's, not this one's.
    if candidate.version in {state.stable, state.canary}:
        weight, text = 0, ending.phase.value
    return _say(candidate, url, ending.phase, ending.message, weight=weight, canary=text, stable=state.stable)


def _stable(service: ObservedService, candidate: Candidate, url: str | None) -> ServingStatus:
    """This version is the one that is served, alone or beside a canary."""
    weight, version = _weight(service.route, candidate.version), service.version(candidate.version)
    if weight is None:
        sentence = f"waiting for the gateway: {service.route.trouble if service.route else 'no HTTPRoute'}"
        return _say(candidate, url, RolloutPhase.PROMOTING, sentence)
    others = [f"{name} {share}%" for name, share in _shares(service) if name != candidate.version and share]
    message = f"{candidate.version} gets {weight}% of the requests" + (
        f", {', '.join(others)}" if others else ""
    )
    if version and version.order != candidate.order:
        message += "; the same content was served already, so there was nothing to roll out"
    if version is None or not version.ready:
        message += "; it is not Ready" + (f": {version.trouble}" if version and version.trouble else "")
    text = RolloutPhase.PROMOTED.value if weight == 100 else f"{weight}%"
    return _say(candidate, url, RolloutPhase.PROMOTED, message, weight=weight, canary=text)


def _canary(service: ObservedService, state: State, candidate: Candidate, url: str | None) -> ServingStatus:
    """This version is taking over."""
    weight = _weight(service.route, candidate.version)
    plan = transitions.plan_of(service, candidate.version) or candidate.plan
    holding = state.phase is RolloutPhase.HOLDING
    return _say(
        candidate,
        url,
        state.phase,
        _progress(service, state, candidate, weight),
        weight=weight,
        canary="" if weight is None else f"{weight}%",
        stable=state.stable,
        step=state.step + 1 if holding else None,
        steps=len(plan.steps) if state.stable else None,
        step_start_time=to_text(state.since) if holding and state.since else None,
    )


def _progress(service: ObservedService, state: State, candidate: Candidate, weight: int | None) -> str:
    """A sentence with figures about a canary."""
    plan = transitions.plan_of(service, candidate.version) or candidate.plan
    version = service.version(candidate.version)
    if state.phase is RolloutPhase.DEPLOYING:
        return _deploying(version, candidate, plan.progress_deadline, state)
    if weight is None:
        return f"waiting for the gateway: {service.route.trouble if service.route else 'no HTTPRoute'}"
    shares = ", ".join(f"{name} {share}%" for name, share in _shares(service))
    if state.phase is RolloutPhase.HOLDING:
        step = transitions.step_of(state, plan)
        until = f"until {_after(state.since, step.hold)}" if state.since else f"for {span(step.hold)}"
        return f"step {state.step + 1} of {len(plan.steps)}: {shares}; held {until}"
    return f"{shares}; promoted when it has served everything for a few seconds"


def _after(since: datetime, seconds: float) -> str:
    """The time so many seconds after `since`: a sentence with a countdown would change with every look at it."""
    return to_text(since + timedelta(seconds=seconds))


def _deploying(version: Version | None, candidate: Candidate, deadline: int, state: State) -> str:
    limit = f"; if that lasts until {_after(state.since, deadline)} it is rolled back" if state.since else ""
    if version is None:
        return f"InferenceService {candidate.version} is being made{limit}"
    wanted = f"{version.ready_pods} of {version.replicas} server pods Ready"
    lost = f", lost its readiness {state.losses} times" if state.losses else ""
    why = f": {version.trouble}" if version.trouble else ""
    return f"{candidate.version} is not Ready yet ({wanted}{lost}){why}{limit}"


def _waiting(service: ObservedService, state: State) -> str:
    if service.route is not None and not service.route.ours:
        return not_ours(service)
    if state.canary:
        return f"waiting: {state.canary} is being rolled out"
    return "the rollout begins"


def _replaced(service: ObservedService, state: State, candidate: Candidate) -> bool:
    """Whether a newer job's version is served instead."""
    if state.stable is None or candidate.version in {state.stable, state.canary}:
        return False
    stable = service.version(state.stable)
    return stable is not None and (stable.order or NO_ORDER) > candidate.order


def _weight(route: Route | None, version: str) -> int | None:
    """The share by the route's backendRefs; None while the gateway has not taken them."""
    if route is None or not route.ours:
        return None
    weight = route.weight(version)
    return weight if route.confirmed or weight == 0 else None


def _shares(service: ObservedService) -> tuple[tuple[str, int], ...]:
    return service.route.weights if service.route else ()


def _say(
    candidate: Candidate, url: str | None, phase: RolloutPhase, message: str, **fields: object
) -> ServingStatus:
    values = {
        "phase": phase,
        "inference_service": candidate.version,
        "digest": candidate.digest,
        "url": url,
        "message": _cut(message),
    }
    return ServingStatus.model_validate(values | fields)


def _cut(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
