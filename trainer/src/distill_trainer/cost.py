"""What one prediction costs, counted by PyTorch on the operations that run; no estimate from parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from distill_trainer.batch import Inputs


def forward_flops(model: nn.Module, example: Inputs) -> int:
    """Floating-point operations of one forward pass on `example`: matrix products, convolutions and attention; × and + count 1 each."""
    mode = model.training
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), _frozen(model), counter:
        model.eval()(example)
    model.train(mode)
    return int(counter.get_total_flops())


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """No parameter asks for a gradient: the counter follows those that layers hand on (DeBERTa's positions), and finds no pass."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
