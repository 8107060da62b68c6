"""Builtin data and IDX files."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from distill_api.dataset import Dataset
from distill_trainer import data
from distill_trainer.errors import ContractBroken


def builtin(name: str, **fields: object) -> Dataset:
    return Dataset.model_validate({"builtin": {"name": name}, **fields})


def files(folder: Path, kind: str = "Idx", **fields: object) -> Dataset:
    return Dataset.model_validate({"files": {"uri": f"file://{folder}", "format": kind}, **fields})


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_mnist_like(folder: Path, *, train: int = 30, test: int = 6) -> None:
    for split, size in (("train", train), ("t10k", test)):
        images = np.arange(size * 12).reshape(size, 3, 4) % 256
        write_idx(folder / f"{split}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{split}-labels-idx1-ubyte", np.arange(size) % 3)


def test_digits_have_the_published_size_and_values() -> None:
    digits = data.load(builtin("digits"), seed=0)
    assert digits.shape == (1, 8, 8)
    assert len(digits.train) + len(digits.validation) + len(digits.test) == 1797
    batch = digits.test.batch(torch.arange(len(digits.test)))
    images, labels = batch.inputs, batch.labels
    assert images.dtype == torch.float32
    assert (images.min(), images.max()) == (0, 1)
    assert torch.equal(labels, digits.test.labels)


def test_the_test_digits_are_the_same_for_every_seed() -> None:
    one, other = data.load(builtin("digits"), seed=1), data.load(builtin("digits"), seed=2)
    assert list(one.test.ids) == list(other.test.ids)
    assert one.validation.ids != other.validation.ids


def test_the_digest_is_that_of_the_content() -> None:
    digests = [
        data.load(builtin("digits", **fields), seed=seed).digest
        for fields, seed in (({}, 1), ({}, 1), ({"limit": 99}, 1), ({"limit": 99}, 2))
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_the_description_agrees_with_what_is_loaded() -> None:
    described, loaded = (
        data.describe(builtin("digits", limit=50)),
        data.load(builtin("digits", limit=50), seed=0),
    )
    assert described.sizes == {"train": 50, "validation": len(loaded.validation), "test": len(loaded.test)}
    assert (described.shape, described.classes) == (loaded.shape, loaded.classes)


def test_idx_files_are_read_as_written(tmp_path: Path) -> None:
    write_mnist_like(tmp_path)
    loaded = data.load(files(tmp_path), seed=0)
    assert loaded.shape == (1, 3, 4)
    assert loaded.classes == ("0", "1", "2")
    batch = loaded.test.batch(torch.tensor([5, 0]))
    images, labels = batch.inputs, batch.labels
    assert torch.equal(images[1], torch.arange(12).reshape(1, 3, 4) / 255)
    assert labels.tolist() == [2, 0]


def test_pictures_with_colours_last_become_colours_first(tmp_path: Path) -> None:
    array = np.arange(9 * 2 * 2 * 3).reshape(9, 2, 2, 3)
    write_idx(tmp_path / "train-images-idx4-ubyte", array)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(9))
    write_idx(tmp_path / "test-images-idx4-ubyte", array)
    write_idx(tmp_path / "test-labels-idx1-ubyte", np.zeros(9))
    images = data.load(files(tmp_path), seed=0).test.batch(torch.tensor([0])).inputs
    assert images.shape == (1, 3, 2, 2)
    assert torch.equal((images[0, :, 0, 1] * 255).round(), torch.tensor([3.0, 4.0, 5.0]))


def test_fashion_mnist_is_found_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "usr/share/datasets/fashion-mnist"
    folder.mkdir(parents=True)
    write_mnist_like(folder)
    monkeypatch.setenv("DISTILL_DATA_DIR", str(tmp_path))
    described = data.describe(builtin("fashion-mnist"))
    assert described.classes[9] == "Ankle boot"
    assert described.sizes == {"train": 27, "validation": 3, "test": 6}


def test_without_its_package_fashion_mnist_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DISTILL_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("distill_trainer.data.sources.fashion_mnist.PACKAGE_FOLDER", "nowhere")
    with pytest.raises(ContractBroken, match="apt-get download dataset-fashion-mnist") as fault:
        data.describe(builtin("fashion-mnist"))
    assert fault.value.reason == "DatasetNotFound"


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(ContractBroken, match="did you mean 'digits'"):
        data.describe(builtin("digit"))


def _cut_in_half(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:80])


@pytest.mark.parametrize(
    ("break_it", "reason", "said"),
    [
        (_cut_in_half, "FileTorn", "train-images-idx3-ubyte.gz cannot be read whole"),
        (
            lambda folder: (folder / "train-labels-idx1-ubyte").unlink(),
            "DatasetNotFound",
            "train-labels-idx1-ubyte",
        ),
        (
            lambda folder: write_idx(folder / "train-labels-idx1-ubyte", np.zeros(7)),
            "LengthMismatch",
            "30 pictures",
        ),
        (
            lambda folder: (folder / "t10k-labels-idx1-ubyte").write_text("label"),
            "FormatMismatch",
            "format is Idx",
        ),
        (
            lambda folder: write_idx(folder / "t10k-images-idx3-ubyte.gz", np.zeros((6, 4, 4))),
            "ShapeMismatch",
            "(1, 4, 4)",
        ),
    ],
)
def test_broken_idx_files_are_named(tmp_path: Path, break_it, reason: str, said: str) -> None:
    write_mnist_like(tmp_path)
    break_it(tmp_path)
    with pytest.raises(ContractBroken) as fault:
        data.load(files(tmp_path), seed=0)
    assert fault.value.reason == reason
    assert said in fault.value.message


def test_a_folder_that_is_not_there_shows_what_is_beside_it(tmp_path: Path) -> None:
    (tmp_path / "clothes").mkdir()
    with pytest.raises(ContractBroken, match=r"clothes; did you mean 'clothes'\?"):
        data.describe(files(tmp_path / "cloths"))
