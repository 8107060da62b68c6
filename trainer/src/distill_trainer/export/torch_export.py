"""`model.pt2`, for PyTorch without Python code of the model: AOTInductor, ExecuTorch, torch.export.load."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from distill_trainer.batch import Inputs
from distill_trainer.export.exporter import Runner
from distill_trainer.export.trace import Traced, tensors_of


class TorchExport:
    """The traced program as it is."""

    file = "model.pt2"

    def check_installed(self) -> None:
        """It comes with PyTorch."""

    def write(self, traced: Traced, path: Path) -> None:
        """One file with the weights inside."""
        torch.export.save(traced.program, path)

    def open(self, path: Path) -> Runner:
        """As a module."""
        module = torch.export.load(path).module()

        def run(inputs: Inputs) -> Tensor:
            with torch.no_grad():
                logits: Tensor = module(*tensors_of(inputs))
            return logits

        return run
