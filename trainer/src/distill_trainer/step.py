"""One optimizer step: the place where the student learns. No I/O; called by the loop for every batch."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from distill_api.training import Optimizer, Training
from distill_trainer.batch import Inputs
from distill_trainer.layers import watch
from distill_trainer.losses import Combined, LossParts, Outputs, Targets


def make_optimizer(
    student: nn.Module, training: Training, learnt: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """For the student and what the objective itself learns (`learnt`: regressors, projections).

    AdamW, or SGD with momentum 0.9; weight decay is decoupled from the gradient in both (arXiv 1711.05101).
    """
    parameters = [*student.parameters(), *learnt]
    if training.optimizer is Optimizer.ADAMW:
        return torch.optim.AdamW(parameters, lr=training.learning_rate, weight_decay=training.weight_decay)
    sgd = torch.optim.SGD(parameters, lr=training.learning_rate, momentum=0.9)
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
    objective: Combined,
    inputs: Inputs,
    teacher: Outputs,
    targets: Targets,
    *,
    rate: float,
    clip: float | None,
) -> LossParts:
    """Change the student once, on one batch; the parts are detached scalars."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    with watch(student, objective.student_layers) as layers:
        logits = student(inputs)
    parts: LossParts = objective(Outputs(logits, layers), teacher, targets)
    torch.autograd.backward(parts.total)
    if clip is not None:
        nn.utils.clip_grad_norm_(
            [weight for group in optimizer.param_groups for weight in group["params"]], clip
        )
    optimizer.step()
    return parts.detached()
