"""Container logs in files, in the format that kubelets share: `<time> <stream> <P|F> <text>`.

`process` writes them, `server` reads them for `kubectl logs`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_CHUNK = 65536
_LONGEST_LINE = 16384
_FOLLOW_SECONDS = 0.1


def _stamp() -> bytes:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()


async def record(stream: asyncio.StreamReader, name: str, path: Path) -> None:
    """Append what a stream says to a log file, a line at a time, until it closes."""
    rest = b""
    with path.open("ab", buffering=0) as file:
        while chunk := await stream.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            entries = [_entry(name, b"F", line) for line in lines]
            while len(rest) >= _LONGEST_LINE:
                entries.append(_entry(name, b"P", rest[:_LONGEST_LINE]))
                rest = rest[_LONGEST_LINE:]
            file.write(b"".join(entries))
        if rest:
            file.write(_entry(name, b"P", rest))


def _entry(name: str, tag: bytes, line: bytes) -> bytes:
    return b"%s %s %s %s\n" % (_stamp(), name.encode(), tag, line)


@dataclass(frozen=True)
class LogOptions:
    """What `kubectl logs` asks for."""

    follow: bool = False
    timestamps: bool = False
    tail: int | None = None
    since: datetime | None = None
    limit: int | None = None


def parse_options(query: dict[str, str], at: datetime) -> LogOptions:
    """Read the query of a containerLogs request; ValueError names what is wrong."""

    def number(name: str) -> int | None:
        if name not in query:
            return None
        if not query[name].isdigit():
            raise ValueError(f"{name}={query[name]!r} is not a whole number of 0 or more")
        return int(query[name])

    seconds = number("sinceSeconds")
    since = at - timedelta(seconds=seconds) if seconds is not None else None
    if "sinceTime" in query:
        since = datetime.fromisoformat(query["sinceTime"])
    return LogOptions(
        query.get("follow") in {"true", "1"},
        query.get("timestamps") in {"true", "1"},
        number("tailLines"),
        since,
        number("limitBytes"),
    )


def _shown(entry: bytes, options: LogOptions) -> bytes:
    stamp, _, tag, text = entry.split(b" ", 3)
    if options.since and datetime.fromisoformat(stamp.decode()) < options.since:
        return b""
    line = text.rstrip(b"\n") if tag == b"P" else text
    return stamp + b" " + line if options.timestamps else line


def tail_of(path: Path, lines: int) -> str:
    """Return the last lines of a log without times, for termination messages."""
    if not path.exists():
        return ""
    entries = path.read_bytes().splitlines(keepends=True)[-lines:]
    return b"".join(_shown(entry, LogOptions()) for entry in entries).decode(errors="replace")


async def read(path: Path, options: LogOptions, live: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Yield what the options ask for of a log; follow it while `live` says that the container writes."""
    with path.open("rb") as file:
        entries = file.readlines()
        if options.tail is not None:
            entries = entries[len(entries) - min(options.tail, len(entries)) :]
        budget = options.limit
        while True:
            writing = live()
            text = b"".join(_shown(entry, options) for entry in entries if entry.endswith(b"\n"))
            if budget is not None:
                text, budget = text[:budget], budget - len(text[:budget])
            if text:
                yield text
            entries = file.readlines()
            if entries:
                continue
            if budget == 0 or not (options.follow and writing):
                return
            await asyncio.sleep(_FOLLOW_SECONDS)
