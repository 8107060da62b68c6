"""How long one prediction takes on the machine at hand."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from distill_trainer.batch import Inputs, any_tensor

_WARM_UP = 5
_RUNS = 200
_SECONDS = 2.0


@dataclass(frozen=True)
class Latency:
    """Seconds for a batch of one."""

    p50: float
    p99: float


def measure(model: nn.Module, example: Inputs) -> Latency:
    """Time `model` on `example`, a batch of one: at most 200 runs or two seconds, after a warm-up."""
    taken: list[float] = []
    device = any_tensor(example).device
    model.eval()
    with torch.inference_mode():
        for _ in range(_WARM_UP):
            model(example)
        end = time.perf_counter() + _SECONDS
        while len(taken) < _RUNS and (not taken or time.perf_counter() < end):
            wait_for(device)
            began = time.perf_counter()
            model(example)
            wait_for(device)
            taken.append(time.perf_counter() - began)
    return Latency(float(np.quantile(taken, 0.5)), float(np.quantile(taken, 0.99)))


def wait_for(device: torch.device) -> None:
    """A GPU works behind the program's back: wait until it is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
