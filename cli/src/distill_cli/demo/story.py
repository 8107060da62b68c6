"""How the demo speaks: one line per step with its time, and pictures where people would rather look than read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.rule import Rule


class Story:
    """Prints steps as they happen. On a terminal a running step spins; elsewhere it prints one line when it ends."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = time.monotonic()

    def chapter(self, title: str) -> None:
        """A new part of the story."""
        self.console.print()
        self.console.print(Rule(f"[bold]{title}[/bold]", align="left", style="dim"))

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Time a step. An exception leaves the line marked as failed and goes on its way."""
        began = time.monotonic()
        try:
            with self.console.status(f"{title} …"):
                yield
        except BaseException:
            self.console.print(
                f"[red]✗[/red] {title}  [dim]{time.monotonic() - began:.1f} s[/dim]", highlight=False
            )
            raise
        self.console.print(
            f"[green]✓[/green] {title}  [dim]{time.monotonic() - began:.1f} s[/dim]", highlight=False
        )

    def say(self, text: str) -> None:
        """A sentence below a step."""
        self.console.print(f"  {text}", highlight=False)

    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self.started


SHADES = " ░▒▓█"


def picture(rows: list[list[float]], highest: float) -> str:
    """A grey picture as text, two characters to a pixel. `rows` holds values from 0 to `highest`."""
    scale = (len(SHADES) - 1) / highest
    return "\n".join("".join(SHADES[round(value * scale)] * 2 for value in row) for row in rows)
