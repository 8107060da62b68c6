"""Networks that jobs name as `python: {factory: own_models:…}`; written as users write theirs, faults included."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

_ONE: list[nn.Module] = []


class TinyConv(nn.Module):
    """Conv–BatchNorm–ReLU–Dropout–Linear on grey pictures of 8×8."""

    def __init__(self, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(width * 64, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.dropout(self.features(images).flatten(1)))


def tiny_conv(width: int = 4, classes: int = 10, dropout: float = 0.5) -> nn.Module:
    """In training mode, with gradients on, as every fresh module is."""
    return TinyConv(width, classes, dropout).train().requires_grad_()


def with_numbers(steps: int = 3) -> nn.Module:
    """Asks for numbers while it is made, as many do for stochastic depth."""
    rates = [rate.item() for rate in torch.linspace(0, 0.1, steps)]
    return TinyConv(4, 10, rates[-1])


def dropped(width: int = 24, classes: int = 10) -> nn.Module:
    """Draws numbers in each pass."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, width), nn.Dropout(0.3), nn.GELU(), nn.Linear(width, classes)
    )


class Tied(nn.Module):
    """Its head is the transposed input layer's: one tensor under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 10)
        self.second = nn.Linear(64, 10)
        self.second.weight = self.first.weight

    def forward(self, images: Tensor) -> Tensor:
        rows = images.flatten(1)
        return self.first(rows) + self.second(rows)


def tied() -> nn.Module:
    return Tied()


def the_same() -> nn.Module:
    """One object for all."""
    _ONE.extend([tiny_conv()] if not _ONE else [])
    return _ONE[0]


def no_module() -> dict[str, int]:
    return {"width": 4}


def a_dictionary() -> nn.Module:
    class Talkative(TinyConv):
        def forward(self, images: Tensor) -> Any:
            return {"logits": super().forward(images)}

    return Talkative(4, 10, 0.0)


def failing() -> nn.Module:
    raise RuntimeError("no checkpoint in the image\nsecond line")


class LogitTable(nn.Module):
    """Every text is one word `w0`, `w1`, …; its logits are row i of a table [samples, classes]."""

    def __init__(self, rows: list[list[float]], first: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.tensor(rows))
        self.first = first

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.table[input_ids[:, 0] - self.first]


def logit_table(rows: list[list[float]], first: int) -> nn.Module:
    """`first` is the token of `w0`."""
    return LogitTable(rows, first)


class BigramTable(nn.Module):
    """Logits at t are row `token_t` of a table [tokens, tokens]."""

    def __init__(self, tokens: int, seed: int, columns: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.table = nn.Parameter(torch.randn(tokens, columns, generator=generator))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
        return SimpleNamespace(logits=self.table[input_ids])


def bigram_table(tokens: int, seed: int, columns: int | None = None) -> nn.Module:
    return BigramTable(tokens, seed, columns or tokens)


def padded_table(tokens: int, seed: int, columns: int, beyond: float) -> nn.Module:
    """A head wider than there are tokens; the columns that no token has hold one value."""
    table = BigramTable(columns, seed, columns)
    with torch.no_grad():
        table.table[:, tokens:] = beyond
    return table
