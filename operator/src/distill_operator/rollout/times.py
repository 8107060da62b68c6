"""Kubernetes' times: RFC 3339 in UTC, whole seconds. Used by `state`, `observe` and `status`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def to_text(time: datetime) -> str:
    """`2026-01-31T12:00:00Z`, rounded up: what is held until this time is never cut short."""
    whole = time.astimezone(UTC)
    if whole.microsecond:
        whole = whole.replace(microsecond=0) + timedelta(seconds=1)
    return whole.strftime("%Y-%m-%dT%H:%M:%SZ")


def from_text(text: str) -> datetime:
    """The time of a Kubernetes timestamp. Raises ValueError."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def left(since: datetime, seconds: float, now: datetime) -> float:
    """Seconds until `seconds` after `since`; not positive when that is over."""
    return (since + timedelta(seconds=seconds) - now).total_seconds()


def span(seconds: float) -> str:
    """`90` → `1m30s`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{value}{unit}" for value, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if value]
    return "".join(parts) or "0s"
