"""Makes the plan true before the first epoch: Online as it is, or a store that has every sample. Called by `run`."""

from __future__ import annotations

import json
import logging
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn

from distill_api.naming import digest, short
from distill_api.teacher_outputs import Encoding as Kind
from distill_api.teacher_outputs import OutputsMode
from distill_api.training import Precision
from distill_trainer.data import Split
from distill_trainer.files import sync
from distill_trainer.fused_path import FusedPath
from distill_trainer.progress import ProgressBoard
from distill_trainer.stop import StopSignal
from distill_trainer.teacher_outputs import Online, TeacherOutputs
from distill_trainer.teacher_outputs.cached import Cached
from distill_trainer.teacher_outputs.encodings import Dense, Encoding, Head, HiddenState, Sampled, TopK
from distill_trainer.teacher_outputs.fidelity import Fidelity
from distill_trainer.teacher_outputs.fill import Filling, fill, not_writable
from distill_trainer.teacher_outputs.planning import OutputsPlan
from distill_trainer.teacher_outputs.shard import FORMAT, SUFFIX, Torn, read_tensors, write_tensors
from distill_trainer.teacher_outputs.store import HEAD_PREFIX, OutputStore, set_aside
from distill_trainer.teacher_outputs.teacher_pass import TeacherPass, head_of

MANIFEST = "manifest.json"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """What the teacher's outputs follow from: digests of its state, its configuration, and the samples' content."""

    teacher: str
    teacher_config: str
    data: str


@dataclass(frozen=True)
class Prepared:
    """What the loop asks, and what was found out about it, as sentences for the report."""

    source: TeacherOutputs
    notes: tuple[str, ...] = ()


def prepare(
    plan: OutputsPlan,
    teacher: nn.Module,
    origin: Origin,
    split: Split,
    device: torch.device,
    board: ProgressBoard,
    stop: StopSignal,
    *,
    at_once: int,
    fused: FusedPath | None = None,
    precision: Precision = Precision.FP32,
) -> Prepared:
    """Fill the store where there is to be one; with `fused` what goes into the last layer is given for logits. Raises Disrupted and UserError (StoreNotWritable)."""
    if plan.choice.mode is OutputsMode.ONLINE:
        return Prepared(Online(teacher, plan.layers, fused.teacher if fused else None, precision))
    key = key_document(plan, origin)
    folder = plan.root / short(digest(key), 16)
    head = plan.head if plan.choice.encoding is Kind.HIDDEN_STATE else None
    try:
        store = OutputStore(folder, split.ids)
        encoding = _encoding(plan, store.folder, teacher, head)
    except OSError as error:
        raise not_writable(error) from error
    filling = Filling(
        TeacherPass(teacher, plan.layers, head), encoding, split, device, at_once, _measured_at(plan)
    )
    fidelity = _filled(filling, store, board, stop, key)
    notes = (f"teacher outputs: {fidelity.sentence()}",) if fidelity else ()
    for note in notes:
        log.info("%s", note)
    return Prepared(Cached(store, encoding, unprojected=fused is not None), notes)


def key_document(plan: OutputsPlan, origin: Origin) -> dict[str, Any]:
    """Everything that decides what is stored, and nothing else: its digest names the folder."""
    choice = plan.choice
    at = plan.temperatures if choice.encoding in {Kind.TOP_K, Kind.SAMPLED} else ()
    return {
        "format": FORMAT,
        **asdict(origin),
        **choice.document(),
        "temperatures": list(at),
        "layers": list(plan.layers),
    }


def _measured_at(plan: OutputsPlan) -> float:
    return plan.temperatures[0] if plan.temperatures else 1.0


def _filled(
    filling: Filling, store: OutputStore, board: ProgressBoard, stop: StopSignal, key: dict[str, Any]
) -> Fidelity | None:
    """The fidelity that was measured when the first samples were stored."""
    if not store.complete:
        board.stage("Caching")
        found = store.stored
        filled = fill(filling, store, stop, start=_start(), tell=board.caching)
        log.info("teacher outputs: %d samples found, %d computed, in %s", found, filled.samples, store.folder)
        if filled.fidelity and not (store.folder / MANIFEST).exists():
            _write_manifest(store.folder, key, filled.fidelity)
    else:
        log.info("teacher outputs: all %d samples found in %s", store.stored, store.folder)
    return _read_fidelity(store.folder)


def _start() -> float:
    """Where on the ring this process begins: the ranks of a job evenly spaced, jobs that know nothing of each other anywhere."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank() / distributed.get_world_size()
    return uuid.uuid4().int / 2**128


def _encoding(plan: OutputsPlan, folder: Path, teacher: nn.Module, head: str | None) -> Encoding:
    match plan.choice.encoding:
        case Kind.TOP_K:
            return TopK(plan.choice.top_k or 0, plan.temperatures)
        case Kind.SAMPLED:
            return Sampled(plan.choice.top_k or 0, _measured_at(plan))
        case Kind.HIDDEN_STATE if head is not None:
            return HiddenState(_kept_head(folder, head_of(teacher, head, plan.classes)))
        case _:
            return Dense()


def _kept_head(folder: Path, head: Head) -> Head:
    """The teacher's head, stored once beside the hidden states, so that they mean something without the teacher."""
    for path in folder.glob(f"{HEAD_PREFIX}*{SUFFIX}"):
        try:
            read_tensors(path)
        except Torn as fault:
            set_aside(path, str(fault))
        else:
            return head
    write_tensors(folder, {name: tensor.cpu() for name, tensor in head.tensors().items()}, HEAD_PREFIX)
    return head


def _write_manifest(folder: Path, key: dict[str, Any], fidelity: Fidelity) -> None:
    """For people, and for the starts that compute nothing. What can be trusted is in the shards' names."""
    draft = folder / f".{uuid.uuid4().hex}.tmp"
    document = {"key": key, "fidelity": asdict(fidelity)}
    draft.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    sync(draft)
    draft.replace(folder / MANIFEST)


def _read_fidelity(folder: Path) -> Fidelity | None:
    try:
        return Fidelity(**json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["fidelity"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
