"""Numbers and text as the report writes them."""

from __future__ import annotations

from html import escape

from distill_api.training import Metric

__all__ = [
    "cut",
    "duration",
    "escape",
    "joules",
    "metric_name",
    "percent",
    "seconds",
    "significant",
    "size",
    "thousands",
    "times",
]


def percent(share: float, digits: int = 1) -> str:
    """0.9123 → `91.2 %`."""
    return f"{100 * share:.{digits}f}\u202f%"


def thousands(number: int) -> str:
    """12345 → `12 345`, with a narrow space that does not break."""
    return f"{number:,}".replace(",", "\u202f")


def size(count: int) -> str:
    """Bytes in the unit that fits."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f}\u202f{unit}" if unit == "B" else f"{value:.1f}\u202f{unit}"
        value /= 1024
    return ""


def seconds(value: float) -> str:
    """A latency: micro-, milli- or whole seconds."""
    if value < 1e-3:
        return f"{value * 1e6:.0f}\u202fµs"
    return f"{value * 1e3:.2f}\u202fms" if value < 1 else f"{value:.2f}\u202fs"


def significant(value: float) -> str:
    """A rate with three digits: 12 300, 45.6, 0.789."""
    rounded = float(f"{value:.3g}")
    return thousands(int(rounded)) if rounded >= 100 else f"{rounded:g}"


def joules(value: float) -> str:
    """An energy: micro-, milli- or whole joules."""
    for unit, factor in (("µJ", 1e6), ("mJ", 1e3)):
        if value * factor < 1000:
            return f"{significant(value * factor)}\u202f{unit}"
    return f"{significant(value)}\u202fJ"


def duration(value: float) -> str:
    """A time that somebody waited for: `0.4 s`, `12 s`, `3 min 20 s`, `5 h 12 min`."""
    if value < 60:
        return f"{value:.1f}\u202fs" if value < 10 else f"{value:.0f}\u202fs"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes}\u202fmin {rest}\u202fs"
    return f"{minutes // 60:,}\u202fh {minutes % 60}\u202fmin"


def times(theirs: float, mine: float, word: str) -> str:
    """How many times fewer, smaller or faster than the teacher, or the opposite; `as many` where that is nothing."""
    opposite, even = {
        "fewer": ("more", "as many"),
        "smaller": ("larger", "as large"),
        "faster": ("slower", "as fast"),
        "more": ("fewer", "as many"),
        "less": ("more", "as much"),
    }[word]
    if not mine or not theirs:
        return "–"
    factor = max(theirs / mine, mine / theirs)
    return even if factor < 1.05 else f"{factor:.1f}× {word if theirs > mine else opposite}"


def metric_name(metric: Metric) -> str:
    """The metric as people say it."""
    return {
        Metric.ACCURACY: "accuracy",
        Metric.MACRO_F1: "macro F1",
        Metric.SPEARMAN: "pairwise Spearman correlation",
    }[metric]


def cut(text: str, characters: int) -> str:
    """Escaped text, shortened with an ellipsis."""
    return escape(text if len(text) <= characters else text[: characters - 1] + "…")
