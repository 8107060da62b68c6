"""What the kernel says about this process and the machine. For the processes of the benches; standard library alone."""

from __future__ import annotations

import os
from pathlib import Path

CORES = os.cpu_count() or 1
TICKS = os.sysconf("SC_CLK_TCK")


def resident(field: str) -> int:
    """Bytes: VmRSS now, VmHWM at most since it was reset."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def reset_peak() -> None:
    """VmHWM begins anew."""
    Path("/proc/self/clear_refs").write_text("5")


def busy() -> float:
    """CPU seconds that the whole machine was busy with anything."""
    user, nice, system, _, _, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / TICKS
