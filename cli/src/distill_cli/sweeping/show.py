"""What a sweep shows: a line a trial while it runs, at the end the table and the lines of YAML to use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from distill_api.contract import Outcome
from distill_api.gate import Judgement
from distill_cli.sweeping.knobs import KNOBS
from distill_cli.sweeping.ranking import Ranked, names_of
from distill_cli.sweeping.record import Row
from distill_cli.training.process import Event
from distill_cli.training.words import figures, progress_of, where

_SHOWN_REASON = 70


class TrialDisplay:
    """See training.show.Display: a status line on a terminal, nothing but notes in a log; the end is told by the sweep."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._status: Status | None = console.status(title) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        """The trainer has ended."""
        if self._status:
            self._status.stop()

    def note(self, sentence: str) -> None:
        """A sentence of this program."""
        self._console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    def show(self, event: Event) -> None:
        """How far it is, and warnings."""
        if event["event"] == "progress" and self._status:
            progress = progress_of(event)
            said = "  ".join(filter(None, (progress.stage, where(progress), figures(progress))))
            self._status.update(Text(f"{self._title}  {said}"))

    def end(self, outcome: Outcome, judgement: Judgement | None) -> None:
        """Told by the sweep."""


def line(row: Row, title: str) -> Text:
    """One trial that ended."""
    if row.validation is None:
        return Text.assemble((f"{title}  ", ""), (f"failed ({row.reason}): {row.message}", "red"))
    found = row.validation
    return Text(
        f"{title}  validation {found['value']:.4f} ({found['low']:.3f} – {found['high']:.3f}), best epoch {row.best_epoch}, "
        f"{row.seconds:.0f} s"
    )


def table(found: Sequence[Ranked], metric: str, confidence: float) -> Table:
    """The combinations, the best first."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    names = names_of(found)
    several = max(len(each.rows) for each in found) > 1
    shown.add_column("", justify="right")
    for name in names:
        shown.add_column(_sign(name), justify="right")
    for heading in (
        metric,
        f"{100 * confidence:g} % interval",
        *(("seeds",) if several else ()),
    ):
        shown.add_column(heading, justify="right")
    shown.add_column("")
    for place, each in enumerate(found, start=1):
        shown.add_row(
            *_cells(place, each, names, several=several),
            style="bold" if place == 1 and each.value is not None else "",
        )
    return shown


def _cells(place: int, each: Ranked, names: Sequence[str], *, several: bool) -> Iterator[str | Text]:
    values = dict(each.values)
    yield str(place) if each.value is not None else ""
    yield from (f"{values[name]:.6g}" if name in values else "any" for name in names)
    if each.value is None:
        yield from ("–", "", *(("",) if several else ()))
    else:
        yield f"{each.value:.4f}"
        yield f"{each.low:.3f} – {each.high:.3f}"
        if several:
            yield f"{each.worst:.4f} – {each.top:.4f}"
    if each.failed:
        count = (
            f"{len(each.failed)} of {len(each.rows)} failed: " if len(each.failed) < len(each.rows) else ""
        )
        yield Text(count + _cut(each.failed[0]), style="red")
    else:
        yield Text("≈ best" if each.near else "", style="dim")


def yaml_lines(values: Mapping[str, float]) -> str:
    """The fields of the job to set, as YAML."""
    parts: dict[str, list[str]] = {}
    for knob in KNOBS:
        if knob.name in values:
            _, part, field = knob.path
            parts.setdefault(part, []).append(f"{field}: {values[knob.name]:.6g}")
    return "\n".join(f"  {part}: {{{', '.join(fields)}}}" for part, fields in parts.items())


def _sign(name: str) -> str:
    return next(knob.sign for knob in KNOBS if knob.name == name)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_REASON else f"{text[: _SHOWN_REASON - 1]}…"
