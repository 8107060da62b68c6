"""The CustomResourceDefinition of DistillationJob, and where its copies lie. `python -m distill_api` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from distill_api import GROUP, KIND, PLURAL, VERSION
from distill_api.job import DistillationJobSpec
from distill_api.reference import reference
from distill_api.schema import structural
from distill_api.status import DistillationJobStatus, Phase

HEADER = "# Written by `python -m distill_api` from crds/src/distill_api; edit the models, not this file.\n"
CRD_FILES = ("crds/distillationjobs.yaml", "charts/distillation-operator/files/crds/distillationjobs.yaml")
"""The chart renders its copy through a template, so that `helm upgrade` upgrades it (Helm's crds/ folder never does)."""

# (name, path below the object, priority): priority 1 shows with `-o wide`.
COLUMNS: tuple[tuple[str, str, str, int], ...] = (
    ("Phase", "string", ".status.phase", 0),
    ("Progress", "string", ".status.progressText", 0),
    ("Teacher", "string", ".status.teacher", 0),
    ("Student", "string", ".status.student", 0),
    ("Metric", "string", ".status.metricText", 0),
    ("Canary", "string", ".status.serving.canary", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Step", "integer", ".status.progress.step", 1),
    ("Samples/s", "number", ".status.progress.samplesPerSecond", 1),
    ("Attempt", "integer", ".status.attempt", 1),
    ("Message", "string", ".status.message", 1),
)


def object_schema() -> dict[str, Any]:
    """The schema of one DistillationJob, as the API server holds it."""
    text = {"type": "string"}
    return {
        "description": "A student model that is trained from a teacher, compared with it, and served.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": f"{GROUP}/{VERSION}", **text},
            "kind": {"description": KIND, **text},
            "metadata": {"type": "object"},
            "spec": structural(DistillationJobSpec, "spec"),
            # What nobody has looked at yet has a phase too: an empty column tells nothing.
            "status": structural(DistillationJobStatus, "status", defaults=False)
            | {"default": {"phase": Phase.PENDING.value}},
        },
    }


def custom_resource_definition() -> dict[str, Any]:
    """The whole CRD as an object."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(*column) for column in COLUMNS],
        "schema": {"openAPIV3Schema": object_schema()},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["dj"],
                "categories": ["all", "ml"],
            },
            "versions": [version],
        },
    }


def generated_files() -> dict[Path, str]:
    """Every generated file, by its path below the root of the repository."""
    import yaml  # noqa: PLC0415 - whoever imports the models alone gets by without it

    definition = json.loads(
        json.dumps(custom_resource_definition())
    )  # equal parts written out, no YAML aliases
    text = HEADER + yaml.safe_dump(definition, sort_keys=False, width=120, allow_unicode=True)
    files = {Path(name): text for name in CRD_FILES}
    return files | {Path("docs/api.md"): reference(object_schema(), COLUMNS)}


def _column(name: str, kind: str, path: str, priority: int) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    return column | ({"priority": priority} if priority else {})
