"""What a rollout writes, word for word, and what must hold for every name; the annotation's size and its way back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from distill_api.naming import digest, server_name
from distill_api.status import RolloutPhase as Phase
from distill_operator.rollout import manifests
from distill_operator.rollout.manifests import Ingress
from distill_operator.rollout.model import Candidate, Ending, Plan, State, Step
from distill_operator.rollout.plan_text import DEFAULT_PLAN, parse_plan, steps_text
from distill_operator.rollout.state import decode, encode
from distill_operator.rollout.times import span

TIME = datetime(2026, 3, 1, 12, tzinfo=UTC)
INGRESS = Ingress("kserve", "kserve-ingress-gateway", "example.com")
CANDIDATE = Candidate(
    job="digits",
    uid="0b0e6b4c-0000-4000-8000-000000000001",
    created="2026-03-01T11:00:00Z",
    digest="sha256:" + "ab12" * 16,
    uri="pvc://models/students/digits/versions/ab12ab12ab12",
    version="digits-ab12ab12",
    plan=Plan((Step(25, 180), Step(50, 90)), progress_deadline=600),
)
STATE = State(
    stable="digits-ab12ab12", canary="digits-cd34cd34", phase=Phase.HOLDING, since=TIME, changed=TIME
)
WEIGHTS = (("digits-ab12ab12", 75), ("digits-cd34cd34", 25))
LABEL = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
NAMESPACE = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


def route(state=STATE, weights=WEIGHTS):
    return manifests.http_route(state, weights, service="digits", namespace="team-a", ingress=INGRESS)


def served(candidate=CANDIDATE):
    return manifests.inference_service(candidate, service="digits", namespace="team-a")


@pytest.mark.parametrize(
    ("name", "built"),
    {
        "inference-service.yaml": served(),
        "inference-service-large.yaml": served(replace(CANDIDATE, replicas=3, cpu="2", memory="4Gi")),
        "route-first.yaml": route(State(canary="digits-ab12ab12", since=TIME), ()),
        "route-canary.yaml": route(),
    }.items(),
)
def test_golden(golden, name, built):
    golden(f"rollout-{name}", yaml.safe_dump(built, sort_keys=False, allow_unicode=True))


@given(LABEL, NAMESPACE)
def test_every_host_label_fits(service, namespace):
    host = manifests.hostname(service, namespace, "example.com")
    assert host.endswith(".example.com")
    assert len(host.split(".")[0]) <= 63


@given(LABEL, NAMESPACE)
def test_every_version_has_a_name_that_kserve_takes(service, namespace):
    name = manifests.version_name(service, namespace, digest("student"))
    assert name == server_name(service, digest("student")) or len(f"{name}-{namespace}") <= 63
    assert len(name + manifests.BACKEND_SUFFIX) <= 63
    assert name == manifests.version_name(service, namespace, digest("student"))
    assert name != manifests.version_name(service, namespace, digest("another student"))


@given(
    st.lists(st.tuples(st.integers(1, 99), st.integers(1, 100_000)), min_size=1, max_size=16),
    st.integers(1, 90_000),
)
def test_a_plan_survives_its_annotations(steps, deadline):
    plan = Plan(tuple(Step(*step) for step in steps), deadline)
    assert parse_plan(steps_text(plan), span(deadline)) == plan


@pytest.mark.parametrize("steps", ["", "25", "25=1w", "0=1m", "a=1m", "25=1m,"])
def test_an_edited_plan_is_the_default(steps):
    assert parse_plan(steps, "10m") == DEFAULT_PLAN


def test_the_state_survives_its_annotation():
    state = replace(STATE, step=2, losses=1, endings=(Ending("uid", Phase.SUPERSEDED, "v3 takes its place"),))
    assert decode(encode(state)) == state


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "{}", '{"phase":"Paused"}', '{"phase":"Promoted","since":"x"}']
)
def test_no_state_is_read_from_what_is_none(text):
    assert decode(text) is None


def test_the_annotation_is_small_and_endings_are_forgotten_last():
    many = tuple(Ending(f"{number:036d}", Phase.ROLLED_BACK, "a long sentence " * 20) for number in range(8))
    text = encode(replace(STATE, endings=many))
    assert len(text) < 1024
    assert [ending.uid for ending in decode(text).endings] == [ending.uid for ending in many]
    endless = tuple(Ending(f"{number:036d}", Phase.ROLLED_BACK, "") for number in range(100))
    kept = decode(encode(replace(STATE, endings=endless))).endings
    assert len(encode(replace(STATE, endings=endless))) < 1024
    assert kept[-1] == endless[-1]


def test_a_time_is_never_earlier_than_it_was():
    state = replace(STATE, since=TIME.replace(microsecond=1))
    assert decode(encode(state)).since > state.since
