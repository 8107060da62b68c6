"""The last layer of a language model, and what some models do to its logits.

    z = cap · tanh(scale · (h Wᵀ + b) / cap)

Scale as in Cohere (`logit_scale`) and Granite (1/`logits_scaling`), cap as in Gemma 2 (`final_logit_softcapping`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Head:
    """`weight` [V, H] and `bias` [V]; a tied head is the embedding's weight. Without `softcap` logits are not capped."""

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None

    @property
    def columns(self) -> int:
        """Words, padding of the head included."""
        return self.weight.shape[0]

    def detached(self) -> Head:
        """The same without gradients."""
        return self._with(Tensor.detach)

    def to(self, dtype: torch.dtype) -> Head:
        """In another precision; gradients find their way back."""
        return self._with(lambda values: values.to(dtype))

    def cut(self, columns: int) -> Head:
        """The first `columns` words, without a copy."""
        return self._with(lambda values: values[:columns])

    def _with(self, change: Callable[[Tensor], Tensor]) -> Head:
        return replace(
            self, weight=change(self.weight), bias=None if self.bias is None else change(self.bias)
        )

    def project(self, hidden: Tensor, out: Tensor) -> Tensor:
        """scale · (h Wᵀ + b) of [R, H] into `out` [R, V], not capped yet."""
        if self.bias is None:
            return torch.addmm(out, hidden, self.weight.T, beta=0, alpha=self.scale, out=out)
        return torch.addmm(self.bias, hidden, self.weight.T, beta=self.scale, alpha=self.scale, out=out)

    def cap_(self, logits: Tensor) -> None:
        """Cap logits in place, where the head has a cap."""
        if self.softcap is not None:
            logits.div_(self.softcap).tanh_().mul_(self.softcap)

    def slope(self, capped: Tensor) -> Tensor | None:
        """The cap's derivative 1 − tanh² at capped logits; None where there is no cap."""
        return None if self.softcap is None else capped.div(self.softcap).square_().neg_().add_(1)
