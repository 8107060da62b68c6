"""`files` of format ImageFolder: `<split>/<class>/picture`, or `<class>/picture` in one piece."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from PIL import features

from distill_api.dataset import Dataset, FileFormat
from distill_trainer.data import labels
from distill_trainer.data.dataset import Opened, SourceSplit
from distill_trainer.data.folders import files_root, sub_folders
from distill_trainer.data.pictures import DecodedPixels, Pictures, common_form
from distill_trainer.data.sample_ids import WrittenIds
from distill_trainer.data.sources import source
from distill_trainer.errors import ContractBroken

EXTENSIONS = frozenset(
    {
        *(".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm"),
        *(".tif", ".tiff", ".webp", *([".avif"] if features.check("avif") else [])),
    }
)


@source(f"files/{FileFormat.IMAGE_FOLDER}")
def open_image_folder(dataset: Dataset) -> Opened:
    """Classes and their order come from the training split; the other splits use them. Raises ContractBroken."""
    root = files_root(dataset)
    train = dataset.splits.train
    folders = (
        {folder.name: folder for folder in sub_folders(root)} if _has_splits(root, train) else {train: root}
    )
    classes, empty = _classes(folders[train])
    pictures = {split: _pictures(root, folder) for split, folder in folders.items()}
    form, says = common_form(list(pictures.values()))
    splits = {
        split: SourceSplit(
            pictures[split].ids,
            labels.by_name(
                _class_of(pictures[split].ids, folder.relative_to(root)), classes, field=f"split {split!r}"
            ),
            DecodedPixels(pictures[split], form),
        )
        for split, folder in folders.items()
    }
    order = labels.order_said(classes, where="folder names")
    return Opened(root.name, classes, form.shape, splits, (order, *empty, *_left_out(folders), *says))


def _has_splits(root: Path, train: str) -> bool:
    """Whether the folders of `root` are splits, which hold folders of classes, and not classes, which hold pictures."""
    below = sub_folders(root)
    if not below:
        raise ContractBroken(
            "DatasetNotFound",
            f"dataset.files.uri: {root} has no folder; ImageFolder needs <split>/<class>/ or <class>/",
        )
    holding_folders = [folder.name for folder in below if sub_folders(folder)]
    if holding_folders and train not in holding_folders:
        raise ContractBroken(
            "SplitNotFound",
            f"dataset.splits.train is {train!r}, but the folders below {root} are {', '.join(holding_folders)}",
        )
    return bool(holding_folders)


def _classes(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Class names in order, and a sentence that names those without a picture."""
    counts = {path.name: sum(1 for _ in _pictures_below(path)) for path in sub_folders(folder)}
    empty = [name for name, count in counts.items() if not count]
    says = f"class folders without a picture, kept as classes that are never seen: {', '.join(empty)}"
    return labels.class_order(counts), (says,) if empty else ()


def _left_out(folders: dict[str, Path]) -> tuple[str, ...]:
    """A sentence where files are no pictures by their names."""
    found = (path for folder in folders.values() for below in sub_folders(folder) for path in _others(below))
    first = next(found, None)
    if first is None:
        return ()
    endings = Counter(path.suffix.lower() or "no ending" for path in chain((first,), found))
    said = ", ".join(sorted(endings)[:5])
    return (
        f"{endings.total()} files are left out, since their names end as no picture's does ({said}), as {first.name}",
    )


def _pictures_below(folder: Path) -> Iterator[Path]:
    return (path for path in _visible_below(folder) if path.suffix.lower() in EXTENSIONS)


def _others(folder: Path) -> Iterator[Path]:
    return (path for path in _visible_below(folder) if path.suffix.lower() not in EXTENSIONS)


def _visible_below(folder: Path) -> Iterator[Path]:
    for place, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))


def _pictures(root: Path, folder: Path) -> Pictures:
    """Those of a split, whose names are their paths below `root`."""
    files = (path for below in sub_folders(folder) for path in _pictures_below(below))
    ids = WrittenIds(path.relative_to(root).as_posix() for path in files)
    return Pictures(ids, lambda row: (root / ids[row]).read_bytes(), "dataset.files.uri")


def _class_of(ids: Iterable[str], split: Path) -> Iterator[str]:
    """The folder below that of the split."""
    return (name.split("/")[len(split.parts)] for name in ids)
