"""What a sweep turns: a field of the job, and the values that it is to take. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from distill_cli.errors import CommandError


@dataclass(frozen=True)
class Knob:
    """A field of the job, the option that names it, and the sign that tables show."""

    name: str
    path: tuple[str, ...]
    sign: str
    logarithmic: bool

    @property
    def option(self) -> str:
        """As it is written on the command line."""
        return f"--{self.name}"


KNOBS = (
    Knob("temperature", ("spec", "objective", "temperature"), "T", logarithmic=True),
    Knob("alpha", ("spec", "objective", "alpha"), "α", logarithmic=False),
    Knob("learning-rate", ("spec", "training", "learningRate"), "rate", logarithmic=True),
)
Choices = tuple[float, ...]


@dataclass(frozen=True)
class Range:
    """All values between two."""

    low: float
    high: float


@dataclass(frozen=True)
class Turned:
    """A knob with its values."""

    knob: Knob
    values: Choices | Range

    @property
    def ends(self) -> Choices:
        """Values that have to be allowed, so that all others are."""
        return (self.values.low, self.values.high) if isinstance(self.values, Range) else self.values


def turned(knob: Knob, text: str) -> Turned:
    """`1,2,4` or `1..8`. Raises CommandError."""
    low, dots, high = text.partition("..")
    if not dots:
        return Turned(knob, tuple(dict.fromkeys(_number(part, knob, text) for part in text.split(","))))
    ends = Range(_number(low, knob, text), _number(high, knob, text))
    if not ends.low < ends.high:
        raise CommandError(f"{knob.option} {text}: the first end of a range must be less than the second")
    if knob.logarithmic and ends.low <= 0:
        raise CommandError(
            f"{knob.option} {text}: must begin above 0, since its values are drawn by their logarithm"
        )
    return Turned(knob, ends)


def _number(text: str, knob: Knob, whole: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise CommandError(
            f"{knob.option} {whole}: {text.strip()!r} is no number; write values as 1,2,4, or a range as 1..8"
        ) from error
