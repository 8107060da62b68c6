"""Derived names fit where they go, are valid, stable and unique, whatever a job is called."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_api import DistillationJobSpec, naming

HOST_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
EDGE = st.sampled_from(string.ascii_lowercase + string.digits)
MIDDLE = st.text(string.ascii_lowercase + string.digits + "-", max_size=40)


@st.composite
def part(draw: st.DrawFn) -> str:
    return draw(EDGE) + draw(MIDDLE) + draw(EDGE)


JOB_NAME = st.lists(part(), min_size=1, max_size=8).map(".".join).map(lambda name: name[:253].rstrip("-."))
UID = st.uuids().map(str)
ROLE = st.sampled_from(["", "check", "train", "config"])


@given(JOB_NAME)
def test_a_label_is_a_valid_label_of_at_most_63_characters(name):
    label = naming.label_name(name)
    assert len(label) <= 63
    assert HOST_LABEL.fullmatch(label)


@given(JOB_NAME, UID, ROLE)
def test_a_child_leaves_room_for_the_pod_s_own_suffix(name, uid, role):
    child = naming.child_name(name, uid, role)
    assert len(child) <= 52
    assert HOST_LABEL.fullmatch(child)
    assert child == naming.child_name(name, uid, role)


@given(st.lists(JOB_NAME, unique=True, min_size=2, max_size=20))
def test_two_jobs_never_share_a_name(names):
    assert len({naming.label_name(name) for name in names}) == len(names)
    assert len({naming.derived_name(name, "train") for name in names}) == len(names)


@given(JOB_NAME, UID, UID)
def test_a_successor_of_the_same_name_has_children_of_its_own(name, first, second):
    assert (naming.child_name(name, first) == naming.child_name(name, second)) == (first == second)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a.b", "a-b"), ("x" * 253, "x" * 252), ("x" * 64, "x" * 63), ("a..b".replace("..", ".-."), "a---b")],
)
def test_names_that_look_alike_stay_apart(one, other):
    assert naming.label_name(one) != naming.label_name(other)
    assert naming.derived_name(one, "check") != naming.derived_name(other, "check")


def test_a_short_name_stays_readable():
    assert naming.label_name("digits") == "digits"
    assert naming.derived_name("digits", "train") == "digits-train"
    assert naming.child_name("digits", "some-uid", "train").startswith("digits-")
    assert naming.label_name("team.digits").startswith("team-digits-")


@given(
    st.text(string.ascii_lowercase, min_size=40, max_size=40),
    st.text("0123456789abcdef", min_size=64, max_size=64),
)
def test_a_predictor_of_the_longest_service_has_a_valid_host(service, hexadecimal):
    host = naming.server_name(service, f"sha256:{hexadecimal}") + "-predictor"
    assert len(host) <= 63
    assert HOST_LABEL.fullmatch(host)


@given(part(), part())
def test_a_service_s_host_is_one_label_however_long_the_namespace(service, namespace):
    host = naming.service_host(service[:40].rstrip("-"), namespace, "example.com")
    label, _, domain = host.partition(".")
    assert domain == "example.com"
    assert len(label) <= 63
    assert HOST_LABEL.fullmatch(label)


def test_the_recipe_knows_what_shapes_the_student(digits, change):
    def recipe(changes: dict) -> str:
        return naming.recipe_digest(DistillationJobSpec.model_validate(change(digits, changes)["spec"]))

    same = recipe({})
    for shaping in ("spec.training.epochs", "spec.training.seed", "spec.dataset.limit"):
        assert recipe({shaping: 7}) != same, shaping
    elsewhere = {
        "spec.output.uri": "pvc://other/x",
        "spec.resources.cpu": "4",
        "spec.suspend": True,
        "spec.gate": {"minValue": 0.5},
    }
    assert recipe(elsewhere) == same
    assert recipe({"spec.training.batchSize": 64}) == same, "a default that is written out changes nothing"
