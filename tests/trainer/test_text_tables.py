"""CSV and JSON Lines that are read in pieces hold what pyarrow reads of the whole file, types and all."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from distill_api.dataset import FileFormat
from distill_trainer.data.sources import text_tables
from distill_trainer.data.sources.text_tables import read_text_tables

pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")
lines = pytest.importorskip("pyarrow.json")

WHOLE = {FileFormat.CSV: csv.read_csv, FileFormat.JSON_LINES: lines.read_json}
COLUMNS = ("a", "b")


def read(paths, kind, wanted=COLUMNS):
    schema, names, batches = read_text_tables(paths, kind, wanted)
    return pa.Table.from_batches(batches, schema), names


@pytest.fixture(params=[1, 17, 2**20], ids=lambda size: f"pieces of {size}")
def pieces(request, monkeypatch):
    monkeypatch.setattr(text_tables, "PIECE", request.param)


CELLS = [
    ["1", "2"], ["1", "2.5", "3"], ["1", ""], ["", ""], ["1", "x"], ["x", "1"], ["true", "false"], ["true", "1", "0"],
    ["true", "5"], ["5", "true"], ["2020-01-01", "2020-02-01"], ["2020-01-01", "true"], ["10:00", "11:30:05"],
    ["10:00", "2020-01-01"], ["2020-01-01", "2020-01-01 10:00"], ["2020-01-01 10:00:00", "2020-01-01 10:00:00.5"],
    ["2020-01-01 10:00Z", "2020-01-01 10:00+0100"], ["2020-01-01 10:00Z", "2020-01-01 10:00"], ["2020-01-01 10:00:00.5Z"],
    ["99999999999999999999", "1"], ["01", "2"], ["1e3", "nan", ""], ["NULL", "x"], ["x", "\xff"], ["\xff", "1"],
    ["5", "10:00", "2020-01-01", "x"], ["1.5", "2020-01-01"], ["true", "1.5", "x", ""],
]  # fmt: skip


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("cells", CELLS, ids=" ".join)
def test_csv_is_what_pyarrow_reads(tmp_path: Path, cells: list[str]) -> None:
    path = tmp_path / "train.csv"
    rows = ["a,b", *(f"{cell},{number}" for number, cell in enumerate(cells))]
    path.write_bytes("\n".join(rows).encode("latin1"))
    found, names = read([path], FileFormat.CSV)
    assert found.equals(csv.read_csv(path))
    assert names == ["a", "b"]


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_csv_of_quoted_texts_over_several_lines(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "train.csv.gz"
    texts = ['one "word"', "two\nlines,\n\nand more", "", "5", "plain"]
    rows = ["b,a", *(f'{number},"{text.replace(chr(34), chr(34) * 2)}"' for number, text in enumerate(texts))]
    path.write_bytes(gzip.compress((ending.join(rows) + ending * 3).encode()))
    found, names = read([path], FileFormat.CSV)
    assert found.column("a").to_pylist() == texts
    assert found.column("b").to_pylist() == [0, 1, 2, 3, 4]
    assert names == ["b", "a"]


ROWS = [
    [{"a": 1}, {"a": 2}],
    [{"a": 1}, {"a": 1.5}, {"a": 2}],
    [{"a": None}, {"a": "x"}],
    [{"a": None}, {}],
    [{"b": "x"}, {"a": True}],
    [{"a": "2020-01-01"}, {"a": "2020-02-01 10:00:00"}],
    [{"a": "2020-01-01"}, {"a": "x"}, {"a": None}],
    [{"a": "x"}, {"a": "2020-01-01"}],
    [{"a": []}, {"a": [{"role": "x", "more": 1}]}, {"a": [{"content": "y", "more": 1.5}]}],
    [
        {"a": {"deep": {"er": [1]}}},
        {"a": {"deep": {"other": ["2020-01-01"]}}},
        {"a": {"deep": {"other": ["x"]}}},
    ],
    [{"a": [[1], []]}, {"a": [[None, 2.5]]}],
    [{"a": 1}, {"a": 99999999999999999999}],
]


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("rows", ROWS, ids=json.dumps)
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_json_lines_are_what_pyarrow_reads(
    tmp_path: Path, rows: list[dict[str, object]], suffix: str
) -> None:
    path = tmp_path / f"train{suffix}"
    text = "\n\n".join(map(json.dumps, rows)).encode()
    path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    found, names = read([path], FileFormat.JSON_LINES)
    whole = lines.read_json(path)
    assert found.equals(whole)
    assert names == whole.column_names


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("kind", WHOLE)
def test_several_files_have_types_in_common_and_columns_of_each(tmp_path: Path, kind: FileFormat) -> None:
    tables = [{"a": [1, 2]}, {"a": [2.5], "c": [9], "b": ["x"]}]
    paths = [tmp_path / str(number) for number in range(2)]
    for path, columns in zip(paths, tables, strict=True):
        if kind is FileFormat.CSV:
            csv.write_csv(pa.table(columns), path)
        else:
            rows = pa.table(columns).to_pylist()
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, names = read(paths, kind)
    assert found.to_pydict() == {"a": [1.0, 2.0, 2.5], "b": [None, None, "x"]}
    assert names == ["a", "c", "b"]


@pytest.mark.parametrize("size", [1, 2**20])
@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (FileFormat.CSV, "", "Empty CSV file"),
        (FileFormat.JSON_LINES, "", "Empty JSON file"),
        (FileFormat.CSV, "a,b\n1,2\n1,2,3\n", "Expected 2 columns, got 3"),
        (FileFormat.JSON_LINES, '{"a": 1}\n{"a"\n', "JSON parse error"),
        (FileFormat.JSON_LINES, '{"a": [1]}\n{"a": ["x"]}\n', "change"),
    ],
)
def test_faults_are_those_of_pyarrow(
    tmp_path: Path, monkeypatch, size: int, kind, text: str, said: str
) -> None:
    monkeypatch.setattr(text_tables, "PIECE", size)
    path = tmp_path / "train"
    path.write_text(text)
    with pytest.raises(pa.ArrowInvalid, match=said):
        read([path], kind)


@pytest.mark.parametrize("kind", WHOLE)
def test_of_a_large_file_some_pieces_are_in_memory(tmp_path: Path, monkeypatch, kind: FileFormat) -> None:
    monkeypatch.setattr(text_tables, "PIECE", 2**12)
    path, count = tmp_path / "train", 20_000
    row = "some words,{0}\n" if kind is FileFormat.CSV else '{{"a": "some words", "b": {0}}}\n'
    path.write_text(
        ("a,b\n" if kind is FileFormat.CSV else "") + "".join(row.format(n) for n in range(count))
    )
    pool, before = pa.default_memory_pool(), pa.total_allocated_bytes()
    tracemalloc.start()
    _, _, batches = read_text_tables([path], kind, COLUMNS)
    rows, most = 0, 0
    for batch in batches:
        rows, most = rows + batch.num_rows, max(most, pool.bytes_allocated() - before)
    _, python = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == count
    assert most + python < path.stat().st_size / 2
