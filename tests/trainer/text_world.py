"""Small models and data of text, written by the tests themselves: word-level tokenizers, tiny Transformers, JSON Lines."""

import json
import random
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = {
    "animal": ["cat", "dog", "cow", "hen"],
    "plant": ["oak", "elm", "ivy", "fir"],
    "stone": ["opal", "jade", "mica", "talc"],
}
FILLER = ["the", "a", "of", "and", "to", "in", "is", "it"]


def tokenizer(words: list[str] | None = None) -> PreTrainedTokenizerFast:
    """A word a token, with [CLS] … [SEP] around as BERT has them."""
    known = [*SPECIAL, *(words or [*FILLER, *(word for group in WORDS.values() for word in group)])]
    backend = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(known)}, unk_token="[UNK]")
    )
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def bert_config(**changes: Any) -> BertConfig:
    """Two layers of width 32."""
    settings = {
        "vocab_size": 64,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "num_labels": 3,
    }
    return BertConfig(**{**settings, **changes})


def sentences(count: int, *, seed: int) -> list[dict[str, Any]]:
    """Texts of 3 to 9 words, one of which gives the class away."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        label = draw.choice(sorted(WORDS))
        words = [draw.choice(FILLER) for _ in range(draw.randint(2, 8))]
        words.insert(draw.randint(0, len(words)), draw.choice(WORDS[label]))
        rows.append({"text": " ".join(words), "label": label})
    return rows


def write_sentences(folder: Path, *, train: int = 240, test: int = 60) -> Path:
    """train.jsonl and test.jsonl."""
    return write_rows(folder, train=sentences(train, seed=1), test=sentences(test, seed=2))


def write_rows(folder: Path, **splits: list[dict[str, Any]]) -> Path:
    """A file of JSON Lines for each split."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in splits.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def write_teacher(folder: Path, *, steps: int = 150, **changes: Any) -> Path:
    """A tiny BERT that has learnt the sentences."""
    torch.manual_seed(0)
    words, network = tokenizer(), BertForSequenceClassification(bert_config(**changes))
    rows, names = sentences(240, seed=1), sorted(WORDS)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for step in range(steps):
        part = [rows[(16 * step + place) % len(rows)] for place in range(16)]
        batch = words([row["text"] for row in part], padding=True, return_tensors="pt")
        labels = torch.tensor([names.index(row["label"]) for row in part])
        optimizer.zero_grad()
        network(**batch, labels=labels).loss.backward()
        optimizer.step()
    network.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def write_student(folder: Path, **changes: Any) -> Path:
    """A config alone: it starts from random parameters and takes its teacher's tokenizer."""
    bert_config(**{"num_hidden_layers": 1, **changes}).save_pretrained(folder)
    return folder
