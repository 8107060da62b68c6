"""What the kernel says about this process and the machine. For the processes of the benches; standard library alone."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

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


def answer_passes(seconds: Callable[[], float], answer: TextIO) -> None:
    """Say that it is ready, then one pass for each line of standard input: what it took, and the share that others took."""
    print(json.dumps({"ready": 1}), file=answer, flush=True)
    for _ in sys.stdin:
        everybody, own, began = busy(), time.process_time(), time.perf_counter()
        clock = seconds()
        mine, whole = time.process_time() - own, time.perf_counter() - began
        others = max(0.0, busy() - everybody - mine) / (whole * CORES)
        print(json.dumps({"clock": clock, "others": others}), file=answer, flush=True)
