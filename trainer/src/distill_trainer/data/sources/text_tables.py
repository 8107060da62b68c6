"""Tables written as text, CSV and JSON Lines, read in pieces: a file of any size takes the memory of a few of them.

The last line of a file may decide a column's type, so pieces are read for the types first, and then for the content. The types
are those that pyarrow infers of the whole file. Called by `table_files`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from distill_api.dataset import FileFormat
from distill_trainer.data.extras import required

PIECE = 2**20
"""Bytes that are read at once, and then to the end of the line."""


def read_text_tables(
    paths: Sequence[Path], kind: FileFormat, wanted: Iterable[str]
) -> tuple[Any, list[str], Iterator[Any]]:
    """Schema of the wanted columns that are there, the names of all, and the record batches. Raises ArrowException, OSError."""
    read = _read_csv if kind is FileFormat.CSV else _read_json
    return read(paths, tuple(dict.fromkeys(wanted)))


def _read_json(paths: Sequence[Path], wanted: Sequence[str]) -> tuple[Any, list[str], Iterator[Any]]:
    arrow, json = _arrow("pyarrow"), _arrow("pyarrow.json")
    whole = _struct({})
    for path in paths:
        for piece in _pieces(path, quotes=False):
            whole = _wider(whole, arrow.struct(_json_table(piece).schema), "")
    schema = arrow.schema([field for field in whole if field.name in wanted])
    options = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    batches = (
        batch
        for path in paths
        for piece in _pieces(path, quotes=False)
        for batch in _json_table(piece, options).to_batches()
    )
    return schema, [field.name for field in whole], batches


def _json_table(piece: bytes, options: Any = None) -> Any:
    json = _arrow("pyarrow.json")
    reading = json.ReadOptions(use_threads=False, block_size=len(piece) + 1)
    return json.read_json(io.BytesIO(piece), read_options=reading, parse_options=options)


def _wider(one: Any, other: Any, column: str) -> Any:
    """The type that values of both are read as. Raises ArrowInvalid where there is none."""
    arrow = _arrow("pyarrow")
    types = arrow.types
    if one == other or types.is_null(other):
        return one
    if types.is_null(one):
        return other
    if types.is_struct(one) and types.is_struct(other):
        fields = {field.name: field.type for field in one}
        for field in other:
            inner = f"{column}/{field.name}"
            fields[field.name] = _wider(fields.get(field.name, arrow.null()), field.type, inner)
        return _struct(fields)
    if types.is_list(one) and types.is_list(other):
        return arrow.list_(_wider(one.value_type, other.value_type, f"{column}/[]"))
    if {one, other} == {arrow.int64(), arrow.float64()}:
        return arrow.float64()
    if {one, other} == {arrow.timestamp("s"), arrow.string()}:
        return arrow.string()
    raise arrow.ArrowInvalid(f"Column({column}) changes from {one} to {other}")


def _struct(fields: Mapping[str, Any]) -> Any:
    return _arrow("pyarrow").struct(list(fields.items()))


def _read_csv(paths: Sequence[Path], wanted: Sequence[str]) -> tuple[Any, list[str], Iterator[Any]]:
    arrow = _arrow("pyarrow")
    names = [name for path in paths for name in _csv_header(path)]
    there = [name for name in wanted if name in names]
    types = _csv_types(paths, there)
    batches = (batch for piece in _csv_pieces(paths) for batch in _csv_table(piece, types).to_batches())
    return arrow.schema(list(types.items())), list(dict.fromkeys(names)), batches


def _csv_types(paths: Sequence[Path], columns: Sequence[str]) -> dict[str, Any]:
    """Of each column the first type of all that every piece can be read as."""
    ladder, at, changed = _csv_ladder(), dict.fromkeys(columns, 0), True
    while changed:  # once more: what was read before a step may not take it
        changed = False
        for piece in _csv_pieces(paths):
            for column, before in at.items():
                at[column] = _first_fit(piece, column, ladder, before)
                changed = changed or at[column] != before
    return {column: ladder[step] for column, step in at.items()}


def _first_fit(piece: _CsvPiece, column: str, ladder: Sequence[Any], at: int) -> int:
    arrow = _arrow("pyarrow")
    for step in range(at, len(ladder) - 1):
        try:
            _csv_table(piece, {column: ladder[step]})
        except arrow.ArrowInvalid:
            continue
        return step
    _csv_table(piece, {column: ladder[-1]})  # any bytes fit: what is raised here is no matter of types
    return len(ladder) - 1


def _csv_ladder() -> Sequence[Any]:
    """What pyarrow tries, in its order (`InferKind` of its sources)."""
    arrow = _arrow("pyarrow")
    times = [arrow.timestamp(unit, zone) for zone in (None, "UTC") for unit in ("s", "ns")]
    numbers = [arrow.null(), arrow.int64(), arrow.bool_(), arrow.date32(), arrow.time32("s")]
    return [*numbers, *times, arrow.float64(), arrow.string(), arrow.binary()]


_CsvPiece = tuple[bytes, list[str] | None]
"""Lines, and the names of their columns where they do not begin with them."""


def _csv_pieces(paths: Sequence[Path]) -> Iterator[_CsvPiece]:
    for path in paths:
        names = None
        for piece in _pieces(path, quotes=True):
            yield piece, names
            names = names or _csv_header(path)


def _csv_header(path: Path) -> list[str]:
    csv = _arrow("pyarrow.csv")
    first = next(_pieces(path, quotes=True))
    return list(csv.open_csv(io.BytesIO(first), read_options=_csv_reading(first)).schema.names)


def _csv_table(piece: _CsvPiece, types: Mapping[str, Any]) -> Any:
    csv = _arrow("pyarrow.csv")
    content, names = piece
    options = csv.ConvertOptions(
        column_types=types, include_columns=list(types), include_missing_columns=True
    )
    reading = _csv_reading(content, names)
    return csv.read_csv(io.BytesIO(content), read_options=reading, convert_options=options)


def _csv_reading(content: bytes, names: list[str] | None = None) -> Any:
    return _arrow("pyarrow.csv").ReadOptions(block_size=len(content) + 1, column_names=names)


def _pieces(path: Path, *, quotes: bool) -> Iterator[bytes]:
    """Whole lines, at least one piece; with `quotes` none is cut within them."""
    with _opened(path) as file:
        piece, number = _piece(file, quotes=quotes), 0
        while piece or not number:
            if piece.strip() or not number:
                yield piece
            piece, number = _piece(file, quotes=quotes), number + 1


def _piece(file: IO[bytes], *, quotes: bool) -> bytes:
    lines = [file.read(PIECE), file.readline()]
    within = quotes and sum(line.count(b'"') for line in lines) % 2
    while within and lines[-1]:
        lines.append(file.readline())
        within ^= lines[-1].count(b'"') % 2
    return b"".join(lines)


def _opened(path: Path) -> IO[bytes]:
    """Unpacked where its name says that it is packed, as pyarrow does."""
    return io.BufferedReader(_arrow("pyarrow").input_stream(str(path)))


def _arrow(module: str) -> Any:
    return required(module, extra="huggingface", field="dataset.files.format")
