"""Every DistillationJob of `examples/` is accepted as it stands, by Python and by the real API server."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from distill_api import DistillationJob

ROOT = Path(__file__).resolve().parents[2]


def jobs() -> dict[str, dict]:
    """By file and name. One of a chart or with placeholders is none."""
    found = {}
    for path in sorted((ROOT / "examples").rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if isinstance(document, dict) and document.get("kind") == "DistillationJob":
                found[f"{path.relative_to(ROOT)}:{document['metadata']['name']}"] = document
    return found


JOBS = jobs()


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS.keys())
def test_python_accepts_it(job):
    assert DistillationJob.model_validate(job).kind == "DistillationJob"


@pytest.mark.cluster
@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS.keys())
def test_the_api_server_accepts_it(dry, job):
    document = {**job, "metadata": {"name": job["metadata"]["name"]}}
    assert dry.apply(document, "--dry-run=server")["kind"] == "DistillationJob"
