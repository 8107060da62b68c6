"""Faults of CSV and JSON Lines files that a parser would only stumble over, told by their bytes. Used by the source of tables."""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from distill_api.dataset import FileFormat
from distill_trainer.errors import ContractBroken

_PIECE = 1 << 20


def refuse_other_text(path: Path, kind: FileFormat) -> None:
    """Raise ContractBroken (FileTorn) for another encoding than UTF-8, another separator than a comma, one JSON list; and OSError."""
    try:
        text = _first_characters(path).lstrip("\ufeff \t\r\n")
    except (EOFError, zlib.error) as error:
        raise OSError(f"its compressed content is torn ({error})") from error
    if kind is FileFormat.CSV:
        _refuse_other_separator(path, text)
    elif text.startswith("["):
        raise ContractBroken(
            "FileTorn",
            f"dataset.files: {path.name} is one JSON list, and format JsonLines has an object on each line; write it so, as in "
            f"jq -c '.[]' {path.name} > train.jsonl",
        )


def _refuse_other_separator(path: Path, text: str) -> None:
    """A header without a comma that has tabs or semicolons, as spreadsheets write them in many countries."""
    header = text.partition("\n")[0]
    found = next((mark for mark in "\t;" if mark in header and "," not in header), None)
    if found:
        raise ContractBroken(
            "FileTorn",
            f"dataset.files: {path.name} separates its columns by {found!r} ({header.strip()[:60]!r}), and format Csv by commas: "
            "write it with commas",
        )


def _first_characters(path: Path) -> str:
    """The file's first ones, once all of it was found to be UTF-8."""
    opened = gzip.open if path.suffix == ".gz" else Path.open
    decoder, first, done = codecs.getincrementaldecoder("utf-8")(), "", 0
    with cast("BinaryIO", opened(path, "rb")) as file:
        while block := file.read(_PIECE):
            try:
                text = decoder.decode(block)
            except UnicodeDecodeError as error:
                raise ContractBroken(
                    "FileTorn",
                    f"dataset.files: {path.name} is no UTF-8 text (near byte {done + error.start}); convert it, as in "
                    "iconv -f latin1 -t utf-8 (utf-16 for files that Excel wrote as Unicode)",
                ) from error
            first, done = first or text, done + len(block)
    return first
