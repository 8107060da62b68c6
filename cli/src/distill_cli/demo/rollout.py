"""Watching a canary under load: the share that the route promises beside the requests that were counted."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from distill_cli.demo.kubernetes_client import DemoError, Reader
from distill_cli.demo.story import Story
from distill_cli.demo.traffic import Client, Traffic

BAR = 30


def follow_rollout(
    story: Story,
    reader: Reader,
    namespace: str,
    name: str,
    service: str,
    client: Client,
    instances: list[Any],
    seconds: float = 300,
) -> None:
    """Send requests until the job's student is promoted, and show who answered them. Raises DemoError otherwise."""
    deadline = time.monotonic() + seconds
    phases: list[tuple[str, Counter[str]]] = []
    with Traffic(client, instances) as traffic, Live(console=story.console, transient=True) as live:
        seen: Counter[str] = Counter()
        while time.monotonic() < deadline:
            serving = ((reader.distillation_job(namespace, name) or {}).get("status") or {}).get(
                "serving"
            ) or {}
            share = serving.get("canary")  # empty while the gateway has not yet said that it took the route
            if share and (not phases or phases[-1][0] != share):
                phases.append((share, Counter()))
            if not phases:
                phases.append(("0%", Counter()))
            counted = Counter(traffic.versions)
            phases[-1][1].update(counted - seen)
            seen = counted
            live.update(Group(Text(serving.get("message") or ""), requests_table(phases, traffic.errors)))
            if serving.get("phase") == "RolledBack":
                raise DemoError(f"the student of {name} was rolled back: {serving.get('message')}")
            if serving.get("phase") == "Promoted" and sum(phases[-1][1].values()) >= 50:
                break
            time.sleep(0.3)
        else:
            raise DemoError(
                f"the canary of {service} was not promoted in {seconds:.0f} s: kubectl describe dj {name} -n {namespace}"
            )
    story.console.print(
        "[green]✓[/green] the canary was promoted under load; requests counted by the version that answered:"
    )
    story.console.print(requests_table(phases, traffic.errors))


def requests_table(phases: list[tuple[str, Counter[str]]], errors: Counter[int]) -> Table:
    """Counted requests per version, a row for each step of the rollout."""
    versions = sorted({version for _, counts in phases for version in counts}, key=first_seen(phases))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("canary, by the route")
    for version in versions:
        table.add_column(f"answered by {version.removeprefix('sha256:')[:8]}", justify="right")
    table.add_column("")
    for shown, counts in phases:
        total = sum(counts.values())
        cells = [f"{counts[v]} ({100 * counts[v] / total:.0f} %)" if total else "0" for v in versions]
        newest = counts[versions[-1]] / total if total and len(versions) > 1 else 0.0
        table.add_row(
            shown, *cells, Text("█" * round(BAR * newest) + "·" * (BAR - round(BAR * newest)), style="cyan")
        )
    failed = sum(errors.values())
    table.caption = f"{failed} requests without an answer 200" + (f": {dict(errors)}" if failed else "")
    return table


def first_seen(phases: list[tuple[str, Counter[str]]]) -> Any:
    """A sort key: versions in the order in which they first answered."""
    order: dict[str, int] = {}
    for _, counts in phases:
        for version, count in sorted(counts.items(), key=lambda item: -item[1]):
            if count and version not in order:
                order[version] = len(order)
    return lambda version: order[version]
