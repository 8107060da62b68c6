"""What a curriculum changed, as curves over the epochs."""

from __future__ import annotations

from collections.abc import Sequence

from distill_trainer.report.curves import Line, curve_chart
from distill_trainer.report.page import Page


def schedule_charts(page: Page) -> str:
    """T and α at the end of each epoch, and the share of samples that it took; nothing where they stay."""
    shares = [record.sample_share for record in page.history]
    return (
        _chart("Share of the training samples", "share", "student", shares, as_percent=True)
        + _chart("Temperature", "T", "teacher", [record.temperature for record in page.history])
        + _chart("α, the weight of the labels", "α", "labels", [record.alpha for record in page.history])
    )


def _chart(
    title: str, name: str, style: str, values: Sequence[float | None], *, as_percent: bool = False
) -> str:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return ""
    return curve_chart(title, [Line(name, style, known)], axis=name, as_percent=as_percent)
