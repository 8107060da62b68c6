"""Checkpoints on the output volume: safetensors and JSON, whole or not there, only ever resumed by their own recipe.

`<output>/checkpoints/<recipe 12>/<identity 8>/step-<n>-epoch-<n>/{state.safetensors, manifest.json}`, where the
identity covers recipe, data and teacher: under the same recipe other data may lie, and those checkpoints neither
resume nor push out ours. The manifest, written last, carries the digest of the state: a torn checkpoint is never
picked, it is said so, and it is removed. The newest two are kept.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from distill_api.naming import digest, short
from distill_trainer.errors import UserError
from distill_trainer.files import new_folder
from distill_trainer.snapshot import Best, EpochRecord, Position, Snapshot
from distill_trainer.weights import file_digest

FORMAT = "distill-checkpoint/v1"
KEEP = 2
_STATE = "state.safetensors"
_MANIFEST = "manifest.json"
_GROUPS = ("model", "objective", "optimizer", "random", "best", "samples")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identity:
    """What a checkpoint belongs to; all digests."""

    recipe: str
    dataset: str
    teacher: str


class Torn(ValueError):  # noqa: N818
    """The files are there and are not what was written."""


class CheckpointStore:
    """The checkpoints of one recipe."""

    def __init__(self, output: Path, identity: Identity) -> None:
        self._folder = output / "checkpoints" / short(identity.recipe, 12) / short(digest(asdict(identity)))
        self._identity = identity

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self._folder

    def save(self, snapshot: Snapshot) -> Path:
        """Write a checkpoint and drop those beyond the newest two; its folder.

        Where the disk is full the older ones but the newest make room, once. Raises UserError (CheckpointNotWritten);
        what was written before is whole either way.
        """
        try:
            return self._write(snapshot)
        except (OSError, SafetensorError) as error:
            log.warning(
                "a checkpoint cannot be written (%s): tried once more with all but the newest removed", error
            )
            self._keep(1)
        try:
            return self._write(snapshot)
        except (OSError, SafetensorError) as error:
            raise UserError(
                "CheckpointNotWritten",
                f"output.uri: the checkpoint of step {snapshot.position.step} cannot be written to {self._folder} ({error}); "
                "give the volume more space: the next start goes on from the checkpoint before it",
            ) from error

    def _write(self, snapshot: Snapshot) -> Path:
        target = self._folder / f"step-{snapshot.position.step:09d}-epoch-{snapshot.position.epoch:06d}"
        with new_folder(target) as folder:
            save_file(_flat(snapshot), folder / _STATE)
            manifest = _manifest(snapshot, self._identity, file_digest(folder / _STATE))
            (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        self._keep(KEEP)
        return target

    def _keep(self, newest: int) -> None:
        for old in self._folders()[newest:]:
            shutil.rmtree(old, ignore_errors=True)

    def latest(self) -> Snapshot | None:
        """The newest checkpoint that is whole and belongs to this run."""
        for folder in self._folders():
            try:
                manifest = self._read_manifest(folder)
                return _snapshot(manifest, load_file(folder / _STATE))
            except Torn as fault:
                log.warning("checkpoint %s is passed over and removed: %s", folder.name, fault)
                shutil.rmtree(folder, ignore_errors=True)
            except (OSError, ValueError, KeyError, TypeError) as fault:
                log.warning("checkpoint %s is passed over: %s", folder.name, fault)
        return None

    def _folders(self) -> list[Path]:
        """Newest first."""
        return sorted(self._folder.glob("step-*"), reverse=True) if self._folder.is_dir() else []

    def _read_manifest(self, folder: Path) -> Mapping[str, Any]:
        manifest: dict[str, Any] = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"its format is {manifest['format']}, this version reads {FORMAT}")
        if Identity(**manifest["identity"]) != self._identity:
            raise ValueError("it belongs to another recipe, teacher or data")
        if file_digest(folder / _STATE) != manifest["digest"]:
            raise Torn("it is torn: its content does not have the digest that its manifest says")
        return manifest


def _flat(snapshot: Snapshot) -> dict[str, Tensor]:
    groups = {
        "model": snapshot.model,
        "objective": snapshot.objective,
        "optimizer": snapshot.optimizer,
        "random": snapshot.random,
        "samples": snapshot.samples,
    }
    if snapshot.best:
        groups["best"] = snapshot.best.state
    return {
        f"{group}/{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()
    }


def _manifest(snapshot: Snapshot, identity: Identity, state_digest: str) -> dict[str, Any]:
    best = {"epoch": snapshot.best.epoch, "metric": snapshot.best.metric} if snapshot.best else None
    return {
        "format": FORMAT,
        "identity": asdict(identity),
        "digest": state_digest,
        "position": asdict(snapshot.position),
        "history": [asdict(record) for record in snapshot.history],
        "best": best,
    }


def _snapshot(manifest: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Snapshot:
    groups: dict[str, dict[str, Tensor]] = {name: {} for name in _GROUPS}
    for key, tensor in tensors.items():
        group, _, name = key.partition("/")
        groups[group][name] = tensor
    position = manifest["position"]
    return Snapshot(
        position=Position(**{**position, "sums": tuple(position["sums"])}),
        history=tuple(EpochRecord(**record) for record in manifest["history"]),
        best=Best(**manifest["best"], state=groups["best"]) if manifest["best"] else None,
        model=groups["model"],
        optimizer=groups["optimizer"],
        random=groups["random"],
        objective=groups["objective"],
        samples=groups["samples"],
    )
