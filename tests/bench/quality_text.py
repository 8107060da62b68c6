"""Does distilling help a language model? The King James Bible, teacher and students made here from nothing.

Trains a tokenizer and a teacher once (kept in build/bench/language), then the same student from the same start with hard
labels alone and distilled, by the trainer itself: `python tests/bench/quality_text.py [seeds]`.
"""

from __future__ import annotations

import json
import logging
import os
import random
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import bible
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from distill_trainer import program
from distill_trainer.stop import StopSignal

OUT = Path("build/bench/language").resolve()
TOKENS, LENGTH, TEACHER_STEPS, BATCH = 1024, 64, 600, 32
TEACHER = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4}
STUDENT = {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4}
TRAINING = {"epochs": 4, "batchSize": BATCH, "learningRate": 0.003}
STUDENT_VERSES = 3000
"""A tenth of the verses: the teacher has seen all that are not for testing."""
OBJECTIVES = {
    "hard labels alone": {"alpha": 1.0, "temperature": 1.0},
    "distilled": {"alpha": 0.1, "temperature": 1.0},
}


def config(sizes: dict[str, int]) -> LlamaConfig:
    """A Llama of that size."""
    ends = {"bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": True}
    return LlamaConfig(vocab_size=TOKENS, max_position_embeddings=LENGTH, **ends, **sizes)


def cut_data(file: Path) -> list[str]:
    """Writes train, validation and test of the students; all that the teacher may see."""
    verses = file.read_text(encoding="utf-8").splitlines()
    random.Random(0).shuffle(verses)
    parts = {
        "test": verses[:1000],
        "validation": verses[1000:1500],
        "train": verses[1500 : 1500 + STUDENT_VERSES],
    }
    for name, lines in parts.items():
        (OUT / "data").mkdir(parents=True, exist_ok=True)
        (OUT / "data" / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return verses[1500:]


def make_teacher(verses: list[str]) -> None:
    """Tokenizer and teacher from the text alone; nothing happens where they are there."""
    folder = OUT / "teacher"
    if (folder / "model.safetensors").is_file():
        return
    learnt = ByteLevelBPETokenizer()
    learnt.train_from_iterator(verses, vocab_size=TOKENS, special_tokens=["<|end|>"], show_progress=False)
    folder.mkdir(parents=True, exist_ok=True)
    learnt.save(str(folder / "raw.json"))
    words = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "raw.json"), eos_token="<|end|>", pad_token="<|end|>"
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config(TEACHER))
    stream = torch.tensor([token for verse in verses for token in [*words(verse).input_ids, 0]])
    rows = stream[: len(stream) // (LENGTH + 1) * (LENGTH + 1)].view(-1, LENGTH + 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, TEACHER_STEPS, pct_start=0.05)
    for _ in range(TEACHER_STEPS):
        part = rows[torch.randint(len(rows), (BATCH,))]
        logits = model(input_ids=part[:, :-1]).logits
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), part[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.save_pretrained(folder)
    words.save_pretrained(folder)


def student(name: str, objective: dict[str, float], seed: int) -> dict[str, object]:
    """One run of the trainer; its result."""
    config(STUDENT).save_pretrained(OUT / "student")
    place = OUT / "runs" / f"{name.replace(' ', '-')}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    document = {
        "job": {"name": "bible"},
        "task": "CausalLM",
        "teacher": {"huggingFace": {"id": f"file://{OUT / 'teacher'}"}},
        "student": {"huggingFace": {"id": f"file://{OUT / 'student'}"}},
        "dataset": {
            "files": {"uri": f"file://{OUT / 'data'}", "format": "Text"},
            "packing": True,
            "maxTokens": LENGTH,
        },
        "objective": objective,
        "training": {**TRAINING, "seed": seed, "gradientClip": 1.0},
        "output": {"uri": f"file://{place / 'out'}"},
        "recipeDigest": "sha256:" + f"{seed:02x}" * 32,
    }
    (place / "trainer.json").write_text(json.dumps(document), encoding="utf-8")
    os.environ["DISTILL_TERMINATION_LOG"] = str(place / "outcome.json")
    program.run("train", place / "trainer.json", StopSignal())
    return dict(json.loads((place / "outcome.json").read_text(encoding="utf-8"))["result"])


def main() -> None:
    """Print the table and write quality.json beside the data."""
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    os.environ["DISTILL_HTTP_PORT"] = "0"
    file = bible.lines_of()
    if isinstance(file, str):
        print(file)
        return
    began, seeds = time.monotonic(), range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    make_teacher(cut_data(file))
    print(f"{time.monotonic() - began:5.0f} s  teacher", flush=True)
    rows = []
    for name, objective in OBJECTIVES.items():
        results = [student(name, objective, seed) for seed in seeds]
        rows.append((name, results))
        print(f"{time.monotonic() - began:5.0f} s  {name}", flush=True)
    print("| student | next-token accuracy | perplexity | seeds |\n| --- | --- | --- | --- |")
    teacher = rows[0][1][0]["teacher"]
    print(f"| the teacher | {teacher['metric']:.2%} | {teacher['perplexity']:.1f} | |")
    for name, results in rows:
        accuracy = statistics.mean(result["student"]["metric"] for result in results)
        values = ", ".join(f"{result['student']['perplexity']:.1f}" for result in results)
        mean = statistics.mean(result["student"]["perplexity"] for result in results)
        print(f"| {name} | {accuracy:.2%} | {mean:.1f} ({values}) | {len(results)} |")
    (OUT / "quality.json").write_text(json.dumps(dict(rows), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
