"""Tiny language models that can be adapted, and a job that does."""

from pathlib import Path
from typing import Any

from language_world import gpt2, llama, write_language_teacher, write_texts


def write_models(root: Path) -> Path:
    """A teacher of three layers and students of two: `student` with matrices [out, in], `gpt2` with [in, out]."""
    write_language_teacher(root / "teacher", llama(num_hidden_layers=3))
    write_language_teacher(root / "student", steps=5)
    write_language_teacher(root / "gpt2", gpt2(), steps=5)
    return root


def lora_job(data: Path, models: Path, student: str = "student") -> dict[str, Any]:
    """Two epochs of six steps."""
    write_texts(data, train=48, test=12)
    return {
        "task": "CausalLM",
        "teacher": {"huggingFace": {"id": f"file://{models / 'teacher'}"}},
        "student": {"huggingFace": {"id": f"file://{models / student}"}, "lora": {"rank": 4}},
        "dataset": {"files": {"uri": f"file://{data}", "format": "Text"}},
        "objective": {"temperature": 1.0},
        "training": {"epochs": 2, "batchSize": 8, "learningRate": 0.02},
    }
