"""How far a model's confidence can be believed. Distilled students inherit, or lose, their teacher's calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 15


def expected_calibration_error(
    confidence: NDArray[np.float32], right: NDArray[np.bool_], *, bins: int = BINS
) -> float:
    """Σ_b |B_b|/N · |accuracy(B_b) − confidence(B_b)| over equal bins of confidence (Guo et al., arXiv 1706.04599, eq. 3).

    `confidence` is the probability of the predicted class and `right` whether it is the label, [N] each. 0 is perfect.
    """
    places = np.clip((confidence * bins).astype(np.int64), 0, bins - 1)
    gaps = np.bincount(places, right.astype(np.float64) - confidence.astype(np.float64), minlength=bins)
    return float(np.abs(gaps).sum() / max(len(confidence), 1))
