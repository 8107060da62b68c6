"""What stored outputs of a language teacher cost and how far they are off: bytes a token against the KL error.

`python tests/bench/outputs_tradeoff.py` takes the teacher that `quality_text.py` makes (King James Bible, 1024 tokens) on the
verses for testing. Prints the table and writes build/bench/outputs.json; a row's peer is the bar of 10⁻³ nats.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bible
import torch
from bible_tasks import LENGTH, Language
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from distill_trainer.teacher_outputs.encodings import Encoding, Sampled, TopK
from distill_trainer.teacher_outputs.encodings.encoding import Rows
from distill_trainer.teacher_outputs.fidelity import kl_error

OUT = Path("build/bench")
ROWS, ERROR, BYTES = 4096, 1e-3, 120
TEMPERATURES = (1.0, 2.0)
TOP, DRAWN = (8, 16, 29, 48, 64, 128, 256), (32, 58, 256)


def said_by(teacher: Path, texts: list[str]) -> Tensor:
    """Logits [ROWS, words] of the teacher, token after token."""
    tokenizer, model = (
        AutoTokenizer.from_pretrained(teacher),
        AutoModelForCausalLM.from_pretrained(teacher).eval(),
    )
    stream = torch.tensor([token for text in texts for token in [*tokenizer(text).input_ids, 0]])
    rows = stream[: len(stream) // LENGTH * LENGTH].view(-1, LENGTH)
    with torch.inference_mode():
        logits = model(input_ids=rows[: ROWS // LENGTH]).logits
    return logits.flatten(0, 1)


def encodings(temperature: float) -> list[tuple[str, Encoding]]:
    """By name."""
    return [
        *((f"TopK {k}", TopK(k, [temperature])) for k in TOP),
        *((f"Sampled {k}", Sampled(k, temperature)) for k in DRAWN),
    ]


def measured(name: str, encoding: Encoding, logits: Tensor, temperature: float) -> dict[str, object]:
    """A row of the table."""
    stored = encoding.encode(Rows(logits, torch.arange(len(logits))))
    size = sum(tensor.nbytes for tensor in stored.values()) / len(logits)
    error = kl_error(logits, encoding.decode(stored), temperature)
    return {
        "what": f"{name}, T = {temperature:g}: KL error at {size:.0f} bytes a token",
        "ours": round(error, 6),
        "peer": ERROR,
        "unit": "nats",
        "ratio": round(error / ERROR, 3),
        "bar": 1.0 if size <= BYTES else None,
        "holds": error <= ERROR if size <= BYTES else None,
    }


def main() -> int:
    """0 where some encoding is within both bounds at each temperature."""
    verses = bible.verses()
    if isinstance(verses, str):
        print(verses)
        return 0
    task = Language((OUT / "text").resolve())
    task.make(verses)
    texts = (task.root / "data/test.txt").read_text(encoding="utf-8").splitlines()
    logits = said_by(task.root / "teacher", texts)
    rows = [
        measured(name, encoding, logits, temperature)
        for temperature in TEMPERATURES
        for name, encoding in encodings(temperature)
    ]
    for row in rows:
        print(f"{row['what']:<60} {row['ours']:.6f}  {row['holds']}")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "outputs.json").write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    reached = [
        any(row["holds"] for row in rows if f"T = {each:g}:" in str(row["what"])) for each in TEMPERATURES
    ]
    return int(not all(reached))


if __name__ == "__main__":
    sys.exit(main())
