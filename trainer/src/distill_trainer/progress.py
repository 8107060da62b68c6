"""Where the run stands, for the HTTP thread, the metrics and whoever reads the log or looks at a terminal.

The loop alone writes; readers get a frozen `Progress`, so a reader in another thread never sees half an update.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from distill_api.status import Losses, Progress
from distill_trainer.curriculum import Settings

_READINGS = 50
"""From the oldest of which the pace is taken: it follows a machine that others slow down."""
log = logging.getLogger(__name__)


class ProgressBoard:
    """The current progress, and the throughput it is estimated from. `watch` is told of every change."""

    def __init__(self, watch: Callable[[Progress], None] | None = None) -> None:
        self._watch = watch
        self._progress = Progress(last_update=_now())
        self._samples_total = 0
        self._begun = (time.monotonic(), 0, 0)
        self._readings: deque[tuple[float, int, int]] = deque(maxlen=_READINGS)
        self._bar = TerminalBar()

    @property
    def progress(self) -> Progress:
        """The latest state."""
        return self._progress

    @property
    def samples_total(self) -> int:
        """Samples trained on by this process."""
        return self._samples_total

    def stage(self, stage: str) -> None:
        """Another part of the run begins."""
        log.info("%s", stage.lower())
        self._update(stage=stage)
        if stage != "Training":
            self._bar.close()

    def begin(self, *, step: int, total_steps: int, epochs: int) -> None:
        """Training starts (or goes on) at `step`."""
        self._samples_total = 0
        self._begun = (time.monotonic(), step, 0)
        self._readings.clear()
        self._update(step=step, total_steps=total_steps, epochs=epochs, percent=_percent(step, total_steps))

    def steps(
        self,
        *,
        step: int,
        epoch: int,
        samples: int,
        losses: Losses,
        settings: Settings = Settings(),  # noqa: B008 - frozen
    ) -> None:
        """`samples` more have been trained on, with these mean losses; `settings` are what a curriculum changes."""
        self._samples_total += samples
        self._readings.append((time.monotonic(), step, self._samples_total))
        # Kernels and buffers are made in the first steps: counted as long as there is nothing else.
        began, first_step, before = self._readings[0] if len(self._readings) > 1 else self._begun
        elapsed, total = max(time.monotonic() - began, 1e-9), self._progress.total_steps
        self._update(
            step=step,
            epoch=epoch,
            percent=_percent(step, total),
            samples_per_second=round((self._samples_total - before) / elapsed, 3),
            seconds_remaining=round((total - step) * elapsed / max(step - first_step, 1)),
            losses=losses,
            **asdict(settings),
        )
        self._bar.show(self._progress)

    def caching(self, done: int, total: int) -> None:
        """The teacher's outputs of so many samples are stored."""
        percent = _percent(done, total)
        if percent != self._progress.percent:
            self._update(percent=percent)
            if percent % 10 == 0:
                log.info("caching: %d %% of %d samples", percent, total)

    def fetching(self, done: int, total: int) -> None:
        """So many bytes of the data have come."""
        percent = min(_percent(done, total), 100)
        if self._progress.stage != "Fetching":
            self.stage("Fetching")
        if percent != self._progress.percent:
            self._update(percent=percent)
            if percent % 10 == 0:
                log.info("fetching: %d %% of %.1f MiB", percent, total / 2**20)

    def fetched(self) -> None:
        """The data are here."""
        if self._progress.stage == "Fetching":
            self._update(stage="Loading", percent=0)

    def metrics(self, *, student: float, teacher: float) -> None:
        """Both on the validation split."""
        self._update(student_metric=student, teacher_metric=teacher)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def _update(self, **values: Any) -> None:
        self._progress = self._progress.model_copy(update={**values, "last_update": _now()})
        if self._watch is not None:
            self._watch(self._progress)


class TerminalBar:
    """A rich progress bar where there is a terminal and rich is installed; else nothing."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def show(self, progress: Progress) -> None:
        """Draw the state."""
        if not sys.stderr.isatty():
            return
        if self._bar is None and not self._open(progress):
            return
        self._bar.update(
            self._task, completed=progress.step, description=f"epoch {progress.epoch}/{progress.epochs}"
        )

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _open(self, progress: Progress) -> bool:
        try:
            from rich.console import Console  # noqa: PLC0415  (optional)
            from rich.progress import Progress as Bar  # noqa: PLC0415
        except ImportError:
            return False
        self._bar = Bar(console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=progress.total_steps)
        self._bar.start()
        return True


def _percent(step: int, total: int) -> int:
    return 100 * step // total if total else 0


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
