"""What networks have in common whose parameters are one safetensors file: builtin ones, timm's, torchvision's, one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from distill_api.sources import Weights
from distill_trainer import uris, weights


class WeightsFile:
    """The half of a `ModelSource` that is about parameters; the other files of this folder add the network."""

    def __init__(self, file: Path | None, field: str) -> None:
        self._file = file
        self._field = field

    @staticmethod
    def path(trained: Weights | None, field: str) -> Path | None:
        """Where the API's weights lie."""
        return uris.resolve(trained.uri, field=f"{field}.weights.uri") if trained else None

    @property
    def weights_name(self) -> str:
        """The file's name."""
        return self._file.name if self._file else ""

    def check_files(self) -> None:
        """Read the header of the weights. Raises ContractBroken."""
        self.trained_shapes()

    def trained_shapes(self) -> dict[str, tuple[int, ...]] | None:
        """Shapes from the header of the weights."""
        return weights.read_header(self._file, field=f"{self._field}.weights.uri") if self._file else None

    def fresh(self, network: nn.Module) -> tuple[str, ...]:  # noqa: ARG002
        """None: every tensor must fit."""
        return ()

    def load(self, module: nn.Module) -> tuple[str, ...]:
        """Load the file; every tensor that does not start fresh must fit. Raises ContractBroken."""
        if not self._file:
            return ()
        network = self.inner(module)
        fresh = self.fresh(network)
        weights.load_into(network, self._file, field=f"{self._field}.weights.uri", but=fresh)
        return fresh

    def inner(self, module: nn.Module) -> nn.Module:
        """The network that the file's names belong to."""
        return module

    def tokenizer(self) -> Any | None:
        """None: it sees pictures."""
        return None

    def longest_input(self) -> int | None:
        """None: open, or of no meaning for pictures."""
        return None

    def vocabulary(self) -> int | None:
        """None: open, or of no meaning for pictures."""
        return None

    def ends_by_padding(self) -> tuple[int | None] | None:
        """None: it is no model of Transformers."""
        return None

    def generation_file(self) -> Path | None:
        """None: it is no model of Transformers."""
        return None

    def write(self, module: nn.Module, folder: Path) -> None:
        """Everything of the network."""
        weights.write(self.inner(module), folder / weights.FILE)

    def read(self, module: nn.Module, folder: Path) -> None:
        """The file as `write` left it."""
        weights.load_into(self.inner(module), folder / weights.FILE, field="model folder")
