"""The version folder: the student, its result and its report, named by the digest of what is served.

`<output>/versions/<digest 12>/{model.safetensors, student.json, …, result.json, report.html, README.md}` appears all at once. The
digest covers what is served: everything but result, report, card, exports and `adapter/`. The same content always gets the same name.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from distill_api.contract import Outcome
from distill_api.delivery import Format
from distill_api.naming import short
from distill_api.status import Export
from distill_trainer import adapter
from distill_trainer import student as served
from distill_trainer.checkpoint import Identity
from distill_trainer.errors import ContractBroken
from distill_trainer.export import EXPORT_FILES
from distill_trainer.files import new_folder
from distill_trainer.weights import FILE, file_digest

RESULT = "result.json"
REPORT = "report.html"
CARD = "README.md"
_NOT_SERVED = {RESULT, REPORT, CARD, *EXPORT_FILES}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """A student whose content is known; `digest` names its folder."""

    digest: str
    weights_bytes: int
    exports: tuple[Export, ...]


@dataclass(frozen=True)
class VersionFiles:
    """Everything of a version beside the student itself, made once its digest is known."""

    outcome: Outcome
    detail: dict[str, Any]
    report: str
    card: str


def write_version(
    output: Path,
    config: dict[str, Any],
    write_model: Callable[[Path], tuple[Export, ...]],
    finish: Callable[[Written], VersionFiles],
) -> Outcome:
    """Write a version whole; its outcome. `write_model` fills a folder; `finish` makes result and report from the digest."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".student-") as scratch:
        made = Path(scratch)
        exports = write_model(made)
        _write_json(made / served.CONFIG, {**config, "weights": _weights(made / FILE)})
        digest = content_digest(made)
        files = finish(Written(digest, (made / FILE).stat().st_size, exports))
        with new_folder(output / "versions" / short(digest, 12)) as folder:
            for file in made.iterdir():
                file.rename(folder / file.name)
            _write_json(folder / RESULT, {**files.outcome.wire(), "detail": files.detail})
            (folder / REPORT).write_text(files.report, encoding="utf-8")
            (folder / CARD).write_text(files.card, encoding="utf-8")
    return files.outcome


def finished_version(output: Path, identity: Identity, formats: Sequence[Format]) -> Outcome | None:
    """What an earlier run of the same recipe, data and teacher reported, where its version is whole."""
    for file in sorted((output / "versions").glob(f"*/{RESULT}")):
        try:
            found = Outcome.model_validate_json(file.read_bytes())
        except (OSError, ValidationError):
            log.warning("%s cannot be read: passed over", file)
            continue
        lineage = found.lineage
        if not found.result or not lineage or lineage.recipe_digest != identity.recipe:
            continue
        same = lineage.dataset_digest == identity.dataset and lineage.teacher_digest == identity.teacher
        written = {Format.SAFETENSORS, *(export.format for export in found.result.exports or ())}
        if same and written >= set(formats) and _is_whole(file.parent, lineage.student_digest):
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


def content_digest(folder: Path) -> str:
    """`sha256:…` over all files that are served, by name."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    listing = "".join(f"{name} {file_digest(files[name])}\n" for name in sorted(files) if _is_served(name))
    return "sha256:" + hashlib.sha256(listing.encode()).hexdigest()


def _is_served(name: str) -> bool:
    return name not in _NOT_SERVED and not name.startswith(f"{adapter.FOLDER}/")


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _weights(file: Path) -> dict[str, str]:
    return {"file": file.name, "digest": file_digest(file)}


def _is_whole(folder: Path, digest: str) -> bool:
    try:
        whole = content_digest(folder) == digest
    except OSError:
        whole = False
    if not whole:
        log.warning("version %s is damaged: it is made again", folder.name)
    return whole
