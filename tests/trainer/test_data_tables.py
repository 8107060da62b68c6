"""Tables of pictures: Parquet, CSV, JSON Lines and Hugging Face data sets, written here and read back."""

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from distill_api.dataset import Dataset
from distill_trainer import data
from distill_trainer.errors import ContractBroken

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def picture(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4), value, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def files(folder: Path, kind: str, **fields: object) -> Dataset:
    return Dataset.model_validate({"files": {"uri": f"file://{folder}", "format": kind}, **fields})


def parquet(folder: Path, **columns: list[Any]) -> Dataset:
    pq.write_table(pa.table(columns), folder / "train.parquet")
    return files(folder, "Parquet")


def labelled(count: int = 30) -> list[int]:
    return [row % 3 for row in range(count)]


def check_values(loaded: data.DataSet) -> None:
    """The sample `train/<row>` is filled with row."""
    images = loaded.test.batch(torch.arange(len(loaded.test))).inputs
    values = (images * 255).round().flatten(1)
    assert values.min(1).values.tolist() == [float(name.split("/")[1]) for name in loaded.test.ids]


CELLS = {
    "bytes": picture,
    "hugging face": lambda value: {"bytes": picture(value), "path": None},
    "rows of numbers": lambda value: [[value] * 4] * 4,
    "flat numbers": lambda value: [value] * 16,
    "fractions": lambda value: [[value / 255] * 4] * 4,
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_parquet_holds_pictures_in_every_usual_way(tmp_path: Path, cell) -> None:
    loaded = data.load(parquet(tmp_path, image=[cell(row) for row in range(30)], label=labelled()), seed=0)
    assert loaded.shape == (1, 4, 4)
    assert loaded.classes == ("0", "1", "2")
    check_values(loaded)


def test_parquet_in_shards_and_folders(tmp_path: Path) -> None:
    for name, rows in (("train-00000-of-00002", range(15)), ("train-00001-of-00002", range(15, 30))):
        table = pa.table({"image": [picture(row) for row in rows], "label": labelled(15)})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    (tmp_path / "test").mkdir()
    pq.write_table(pa.table({"image": [picture(0)], "label": [1]}), tmp_path / "test" / "part.parquet")
    assert data.describe(files(tmp_path, "Parquet")).sizes == {"train": 27, "validation": 3, "test": 1}


@pytest.mark.parametrize("kind", ["Csv", "JsonLines"])
def test_text_files_name_pictures_by_path(tmp_path: Path, kind: str) -> None:
    for row in range(30):
        (tmp_path / f"{row}.png").write_bytes(picture(row))
    names = ["cat", "dog", "elk"]
    lines = [{"image": f"{row}.png", "label": names[row % 3]} for row in range(30)]
    if kind == "Csv":
        text = "image,label\n" + "\n".join(f"{line['image']},{line['label']}" for line in lines)
        (tmp_path / "data.csv").write_text(text)
    else:
        (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, lines)))
    loaded = data.load(files(tmp_path, kind), seed=0)
    assert loaded.classes == ("cat", "dog", "elk")
    assert "classes are the values of column 'label' in text order: cat, dog, elk" in loaded.says
    check_values(loaded)


@pytest.mark.parametrize(
    ("columns", "reason", "said"),
    [
        ({"img": [b""], "label": [0]}, "ColumnNotFound", "dataset.columns.image is 'image'"),
        ({"image": [b""], "labels": [0]}, "ColumnNotFound", "columns image, labels; did you mean 'labels'?"),
        ({"image": [picture(0)] * 30, "label": [-1] * 30}, "LabelOutOfRange", "is -1 in row 0"),
        ({"image": [picture(0)] * 3, "label": [1, 7, 900]}, "LabelOutOfRange", "goes from 1 to 900"),
        ({"image": [picture(0)] * 3, "label": [0.5, 1, 2]}, "LabelOutOfRange", "is '0.5'"),
        (
            {"image": [picture(0)] * 3, "label": [0, None, 1]},
            "LabelMissing",
            "empty in row 1 of split 'train'",
        ),
        ({"image": [[1] * 15] * 30, "label": labelled()}, "BrokenPictures", "flat with 15 numbers"),
        ({"image": [[300] * 16] * 30, "label": labelled()}, "BrokenPictures", "whole numbers are 0 to 255"),
        ({"image": [[0.5] * 15 + [math.nan]] * 30, "label": labelled()}, "BrokenPictures", "from nan to nan"),
        ({"image": [picture(0)] * 3, "label": [0.0, math.nan, 1.0]}, "LabelOutOfRange", "is 'nan'"),
        (
            {"image": [picture(0)] * 29 + [b"x"], "label": labelled()},
            "BrokenPictures",
            "train/29 (it is no picture",
        ),
        ({"image": ["gone.png"] * 30, "label": labelled()}, "BrokenPictures", "No such file"),
    ],
)
def test_faults_name_column_and_value(
    tmp_path: Path, columns: dict[str, list[Any]], reason: str, said: str
) -> None:
    with pytest.raises(ContractBroken) as fault:
        data.load(parquet(tmp_path, **columns), seed=0)
    assert fault.value.reason == reason
    assert said in fault.value.message


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_text("no parquet")
    with pytest.raises(ContractBroken, match=r"train\.parquet cannot be read as Parquet"):
        data.describe(files(tmp_path, "Parquet"))


def test_a_class_that_never_occurs_is_kept_and_said(tmp_path: Path) -> None:
    described = data.describe(
        parquet(tmp_path, image=[picture(1)] * 40, label=[1 + row % 2 for row in range(40)])
    )
    assert described.classes == ("0", "1", "2")
    assert any("no training sample has the class 0; labels count from 0" in said for said in described.says)


class TestHuggingFace:
    @pytest.fixture(autouse=True)
    def offline(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def dataset(self, folder: Path, **fields: object) -> Dataset:
        return Dataset.model_validate({"huggingFace": {"id": f"file://{folder}", **fields}})

    def written(self, folder: Path) -> Any:
        datasets = pytest.importorskip("datasets")
        features = datasets.Features(
            {"image": datasets.Image(), "label": datasets.ClassLabel(names=["x", "y", "z"])}
        )
        cells = {"image": [{"bytes": picture(row), "path": None} for row in range(30)], "label": labelled()}
        whole = datasets.Dataset.from_dict(cells, features=features)
        folder.mkdir()
        return datasets.DatasetDict({"train": whole})

    def test_saved_to_disk(self, tmp_path: Path) -> None:
        self.written(tmp_path / "set").save_to_disk(str(tmp_path / "set"))
        loaded = data.load(self.dataset(tmp_path / "set"), seed=0)
        assert loaded.classes == ("x", "y", "z")
        check_values(loaded)

    def test_a_repository_of_parquet_files_keeps_its_class_names_both_ways(self, tmp_path: Path) -> None:
        parts = self.written(tmp_path / "set")
        (tmp_path / "set" / "data").mkdir()
        parts["train"].to_parquet(str(tmp_path / "set" / "data" / "train-00000-of-00001.parquet"))
        by_library = data.load(self.dataset(tmp_path / "set"), seed=0)
        by_file = data.load(files(tmp_path / "set" / "data", "Parquet"), seed=0)
        assert by_library.classes == by_file.classes == ("x", "y", "z")
        assert by_library.digest == by_file.digest

    def test_a_folder_or_config_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ContractBroken, match="there is no such folder"):
            data.describe(self.dataset(tmp_path / "none"))
        parts = self.written(tmp_path / "set")
        parts["train"].to_parquet(str(tmp_path / "set" / "train.parquet"))
        with pytest.raises(ContractBroken, match=r"dataset\.huggingFace\.config is 'big'"):
            data.describe(self.dataset(tmp_path / "set", config="big"))
