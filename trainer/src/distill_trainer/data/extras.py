"""Libraries that only some sources need: imported when asked for, with a sentence where the image lacks them."""

from __future__ import annotations

import importlib
from typing import Any

from distill_trainer.errors import ContractBroken


def required(module: str, *, extra: str, field: str) -> Any:
    """The module. Raises ContractBroken that names the extra to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ContractBroken(
            "LibraryMissing",
            f"{field} needs the Python package {module}, which this image has not: install distill-trainer[{extra}]",
        ) from error
