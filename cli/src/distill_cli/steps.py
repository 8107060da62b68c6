"""The list of steps that a long command shows: each with its time, the running ones with a spinner. Used by `up` and the demo."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from distill_local.config import Step


class StepList:
    """A live list on a terminal; in a log, one line for each step that ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=10) if console.is_terminal else None
        self._printed: set[tuple[str, float]] = set()
        self._spinner = Spinner("dots")

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, steps: tuple[Step, ...], detail: str) -> None:
        """Show the steps so far; `detail` says how far the last one is."""
        if self._live:
            self._live.update(self._render(steps, detail))
            return
        for step in steps:
            if step.ended is not None and (step.title, step.started) not in self._printed:
                self._printed.add((step.title, step.started))
                self._console.print(f"✓ {step.title} {_seconds(step)}", highlight=False)

    def _render(self, steps: tuple[Step, ...], detail: str) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for step in steps:
            mark: RenderableType = Text("✓", style="green") if step.ended is not None else self._spinner
            table.add_row(mark, step.title, Text(_seconds(step), style="dim"))
        return Group(table, Text(detail, style="dim")) if detail else table


def _seconds(step: Step) -> str:
    return f"{(step.ended or time.time()) - step.started:.1f} s"
