"""What `distill run` shows: a bar on a terminal, plain lines in a log, JSON lines for programs; at the end the figures."""

from __future__ import annotations

import json
import time
from typing import Any, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from distill_api.contract import Outcome
from distill_api.gate import Judgement
from distill_api.status import Progress
from distill_cli.figures import comparison, folder_of, show_judgement, show_measured_on, show_places
from distill_cli.training.process import Event
from distill_cli.training.words import figures, progress_of, share, where

QUIET_SECONDS = 30
"""A log gets a line this often where an epoch takes longer."""


class Display(Protocol):
    """Where events go; entered while the trainer runs."""

    def __enter__(self) -> Self:
        """The trainer starts."""

    def __exit__(self, *_: object) -> None:
        """It has ended: leave the terminal as it was."""

    def note(self, sentence: str) -> None:
        """A sentence of this program."""

    def show(self, event: Event) -> None:
        """An event of the trainer."""

    def end(self, outcome: Outcome, judgement: Judgement | None) -> None:
        """How it ended."""


def display(console: Console, *, as_json: bool) -> Display:
    """The display that fits."""
    if as_json:
        return JsonDisplay(console)
    return TerminalDisplay(console) if console.is_terminal else PlainDisplay(console)


class PlainDisplay:
    """The trainer's own log, which has a line an epoch, and a line now and then where an epoch is long."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to undo."""

    def note(self, sentence: str) -> None:
        """See Display."""
        self._said = time.monotonic()
        self._console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    def show(self, event: Event) -> None:
        """See Display."""
        if event["event"] == "log":
            self.note(event["message"] if event["level"] == "INFO" else f"Warning: {event['message']}")
        elif time.monotonic() - self._said > QUIET_SECONDS:
            progress = progress_of(event)
            self.note("  ".join([progress.stage, where(progress), figures(progress)]))

    def end(self, outcome: Outcome, judgement: Judgement | None) -> None:
        """The comparison, where things lie, and the verdict; or why there is none."""
        if outcome.result is None:  # a failure is told by whoever started the command, as an error
            if outcome.reason == "Disrupted":
                self.note(f"{outcome.message}: run the same command again")
            return
        self._console.print(comparison(outcome.result))
        show_measured_on(self._console, outcome.result)
        show_places(self._console, folder_of(outcome.result))
        if judgement is not None:
            show_judgement(self._console, judgement)


class TerminalDisplay(PlainDisplay):
    """A bar with how far it is, below it the losses and both models' metric; warnings go above."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._bar = Bar(
            TextColumn("{task.description:<10}"),
            BarColumn(32),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[said]}"),
            console=console,
        )
        self._row = self._bar.add_task("Loading", total=None, said="")
        self._live = Live(self._bar, console=console, transient=True, refresh_per_second=8)
        self._training = False

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """See Display."""
        self._live.stop()

    def show(self, event: Event) -> None:
        """See Display. Of the log only warnings and what the run itself says: the bar tells the rest."""
        if event["event"] == "progress":
            self._progress(progress_of(event))
        elif event["event"] == "log" and event["level"] != "INFO":
            self._console.print(Text(f"Warning: {event['message']}", style="yellow"), soft_wrap=True)
        elif event["event"] == "log" and event["logger"] == "distill_trainer.run":
            self.note(event["message"])

    def _progress(self, progress: Progress) -> None:
        if progress.stage == "Training" and progress.total_steps and not self._training:
            self._training = True
            if progress.step:
                self.note(f"going on from the checkpoint at step {progress.step} of {progress.total_steps}")
        done, total = share(progress)
        said = where(progress)
        self._bar.update(self._row, description=progress.stage, total=total, completed=done, said=said)
        self._live.update(Group(self._bar, Text(f"{'':<11}{figures(progress)}", style="dim")))


class JsonDisplay:
    """Every event as it comes, one a line; notes, outcome and verdict are events too."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to undo."""

    def note(self, sentence: str) -> None:
        """See Display."""
        self._print({"event": "note", "message": sentence})

    def show(self, event: Event) -> None:
        """See Display."""
        self._print(event)

    def end(self, outcome: Outcome, judgement: Judgement | None) -> None:
        """See Display."""
        self._print({"event": "outcome", **outcome.wire()})
        if judgement is not None:
            said = {"passed": judgement.passed, "reason": judgement.reason, "message": judgement.message}
            self._print({"event": "gate", **said})

    def _print(self, document: dict[str, Any]) -> None:
        text = json.dumps(document, ensure_ascii=False)
        self._console.print(text, highlight=False, markup=False, soft_wrap=True, emoji=False)
