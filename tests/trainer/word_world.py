"""Sentences with a tag for each word, written by the tests themselves; some words are several tokens."""

import random
from pathlib import Path
from typing import Any

import torch
from text_world import FILLER, SPECIAL, WORDS, bert_config, write_rows
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertForTokenClassification, PreTrainedTokenizerFast

TAGS = ["animal", "other", "plant", "stone"]
"""In text order, as classes inferred from the data are."""
TAG_OF = {word: tag for tag, words in WORDS.items() for word in words} | dict.fromkeys(FILLER, "other")


def pieces() -> PreTrainedTokenizerFast:
    """WordPiece: a word and its plural share a token, `oaks` is `oak ##s`."""
    known = [*SPECIAL, "##s", *TAG_OF]
    backend = Tokenizer(
        models.WordPiece({word: place for place, word in enumerate(known)}, unk_token="[UNK]")
    )
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def tagged(count: int, *, seed: int) -> list[dict[str, list[str]]]:
    """Sentences of 1 to 9 words, some in the plural; the word decides its tag."""
    draw, words = random.Random(seed), sorted(TAG_OF)
    rows = []
    for _ in range(count):
        chosen = [draw.choice(words) for _ in range(draw.randint(1, 9))]
        plural = [word + "s" if TAG_OF[word] != "other" and draw.random() < 0.5 else word for word in chosen]
        rows.append({"tokens": plural, "ner_tags": [TAG_OF[word] for word in chosen]})
    return rows


def write_tagged(folder: Path, *, train: int = 160, test: int = 60) -> Path:
    """train.jsonl and test.jsonl."""
    return write_rows(folder, train=tagged(train, seed=1), test=tagged(test, seed=2))


def write_tagger(folder: Path, *, steps: int = 60, **changes: Any) -> Path:
    """A tiny BERT that has learnt the tags of most words, a label on each word's first token."""
    torch.manual_seed(0)
    words = pieces()
    network = BertForTokenClassification(bert_config(num_labels=len(TAGS), **changes))
    rows = tagged(160, seed=1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for step in range(steps):
        part = [rows[(16 * step + place) % len(rows)] for place in range(16)]
        batch = words(
            [row["tokens"] for row in part], is_split_into_words=True, padding=True, return_tensors="pt"
        )
        labels = torch.full_like(batch["input_ids"], -100)
        for row, sentence in enumerate(part):
            for place, word in enumerate(batch.word_ids(row)):
                if word is not None and batch.word_ids(row)[place - 1] != word:
                    labels[row, place] = TAGS.index(sentence["ner_tags"][word])
        optimizer.zero_grad()
        network(**batch, labels=labels).loss.backward()
        optimizer.step()
    network.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
