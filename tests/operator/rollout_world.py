"""A service on the real KServe and gateway: jobs that say they are trained, real students, real requests.

Used by test_rollout_kserve alone. The rollout is driven pass by pass, as the operator's workers do it, so that a test
can stop it, change something and start again with empty caches.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from kubernetes.aio import client, config
from operator_process import define

from distill_api.naming import short
from distill_api.sources import Student
from distill_api.training import Task
from distill_operator.cache import Caches
from distill_operator.cluster import Cluster
from distill_operator.handlers import Lister
from distill_operator.kinds import DISTILLATION_JOB, HTTP_ROUTE, INFERENCE_SERVICE, POD, service_key
from distill_operator.rollout.reconcile import reconcile_service
from distill_operator.rollout.status import serving_status
from distill_operator.settings import Settings
from distill_trainer.models import Signature, open_model
from distill_trainer.output import content_digest
from distill_trainer.student import CONFIG, FORMAT
from distill_trainer.weights import FILE

ROOT = Path(__file__).parents[2]
SHAPE, CLASSES = (1, 8, 8), [str(digit) for digit in range(10)]
KINDS = (DISTILLATION_JOB, POD, INFERENCE_SERVICE, HTTP_ROUTE)
SERVICE = "digits"
BODY = json.dumps({"instances": [[[0.5] * 8] * 8]}).encode()


def prepare(cluster, namespace, *, runtime=True):
    """CRD, the chart's runtime (in this namespace alone, if at all) and a claim; returns the claim's folder."""
    define(cluster)
    chart, template = str(ROOT / "charts/distillation-operator"), "templates/clusterservingruntime.yaml"
    text = cluster.helm("template", "t", chart, "-s", template, "--set", "serving.runtime.enabled=true")
    runtimes = [yaml.safe_load(text) | {"kind": "ServingRuntime"}] if runtime else []
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "models"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    opener = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "opener"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "opener", "image": "distillation/test:0.1.0", "command": ["true"],
                            "volumeMounts": [{"name": "models", "mountPath": "/mnt/pvc"}]}],
            "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}],
        },
    }  # fmt: skip
    cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump_all([*runtimes, claim, opener]))
    cluster.kubectl(
        "wait", "-n", namespace, "pod/opener", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=90s"
    )
    volume = cluster.kubectl("get", "-n", namespace, "pvc/models", "-o", "jsonpath={.spec.volumeName}")
    return Path(cluster.kubectl("get", f"pv/{volume}", "-o", "jsonpath={.spec.local.path}"))


def write_student(claim, *, torn=False):
    """A small untrained student in a version's folder; its digest. A torn one has half of its weights' bytes."""
    import torch

    scratch = claim / "students" / "digits" / ".new"
    scratch.mkdir(parents=True)
    source = open_model(Student.model_validate({"builtin": {"name": "mlp"}}), field="student")
    network = source.build(Signature(Task.IMAGE_CLASSIFICATION, len(CLASSES), SHAPE))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    source.write(network, scratch)
    about = {
        "format": FORMAT,
        "task": "ImageClassification",
        "model": source.config(),
        "input": {"shape": SHAPE},
        "classes": CLASSES,
    }
    (scratch / CONFIG).write_text(json.dumps(about))
    digest = content_digest(scratch)
    if torn:
        whole = (scratch / FILE).read_bytes()
        (scratch / FILE).write_bytes(whole[: len(whole) // 2])
    folder = claim / "students" / "digits" / "versions" / short(digest, 12)
    folder.parent.mkdir(exist_ok=True)
    scratch.rename(folder)
    for path in [claim, *claim.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return digest


def job_manifest(name, canary, replicas):
    """A DistillationJob that is served as `digits`."""
    return {
        "apiVersion": "distillation.dev/v1alpha1",
        "kind": "DistillationJob",
        "metadata": {"name": name},
        "spec": {
            "task": "ImageClassification",
            "teacher": {"builtin": {"name": "mlp"}, "weights": {"uri": "pvc://models/teacher.safetensors"}},
            "student": {"builtin": {"name": "mlp"}},
            "dataset": {"builtin": {"name": "digits"}},
            "output": {"uri": "pvc://models/students/digits"},
            "serving": {
                "kserve": {"inferenceService": SERVICE, "minReplicas": replicas},
                "canary": canary,
            },
        },
    }


def trained_status(digest):
    """The status of a job whose student has that digest."""
    model = {"metric": 0.9, "metricLow": 0.9, "metricHigh": 0.9, "parameters": 1, "bytes": 1}
    model |= {"latencyP50Seconds": 0.1, "latencyP99Seconds": 0.1}
    uri = f"pvc://models/students/digits/versions/{short(digest, 12)}"
    result = {
        "metric": "accuracy", "samples": 10, "student": model, "teacher": model,
        "drop": {"value": 0.0, "low": 0.0, "high": 0.0, "confidence": 0.95},
        "agreement": 1.0, "compression": 1.0, "retained": 1.0,
        "artifact": {"uri": uri, "digest": digest, "bytes": 1}, "report": f"{uri}/report.html",
    }  # fmt: skip
    times = {"lastTransitionTime": "2026-01-01T00:00:00Z", "message": ""}
    kinds = ("Trained", "GatePassed")
    conditions = [{"type": kind, "status": "True", "reason": "Passed"} | times for kind in kinds]
    return {"phase": "Succeeded", "conditions": conditions, "result": result}


@dataclass
class Load:
    """Requests through the gateway, one after the other, each with its time, status code and the model's version."""

    url: str
    host: str
    answers: list[tuple[float, int, str]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        self._thread.join(timeout=30)

    def _run(self):
        while not self._stop.is_set():
            self.answers.append((time.monotonic(), *ask(self.url, self.host)))
            self._stop.wait(0.05)

    def non_200(self):
        """The answers that were no success."""
        return [answer for answer in self.answers if answer[1] != 200]

    def counted(self, begin=0.0, end=float("inf")):
        """Answers per version in a span of time."""
        counts = {}
        for at, _, version in self.answers:
            if begin <= at <= end:
                counts[version] = counts.get(version, 0) + 1
        return counts


def ask(url, host):
    """One prediction: status code (0 without an answer) and the digest that answered."""
    request = urllib.request.Request(
        f"{url}/v1/models/{SERVICE}:predict",
        data=BODY,
        headers={"Host": host, "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)["modelVersion"]
    except urllib.error.HTTPError as error:
        return error.code, error.read()[:200].decode(errors="replace")
    except (OSError, ValueError) as error:
        return 0, str(error)


class World:
    """The rollout of one service, driven by the test."""

    def __init__(self, cluster, namespace):
        self.kube, self.namespace = cluster, namespace
        self.settings = Settings(namespaces=(namespace,))
        self.requests: list[tuple[str, str, str]] = []
        """Verb, resource and code of every request."""
        self.woken: list[str] = []
        """Jobs that the last pass woke, to tell how their rollout stands."""
        self.host = f"{SERVICE}-{namespace}.example.com"
        self.splits: list[dict[str, int]] = []
        self.ahead = timedelta()
        """How far the rollout's clock is ahead: a deadline that has passed need not be waited for."""
        self.events: list[tuple[float, str]] = []
        """When each CANARY text of the watched job was first seen."""

    async def __aenter__(self):
        configuration = client.Configuration()
        await config.load_kube_config(str(self.kube.kubeconfig), client_configuration=configuration)
        self.api = client.ApiClient(configuration)
        self.cluster = Cluster(self.api, count=self._count)
        self.restart()
        return self

    async def __aexit__(self, *exception):
        await self.cluster.close()

    def _count(self, *request):
        self.requests.append(request)

    def count(self, verb, kind):
        """How often this was asked."""
        return sum(1 for request in self.requests if request[:2] == (verb, kind.plural))

    @property
    def codes(self):
        return [code for _, _, code in self.requests]

    def now(self):
        return datetime.now(UTC) + self.ahead

    def act_as(self, user):
        """From now on the operator is this user."""
        self.api.set_default_header("Impersonate-User", user)

    def restart(self):
        """What a new process knows: nothing."""
        self.caches = Caches()
        self.caches.served |= {INFERENCE_SERVICE, HTTP_ROUTE}

    def train(self, name, digest, *, replicas=1, **canary):
        """A job appears and says that it is trained and through its gate."""
        canary = {"steps": [{"weight": 25, "hold": "5s"}, {"weight": 50, "hold": "5s"}]} | canary
        self.kube.kubectl(
            "apply",
            "-n",
            self.namespace,
            "-f",
            "-",
            stdin=yaml.safe_dump(job_manifest(name, canary, replicas)),
        )
        patch = json.dumps({"status": trained_status(digest)})
        self.kube.kubectl(
            "patch", "-n", self.namespace, f"dj/{name}", "--subresource=status", "--type=merge", "-p", patch
        )

    async def drive(self, kinds=KINDS):
        """One look, at these kinds, and one pass."""
        self.woken.clear()
        await self.see(kinds)
        await self.reconcile()
        route = self.route()
        if route is not None:
            refs = route["spec"]["rules"][0].get("backendRefs") or []
            self.splits.append({ref["name"]: ref["weight"] for ref in refs})

    async def see(self, kinds=KINDS):
        """Fill the caches."""
        await Lister(self.cluster, self.caches, self.settings).list(kinds)

    async def reconcile(self):
        """One pass, on what the caches hold."""
        key, now = service_key(self.namespace, SERVICE), self.now()
        wake = lambda job: self.woken.append(job.name)  # noqa: E731
        await reconcile_service(key, self.caches, self.cluster, self.settings, now, wake=wake)

    async def until(self, condition, seconds=300, despite=()):
        """Drive until `condition` holds, whatever of `despite` is raised until then."""
        deadline = time.monotonic() + seconds
        while True:
            with suppress(*(despite if isinstance(despite, tuple) else (despite,))):
                await self.drive()
            if condition():
                return
            assert time.monotonic() < deadline, (self.route(), self.versions())
            await asyncio.sleep(0.2)

    async def until_canary(self, job, text, seconds=300):
        """Drive until the CANARY column of the job says `text`; notes every text on the way."""

        def said():
            status = self.status(job)
            now = status.canary if status else None
            if now and (not self.events or self.events[-1][1] != now):
                self.events.append((time.monotonic(), now))
            return now == text

        await self.until(said, seconds)
        return self.status(job)

    def status(self, job):
        """status.serving of a job, as its reconciliation would write it."""
        index = f"{self.namespace}/{SERVICE}"
        raw = self.caches[DISTILLATION_JOB].get(self.namespace, job)
        services = self.caches[INFERENCE_SERVICE].select("service", index)
        pods = self.caches[POD].select("service", index)
        return serving_status(raw, services, self.route(), self.now(), pods=pods)

    def route(self):
        return self.caches[HTTP_ROUTE].get(self.namespace, SERVICE)

    def pods(self):
        """Names of the servers' pods that are there."""
        return [
            pod["metadata"]["name"]
            for pod in self.caches[POD].select("service", f"{self.namespace}/{SERVICE}")
        ]

    def versions(self):
        """Names of the InferenceServices that are there."""
        return [item["metadata"]["name"] for item in self.caches[INFERENCE_SERVICE]]
