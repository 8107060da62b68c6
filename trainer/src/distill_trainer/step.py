"""One optimizer step: the place where the student learns. No I/O; called by the loop for every batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from distill_api.training import Optimizer, Training
from distill_trainer.losses import LossParts

Objective = Callable[[Tensor, Tensor, Tensor], LossParts]
"""Student's logits, teacher's logits, labels → loss."""


def make_optimizer(student: nn.Module, training: Training) -> torch.optim.Optimizer:
    """AdamW, or SGD with momentum 0.9; weight decay is decoupled from the gradient in both (arXiv 1711.05101)."""
    if training.optimizer is Optimizer.ADAMW:
        return torch.optim.AdamW(
            student.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
        )
    sgd = torch.optim.SGD(student.parameters(), lr=training.learning_rate, momentum=0.9)
    sgd.register_step_pre_hook(lambda optimizer, _args, _kwargs: _shrink(optimizer, training.weight_decay))
    return sgd


@torch.no_grad()
def _shrink(optimizer: torch.optim.Optimizer, decay: float) -> None:
    """w ← (1 − rate · decay) · w, as AdamW does before its own step."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.mul_(1 - group["lr"] * decay)


def train_step(
    student: nn.Module,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    batch: tuple[Tensor, Tensor],
    teacher_logits: Tensor,
    *,
    rate: float,
    clip: float | None,
) -> LossParts:
    """Change the student once. `batch` is images [B, C, H, W] and labels [B]; the parts are detached scalars."""
    images, labels = batch
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    parts = objective(student(images), teacher_logits, labels)
    torch.autograd.backward(parts.total)
    if clip is not None:
        nn.utils.clip_grad_norm_(student.parameters(), clip)
    optimizer.step()
    return LossParts(*(part.detach() for part in parts))
