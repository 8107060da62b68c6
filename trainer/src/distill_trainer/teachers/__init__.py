"""Trains the teachers that examples and benchmarks use: real networks on real data, made by this script.

`python -m distill_trainer.teachers digits --out F`; what it made for digits and Fashion-MNIST lies beside it.
"""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parent


def shipped(name: str) -> Path:
    """The file that lies beside the script."""
    return SHIPPED / f"{name}-teacher.safetensors"
