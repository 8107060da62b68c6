"""The node's pure parts that make a container's environment and files: expansion, downward API, quantities, payloads."""

import base64
from decimal import Decimal

import pytest
import yaml

from distill_local.cluster import image_commands
from distill_local.node.env import ConfigError, Surroundings, environment, references
from distill_local.node.expand import expand
from distill_local.node.fields import field_value, resource_value
from distill_local.node.images import read_images
from distill_local.node.launch import security
from distill_local.node.payload import MissingError, Scope, volume_files
from distill_local.node.quantity import divided, parse_quantity

ADDRESSES = {"podIP": "10.245.16.2", "hostIP": "10.245.0.2"}
AROUND = Surroundings(ADDRESSES, {"cpu": "8", "memory": "16Gi"}, {"KUBERNETES_SERVICE_HOST": "10.245.0.1"})
POD = {
    "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"b": "2", "a": 'say "x"'}},
    "spec": {
        "containers": [{"name": "main", "resources": {"limits": {"cpu": "1500m"}}}],
        "nodeName": "local",
    },
}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("a$(A)b$(B)", "a1b2 $(A)"),
        ("$$(A)", "$(A)"),
        ("$$$$", "$$"),
        ("$(NO)", "$(NO)"),
        ("$(A", "$(A"),
        ("$A $", "$A $"),
    ],
)
def test_expansion(text, expanded):
    assert expand(text, {"A": "1", "B": "2 $(A)"}) == expanded


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4", "4"),
        ("500m", "0.5"),
        ("2Gi", str(2 * 1024**3)),
        ("1k", "1000"),
        ("1e3", "1000"),
        (".5", "0.5"),
        ("1M", "1000000"),
    ],
)
def test_quantities(text, number):
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "2GB", "1 Gi", "x", "1.2.3"])
def test_quantities_that_are_none(text):
    with pytest.raises(ValueError, match="not a Kubernetes quantity"):
        parse_quantity(text)


def test_division_rounds_up():
    assert (divided("1500m", "0"), divided("1500m", "1m"), divided("65Mi", "1Gi")) == ("2", "1500", "1")


def test_fields():
    assert field_value(POD, "metadata.labels['b']", ADDRESSES) == "2"
    assert field_value(POD, "metadata.labels['none']", ADDRESSES) == ""
    assert field_value(POD, "metadata.labels", ADDRESSES) == 'a="say \\"x\\""\nb="2"'
    assert field_value(POD, "status.podIP", ADDRESSES) == "10.245.16.2"
    with pytest.raises(ValueError, match=r"spec\.none"):
        field_value(POD, "spec.none", ADDRESSES)


def test_a_limit_that_is_not_set_is_what_the_node_has():
    main = POD["spec"]["containers"][0]
    assert resource_value(main, {"resource": "limits.cpu"}, AROUND.allocatable) == "2"
    assert resource_value(main, {"resource": "limits.memory", "divisor": "1Gi"}, AROUND.allocatable) == "16"
    assert resource_value(main, {"resource": "requests.cpu"}, AROUND.allocatable) == "0"


def reference(kind, name, key, **more):
    return {"name": "X", "valueFrom": {kind: {"name": name, "key": key, **more}}}


def test_environment_in_order():
    container = {
        "envFrom": [{"configMapRef": {"name": "m"}}, {"prefix": "P_", "secretRef": {"name": "s"}}],
        "env": [
            {"name": "a", "value": "own"},
            {"name": "b", "value": "$(a) $(P_k) $(KUBERNETES_SERVICE_HOST) $(c)"},
            {"name": "c"},
        ],
    }
    sources = {("configmap", "m"): {"a": "map"}, ("secret", "s"): {"k": "v"}}
    assert references(container) == set(sources)
    assert environment(POD, container, sources, AROUND) == {
        "KUBERNETES_SERVICE_HOST": "10.245.0.1",
        "a": "own",
        "P_k": "v",
        "b": "own v 10.245.0.1 $(c)",
        "c": "",
    }


@pytest.mark.parametrize(
    ("container", "sentence"),
    [
        ({"env": [reference("configMapKeyRef", "no", "k")]}, 'configmap "no" not found'),
        ({"env": [reference("secretKeyRef", "no", "k")]}, 'secret "no" not found'),
        ({"env": [reference("configMapKeyRef", "m", "k")]}, "couldn't find key k in ConfigMap ns/m"),
        ({"envFrom": [{"secretRef": {"name": "no"}}]}, 'secret "no" not found'),
        (
            {"env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]},
            "unsupported fieldPath: spec.x",
        ),
    ],
)
def test_what_is_missing_is_named(container, sentence):
    with pytest.raises(ConfigError) as caught:
        environment(POD, container, {("configmap", "m"): {}}, AROUND)
    assert str(caught.value) == sentence


def test_optional_references_may_be_missing():
    container = {
        "envFrom": [{"configMapRef": {"name": "no", "optional": True}}],
        "env": [
            reference("secretKeyRef", "no", "k", optional=True),
            reference("configMapKeyRef", "m", "k", optional=True),
        ],
    }
    assert environment(POD, container, {("configmap", "m"): {}}, AROUND) == AROUND.service


SCOPE = Scope(POD, ADDRESSES, {"cpu": "8"})


def test_payload_of_a_projected_volume():
    sources = [
        {"serviceAccountToken": {"path": "token"}},
        {"configMap": {"name": "m", "items": [{"key": "k", "path": "deep/k", "mode": 0o400}]}},
        {"secret": {"name": "gone", "optional": True}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]
    volume = {"name": "all", "projected": {"sources": sources, "defaultMode": 0o440}}
    objects = {("configmap", "m"): {"k": b"v", "other": b""}, ("secret", "gone"): None}
    assert volume_files(volume, objects, {"token": b"t"}, SCOPE) == {
        "token": (b"t", 0o440),
        "deep/k": (b"v", 0o400),
        "name": (b"p", 0o440),
    }


@pytest.mark.parametrize(
    ("volume", "sentence"),
    [
        ({"name": "v", "secret": {"secretName": "gone"}}, 'secret "gone" not found'),
        (
            {"name": "v", "configMap": {"name": "m", "items": [{"key": "no", "path": "x"}]}},
            "references non-existent configmap key: no",
        ),
    ],
)
def test_payload_that_is_not_there(volume, sentence):
    with pytest.raises(MissingError, match=sentence):
        volume_files(volume, {("configmap", "m"): {}, ("secret", "gone"): None}, {}, SCOPE)


def test_secrets_are_bytes():
    from distill_local.node.payload import contents

    assert contents("secret", {"data": {"k": base64.b64encode(b"\xff\x00").decode()}}) == {"k": b"\xff\x00"}
    assert contents("configmap", {"data": {"k": "ü"}, "binaryData": {"b": "AA=="}}) == {
        "k": "ü".encode(),
        "b": b"\0",
    }


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({}, (65532, 65532)),
        ({"runAsNonRoot": True}, (65532, 65532)),
        ({"runAsUser": 1000, "runAsNonRoot": True}, (1000, 0)),
        ({"runAsGroup": 7}, (65532, 7)),
    ],
)
def test_an_image_has_its_own_user_as_the_dockerfile_says(context, expected, tmp_path):
    table = tmp_path / "images.yaml"
    table.write_text(yaml.safe_dump(image_commands("/venv/bin/python")), encoding="utf-8")
    image = read_images(table).find("distillation/trainer:0.1.0")
    allowed = security(
        {"metadata": {"name": "p"}, "spec": {"securityContext": context}}, {"name": "c"}, image
    )
    assert (allowed.user, allowed.group) == expected
