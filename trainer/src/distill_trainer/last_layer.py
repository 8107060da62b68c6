"""A language model's last layer, and its hidden states without it: what the fused losses take in place of logits.

What models do beside the product is read from the config (`logit_scale` of Cohere, `logits_scaling` of Granite,
`final_logit_softcapping` of Gemma 2) and then compared with the model itself on an example, so that a model which does
anything else to its logits is found and not guessed at. Used by `fused_path`, the step and the teacher beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from distill_trainer.batch import Inputs
from distill_trainer.layers import bare
from distill_trainer.losses.fused import Head, NotFused
from distill_trainer.losses.fused.inputs import as_autocast
from distill_trainer.losses.term import Unprojected

TOLERANCE = 1e-4
"""Of the greatest logit: two orders of the same sums in 32 bits differ by less, a scale or a cap by far more."""


@dataclass(frozen=True)
class LastLayer:
    """The linear layer with what the model does to its product."""

    linear: nn.Linear
    scale: float = 1.0
    softcap: float | None = None

    @property
    def head(self) -> Head:
        """Weight and bias as they are trained now."""
        return Head(self.linear.weight, self.linear.bias, self.scale, self.softcap)

    def unprojected(self, network: nn.Module, inputs: Inputs) -> Unprojected:
        """A forward pass of the network without this layer; hidden states [..., H] and head in autocast's precision."""
        with _left_out(self.linear) as entered:
            network(inputs)
        return Unprojected(*as_autocast(entered[-1], self.head))

    def within(self, network: nn.Module, layers: Sequence[str]) -> str | None:
        """The first of `layers` that is this one or holds it: it gives nothing without it."""
        found = (name for name in layers if self.linear in bare(network).get_submodule(name).modules())
        return next(found, None)


def last_layer(network: nn.Module, example: Inputs, name: str) -> LastLayer:
    """The last layer of a Transformers model; `name` says whose. Raises NotFused where its logits are not made by it alone."""
    model: Any = getattr(bare(network), "model", None)
    linear = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if type(linear) is not nn.Linear or "forward" in vars(linear):
        raise NotFused(f"the {name}'s last layer is no plain linear one")
    config = model.config
    scale = float(getattr(config, "logit_scale", None) or 1.0) / float(
        getattr(config, "logits_scaling", None) or 1.0
    )
    found = LastLayer(linear, scale, getattr(config, "final_logit_softcapping", None))
    if not _makes_the_logits(found, network, example):
        raise NotFused(f"the {name}'s logits are not those of its last layer")
    return found


@torch.no_grad()
def _makes_the_logits(layer: LastLayer, network: nn.Module, example: Inputs) -> bool:
    """On an example, in eval mode, which draws nothing at random."""
    was_training = network.training
    network.eval()
    try:
        logits: Tensor = network(example)
        with _left_out(layer.linear) as entered:
            network(example)
    finally:
        network.train(was_training)
    if len(entered) != 1:
        return False
    states, head = entered[0].flatten(0, -2), layer.head.cut(logits.shape[-1])
    made = head.project(states, states.new_empty(len(states), head.columns))
    head.cap_(made)
    logits = logits.flatten(0, -2)
    if made.shape != logits.shape:
        return False
    return bool((made - logits).abs().amax() <= TOLERANCE * logits.abs().amax().clamp(min=1e-6))


@contextmanager
def _left_out(linear: nn.Linear) -> Iterator[list[Tensor]]:
    """What goes into the layer, which gives no column at all within: whatever follows has nothing to work on."""
    entered: list[Tensor] = []

    def forward(states: Tensor) -> Tensor:
        entered.append(states)
        return states[..., :0]

    linear.forward = forward  # type: ignore[method-assign,assignment] # the instance's own hides the class's
    try:
        yield entered
    finally:
        del linear.forward
