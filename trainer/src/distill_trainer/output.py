"""The version folder: the student, its result and its report, named by the digest of what is served.

`<output>/versions/<digest 12>/{model.safetensors, config.json, result.json, report.html}` appears all at once. The
digest covers config.json and model.safetensors; the same content always gets the same name.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor

from distill_api.contract import Outcome
from distill_api.naming import short
from distill_trainer import student as served
from distill_trainer.errors import ContractBroken
from distill_trainer.files import new_folder
from distill_trainer.weights import file_digest

RESULT = "result.json"
REPORT = "report.html"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """A student whose content is known; `digest` names its folder."""

    digest: str
    weights_bytes: int


@dataclass(frozen=True)
class VersionFiles:
    """Everything of a version beside the student itself, made once its digest is known."""

    outcome: Outcome
    detail: dict[str, Any]
    report: str


def write_version(
    output: Path,
    config: dict[str, Any],
    tensors: dict[str, Tensor],
    finish: Callable[[Written], VersionFiles],
) -> Outcome:
    """Write a version whole; its outcome. `finish` makes result and report from the digest."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".student-") as scratch:
        weights = Path(scratch) / served.WEIGHTS
        save_file(tensors, weights)
        text = json.dumps({**config, "weights": _weights(weights)}, indent=2, ensure_ascii=False) + "\n"
        digest = content_digest(text.encode(), weights)
        files = finish(Written(digest, weights.stat().st_size))
        with new_folder(output / "versions" / short(digest, 12)) as folder:
            weights.rename(folder / served.WEIGHTS)
            (folder / served.CONFIG).write_text(text, encoding="utf-8")
            result = {**files.outcome.wire(), "detail": files.detail}
            (folder / RESULT).write_text(
                json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
            )
            (folder / REPORT).write_text(files.report, encoding="utf-8")
    return files.outcome


def finished_version(output: Path, *, recipe: str, dataset: str, teacher: str) -> Outcome | None:
    """What an earlier run of the same recipe, data and teacher reported, where its version is whole."""
    for file in sorted((output / "versions").glob(f"*/{RESULT}")):
        try:
            found = Outcome.model_validate_json(file.read_bytes())
        except (OSError, ValidationError):
            log.warning("%s cannot be read: passed over", file)
            continue
        lineage = found.lineage
        if not found.result or not lineage or lineage.recipe_digest != recipe:
            continue
        same = lineage.dataset_digest == dataset and lineage.teacher_digest == teacher
        if same and _is_whole(file.parent, lineage.student_digest):
            return found
    return None


def check_writable(output: Path, uri: str) -> None:
    """Raise ContractBroken (OutputNotWritable) unless a file can be made in the folder, which is made if need be."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise ContractBroken(
            "OutputNotWritable",
            f"output.uri {uri} cannot be written ({error.strerror}); use a claim that is mounted for writing and has space",
        ) from error


def content_digest(config: bytes, weights: Path) -> str:
    """`sha256:…` over both files that are served."""
    listing = f"{served.CONFIG} sha256:{hashlib.sha256(config).hexdigest()}\n{served.WEIGHTS} {file_digest(weights)}\n"
    return "sha256:" + hashlib.sha256(listing.encode()).hexdigest()


def _weights(file: Path) -> dict[str, str]:
    return {"file": file.name, "digest": file_digest(file)}


def _is_whole(folder: Path, digest: str) -> bool:
    try:
        whole = content_digest((folder / served.CONFIG).read_bytes(), folder / served.WEIGHTS) == digest
    except OSError:
        whole = False
    if not whole:
        log.warning("version %s is damaged: it is made again", folder.name)
    return whole
