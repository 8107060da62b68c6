"""`files` of format Idx: `<split>-images-idx3-ubyte` beside `<split>-labels-idx1-ubyte`, with or without .gz."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from distill_api.dataset import Dataset, FileFormat
from distill_trainer.data.dataset import ArrayPixels, Opened, SourceSplit
from distill_trainer.data.folders import files_root
from distill_trainer.data.idx import IdxFile
from distill_trainer.data.labels import absent_said, check_range, count_from
from distill_trainer.data.sample_ids import NumberedIds
from distill_trainer.data.sources import source
from distill_trainer.errors import ContractBroken

IMAGES = re.compile(r"^(?P<stem>(?:.+-)?(?P<split>[^-]+))-images[-.]idx[34]-ubyte(?P<gz>\.gz)?$")
SPLIT_NAMES = {"t10k": "test"}
"""MNIST calls its test split t10k."""


@source(f"files/{FileFormat.IDX}")
def open_idx(dataset: Dataset) -> Opened:
    """Open the files of a folder. Raises ContractBroken."""
    root = files_root(dataset)
    return open_idx_folder(root, name=root.name)


def open_idx_folder(root: Path, *, name: str, classes: tuple[str, ...] | None = None) -> Opened:
    """Open MNIST-like files below `root`; `classes` are 0 … K−1 when not given."""
    images = {
        _split_name(match): path for path in sorted(root.iterdir()) if (match := IMAGES.match(path.name))
    }
    if not images:
        raise ContractBroken(
            "DatasetNotFound",
            f"dataset.files.uri: {root} has no file such as train-images-idx3-ubyte.gz, as format Idx needs",
        )
    pictures = {split: IdxFile.at(path) for split, path in images.items()}
    shape = _one_shape(pictures)
    splits = {split: _open_split(split, file) for split, file in pictures.items()}
    labels = {split: part.labels for split, part in splits.items()}
    known = classes or tuple(map(str, range(count_from(labels.values(), field="the labels file"))))
    for split, values in labels.items():
        check_range(values, len(known), field=f"the label in split {split!r}")
    says = absent_said(splits["train"].labels, known) if "train" in splits else ()
    return Opened(name, known, shape, splits, says)


def _split_name(match: re.Match[str]) -> str:
    return SPLIT_NAMES.get(match["split"], match["split"])


def _open_split(split: str, images: IdxFile) -> SourceSplit:
    path = images.path.with_name(re.sub(r"-images([-.])idx[34]-", r"-labels\1idx1-", images.path.name))
    plain = path.with_suffix("") if path.suffix == ".gz" else path.with_name(path.name + ".gz")
    found = next((candidate for candidate in (path, plain) if candidate.is_file()), None)
    if found is None:
        raise ContractBroken(
            "DatasetNotFound", f"dataset.files.uri: {path.name} is missing beside {images.path.name}"
        )
    labels = IdxFile.at(found).read().to(torch.int64)
    if labels.shape != images.shape[:1]:
        raise ContractBroken(
            "LengthMismatch",
            f"dataset.files: {images.path.name} has {images.shape[0]} pictures and {found.name} has shape "
            f"{tuple(labels.shape)}: they do not belong together",
        )
    return SourceSplit(NumberedIds(f"{split}/", len(labels)), labels, ArrayPixels(images.read_pictures))


def _one_shape(pictures: dict[str, IdxFile]) -> tuple[int, int, int]:
    shapes = {split: file.picture_shape() for split, file in pictures.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{split} {shape}" for split, shape in shapes.items())
        raise ContractBroken(
            "ShapeMismatch", f"dataset.files: the splits differ in (channels, height, width): {listed}"
        )
    return next(iter(shapes.values()))
