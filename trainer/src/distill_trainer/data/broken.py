"""Leaves out pictures that cannot be read, up to `dataset.maxBrokenSamples`. Called by `data.load`, before parts are cut.

Nothing takes their place: every epoch, every process and every start has the same samples.
"""

from __future__ import annotations

from dataclasses import replace

from distill_api.dataset import Dataset
from distill_trainer.data.dataset import Opened, SourceSplit
from distill_trainer.data.pictures import DecodedPixels, broken_pictures, named


def without_broken(opened: Opened, dataset: Dataset) -> tuple[Opened, tuple[str, ...]]:
    """The source without them, and a sentence for each split that lacks some. Raises ContractBroken where they are too many."""
    splits = {name: part for name, part in opened.splits.items() if name in _names(dataset)}
    limit = dataset.max_broken_samples
    found = {name: _broken(part, whole=limit > 0) for name, part in splits.items()}
    all_of_them = {key: why for broken in found.values() for key, why in broken.items()}
    if len(all_of_them) > limit:
        field = next(_field(part) for name, part in splits.items() if found[name])
        total = sum(len(part.labels) for part in splits.values())
        raise broken_pictures(all_of_them, total, field, limit=limit)
    whole = {name: _left_out(part, set(found[name])) for name, part in splits.items()}
    says = tuple(
        f"{name}: {len(broken)} of {len(splits[name].labels)} pictures cannot be read and are left out "
        f"(dataset.maxBrokenSamples {limit}): {named(broken)}"
        for name, broken in found.items()
        if broken
    )
    return replace(opened, splits={**opened.splits, **whole}), says


def _names(dataset: Dataset) -> set[str]:
    return {dataset.splits.train, dataset.splits.validation, dataset.splits.test}


def _broken(part: SourceSplit, *, whole: bool) -> dict[str, str]:
    if not isinstance(part.content, DecodedPixels):
        return {}
    return {part.ids[row]: why for row, why in part.content.looked_into(whole=whole).broken.items()}


def _field(part: SourceSplit) -> str:
    return part.content.pictures.field if isinstance(part.content, DecodedPixels) else "dataset"


def _left_out(part: SourceSplit, ids: set[str]) -> SourceSplit:
    return replace(part, left_out=tuple(row for row, name in enumerate(part.ids) if name in ids))
