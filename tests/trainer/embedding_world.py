"""A tiny sentence encoder in the format of Sentence Transformers, written by the tests themselves, and texts without labels."""

import json
from pathlib import Path
from typing import Any

import torch
from text_world import bert_config, sentences, tokenizer, write_rows
from transformers import BertModel

POOLED = {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}


def write_encoder(folder: Path, *, mode: str = "mean", length: int | None = None, **changes: Any) -> Path:
    """Four layers of width 32 with random parameters, spread enough that texts differ; pooled by `mode`."""
    torch.manual_seed(0)
    config = bert_config(num_hidden_layers=4, max_position_embeddings=128, initializer_range=0.1, **changes)
    BertModel(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    write_sentence_files(folder, mode=mode, length=length)
    return folder


def write_sentence_files(
    folder: Path, *, mode: str = "mean", length: int | None = None, kinds: tuple[str, ...] = ("Normalize",)
) -> None:
    """What Sentence Transformers writes beside an encoder."""
    names = ("Transformer", "Pooling", *kinds)
    paths = ("", *(f"{place}_{name}" for place, name in enumerate(names[1:], 1)))
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{name}"}
        for place, (name, path) in enumerate(zip(names, paths, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    pooled = {"word_embedding_dimension": 32, "pooling_mode": mode}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooled))
    if length is not None:
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": length}))


def write_texts(folder: Path, *, train: int = 120, test: int = 40) -> Path:
    """train.jsonl and test.jsonl of texts alone."""
    parts = {"train": sentences(train, seed=1), "test": sentences(test, seed=2)}
    return write_rows(
        folder, **{name: [{"text": row["text"]} for row in rows] for name, rows in parts.items()}
    )
