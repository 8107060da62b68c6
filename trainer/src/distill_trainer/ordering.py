"""One pass of the teacher over the training samples, to put them in order. Called by the loop where a curriculum asks."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from distill_api.curriculum import Sampling
from distill_trainer.curriculum.difficulty import in_order, label_log_probability
from distill_trainer.errors import Disrupted
from distill_trainer.parts import Parts
from distill_trainer.stop import StopSignal

log = logging.getLogger(__name__)


def ordered_samples(parts: Parts, stop: StopSignal) -> Tensor | None:
    """Places in the training split, int64 [N]; None where each epoch takes all. Raises Disrupted.

    The processes share the pass and get the same.
    """
    sampling = parts.curriculum.sampling if parts.curriculum else None
    return _ordered(parts, sampling, stop) if sampling else None


def _ordered(parts: Parts, sampling: Sampling, stop: StopSignal) -> Tensor:
    split, ranks = parts.data.train, parts.ranks
    log.info("putting %d samples in the order of the teacher's confidence", len(split))
    scores = torch.zeros(len(split), dtype=torch.float64)
    at_once = max(1, parts.training.batch_size // parts.training.gradient_accumulation)
    for window in torch.split(torch.arange(len(split)), at_once):
        if ranks.any(stop.requested):
            raise Disrupted("stopped by a signal before the first step; the next start begins anew")
        own = window[ranks.rank :: ranks.world]
        # A teacher whose tensors are shared has to run everywhere at once: who has no sample left runs one without a score.
        batch = split.batch(own if len(own) else window[:1]).to(parts.device)
        said = parts.teacher.outputs(batch)
        if len(own):
            scores[own] = label_log_probability(said, batch.labels, batch.mask, len(parts.data.classes))
    return in_order(ranks.add(scores), split.labels, sampling.order)
