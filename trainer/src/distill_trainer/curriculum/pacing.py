"""How many samples an epoch takes.

A pacing function in the sense of Hacohen, Weinshall: On The Power of Curriculum Learning in Training Deep Networks
(arXiv 1904.03626), section 2; it is linear in the epochs, and each epoch passes once over what it takes.
"""

from __future__ import annotations

import math

from distill_api.curriculum import Sampling


def share_of(epoch: int, sampling: Sampling | None) -> float:
    """Share of the samples that epoch (from 1) takes, exactly 1 from `fullAtEpoch` on."""
    if sampling is None or epoch >= sampling.full_at_epoch:
        return 1.0
    start = sampling.start_fraction
    return start + (1 - start) * (epoch - 1) / (sampling.full_at_epoch - 1)


def samples_of(epoch: int, sampling: Sampling | None, samples: int) -> int:
    """The same as a count of at least 1; the share is rounded up."""
    return min(samples, max(1, math.ceil(share_of(epoch, sampling) * samples - 1e-9)))
