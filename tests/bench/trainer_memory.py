"""Does the trainer's memory stay flat in the number of samples? One job on 10⁴, 10⁵ and 10⁶ of them, and what it takes at most.

`python tests/bench/trainer_memory.py [--only "texts, Csv" …]`. Each job is a process of its own, one epoch with stored outputs of
the teacher, or with the teacher beside the student. What is judged is memory that the process has for itself (RssAnon): pages of mapped files can be dropped at any time.
Prints a table and writes build/bench/memory.json; the peer is the job with the fewest samples.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

OUT = Path("build/bench").resolve()
SIZES = (10_000, 100_000, 1_000_000)
BAR = 1.1
CLASSES, WORDS, AT_ONCE, HELD_OUT = 4, 512, 50_000, 500
BATCH = 1000


def texts(count: int, draw: random.Random) -> Iterator[dict[str, list[Any]]]:
    """Columns of texts of six words, some rows at once."""
    for first in range(0, count, AT_ONCE):
        rows = range(first, min(first + AT_ONCE, count))
        drawn = [[draw.randrange(2, WORDS) for _ in range(6)] for _ in rows]
        yield {
            "text": [" ".join(f"w{word}" for word in words) for words in drawn],
            "label": [words[0] % CLASSES for words in drawn],
        }


def pictures(count: int, draw: random.Random) -> Iterator[dict[str, list[Any]]]:
    """Columns of pictures of 8×8, one of a hundred each."""
    known = [_png(draw) for _ in range(100)]
    for first in range(0, count, AT_ONCE):
        chosen = [draw.randrange(100) for _ in range(first, min(first + AT_ONCE, count))]
        yield {
            "image": [known[each] for each in chosen],
            "label": [each % CLASSES for each in chosen],
        }


def _png(draw: random.Random) -> bytes:
    file = io.BytesIO()
    Image.frombytes("L", (8, 8), draw.randbytes(64)).save(file, "PNG")
    return file.getvalue()


COLUMNS: dict[str, Callable[[int, random.Random], Iterator[dict[str, list[Any]]]]] = {
    "texts": texts,
    "pictures": pictures,
}


@dataclass(frozen=True)
class Job:
    """What is measured: samples of a kind from files of a format, with teacher outputs in a mode."""

    kind: str
    format: str = "Parquet"
    mode: str = "Cached"


JOBS = {
    "pictures": Job("pictures"),
    "pictures, online": Job("pictures", mode="Online"),
    "texts": Job("texts"),
    "texts, online": Job("texts", mode="Online"),
    "texts, JsonLines": Job("texts", "JsonLines"),
    "texts, Csv": Job("texts", "Csv"),
}


class JsonLinesWriter:
    """As the writers of pyarrow, which has none for this format."""

    def __init__(self, path: Path, _schema: pa.Schema) -> None:
        self._file = path.open("w")

    def write_table(self, table: pa.Table) -> None:
        """Append rows."""
        self._file.writelines(json.dumps(row) + "\n" for row in table.to_pylist())

    def close(self) -> None:
        """Nothing more comes."""
        self._file.close()


WRITERS: dict[str, tuple[str, Callable[[Path, pa.Schema], Any]]] = {
    "Parquet": ("parquet", pq.ParquetWriter),
    "Csv": ("csv", pc.CSVWriter),
    "JsonLines": ("jsonl", JsonLinesWriter),
}


def write(folder: Path, job: Job, count: int) -> None:
    """train, validation and test."""
    folder.mkdir(parents=True)
    draw = random.Random(0)
    ending, writer_of = WRITERS[job.format]
    for split, rows in (("train", count), ("validation", HELD_OUT), ("test", HELD_OUT)):
        writer = None
        for columns in COLUMNS[job.kind](rows, draw):
            table = pa.table(columns)
            writer = writer or writer_of(folder / f"{split}.{ending}", table.schema)
            writer.write_table(table)
        assert writer is not None
        writer.close()


def models(root: Path) -> None:
    """Two tiny BERTs with their tokenizer."""
    words = Tokenizer(WordLevel({f"w{word}": word for word in range(WORDS)}, unk_token="w1"))
    words.pre_tokenizer = Whitespace()
    for name, width in (("teacher", 32), ("student", 16)):
        config = BertConfig(
            vocab_size=WORDS,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_labels=CLASSES,
        )
        BertForSequenceClassification(config).save_pretrained(root / name)
        PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0", unk_token="w1").save_pretrained(
            root / name
        )


def trainer_json(job: Job, root: Path) -> dict[str, Any]:
    """Its configuration."""
    store = {"store": {"uri": f"file://{root / 'store'}"}} if job.mode == "Cached" else {}
    networks: dict[str, Any] = {
        "texts": {name: {"huggingFace": {"id": f"file://{root / name}"}} for name in ("teacher", "student")},
        "pictures": {
            "teacher": {"python": {"factory": "own_networks:teacher"}},
            "student": {"builtin": {"name": "mlp"}},
        },
    }
    return {
        "job": {"name": "memory"},
        "task": {"texts": "TextClassification", "pictures": "ImageClassification"}[job.kind],
        **networks[job.kind],
        "dataset": {"files": {"uri": f"file://{root / 'data'}", "format": job.format}},
        "objective": {"alpha": 0.5, "temperature": 2.0},
        "training": {"epochs": 1, "batchSize": BATCH, "learningRate": 0.001},
        "teacherOutputs": {"mode": job.mode, **store},
        "output": {"uri": f"file://{root / 'out'}"},
        "recipeDigest": "sha256:" + "00" * 32,
    }


NETWORKS = '''"""A teacher that is any network."""

from torch import nn


def teacher() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
'''


def peak(job: Job, root: Path) -> tuple[float, float]:
    """MiB that the job had for itself at most, and its seconds. Raises RuntimeError where it failed."""
    (root / "own_networks.py").write_text(NETWORKS)
    (root / "trainer.json").write_text(json.dumps(trainer_json(job, root)), encoding="utf-8")
    env = {
        **os.environ,
        "DISTILL_HTTP_PORT": "0",
        "DISTILL_TERMINATION_LOG": str(root / "outcome.json"),
        "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-m", "distill_trainer", "train", "--config", str(root / "trainer.json")]
    most, began = 0, time.monotonic()
    with (root / "log.txt").open("w") as log, subprocess.Popen(command, env=env, stderr=log) as process:
        while process.poll() is None:
            most = max(most, _own_memory(process.pid))
            time.sleep(0.05)
    if process.returncode:
        raise RuntimeError((root / "log.txt").read_text()[-2000:])
    return most / 1024, time.monotonic() - began


def _own_memory(pid: int) -> int:
    """KiB; 0 where the process has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def main() -> int:
    """0 when every bar holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=JOBS, default=JOBS)
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES)
    options = parser.parse_args()
    rows = []
    for name in options.only:
        job, found = JOBS[name], {}
        for count in options.sizes:
            root = OUT / "memory" / f"{job.kind}-{count}"
            shutil.rmtree(root, ignore_errors=True)
            write(root / "data", job, count)
            if job.kind == "texts":
                models(root)
            found[count], seconds = peak(job, root)
            print(f"{name:<18} {count:>9,} samples {found[count]:8.1f} MiB {seconds:6.0f} s", flush=True)
            shutil.rmtree(root)
        least, most = min(found), max(found)
        ratio = found[most] / found[least]
        rows.append(
            {
                "what": f"{name}, {most:,} samples : {least:,}, peak",
                "ours": round(found[most], 1),
                "peer": round(found[least], 1),
                "unit": "MiB",
                "ratio": round(ratio, 3),
                "bar": BAR,
                "holds": ratio <= BAR,
                "bytes_a_sample": round((found[most] - found[least]) * 2**20 / (most - least), 1),
            }
        )
    print(json.dumps(rows, indent=1))
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "memory.json").write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    return int(not all(row["holds"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
