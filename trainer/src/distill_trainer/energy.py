"""Energy that the machine's own counters measure: NVML's of a GPU, RAPL's of a processor. Nothing is estimated.

RAPL: https://docs.kernel.org/power/powercap/powercap.html; NVML: `nvmlDeviceGetTotalEnergyConsumption` of
https://docs.nvidia.com/deploy/nvml-api/. Called by `throughput`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

POWERCAP = Path("/sys/class/powercap")


class NotMeasured(Exception):  # noqa: N818 - no fault
    """Nothing measures energy here; the text is a sentence that says why."""


@dataclass(frozen=True)
class Meter:
    """Counters that only grow, and wrap around: `read` gives each in microjoules, `ranges` where each starts again at 0.

    `source` says what they count, for people.
    """

    source: str
    read: Callable[[], tuple[int, ...]]
    ranges: tuple[int, ...]

    def joules(self, before: Sequence[int], after: Sequence[int]) -> float:
        """Between two readings less than one round of a counter apart."""
        taken = (
            now - then + (span if now < then else 0)
            for then, now, span in zip(before, after, self.ranges, strict=True)
        )
        return sum(taken) / 1e6


def find_meter(device: torch.device) -> Meter:
    """The counters of a device. Raises NotMeasured where there are none, or this process may not read them."""
    return gpu_meter(device) if device.type == "cuda" else rapl_meter(POWERCAP)


def rapl_meter(folder: Path) -> Meter:
    """Processor packages and their memory, of the whole machine. Raises NotMeasured.

    Zones below a package are parts of it, but for `dram`; `psys` and the `-mmio` twins would count the same energy twice.
    """
    zones = [zone for zone in sorted(folder.glob("intel-rapl:*")) if _counts(zone)]
    if not zones:
        raise NotMeasured(f"energy is not measured: this machine shows no RAPL counters in {folder}")
    counters = [zone / "energy_uj" for zone in zones]

    def read() -> tuple[int, ...]:
        return tuple(_number(counter) for counter in counters)

    try:
        read()
        ranges = tuple(_number(zone / "max_energy_range_uj") for zone in zones)
    except (OSError, ValueError) as error:
        raise NotMeasured(
            f"energy is not measured: the RAPL counters in {folder} cannot be read ({type(error).__name__}), which most "
            "systems allow to root alone"
        ) from error
    names = ", ".join(_name(zone) for zone in zones)
    return Meter(f"RAPL ({names}: the whole machine's, whatever else ran)", read, ranges)


def _counts(zone: Path) -> bool:
    name = _name(zone)
    return name.startswith("package") or name == "dram"


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _number(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))


def gpu_meter(device: torch.device) -> Meter:
    """The energy of one NVIDIA GPU since its driver was loaded. Raises NotMeasured."""
    try:
        nvml: Any = importlib.import_module("pynvml")  # of no use without a GPU
    except ImportError:
        raise NotMeasured("energy is not measured: the package nvidia-ml-py is not installed") from None
    try:
        nvml.nvmlInit()
        gpu = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        nvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    except nvml.NVMLError as error:
        raise NotMeasured(f"energy is not measured: NVML has no counter for this GPU ({error})") from error

    def read() -> tuple[int, ...]:
        return (1000 * nvml.nvmlDeviceGetTotalEnergyConsumption(gpu),)

    return Meter("NVML (the GPU alone)", read, (1000 * 2**64,))
