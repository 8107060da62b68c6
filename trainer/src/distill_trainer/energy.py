"""What a machine's own counters say of the energy that it takes. Where there are none nothing is said: no estimate from data sheets.

GPUs: NVML's total energy counter (nvmlDeviceGetTotalEnergyConsumption, since Volta). Processors: RAPL as Linux shows it
(https://docs.kernel.org/power/powercap/powercap.html), which most machines let root alone read.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Counter:
    """One counter: `read` gives joules since some moment, and begins anew after `wraps_at` of them, where it does."""

    read: Callable[[], float]
    wraps_at: float | None = None

    def since(self, earlier: float) -> float:
        """Joules from that reading to now; right where the counter began anew at most once."""
        taken = self.read() - earlier
        return taken if taken >= 0 or self.wraps_at is None else taken + self.wraps_at


@dataclass(frozen=True)
class Meter:
    """The counters of a device; none of them where nothing can be read, and then `why`. `of` says what is counted."""

    counters: tuple[Counter, ...] = ()
    of: str = ""
    why: str = ""

    def __bool__(self) -> bool:
        return bool(self.counters)

    def read(self) -> tuple[float, ...]:
        """Readings to compare with later ones."""
        return tuple(counter.read() for counter in self.counters)

    def since(self, earlier: Sequence[float]) -> float:
        """Joules of all counters from those readings to now."""
        return sum(counter.since(then) for counter, then in zip(self.counters, earlier, strict=True))

    def sentence(self) -> str:
        """For the report."""
        return f"energy: {self.of}" if self else f"energy is not measured: {self.why}"


def meter_of(device: torch.device) -> Meter:
    """That of the GPU that the models are on, else of the processors."""
    return gpu_meter(device) if device.type == "cuda" else processor_meter(POWERCAP)


def processor_meter(powercap: Path) -> Meter:
    """Of all packages below a folder as `/sys/class/powercap`. What else the machine does meanwhile is counted with it."""
    packages = [
        zone for zone in sorted(powercap.glob("*:*")) if _text(zone / "name").startswith(("package", "psys"))
    ]
    packages = [zone for zone in packages if _text(zone / "name") != "psys"] or packages
    if not packages:
        return Meter(why="the machine shows no energy counters of its processors")
    try:
        counters = tuple(_rapl(zone) for zone in packages)
    except OSError as error:
        return Meter(why=f"the energy counters of the processors cannot be read ({error.strerror})")
    return Meter(counters, "that of the processors (RAPL), others' work on them included")


def _rapl(zone: Path) -> Counter:
    def joules(name: str) -> float:
        return int((zone / name).read_text()) / 1e6

    joules("energy_uj")
    return Counter(lambda: joules("energy_uj"), joules("max_energy_range_uj"))


def gpu_meter(device: torch.device) -> Meter:
    """Of one GPU. Needs the package nvidia-ml-py."""
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError:
        return Meter(why="the package nvidia-ml-py, which reads a GPU's energy counter, is not installed")
    try:
        nvml.nvmlInit()
        number = torch.cuda.current_device() if device.index is None else device.index
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(number).uuid}")
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError as error:
        return Meter(why=f"the GPU's energy counter cannot be read ({error})")
    counter = Counter(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)
    return Meter((counter,), "that of the GPU (NVML), others' work on it included")


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
