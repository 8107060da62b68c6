"""Numbers as people write them, `70B`, `80GiB`, `989T`, and as tables show them."""

from __future__ import annotations

import argparse
import re

_DECIMAL = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12, "P": 1e15}
_BINARY = {"": 1.0, "K": 2.0**10, "M": 2.0**20, "G": 2.0**30, "T": 2.0**40}


def count(text: str) -> float:
    """`70B` → 7e10; K, M, B (or G) and T are powers of a thousand. Raises ArgumentTypeError."""
    return _number(text, r"([KMBGTkmbgt]?)", "a number such as 350M, 8B or 1.5T", _DECIMAL)


def whole(text: str) -> int:
    """The same, at least 1."""
    return max(round(count(text)), 1)


def memory(text: str) -> float:
    """`80GiB` or `80Gi` → bytes; without the i they are powers of a thousand. Raises ArgumentTypeError."""
    binary = re.fullmatch(r"(.*[KMGTkmgt])i[Bb]?", text)
    says = "an amount of memory such as 80GiB, 24Gi or 80GB"
    if binary:
        return _number(binary[1], r"([KMGTkmgt])", says, _BINARY)
    return _number(text.removesuffix("B").removesuffix("b"), r"([KMGTkmgt]?)", says, _DECIMAL)


def flops(text: str) -> float:
    """`989T` or `989TFLOPS` → FLOP/s. Raises ArgumentTypeError."""
    bare = re.sub(r"(?i)flop(s|/s)?$", "", text)
    return _number(bare, r"([KMGTPkmgtp]?)", "a rate such as 989T or 312TFLOPS", _DECIMAL)


def share(text: str) -> float:
    """More than 0, at most 1. Raises ArgumentTypeError."""
    value = _number(text, "()", "a share such as 0.4", _DECIMAL)
    if value > 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be at most 1, as in 0.4")
    return value


def shape(text: str) -> tuple[int, int]:
    """`32x4096` → layers and width. Raises ArgumentTypeError."""
    match = re.fullmatch(r"([1-9][0-9]*)[x×]([1-9][0-9]*)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} must be LAYERSxWIDTH, as in 32x4096")
    return int(match[1]), int(match[2])


def short(value: float, billion: str = "B") -> str:
    """8 030 000 000 → `8.03B`; three digits and a power of a thousand, `G` for rates."""
    for unit in ("", "K", "M", billion, "T", "P"):
        if abs(value) < 999.5:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}E"


def science(value: float) -> str:
    """3.85e+21 → `3.85e21`, for numbers that have no name."""
    return re.sub(r"e\+0*", "e", f"{value:.3g}")


def span(seconds: float) -> str:
    """A time in the two units that fit: `12 s`, `3 min`, `5.2 h`, `11.4 d`."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86_400:,.1f} d"


def _number(text: str, units: str, says: str, sizes: dict[str, float]) -> float:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?(?:e[0-9]+)?)" + units, text.strip())
    value = float(match[1]) * sizes[match[2].upper()] if match else 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be {says}")
    return value
