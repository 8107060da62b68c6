"""The interface of a format, and the comparison that each has to stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from distill_trainer.batch import Inputs
from distill_trainer.export.trace import Traced

Runner = Callable[[Inputs], Tensor]
"""The written student: inputs → logits."""


class Exporter(Protocol):
    """One format."""

    @property
    def file(self) -> str:
        """Its name in the version's folder."""

    def check_installed(self) -> None:
        """Raise ConfigInvalid where a package is missing."""

    def write(self, traced: Traced, path: Path) -> None:
        """Write the graph."""

    def open(self, path: Path) -> Runner:
        """Read it back, as its users will."""


def largest_difference(runner: Runner, student: nn.Module, batches: Sequence[Inputs]) -> float:
    """max |z' − z| / max |z| over all logits of the batches."""
    differences, largest = [0.0], [1e-12]
    for inputs in batches:
        with torch.no_grad():
            wanted: Tensor = student(inputs).float()
        differences.append(float((runner(inputs).float() - wanted).abs().max()))
        largest.append(float(wanted.abs().max()))
    return max(differences) / max(largest)
