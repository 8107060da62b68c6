"""Online or Cached, and which encoding: from the job's settings and what the contract check knows. Pure.

Auto takes the exact encoding that is smaller where it fits, TopK where that fits alone and the objective can learn from
it, and Online where nothing fits. What the user names is taken or refused, never replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distill_api.teacher_outputs import DEFAULT_TOP_K, OutputsMode, TeacherOutputs
from distill_api.teacher_outputs import Encoding as Kind
from distill_trainer.errors import ContractBroken
from distill_trainer.teacher_outputs.encodings.classes import class_bytes

FIELD = "teacherOutputs"
MOST_OF_VOLUME = 0.5
"""Auto leaves the other half to checkpoints and students."""


@dataclass(frozen=True)
class Facts:
    """What a choice depends on.

    `rows` is the most rows that one sample can have (1 for a picture, its tokens for a text), `layer_bytes` what layers
    take for each sample. `varying` says why outputs cannot be stored at all, `no_sparse` and `no_sampled` which term
    needs all logits, as sentences' ends; empty where nothing stands in the way. `head_width` is H of the teacher's last
    layer, None where there is none to make logits from. `volume` is the size of the store's volume in bytes: all of it, since
    what is free changes while the store is filled, and a start that goes on has to choose what the first one chose.
    """

    epochs: int
    samples: int
    rows: int
    classes: int
    element_bytes: int
    head_width: int | None
    layer_bytes: int
    temperatures: tuple[float, ...]
    teacher_matters: bool
    varying: str
    no_sparse: str
    no_sampled: str
    volume: int


@dataclass(frozen=True)
class Choice:
    """What is done. `note` says it with its reason; bytes are those of one sample, at most."""

    mode: OutputsMode
    encoding: Kind | None
    top_k: int | None
    note: str
    bytes_per_sample: int = 0

    def document(self) -> dict[str, Any]:
        """What of it decides what is stored."""
        return {"encoding": self.encoding, "topK": self.top_k}


def choose(settings: TeacherOutputs, facts: Facts) -> Choice:
    """The choice. Raises ContractBroken (OutputsNotCacheable, EncodingRefused, StoreTooSmall)."""
    if settings.mode is OutputsMode.ONLINE:
        return _online("as asked")
    if settings.mode is OutputsMode.AUTO and (why := _not_worth_it(facts)):
        return _online(why)
    if facts.varying:
        raise ContractBroken(
            "OutputsNotCacheable",
            f"{FIELD}.mode is Cached and {facts.varying}: set it to Online, which runs the teacher on each batch",
        )
    if settings.encoding is not Kind.AUTO:
        return _named(settings, facts)
    return _fitting(settings, facts)


def row_bytes(kind: Kind, facts: Facts, top_k: int) -> int:
    """Bytes of one row."""
    match kind:
        case Kind.DENSE:
            return facts.classes * facts.element_bytes
        case Kind.HIDDEN_STATE:
            return (facts.head_width or 0) * facts.element_bytes
        case Kind.TOP_K:
            return top_k * (class_bytes(facts.classes) + 2) + 4 * len(facts.temperatures)
        case Kind.SAMPLED:
            return top_k * class_bytes(facts.classes) + 4
    raise ValueError(f"{kind} has no size")


def shown_bytes(size: float) -> str:
    """`1.5 GiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"


def _not_worth_it(facts: Facts) -> str:
    """Why Auto does not store, where it is not for the size."""
    if not facts.teacher_matters:
        return "objective.alpha is 1, nothing of the teacher is learnt"
    if facts.epochs == 1:
        return "in a single epoch each sample is seen once"
    return facts.varying


def _named(settings: TeacherOutputs, facts: Facts) -> Choice:
    kind, top_k = settings.encoding, _top_k(settings)
    if fault := _fault(kind, facts, top_k):
        raise ContractBroken("EncodingRefused", f"{FIELD}.encoding is {kind.value}: {fault}")
    choice = _cached(kind, facts, top_k, "as asked")
    if _total(choice, facts) <= _room(settings, facts):
        return choice
    if settings.mode is OutputsMode.AUTO:
        return _online(f"{kind.value} would take {_needs(choice, facts)}, {_has(settings, facts)}")
    raise _too_small(choice, facts)


def _fitting(settings: TeacherOutputs, facts: Facts) -> Choice:
    exact = [kind for kind in (Kind.DENSE, Kind.HIDDEN_STATE) if not _fault(kind, facts, 0)]
    smallest = min(exact, key=lambda kind: row_bytes(kind, facts, 0))
    first = _cached(smallest, facts, 0, "exact, and it fits")
    if _total(first, facts) <= _room(settings, facts):
        return first
    too_large = f"{smallest.value} would take {_needs(first, facts)}, {_has(settings, facts)}"
    if not _fault(Kind.TOP_K, facts, DEFAULT_TOP_K):
        second = _cached(Kind.TOP_K, facts, DEFAULT_TOP_K, too_large)
        if _total(second, facts) <= _room(settings, facts):
            return second
    if settings.mode is OutputsMode.AUTO:
        return _online(too_large)
    raise _too_small(first, facts)


def _fault(kind: Kind, facts: Facts, top_k: int) -> str:
    """Why an encoding cannot be used, with the remedy; empty where it can."""
    if kind is Kind.HIDDEN_STATE and facts.head_width is None:
        return "the teacher's logits are not those of one linear layer, as they stand; use Dense or TopK"
    if kind is Kind.TOP_K and top_k >= facts.classes:
        return f"topK is {top_k} and there are {facts.classes} classes; use Dense, which keeps them all"
    if kind in {Kind.TOP_K, Kind.SAMPLED} and facts.no_sparse:
        return f"{facts.no_sparse}; use Dense or HiddenState"
    if kind is Kind.SAMPLED and facts.no_sampled:
        return f"{facts.no_sampled}; use TopK, Dense or HiddenState"
    return ""


def _cached(kind: Kind, facts: Facts, top_k: int, why: str) -> Choice:
    kept = top_k if kind in {Kind.TOP_K, Kind.SAMPLED} else None
    size = facts.rows * row_bytes(kind, facts, top_k) + facts.layer_bytes
    choice = Choice(OutputsMode.CACHED, kind, kept, "", size)
    named = kind.value if kept is None else f"{kind.value} of {kept}"
    note = f"teacher outputs: Cached, {named}, {_needs(choice, facts)} ({why})"
    return Choice(OutputsMode.CACHED, kind, kept, note, size)


def _online(why: str) -> Choice:
    return Choice(OutputsMode.ONLINE, None, None, f"teacher outputs: Online ({why})")


def _top_k(settings: TeacherOutputs) -> int:
    return settings.top_k or DEFAULT_TOP_K


def _total(choice: Choice, facts: Facts) -> int:
    return choice.bytes_per_sample * facts.samples


def _room(settings: TeacherOutputs, facts: Facts) -> float:
    if settings.mode is OutputsMode.AUTO:
        return min(settings.budget_bytes, facts.volume * MOST_OF_VOLUME)
    return facts.volume


def _needs(choice: Choice, facts: Facts) -> str:
    most = "at most " if facts.rows > 1 else ""
    return (
        f"{most}{shown_bytes(_total(choice, facts))}: {facts.samples} samples of {most}"
        f"{shown_bytes(choice.bytes_per_sample)}"
    )


def _has(settings: TeacherOutputs, facts: Facts) -> str:
    """What Auto may use, where that was too little."""
    half = facts.volume * MOST_OF_VOLUME
    if settings.mode is OutputsMode.AUTO and settings.budget_bytes <= half:
        return f"more than {FIELD}.budget, {shown_bytes(settings.budget_bytes)}"
    if settings.mode is OutputsMode.AUTO:
        return f"more than half of the {shown_bytes(facts.volume)} of the store's volume"
    return f"more than the {shown_bytes(facts.volume)} of the store's volume"


def _too_small(choice: Choice, facts: Facts) -> ContractBroken:
    kind = choice.encoding.value if choice.encoding else ""
    return ContractBroken(
        "StoreTooSmall",
        f"{FIELD}.mode is Cached, and {kind} needs {_needs(choice, facts)}, but the store's volume has "
        f"{shown_bytes(facts.volume)}: name a larger one in {FIELD}.store.uri, an encoding that takes less, or set mode to Online",
    )
