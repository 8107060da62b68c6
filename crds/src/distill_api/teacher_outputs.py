"""Where the teacher's outputs come from while the student trains: computed beside it, or stored once and read.

The trainer decides what Auto means from the sizes of models and data; docs/teacher-outputs.md has its rules.
"""

from __future__ import annotations

import string
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from distill_api.base import ApiModel, Rule, Uri
from distill_api.delivery import Quantity

DEFAULT_TOP_K = 64
DEFAULT_BUDGET = "20Gi"
_UNITS = {
    "": 1.0,
    "m": 1e-3,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


class OutputsMode(StrEnum):
    """When the teacher runs."""

    AUTO = "Auto"
    ONLINE = "Online"
    CACHED = "Cached"


class Encoding(StrEnum):
    """What of an output is stored."""

    AUTO = "Auto"
    DENSE = "Dense"
    TOP_K = "TopK"
    SAMPLED = "Sampled"
    HIDDEN_STATE = "HiddenState"


_ENCODING_NEEDS_A_STORE = Rule(
    "!has(self.encoding) || self.encoding == 'Auto' || !has(self.mode) || self.mode != 'Online'",
    "has no effect with mode Online, which stores nothing: remove it, or set mode to Cached",
    field="encoding",
)
_STORE_NEEDS_A_MODE = Rule(
    "!has(self.store) || !has(self.mode) || self.mode != 'Online'",
    "has no effect with mode Online, which stores nothing: remove it, or set mode to Cached",
    field="store",
)
_TOP_K_OF_SPARSE = Rule(
    "!has(self.topK) || (has(self.encoding) && self.encoding in ['TopK', 'Sampled'])",
    "belongs to the encodings TopK and Sampled alone: set encoding to one of them, or remove topK",
    field="topK",
)
_BUDGET_OF_AUTO = Rule(
    "!has(self.budget) || !has(self.mode) || self.mode == 'Auto'",
    "has no effect unless mode is Auto, which stores no more than this: remove it, or set mode to Auto",
    field="budget",
)


class OutputsStore(ApiModel):
    """A place for stored outputs that several jobs share."""

    uri: Uri = Field(
        description="Folder, pvc://<claim>/<path>. What was computed for the same teacher, data and encoding is used again "
        "by every job that names it; the claim is mounted for writing."
    )


class TeacherOutputs(ApiModel):
    """Where the teacher's outputs come from."""

    cel = (_ENCODING_NEEDS_A_STORE, _STORE_NEEDS_A_MODE, _TOP_K_OF_SPARSE, _BUDGET_OF_AUTO)

    mode: OutputsMode = Field(
        default=OutputsMode.AUTO,
        description="Online runs the teacher on each batch. Cached runs it once on each sample and stores what it says. "
        "Auto caches where there is more than one epoch, the outputs are the same each time, and they fit into the budget.",
    )
    encoding: Encoding = Field(
        default=Encoding.AUTO,
        description="What is stored: Dense, the logits as they are; TopK, the most likely classes and what the others "
        "have together; Sampled, classes drawn by their probability (unbiased); HiddenState, what goes into the teacher's "
        "last layer. Auto takes an exact one where it fits, else TopK.",
    )
    top_k: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        default=None,
        description=f"Classes (TopK) or draws (Sampled) that are stored for each row; {DEFAULT_TOP_K} when not given.",
    )
    store: OutputsStore | None = Field(
        default=None,
        description="Where outputs are stored; beside the student, below output.uri, when not given.",
    )
    budget: Quantity | None = Field(
        default=None,
        description=f"What mode Auto stores at most, in bytes, as in 50Gi; {DEFAULT_BUDGET} when not given.",
    )

    @property
    def budget_bytes(self) -> int:
        """The budget as a number."""
        return quantity_bytes(self.budget or DEFAULT_BUDGET)

    @model_validator(mode="after")
    def _check_what_has_an_effect(self) -> Self:
        online = self.mode is OutputsMode.ONLINE
        _ENCODING_NEEDS_A_STORE.check(holds=not online or self.encoding is Encoding.AUTO)
        _STORE_NEEDS_A_MODE.check(holds=not online or self.store is None)
        sparse = self.encoding in {Encoding.TOP_K, Encoding.SAMPLED}
        _TOP_K_OF_SPARSE.check(holds=sparse or self.top_k is None)
        _BUDGET_OF_AUTO.check(holds=self.budget is None or self.mode is OutputsMode.AUTO)
        return self


def quantity_bytes(quantity: str) -> int:
    """`20Gi` → 21 474 836 480; a fraction of a byte is left out."""
    number = quantity.rstrip(string.ascii_letters)
    return int(float(number) * _UNITS[quantity[len(number) :]])
