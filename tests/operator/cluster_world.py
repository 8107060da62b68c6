"""Namespaces with a claim full of files, and DistillationJobs good and bad. Used by test_on_a_cluster alone."""

from __future__ import annotations

import json
import secrets
import sys

from operator_process import Jobs, until

FILES = """
import torch
from pathlib import Path
from safetensors.torch import save_file
from distill_trainer.models import builtin_network
claim = Path("/mnt/pvc/models")
torch.manual_seed(0)
network = builtin_network("mlp", shape=(1, 8, 8), classes=10)
torch.save(network.state_dict(), claim / "pickle.safetensors")
fashion = builtin_network("mlp", shape=(1, 28, 28), classes=10)
save_file(fashion.state_dict(), claim / "fashion.safetensors")
for split, each in (("twelve/train", 10), ("few/train", 1), ("few/test", 0)):
    for name in range(12):
        folder = claim / split / str(name)
        folder.mkdir(parents=True)
        for index in range(each):
            (folder / f"{index}.pgm").write_bytes(b"P5 8 8 255 " + bytes([name] * 64))
save_file(network.state_dict(), claim / "teacher.safetensors")
whole = (claim / "teacher.safetensors").read_bytes()
(claim / "torn.safetensors").write_bytes(whole[: len(whole) // 2])
"""
LONG_NAME = ".".join(("long" * 15, "name" * 15, "with" * 15, "dots" * 15, "a" * 9))
GPU = {"gpusPerNode": 1, "cpu": "100m", "memory": "1Gi"}


def digits(name, **changes):
    """A job of seconds."""
    spec = {
        "task": "ImageClassification",
        "teacher": {"builtin": {"name": "mlp"}, "weights": {"uri": "pvc://models/teacher.safetensors"}},
        "student": {"builtin": {"name": "convnet-tiny"}},
        "dataset": {"builtin": {"name": "digits"}, "limit": 200},
        "training": {"epochs": 1},
        "output": {"uri": f"pvc://models/students/{name[:50]}"},
        "resources": GPU,
        "gate": {"minValue": 0.01},
    }
    return {
        "apiVersion": "distillation.dev/v1alpha1",
        "kind": "DistillationJob",
        "metadata": {"name": name},
        "spec": spec | changes,
    }


def mlp(file):
    """An mlp with these weights, as a teacher or as a student."""
    return {"builtin": {"name": "mlp"}, "weights": {"uri": f"pvc://models/{file}.safetensors"}}


def folder(name):
    """Pictures in folders, one for each of twelve classes."""
    return {"files": {"uri": f"pvc://models/{name}", "format": "ImageFolder"}}


LOST = {"teacher": mlp("lost")}
BROKEN = {
    "lost-weights": (LOST, "WeightsNotFound", "lost.safetensors"),
    "torn-weights": ({"teacher": mlp("torn")}, "WeightsTorn", "torn.safetensors"),
    "pickle": ({"teacher": mlp("pickle")}, "WeightsArePickle", "pickle.safetensors"),
    "input": ({"student": mlp("fashion")}, "InputShapeMismatch", "[64, 784] instead of [64, 64]"),
    "classes": ({"dataset": folder("twelve")}, "ClassCountMismatch", "teacher predicts 10 classes"),
    "empty-split": ({"dataset": folder("few")}, "EmptySplit", "dataset.splits.test"),
}
"""What the contract check finds: changes of the spec, the reason, and what the message must name."""

IMAGE = "registry.invalid/team/trainer:1"
SOON = {"policy": {"pendingDeadline": "10s"}}
STUCK = {
    "no-image": (SOON | {"resources": GPU | {"template": {"image": IMAGE}}}, "ImagePullFailed", IMAGE),
    "no-claim": (SOON | {"output": {"uri": "pvc://not-there/x"}}, "VolumeNotFound", "not-there"),
}
"""Pods that can never start."""
LATE = LOST | {"policy": {"pendingDeadline": "5m"}, "output": {"uri": "pvc://late/x"}}
"""Its claim comes later; what happens then is soon told."""

NO_GPU = {"resources": GPU | {"gpusPerNode": 0}}


def listed(*documents, namespace=None):
    """Documents as one, for one call of kubectl."""
    for document in documents:
        if namespace:
            document["metadata"]["namespace"] = namespace
    return {"apiVersion": "v1", "kind": "List", "items": list(documents)}


def make_spaces(cluster, count):
    """Namespaces with a claim each."""
    spaces = [Jobs(cluster, f"op-{secrets.token_hex(4)}") for _ in range(count)]
    documents = []
    for jobs in spaces:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": jobs.namespace}}
        documents += [namespace, claim("models", jobs.namespace)]
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(listed(*documents)))
    return spaces


def claim(name, namespace):
    """A PersistentVolumeClaim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def files_pod(cluster):
    """The pod that writes all files. The teacher has learnt nothing: no test asks how good a student is."""
    python = sys.executable if hasattr(cluster, "paths") else "python"
    container = {
        "name": "files",
        "image": "distillation/trainer:0.1.0",
        "command": [python, "-c", FILES],
        "volumeMounts": [{"name": "models", "mountPath": "/mnt/pvc/models"}],
        "securityContext": {"runAsUser": 65532},
    }
    volume = {"name": "models", "persistentVolumeClaim": {"claimName": "models"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "files"},
        "spec": {"restartPolicy": "Never", "containers": [container], "volumes": [volume]},
    }


def files_written(jobs):
    """Wait for the files of a space."""
    until(lambda: jobs.get("pod", "files")["status"]["phase"] in {"Succeeded", "Failed"}, "files")
    assert jobs.get("pod", "files")["status"]["phase"] == "Succeeded", jobs.kubectl("logs", "files")
