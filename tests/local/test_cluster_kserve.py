"""KServe's real controller and the gateway on the local cluster: a model that is served answers a request from outside."""

import json
import sys
import time
import urllib.request

import pytest
import yaml

from distill_local.handle import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.kserve]

CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "models"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
SERVE = ("-m", "http.server", "8080", "--directory", "/mnt/models")
WRITER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "writer"},
    "spec": {
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "writer",
                "image": "distillation/test:0.1.0",
                "command": ["sh", "-c", "mkdir -p /mnt/pvc/v1 && echo student > /mnt/pvc/v1/model"],
                "volumeMounts": [{"name": "models", "mountPath": "/mnt/pvc"}],
            }
        ],
        "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}],
    },
}
RUNTIME = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "ServingRuntime",
    "metadata": {"name": "files"},
    "spec": {
        "supportedModelFormats": [{"name": "file", "version": "1"}],
        "containers": [
            {
                "name": "kserve-container",
                "image": "distillation/test:0.1.0",
                "command": [sys.executable, *SERVE],
                "ports": [{"containerPort": 8080}],
            }
        ],
    },
}
SERVICE = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "hello"},
    "spec": {
        "predictor": {
            "model": {"modelFormat": {"name": "file"}, "runtime": "files", "storageUri": "pvc://models/v1"}
        }
    },
}


def apply(cluster: Cluster, namespace: str, *objects: dict) -> None:
    cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump_all(objects))


def test_a_model_on_a_claim_is_served_through_the_gateway_and_counted(
    kserve_cluster: Cluster, namespace: str
):
    apply(kserve_cluster, namespace, CLAIM, WRITER)
    kserve_cluster.kubectl(
        "wait", "-n", namespace, "pod/writer", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=90s"
    )
    apply(kserve_cluster, namespace, RUNTIME, SERVICE)
    kserve_cluster.kubectl("wait", "-n", namespace, "isvc/hello", "--for=condition=Ready", "--timeout=90s")
    service = json.loads(kserve_cluster.kubectl("get", "-n", namespace, "isvc/hello", "-o", "json"))
    host = service["status"]["url"].removeprefix("http://")
    assert host == f"hello-{namespace}.example.com"
    assert answer_of(f"{kserve_cluster.gateway_url}/model", host) == "student\n"
    counted = answer_of(kserve_cluster.gateway_metrics_url, "metrics")
    assert any(
        line.startswith("traefik_service_requests_total") and namespace in line
        for line in counted.splitlines()
    )


def answer_of(url: str, host: str, seconds: float = 30) -> str:
    """Return the body of the first answer that is a success: the gateway hears of a route a moment after it is Ready."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, headers={"Host": host}), timeout=5
            ) as answer:
                return answer.read().decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
