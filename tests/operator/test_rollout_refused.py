"""What the API server and KServe's webhook refuse, and what others write meanwhile: said, and never hurried.

On the real KServe; nothing is served, so that each test takes seconds.
"""

from __future__ import annotations

import json

import pytest
import rollout_world as world
from operator_process import define

from distill_api.naming import server_name
from distill_api.status import RolloutPhase
from distill_operator.errors import ForbiddenError
from distill_operator.kinds import HTTP_ROUTE, INFERENCE_SERVICE
from distill_operator.rollout import manifests

pytestmark = [pytest.mark.cluster, pytest.mark.kserve]
DIGEST = "sha256:" + "1" * 64
NAME = server_name("digits", DIGEST)
USER = "operator-without-a-right"
ALL = ["get", "list", "create", "patch", "delete"]
RULES = [
    {"apiGroups": ["distillation.dev", "gateway.networking.k8s.io", ""], "resources": ["*"], "verbs": ALL},
    {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": ["get", "list"]},
]
RBAC = "rbac.authorization.k8s.io"


def rights(rules):
    """Role and binding of the user."""
    role = {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": USER}, "rules": rules}
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": USER},
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": USER},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": USER}],
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [role, binding]})


@pytest.fixture
async def service(kserve_cluster, namespace):
    define(kserve_cluster)
    async with world.World(kserve_cluster, namespace) as made:
        yield made


def told(service, reason):
    """Events of a reason, as the API server has them."""
    text = service.kube.kubectl("get", "events", "-n", service.namespace, "-o", "json")
    return [event for event in json.loads(text)["items"] if event["reason"] == reason]


async def test_what_kserves_webhook_denies_is_rolled_back_in_its_words(service, monkeypatch):
    """As a KServe that does not know one of our annotations would: the next try would end the same way."""
    monkeypatch.setattr(manifests, "AUTOSCALER", "serving.kserve.io/autoscalerClass")
    build = manifests.inference_service

    def unknown_to_kserve(*arguments, **options):
        made = build(*arguments, **options)
        made["metadata"]["annotations"][manifests.AUTOSCALER] = "of-tomorrow"
        return made

    monkeypatch.setattr(manifests, "inference_service", unknown_to_kserve)
    service.train("digits", DIGEST)
    status = await service.until_canary("digits", "RolledBack", seconds=30)
    assert "admission webhook" in status.message
    assert "[of-tomorrow] is not a supported autoscaler class" in status.message
    asked = service.count("create", INFERENCE_SERVICE)
    for _ in range(3):
        await service.drive()
    assert service.count("create", INFERENCE_SERVICE) == asked


async def test_a_missing_right_is_said_and_waited_for(service):
    service.kube.kubectl("apply", "-n", service.namespace, "-f", "-", stdin=rights(RULES))
    service.act_as(USER)
    service.train("digits", DIGEST)
    # Raised, so that the work queue tries again with growing pauses. The gateway writes to the new route as well, so
    # that the sentence may be kept with the second try only.
    for _ in range(20):
        with pytest.raises(ForbiddenError, match="cannot create resource"):
            await service.drive()
        status = service.status("digits")
        assert status.phase is RolloutPhase.DEPLOYING
        assert service.woken[-1] == "digits"
        if "refused" in status.message:
            break
    assert f"InferenceService {NAME} is being made" in status.message
    assert 'cannot create resource "inferenceservices"' in status.message
    assert [event["type"] for event in told(service, "RolloutBlocked")] == ["Warning"]

    every = [rule | {"verbs": ALL} for rule in RULES]
    service.kube.kubectl("apply", "-n", service.namespace, "-f", "-", stdin=rights(every))
    await service.until(lambda: service.versions() == [NAME], seconds=60, despite=ForbiddenError)
    await service.drive()
    assert "refused" not in service.status("digits").message


async def test_a_route_that_somebody_else_has_just_written_is_looked_at_again(service):
    service.train("digits", DIGEST)
    await service.drive()
    service.kube.kubectl("delete", "-n", service.namespace, "dj/digits")
    service.train("digits-2", "sha256:" + "2" * 64)
    await service.see()
    note = ["annotate", "-n", service.namespace, "httproute/digits", "example.com/note=theirs"]
    service.kube.kubectl(*note)
    writes = service.count("patch", HTTP_ROUTE)
    await service.reconcile()
    assert service.count("patch", HTTP_ROUTE) == writes + 1
    assert service.codes[-1] == "409"

    await service.drive()
    route = service.route()
    assert route["metadata"]["annotations"]["example.com/note"] == "theirs"
    assert service.status("digits-2").inference_service == server_name("digits", "sha256:" + "2" * 64)
