"""The pods that check and train. They pass Pod Security `restricted` and hold no Kubernetes credentials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distill_api.contract import CLAIM_MOUNTS, CONFIG_PATH, HTTP_PORT, NODES_VARIABLE, PROCESSES_VARIABLE
from distill_operator.kinds import Object
from distill_operator.manifests.config import FOLDER
from distill_operator.manifests.metadata import job_annotations, job_labels
from distill_operator.manifests.services import rendezvous_host
from distill_operator.plan import TrainingPlan

NON_ROOT = 65532
TMP = "/tmp"  # noqa: S108 - the one writable folder: the root file system is read-only


@dataclass(frozen=True)
class PodShape:
    """How the two pods of a job differ."""

    role: str
    command: str
    requests: dict[str, str]
    limits: dict[str, str]
    shared_memory: str | None = None
    port: int | None = None


def check_shape() -> PodShape:
    """The contract check: no GPU and little memory, since it looks at metadata alone."""
    return PodShape("check", "check", {"cpu": "100m", "memory": "1Gi"}, {"memory": "1Gi"})


def training_shape(plan: TrainingPlan) -> PodShape:
    """The training: what the job asks for."""
    resources = plan.spec.resources
    limits = {"memory": resources.memory}
    if resources.gpus_per_node:
        limits[resources.gpu_resource] = str(resources.gpus_per_node)
    requests = {"cpu": resources.cpu} | limits
    return PodShape("train", "train", requests, limits, plan.shared_memory, HTTP_PORT)


def pod_template(plan: TrainingPlan, shape: PodShape) -> Object:
    """The pod template of one of the job's Jobs."""
    spec: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": plan.grace_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NON_ROOT,
            "runAsGroup": NON_ROOT,
            "fsGroup": NON_ROOT,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(plan, shape)],
        "volumes": _volumes(plan, shape),
    }
    if plan.nodes > 1 and shape.role == "train":
        spec["subdomain"] = plan.training_name
    if plan.service_account:
        spec["serviceAccountName"] = plan.service_account
    metadata = {"labels": job_labels(plan.owner, shape.role), "annotations": job_annotations(plan.owner)}
    return {"metadata": metadata, "spec": spec | _placement(plan)}


def _container(plan: TrainingPlan, shape: PodShape) -> Object:
    container: Object = {
        "name": "trainer",
        "image": plan.image,
        "imagePullPolicy": plan.pull_policy,
        "args": [shape.command, "--config", CONFIG_PATH],
        "env": _environment(plan),
        "resources": {"requests": shape.requests, "limits": shape.limits},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": _mounts(plan, shape),
    }
    secret = plan.spec.dataset.secret_ref
    if secret is not None:
        # As a whole, so that the kubelet alone reads it, and a Secret that is missing keeps the pod from starting. What
        # stands in `env` wins over it.
        container["envFrom"] = [{"secretRef": {"name": secret.name}}]
    if shape.port:
        container["ports"] = [{"name": "http", "containerPort": shape.port}]
    return container


def _environment(plan: TrainingPlan) -> list[Object]:
    """The pod's own address and name, a writable home, and what the job adds."""

    def field(name: str, path: str) -> Object:
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}

    # Without it torch takes a thread for each core of the node, whatever the pod asked for.
    threads = {"resourceFieldRef": {"containerName": "trainer", "resource": "requests.cpu", "divisor": "1"}}
    own: list[Object] = [
        {"name": "OMP_NUM_THREADS", "valueFrom": threads},
        field("POD_IP", "status.podIP"),
        field("POD_NAME", "metadata.name"),
        {"name": "HOME", "value": TMP},
    ]
    asked = [{"name": var.name, "value": var.value} for var in plan.spec.resources.template.env]
    return own + _processes(plan) + asked


def _processes(plan: TrainingPlan) -> list[Object]:
    """How many train together and where they meet; nothing where one trains alone. The check compares the batch with it."""
    if plan.nodes * plan.processes == 1:
        return []
    values = {NODES_VARIABLE: str(plan.nodes), PROCESSES_VARIABLE: str(plan.processes)}
    if plan.nodes > 1:
        values["MASTER_ADDR"] = rendezvous_host(plan)
    return [{"name": name, "value": value} for name, value in values.items()]


def _mounts(plan: TrainingPlan, shape: PodShape) -> list[Object]:
    mounts: list[Object] = [
        {"name": "config", "mountPath": FOLDER, "readOnly": True},
        {"name": "tmp", "mountPath": TMP},
    ]
    if shape.shared_memory:
        mounts.append({"name": "shared-memory", "mountPath": "/dev/shm"})  # noqa: S108
    for index, claim in enumerate(plan.claims):
        mount: Object = {"name": f"claim-{index}", "mountPath": f"{CLAIM_MOUNTS}/{claim.name}"}
        mounts.append(mount | ({"readOnly": True} if claim.read_only else {}))
    return mounts


def _volumes(plan: TrainingPlan, shape: PodShape) -> list[Object]:
    volumes: list[Object] = [
        {"name": "config", "configMap": {"name": plan.config_name}},
        {"name": "tmp", "emptyDir": {}},
    ]
    if shape.shared_memory:
        memory = {"medium": "Memory", "sizeLimit": shape.shared_memory}
        volumes.append({"name": "shared-memory", "emptyDir": memory})
    for index, claim in enumerate(plan.claims):
        # A claim that is mounted read-only here may be mounted for writing elsewhere, so only the mount says it.
        volumes.append({"name": f"claim-{index}", "persistentVolumeClaim": {"claimName": claim.name}})
    return volumes


def _placement(plan: TrainingPlan) -> Object:
    """Node selector, tolerations, classes and pull secrets of the job's template; nothing that is unset."""
    template = plan.spec.resources.template
    fields: dict[str, Any] = {
        "nodeSelector": template.node_selector,
        "tolerations": [toleration.wire() for toleration in template.tolerations],
        "priorityClassName": template.priority_class_name,
        "runtimeClassName": template.runtime_class_name,
        "imagePullSecrets": [secret.wire() for secret in template.image_pull_secrets],
    }
    return {name: value for name, value in fields.items() if value}
