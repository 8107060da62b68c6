"""One optimizer step: the place where the student learns. No I/O; called by the loop for every batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from distill_api.training import Optimizer, Precision, Training
from distill_trainer.batch import Inputs, any_tensor
from distill_trainer.last_layer import LastLayer
from distill_trainer.layers import watch
from distill_trainer.losses import Combined, LossParts, Outputs, Targets
from distill_trainer.losses.combined import added
from distill_trainer.losses.precision import at_least_float32
from distill_trainer.ranks import Ranks
from distill_trainer.sharding import clip_gradients


def make_optimizer(
    student: nn.Module, training: Training, learnt: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """For the student and what the objective itself learns (`learnt`: regressors, projections).

    AdamW, or SGD with momentum 0.9; weight decay is decoupled from the gradient in both (arXiv 1711.05101).
    """
    # In groups of their own: a sharded student's tensors and whole ones cannot be stepped together.
    groups = [list(student.parameters()), list(learnt)]
    parameters = [{"params": group} for group in groups if group]
    if training.optimizer is Optimizer.ADAMW:
        # Fused: one pass over all weights in place of a dozen small operations on each of them.
        return torch.optim.AdamW(
            parameters, lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
        )
    sgd = torch.optim.SGD(parameters, lr=training.learning_rate, momentum=0.9)
    sgd.register_step_pre_hook(lambda optimizer, _args, _kwargs: _shrink(optimizer, training.weight_decay))
    return sgd


@torch.no_grad()
def _shrink(optimizer: torch.optim.Optimizer, decay: float) -> None:
    """w ← (1 − rate · decay) · w, as AdamW does before its own step: for what has a gradient."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.grad is not None:
                weight.mul_(1 - group["lr"] * decay)


@dataclass(frozen=True)
class Example:
    """A micro-batch as the step sees it. The targets carry the counts of the whole step.

    One that is `idle` changes nothing: a process that shares its layers' tensors makes as many passes as the others.
    """

    inputs: Inputs
    teacher: Outputs
    targets: Targets
    idle: bool = False


def train_step(
    student: nn.Module,
    optimizer: torch.optim.Optimizer,
    objective: Combined,
    examples: Iterable[Example],
    *,
    rate: float,
    clip: float | None,
    ranks: Ranks = Ranks(),  # noqa: B008 - frozen
    precision: Precision = Precision.FP32,
    last_layer: LastLayer | None = None,
) -> LossParts | None:
    """Change the student once, on the micro-batches of one step; what of its loss is this process's, detached scalars.

    None where this process had no micro-batch: the gradients of the others reach it all the same. With `last_layer` the
    objective is one of hidden states (`losses.fused.objective`).
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    losses = []
    for example in examples:
        parts = _backward(student, objective, example, precision, last_layer)
        losses += [] if example.idle else [parts]
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    ranks.add_gradients([weight for weight in weights if not isinstance(weight, DTensor)])
    if clip is not None:
        clip_gradients(weights, clip)
    optimizer.step()
    return added(losses) if losses else None


def _backward(
    student: nn.Module,
    objective: Combined,
    example: Example,
    precision: Precision,
    last_layer: LastLayer | None,
) -> LossParts:
    """Add a micro-batch's gradients. Its passes alone run in `precision`; losses and their softmax in 32 bits."""
    device = any_tensor(example.inputs).device.type
    low = torch.autocast(device, torch.bfloat16, enabled=precision is Precision.BF16)
    with low, watch(student, objective.student_layers) as layers:
        outputs = _outputs(student, example.inputs, layers, last_layer)
    parts: LossParts = objective(outputs, example.teacher, example.targets)
    torch.autograd.backward(parts.total * 0 if example.idle else parts.total)
    return parts.detached()


def _outputs(
    student: nn.Module, inputs: Inputs, layers: Mapping[str, Tensor], last_layer: LastLayer | None
) -> Outputs:
    """What the student says; layers in 32 bits, as what terms learn beside it is."""
    if last_layer is None:
        said = Outputs(student(inputs))
    else:
        unprojected = last_layer.unprojected(student, inputs)
        said = Outputs(unprojected.states.new_empty(0), unprojected=unprojected)
    return replace(said, layers={name: at_least_float32(output) for name, output in layers.items()})
