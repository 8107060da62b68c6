"""Differences between two runs from the same start, seed by seed, and their interval."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

T_95 = {3: 4.303, 4: 3.182, 5: 2.776, 10: 2.262}
"""Student's t, two-sided 95 %, by number of seeds."""


def gain(ours: Sequence[float], peer: Sequence[float]) -> tuple[float, float]:
    """Mean of the paired differences, and the half width of its 95 % interval."""
    differences = [mine - theirs for mine, theirs in zip(ours, peer, strict=True)]
    half = T_95[len(differences)] * statistics.stdev(differences) / math.sqrt(len(differences))
    return statistics.mean(differences), half
