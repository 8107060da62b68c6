"""A metric's values as people read them: shares of samples in percent and points, a correlation as the number that it is."""

from __future__ import annotations

from distill_api.training import Metric
from distill_trainer.report.words import percent


def is_share(metric: Metric) -> bool:
    """Whether 1 means all samples; a correlation is no share of anything."""
    return metric is not Metric.SPEARMAN


def value(metric: Metric, number: float) -> str:
    """0.9694 → `96.94 %`; of a correlation `0.969`."""
    return percent(number, 2) if is_share(metric) else f"{number:.3f}"


def span(metric: Metric, low: float, high: float) -> str:
    """Both ends of an interval: `95.0 – 98.6`."""
    return f"{100 * low:.1f} – {100 * high:.1f}" if is_share(metric) else f"{low:.3f} – {high:.3f}"


def difference(metric: Metric, number: float) -> str:
    """How far two values are apart, whichever is greater: `2.79 points`."""
    return f"{abs(100 * number):.2f} points" if is_share(metric) else f"{abs(number):.3f}"


def differences(metric: Metric, low: float, high: float) -> str:
    """The interval of a difference with its signs: `1.11 to 4.74`."""
    factor, digits = (100, 2) if is_share(metric) else (1, 3)
    return f"{factor * low:.{digits}f} to {factor * high:.{digits}f}".replace("-", "−")
