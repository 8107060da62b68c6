"""The estimate as it is printed: what it is made from, memory of each rank with time, stored outputs, a teacher apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from distill_api.training import Strategy
from distill_cli.estimating.quantities import science, short, span
from distill_cli.figures import size
from distill_trainer.estimate.inputs import Machine, Network, Work
from distill_trainer.estimate.plan import (
    USABLE,
    Apart,
    Encoding,
    RankMemory,
    Row,
    apart,
    cached_flops,
    encodings,
    online_flops,
    rows,
)

_HEADS = ("param.", "gradients", "optimizer", "activ.", "teacher", "logits")
_PARTS = ("parameters", "gradients", "optimizer", "activations", "teacher", "logits")


def show_premises(console: Console, student: Network, teacher: Network, work: Work, said: str) -> None:
    """The lines above the tables: networks, work, FLOPs, and what is assumed of the machine."""
    lines = {
        "student": _network(student) + _trained(student) + _kept(student),
        "teacher": _network(teacher),
        "work": f"{work.samples:,} samples × {work.positions:,} position{'s' if work.positions > 1 else ''} × "
        f"{work.epochs:g} epoch{'s' if work.epochs != 1 else ''}, batch {work.batch:,}, "
        f"{'32' if work.element == 4 else '16'} bits, {8 if work.moments == 2 else 4} bytes of optimizer a trained parameter",
        "FLOPs": f"{science(online_flops(student, teacher, work))} with the teacher online, "
        f"{science(cached_flops(student, teacher, work))} with its outputs stored",
        "machine": said,
    }
    for name, line in lines.items():
        console.print(f"{name:<8} {line}", highlight=False, markup=False, soft_wrap=True)


def show_ranks(
    console: Console,
    student: Network,
    teacher: Network,
    work: Work,
    machine: Machine,
    strategy: Strategy | None,
) -> None:
    """Memory of one rank and time of the job, for each count of ranks; `strategy` is the job's own."""
    table = _table("ranks", "", *_HEADS, "total", "fits", "online", "stored", "sends")
    for row in rows(student, teacher, work, machine):
        table.add_row(*_rank(row, machine.memory))
    note = (
        f"fits: within {USABLE:.0%} of {size(machine.memory)}, or only with the teacher's outputs stored. "
        "sends: what a rank must send to keep the online pace."
    )
    if strategy is not None and machine.ranks > 1:
        note += f" The job trains with {strategy.value} (training.strategy)."
    _show(console, "Each rank, and the whole job's time", table, note)


def show_encodings(
    console: Console, student: Network, teacher: Network, work: Work, machine: Machine
) -> None:
    """The teacher's stored outputs."""
    table = _table("encoding", "a position", "in all", "written", "read", "read a rank")
    for each in encodings(student, teacher, work, machine):
        table.add_row(*_encoding(each, machine.ranks))
    _show(console, f"The teacher's outputs, stored once ({machine.ranks} at work)", table)


def show_apart(
    console: Console,
    student: Network,
    teacher: Network,
    work: Work,
    machine: Machine,
    teacher_ranks: int | None,
) -> None:
    """Teacher and student on ranks of their own; nothing where there is one rank."""
    if machine.ranks < 2:
        return
    found = apart(student, teacher, work, machine, teacher_ranks)
    table = _table("", "ranks", *_HEADS, "total", "fits")
    for name, ranks, memory in _sides(found):
        table.add_row(name, str(ranks), *_parts(memory), size(memory.total), _fits(memory, machine.memory))
    least = min(encodings(student, teacher, work, machine), key=lambda each: each.position_bytes)
    note = (
        f"online in {span(found.seconds)}; {short(found.positions_per_second)} positions/s go from teacher to student, "
        f"{size(found.positions_per_second * least.position_bytes)}/s as {least.name}"
    )
    title = f"The teacher on ranks of its own, sharded: {found.teacher_ranks} of {machine.ranks}"
    _show(console, title, table, note)


def _network(network: Network) -> str:
    return f"{network.name}: {short(network.parameters)} parameters, {short(network.flops, 'G')} FLOPs forward a sample"


def _trained(network: Network) -> str:
    return "" if network.adapters is None else f", {short(network.adapters)} of them trained (adapters)"


def _kept(network: Network) -> str:
    again = ", computed twice" if network.repeated else ""
    return f", {size(network.saved)} of activations{again}"


def _rank(row: Row, memory: float) -> Iterable[str]:
    yield str(row.ranks)
    yield row.strategy.value if row.ranks > 1 else "–"
    yield from _parts(row.memory)
    yield size(row.memory.total)
    yield _fits(row.memory, memory)
    yield span(row.online_seconds)
    yield span(row.cached_seconds)
    yield f"{size(row.sent_per_second)}/s" if row.sent_per_second else "–"


def _parts(memory: RankMemory) -> list[str]:
    return [size(value) if (value := getattr(memory, part)) else "–" for part in _PARTS]


def _encoding(each: Encoding, ranks: int) -> Iterable[str]:
    yield each.name
    yield f"{each.position_bytes:,} B"
    yield size(each.total)
    yield f"{size(each.written_per_second)}/s"
    yield f"{size(each.read_per_second)}/s"
    yield f"{size(each.read_per_second / ranks)}/s"


def _sides(found: Apart) -> list[tuple[str, int, RankMemory]]:
    return [
        ("teacher", found.teacher_ranks, found.teacher_memory),
        ("student", found.student_ranks, found.student_memory),
    ]


def _fits(memory: RankMemory, there: float) -> str:
    """`stored`: without the teacher, whose outputs are read; that needs a student on the rank."""
    if memory.fits(there):
        return "[green]yes[/]"
    alone = replace(memory, teacher=0.0)
    return "[yellow]stored[/]" if memory.parameters and alone.fits(there) else "[red]no[/]"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    return table


def _show(console: Console, title: str, table: Table, note: str = "") -> None:
    console.print(f"\n{title}", style="bold", highlight=False)
    console.print(table)
    if note:
        console.print(note, style="dim", highlight=False, soft_wrap=True)
