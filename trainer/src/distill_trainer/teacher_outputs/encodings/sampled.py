"""K classes drawn by their probability: an unbiased estimate of the whole distribution, however long its tail.

Anshumann et al.: Sparse Logit Sampling: Accelerating Knowledge Distillation in LLMs (arXiv 2503.16870), section 4. The
draws are stratified, one from each K-th of the probability mass: each class still comes K·p times in expectation, and
no estimate has a greater variance than with independent draws (stratified sampling with proportional allocation).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from distill_trainer.losses.precision import at_least_float32
from distill_trainer.losses.sparse import SampledTeacher
from distill_trainer.teacher_outputs.encodings.classes import packed, unpacked
from distill_trainer.teacher_outputs.encodings.encoding import Rows, Tensors, in_blocks


class Sampled:
    """K draws from p at one temperature."""

    def __init__(self, k: int, temperature: float) -> None:
        self._k = k
        self._temperature = temperature

    def encode(self, rows: Rows) -> dict[str, Tensor]:
        """See Encoding."""
        return in_blocks(rows, self._encode)

    def _encode(self, rows: Rows) -> dict[str, Tensor]:
        log_p = (at_least_float32(rows.logits) / self._temperature).log_softmax(dim=-1)
        p = log_p.exp()
        drawn = stratified(p, uniforms(rows.seeds, self._k).to(p.device))
        return {**packed(drawn, p.shape[-1]), "entropy": -torch.xlogy(p, p).sum(dim=-1)}

    def decode(self, stored: Tensors) -> SampledTeacher:
        """See losses.sparse."""
        return SampledTeacher(unpacked(stored), stored["entropy"], self._temperature)


def stratified(p: Tensor, u: Tensor) -> Tensor:
    """Probabilities [R, C] and uniform numbers [R, K] → classes int64 [R, K]; draw j lies in the j-th K-th of the mass."""
    cumulative = p.double().cumsum(dim=-1)
    places = (torch.arange(u.shape[-1], device=u.device) + u) / u.shape[-1]
    drawn = torch.searchsorted(cumulative, places * cumulative[:, -1:], right=True)
    return drawn.clamp(max=p.shape[-1] - 1)


def uniforms(seeds: Tensor, k: int) -> Tensor:
    """int64 [R] → float64 [R, K] in [0, 1): a counter through the finalizer of SplitMix64, so that no state is kept.

    Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (OOPSLA 2014), figure 17.
    """
    counters = np.arange(1, k + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = _mix(_mix(seeds.cpu().numpy().view(np.uint64))[:, None] + counters)
    return torch.from_numpy((mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mix(
    z: np.ndarray[tuple[int, ...], np.dtype[np.uint64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
