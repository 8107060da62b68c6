"""CSV, JSON Lines and Parquet files as people have them: encodings, quoted line ends, long rows, categories, shards that differ."""

import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest

from distill_api.dataset import Dataset
from distill_trainer.data.sources import open_source
from distill_trainer.data.tables import Tables, labels_of
from distill_trainer.errors import ContractBroken

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def opened(folder: Path, kind: str) -> tuple[Tables, Dataset]:
    dataset = Dataset.model_validate({"files": {"uri": f"file://{folder}", "format": kind}})
    tables = open_source(dataset)
    assert isinstance(tables, Tables)
    return tables, dataset


def texts(folder: Path, kind: str) -> list[object]:
    tables, _ = opened(folder, kind)
    return list(tables.splits["train"].column("text"))


def write_csv(path: Path, rows: list[tuple[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


def test_quoted_line_ends_wherever_a_block_ends(tmp_path: Path) -> None:
    long = ["\n".join([f"row {row}"] * 300) for row in range(600)]
    write_csv(tmp_path / "train.csv", [(text, row % 2) for row, text in enumerate(long)])
    assert (tmp_path / "train.csv").stat().st_size > 1 << 20
    assert texts(tmp_path, "Csv") == long


def test_a_row_longer_than_a_block(tmp_path: Path) -> None:
    long = ["short", "x" * 3_000_000, "short"]
    write_csv(tmp_path / "train.csv", [(text, 0) for text in long])
    assert texts(tmp_path, "Csv") == long
    lines = "".join(json.dumps({"text": text, "label": 0}) + "\n" for text in long)
    (tmp_path / "train.jsonl").write_text(lines)
    assert texts(tmp_path, "JsonLines") == long


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        ("text,label\ncafé,0\n".encode("latin1"), "Csv", "train.csv is no UTF-8 text (near byte 14)"),
        ("text,label\na,0\n".encode("utf-16"), "Csv", "is no UTF-8 text (near byte 0)"),
        ('{"text": "café"}\n'.encode("latin1"), "JsonLines", "is no UTF-8 text"),
        (b"text;label\na;0\n", "Csv", "separates its columns by ';'"),
        (b"text\tlabel\na\t0\n", "Csv", "separates its columns by '\\t'"),
        (b'\xef\xbb\xbf\n[{"text": "a"}]', "JsonLines", "is one JSON list"),
    ],
)
def test_files_of_another_kind_are_told_apart(tmp_path: Path, content: bytes, kind: str, said: str) -> None:
    (tmp_path / ("train.csv" if kind == "Csv" else "train.jsonl")).write_bytes(content)
    with pytest.raises(ContractBroken) as fault:
        opened(tmp_path, kind)
    assert fault.value.reason == "FileTorn"
    assert said in fault.value.message


@pytest.mark.parametrize("keep", [3, 20, -4])
def test_a_torn_archive_is_a_sentence(tmp_path: Path, keep: int) -> None:
    whole = gzip.compress(b"text,label\n" + bytes(range(48, 90)) * 50)
    (tmp_path / "train.csv.gz").write_bytes(whole[:keep])
    with pytest.raises(ContractBroken, match=r"train\.csv\.gz cannot be read as Csv"):
        opened(tmp_path, "Csv")


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_name_is_no_class(tmp_path: Path, empty: str) -> None:
    write_csv(tmp_path / "train.csv", [("a", "cat"), ("b", empty), ("c", "dog")])
    with pytest.raises(ContractBroken, match="is empty in row 1 of split 'train'") as fault:
        labels_of(*opened(tmp_path, "Csv"))
    assert fault.value.reason == "LabelMissing"


def test_shards_with_numbers_of_their_own_for_the_same_names(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for number, name in enumerate(["dog", "cat"]):
        column = pa.array([name] * 2).dictionary_encode()
        pq.write_table(pa.table({"text": ["a", "b"], "label": column}), tmp_path / f"train/{number}.parquet")
    labelled = labels_of(*opened(tmp_path, "Parquet"))
    assert labelled.classes == ("cat", "dog")
    assert labelled.indices["train"].tolist() == [1, 1, 0, 0]


def test_shards_of_whole_and_of_decimal_numbers(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    write_csv(tmp_path / "train/a.csv", [("a", 0), ("b", 1)])
    write_csv(tmp_path / "train/b.csv", [("a", "1.0"), ("b", "0.0")])
    assert labels_of(*opened(tmp_path, "Csv")).indices["train"].tolist() == [0, 1, 1, 0]
    decimals = pa.table({"text": ["a", "b"], "label": [Decimal(1), Decimal(0)]})
    pq.write_table(decimals, tmp_path / "train.parquet")
    assert labels_of(*opened(tmp_path, "Parquet")).indices["train"].tolist() == [1, 0]


def test_a_shard_without_the_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    pq.write_table(pa.table({"text": ["a"], "label": [0]}), tmp_path / "train/0.parquet")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "train/1.parquet")
    with pytest.raises(
        ContractBroken, match=r"1\.parquet has no column 'label', which 0\.parquet beside it has"
    ):
        opened(tmp_path, "Parquet")


def test_one_part_that_datasets_saved_is_the_training_part(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]}).save_to_disk(tmp_path / "saved")
    tables = open_source(Dataset.model_validate({"huggingFace": {"id": f"file://{tmp_path / 'saved'}"}}))
    assert isinstance(tables, Tables)
    assert list(tables.splits["train"].column("text")) == ["a", "b"]
