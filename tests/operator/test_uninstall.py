"""`helm uninstall` in the middle of a canary: students go on being served, and the next installation goes on with it."""

from __future__ import annotations

import json

import pytest
import rollout_world as world
from operator_process import until

from distill_api.naming import server_name

pytestmark = [pytest.mark.cluster, pytest.mark.kserve]
RELEASE = "uninstalled"
DEPLOYMENT = f"deployment/{RELEASE}-distillation-operator"


class Installation:
    """A release of the chart that looks after one namespace, and lives in it."""

    def __init__(self, kube, namespace):
        self.kube, self.namespace = kube, namespace

    def kubectl(self, *arguments):
        return self.kube.kubectl("-n", self.namespace, *arguments)

    def helm(self, command, *arguments):
        return self.kube.helm(command, RELEASE, *arguments, "--namespace", self.namespace)

    def install(self):
        """With the runtime, without the CRDs, which this cluster's other tests use."""
        values = "crds.install=false,rbac.aggregateClusterRoles=false,serving.runtime.enabled=true"
        watched = f"watchNamespaces={{{self.namespace}}}"
        self.helm("install", str(world.ROOT / "charts/distillation-operator"), "--set", f"{values},{watched}")
        self.kubectl("rollout", "status", DEPLOYMENT, "--timeout=120s")

    def canary(self, job):
        """What the CANARY column says."""
        return self.kubectl("get", f"dj/{job}", "-o", "jsonpath={.status.serving.canary}")

    def route(self):
        """Weights and state."""
        route = json.loads(self.kubectl("get", "httproute/digits", "-o", "json"))
        weights = {ref["name"]: ref["weight"] for ref in route["spec"]["rules"][0]["backendRefs"]}
        return weights, route["metadata"]["annotations"]["distillation.dev/rollout"]


@pytest.fixture
def installation(kserve_cluster, namespace):
    made = Installation(kserve_cluster, namespace)
    yield made
    made.kubectl("delete", "dj,inferenceservices,httproutes", "--all", "--wait=false")
    made.helm("uninstall", "--ignore-not-found")
    kserve_cluster.kubectl("delete", "clusterservingruntime/distilled-student", "--ignore-not-found")


async def test_a_canary_outlives_the_operator_and_is_taken_up_by_the_next(installation):
    kube, namespace = installation.kube, installation.namespace
    claim = world.prepare(kube, namespace, runtime=False)
    first, second = world.write_student(claim), world.write_student(claim)
    installation.install()
    async with world.World(kube, namespace) as service:
        service.train("digits", first)
        until(lambda: installation.canary("digits") == "Promoted", "the first is served")
        service.train("digits-2", second, steps=[{"weight": 25, "hold": "1h"}])
        until(lambda: installation.canary("digits-2") == "25%", "the second is a canary")
        before = installation.route()
        with world.Load(kube.gateway_url, service.host) as load:
            installation.helm("uninstall")
            until(
                lambda: (
                    not installation.kubectl(
                        "get", "deployments", "-o", "name", "-l", f"app.kubernetes.io/instance={RELEASE}"
                    )
                ),
                "gone",
            )
            until(lambda: len(load.answers) > 100, "requests without an operator")
            assert installation.route() == before
            jobs = json.loads(installation.kubectl("get", "dj", "-o", "json"))["items"]
            assert [job["metadata"].get("deletionTimestamp") for job in jobs] == [None, None]

            installation.install()
            until(lambda: len(load.answers) > 200, "requests with the next operator")
            assert installation.route() == before
            assert installation.canary("digits-2") == "25%"
            # It has taken the rollout up: without its job, the canary goes.
            installation.kubectl("delete", "dj/digits-2")
            stable = {f"{server_name('digits', first)}-predictor": 100}
            until(lambda: installation.route()[0] == stable, "back to the first")
        assert load.non_200() == []
        assert set(load.counted()) == {first, second}
