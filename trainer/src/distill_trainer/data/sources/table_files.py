"""`files` of format Parquet, Csv and JsonLines: `<split>.parquet`, `<split>-00000-of-00002.parquet` or `<split>/*.parquet`.

All are unpacked once into an Arrow file that is mapped into memory, since rows cannot be read one by one.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from distill_api.dataset import Columns, Dataset, FileFormat
from distill_trainer.data.extras import required
from distill_trainer.data.folders import files_root, visible
from distill_trainer.data.line_files import refuse_other_text
from distill_trainer.data.sample_ids import AT_ONCE
from distill_trainer.data.sources import source
from distill_trainer.data.sources.text_tables import read_text_tables
from distill_trainer.data.tables import Table, Tables
from distill_trainer.errors import ContractBroken

SUFFIXES = {
    FileFormat.PARQUET: (".parquet",),
    FileFormat.CSV: (".csv", ".csv.gz"),
    FileFormat.JSON_LINES: (".jsonl", ".ndjson", ".jsonl.gz", ".json"),
}
_BUFFER = 2**20
SHARD = re.compile(r"-\d+(-of-\d+)?$")


@source(*(f"files/{kind}" for kind in SUFFIXES))
def open_table_files(dataset: Dataset) -> Tables:
    """Raises ContractBroken."""
    kind = FileFormat(dataset.files.format if dataset.files else FileFormat.PARQUET)
    root = files_root(dataset, file_allowed=True)
    files = files_by_split(root, SUFFIXES[kind])
    if not files:
        raise ContractBroken(
            "DatasetNotFound",
            f"dataset.files.uri: {root} has no file that ends in {', '.join(SUFFIXES[kind])} (format {kind})",
        )
    train = dataset.splits.train
    if len(files) == 1 and train not in files:
        files = {train: next(iter(files.values()))}
    tables = {split: _table(paths, kind, dataset.columns) for split, paths in files.items()}
    return Tables(root.name, tables)


def files_by_split(root: Path, suffixes: tuple[str, ...]) -> dict[str, list[Path]]:
    """The files that end so: those of a folder are shards of one split, as are `train-00000-of-00002` and its like."""
    if root.is_file():
        return {_split_name(root, suffixes): [root]}
    found: dict[str, list[Path]] = {}
    for path in visible(root):
        for file in visible(path) if path.is_dir() else [path]:
            if file.name.endswith(suffixes):
                found.setdefault(path.name if path.is_dir() else _split_name(file, suffixes), []).append(file)
    return found


def _split_name(file: Path, suffixes: tuple[str, ...]) -> str:
    ending = next((suffix for suffix in suffixes if file.name.endswith(suffix)), "")
    return SHARD.sub("", file.name.removesuffix(ending))


def _table(paths: list[Path], kind: FileFormat, columns: Columns) -> Table:
    arrow = _arrow("pyarrow")
    try:
        table, names = (
            _read_parquet(paths, columns) if kind is FileFormat.PARQUET else _read_text(paths, kind, columns)
        )
    except (arrow.ArrowException, OSError) as error:
        raise ContractBroken(
            "FileTorn",
            f"dataset.files: {paths[0].name} cannot be read as {kind}: {str(error).splitlines()[0]}",
        ) from error
    return Table(
        columns=names,
        length=table.num_rows,
        column=lambda name: _values(table.column(name)),
        cell=lambda name, row: table.column(name)[row].as_py(),
        folder=paths[0].parent,
        class_names=_declared_classes(table.schema.metadata),
    )


def _values(column: Any) -> Iterator[Any]:
    """One after another: a column of a million as a list would take more than the table."""
    for batch in column.chunks:
        for first in range(0, len(batch), AT_ONCE):
            yield from batch.slice(first, AT_ONCE).to_pylist()


def _arrow(module: str) -> Any:
    return required(module, extra="huggingface", field="dataset.files.format")


def _read_parquet(paths: list[Path], columns: Columns) -> tuple[Any, list[str]]:
    """The columns that a task may read, and the names of all."""
    arrow, parquet = _arrow("pyarrow"), _arrow("pyarrow.parquet")
    schema = parquet.read_schema(paths[0])
    names = list(schema.names)
    wanted = [name for name in dict.fromkeys(columns.names) if name in names]
    if not wanted:
        return schema.empty_table(), names  # the names are all that the message needs
    schema = arrow.schema([_written_out(schema.field(name)) for name in wanted], metadata=schema.metadata)
    return _mapped(schema, _parquet_batches(paths, schema)), names


def _written_out(field: Any) -> Any:
    """Values, where a file has numbers for them: each file has its own, and an Arrow file takes one dictionary alone."""
    listed = _arrow("pyarrow").types.is_dictionary(field.type)
    return field.with_type(field.type.value_type) if listed else field


def _parquet_batches(paths: list[Path], schema: Any) -> Iterator[Any]:
    arrow, parquet = _arrow("pyarrow"), _arrow("pyarrow.parquet")
    for path in paths:
        # Without a buffer whole columns of a row group are read at once, which may be all rows.
        file = parquet.ParquetFile(path, buffer_size=_BUFFER)
        absent = [name for name in schema.names if name not in file.schema_arrow.names]
        if absent:
            raise ContractBroken(
                "ColumnNotFound",
                f"dataset.files: {path.name} has no column {absent[0]!r}, which {paths[0].name} beside it has: files of one "
                "split have the same columns",
            )
        for batch in file.iter_batches(batch_size=AT_ONCE, columns=schema.names):
            in_order = [batch.column(field.name).cast(field.type) for field in schema]
            yield arrow.RecordBatch.from_arrays(in_order, schema=schema)


def _read_text(paths: list[Path], kind: FileFormat, columns: Columns) -> tuple[Any, list[str]]:
    """The columns that a task may read, and the names of all."""
    for path in paths:
        refuse_other_text(path, kind)
    schema, names, batches = read_text_tables(paths, kind, columns.names)
    return (_mapped(schema, batches) if len(schema) else schema.empty_table()), names


def _mapped(schema: Any, batches: Iterable[Any]) -> Any:
    """The batches as a table whose content is in a file: what is not looked at takes no memory."""
    arrow = _arrow("pyarrow")
    with tempfile.NamedTemporaryFile(prefix="distill-", suffix=".arrow") as spool:
        with arrow.OSFile(spool.name, "wb") as sink, arrow.ipc.new_file(sink, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        arrow.default_memory_pool().release_unused()
        # The mapping keeps the content after the name is gone, so nothing is left behind, whatever ends the process.
        return arrow.ipc.open_file(arrow.memory_map(spool.name)).read_all()


def _declared_classes(metadata: dict[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """Class names by column, of classes and of lists of them, that the `datasets` library writes into a file's schema."""
    declared = json.loads((metadata or {}).get(b"huggingface", b"{}"))
    features = declared.get("info", {}).get("features", {})
    found = {column: _class_names(feature) for column, feature in features.items()}
    return {column: names for column, names in found.items() if names}


def _class_names(feature: Any) -> tuple[str, ...]:
    """Empty where the feature is no class; older versions write a list of one for lists."""
    if isinstance(feature, list):
        return _class_names(feature[0]) if feature else ()
    if not isinstance(feature, dict):
        return ()
    inner = feature.get("feature")
    return tuple(map(str, feature.get("names") or ())) or (_class_names(inner) if inner else ())
