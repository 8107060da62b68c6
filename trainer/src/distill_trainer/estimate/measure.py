"""How fast this machine really is: the greatest rate of a matrix product, and what training reaches of it.

`distill estimate --measure` asks for it. The utilisation (MFU) is counted FLOPs ÷ time ÷ the rate of the product.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from distill_api.contract import TrainerConfig
from distill_trainer.batch import moved
from distill_trainer.estimate.count import Counted, adapt_student, build_on, example_of
from distill_trainer.models import open_models
from distill_trainer.tasks import Sources, kit_of

_SECONDS = 1.0
_SIDES = {"cpu": 1024, "cuda": 8192}


@dataclass(frozen=True)
class Measured:
    """FLOP/s of a matrix product, and the share of it that distilling reaches; `device` in words."""

    device: str
    peak: float
    utilisation: float


def measure(config: TrainerConfig, counted: Counted, batch: int, tokens: int | None = None) -> Measured:
    """Time products, then steps of the job's own networks with random parameters and inputs. Raises UserError."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    peak = product_rate(device)
    step = _step(config, device, batch, tokens)
    flops = batch * (counted.student.training_flops + counted.teacher.flops)
    name = (
        torch.cuda.get_device_name()
        if device.type == "cuda"
        else f"the CPU ({torch.get_num_threads()} of its threads)"
    )
    return Measured(name, peak, flops / _fastest(step, device) / peak)


def product_rate(device: torch.device) -> float:
    """FLOP/s of the fastest square product in 32 bits."""
    side = _SIDES[device.type]
    left, right = torch.rand(side, side, device=device), torch.rand(side, side, device=device)
    return 2 * side**3 / _fastest(lambda: left @ right, device)


def _step(
    config: TrainerConfig, device: torch.device, batch: int, tokens: int | None
) -> Callable[[], object]:
    """One pass of both and the student's backward pass."""
    kit = kit_of(config.task)
    sources = Sources(*open_models(config.teacher, config.student))
    signature = kit.signature(kit.describe(config, sources))
    teacher = build_on(sources.teacher, signature, device).eval()
    student = build_on(sources.student, signature, device).train()
    adapt_student(sources.student, student, config.student.lora)
    inputs = moved(example_of(config, sources, signature, batch, device, tokens), device)

    def step() -> None:
        with torch.inference_mode():
            theirs: Tensor = teacher(inputs)
        loss = nn.functional.mse_loss(student(inputs).float(), theirs.clone().float())
        student.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]

    return step


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest run within about a second, after one that warms up."""
    work()
    taken: list[float] = []
    end = time.perf_counter() + _SECONDS
    while not taken or time.perf_counter() < end:
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return min(taken)
