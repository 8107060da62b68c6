"""The student in formats that run without this trainer: ONNX and torch.export, each compared with the student itself.

Called once a student is trained. A format is one file here with an `Exporter`, and one line in `_EXPORTERS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from distill_api.delivery import Format
from distill_api.status import Export
from distill_trainer.batch import Inputs
from distill_trainer.errors import ContractBroken
from distill_trainer.export.exporter import Exporter, largest_difference
from distill_trainer.export.onnx import Onnx
from distill_trainer.export.torch_export import TorchExport
from distill_trainer.export.trace import Traced, trace

TOLERANCE = 1e-3
"""Largest difference of a logit, in units of the largest logit: kernels add up in another order, no more."""
_EXPORTERS: dict[Format, Exporter] = {Format.ONNX: Onnx(), Format.TORCH_EXPORT: TorchExport()}
EXPORT_FILES = frozenset(exporter.file for exporter in _EXPORTERS.values())


def check_installed(formats: Sequence[Format]) -> None:
    """Raise ConfigInvalid where a package that a format needs is not there."""
    for kind in _wanted(formats):
        _EXPORTERS[kind].check_installed()


def export(
    formats: Sequence[Format],
    student: nn.Module,
    batches: Sequence[Inputs],
    longest: int | None,
    folder: Path,
) -> tuple[Export, ...]:
    """Write each format beside the weights. The first batch is traced, and all are compared.

    `longest` is the most tokens of a text. Raises ContractBroken (ExportFailed, ExportDiffers).
    """
    wanted = _wanted(formats)
    if not wanted:
        return ()
    device, mode = next(student.parameters()).device, student.training
    student.cpu().eval()  # dropout and batch statistics would be written into the graph
    try:
        traced = trace(student, batches[0], longest)
        return tuple(_write(kind, traced, student, batches, folder) for kind in wanted)
    finally:
        student.to(device).train(mode)


def _wanted(formats: Sequence[Format]) -> list[Format]:
    return [kind for kind in formats if kind in _EXPORTERS]


def _write(
    kind: Format, traced: Traced, student: nn.Module, batches: Sequence[Inputs], folder: Path
) -> Export:
    exporter = _EXPORTERS[kind]
    path = folder / exporter.file
    try:
        exporter.write(traced, path)
        difference = largest_difference(exporter.open(path), student, batches)
    except Exception as error:  # both libraries raise whatever their passes meet
        raise ContractBroken(
            "ExportFailed",
            f"output.formats: the student cannot be written as {kind.value} ({type(error).__name__}: "
            f"{(str(error).strip().splitlines() or [''])[0][:300]}); it is in its last checkpoint: a job with the same "
            "output.uri and without this format goes on from there",
        ) from error
    if not difference <= TOLERANCE:
        raise ContractBroken(
            "ExportDiffers",
            f"output.formats: as {kind.value} the student gives other logits (by {difference:.2g} of the largest, "
            f"{TOLERANCE:g} is allowed); leave the format out",
        )
    return Export(format=kind, file=path.name, bytes=path.stat().st_size, largest_difference=difference)
