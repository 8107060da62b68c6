"""What one prediction costs, counted by PyTorch on the operations that run; no estimate from parameters."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from distill_trainer.batch import Inputs


def forward_flops(model: nn.Module, example: Inputs) -> int:
    """Floating-point operations of one forward pass on `example`: matrix products, convolutions and attention; × and + count 1 each."""
    mode = model.training
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model.eval()(example)
    model.train(mode)
    return int(counter.get_total_flops())
