"""Three tasks on the King James Bible, each with a tokenizer and a teacher made here from nothing, and a student's config.

Writes folders that a job reads: `teacher`, `student`, `data`. The teacher learns from all verses but those for testing; the
student gets a part of them. What is there already is not made again.
"""

from __future__ import annotations

import json
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from bible import SECTIONS, Verse
from tokenizers import ByteLevelBPETokenizer, processors
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

LENGTH, BATCH, IGNORED = 64, 32, -100
END, PADDING = "<|end|>", 0
TEACHER = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4}
STUDENT = {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4}
TEST, VALIDATION = 1000, 500


class BibleTask(ABC):
    """A task of the trainer; `train` is the number of the student's verses; `steps` and `rate` are those of the teacher."""

    task: ClassVar[str]
    dataset: ClassVar[dict[str, Any]]
    words: ClassVar[int]
    train: ClassVar[int]
    steps: ClassVar[int]
    rate: ClassVar[float] = 2e-3
    epochs: ClassVar[int]
    unit: ClassVar[str]
    auto: ClassVar[Any]
    around: ClassVar[str] = ""
    """What every text ($A) stands in: classifiers look at the first token."""

    def __init__(self, root: Path) -> None:
        self.root = root / self.task

    def make(self, verses: Sequence[Verse]) -> None:
        """Everything below `root`."""
        shuffled = list(verses)
        random.Random(0).shuffle(shuffled)
        parts = {
            "test": shuffled[:TEST],
            "validation": shuffled[TEST : TEST + VALIDATION],
            "train": shuffled[TEST + VALIDATION :][: self.train],
        }
        (self.root / "data").mkdir(parents=True, exist_ok=True)
        for name, part in parts.items():
            self.write(self.root / "data", name, part)
        self.config(STUDENT).save_pretrained(self.root / "student")
        if not (self.root / "teacher/model.safetensors").is_file():
            self._make_teacher(shuffled[TEST + VALIDATION :])

    def _make_teacher(self, verses: Sequence[Verse]) -> None:
        torch.manual_seed(0)
        tokenizer = self.learnt_tokenizer([verse.text for verse in verses])
        model = self.auto.from_config(self.config(TEACHER))
        optimizer = torch.optim.AdamW(model.parameters(), lr=self.rate, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.rate, self.steps, pct_start=0.05)
        ready = self.ready(tokenizer, verses)
        for _ in range(self.steps):
            inputs, labels = self.batch(ready)
            logits = model(**inputs).logits
            optimizer.zero_grad()
            F.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORED).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        tokenizer.save_pretrained(self.root / "teacher")
        model.save_pretrained(self.root / "teacher")

    def learnt_tokenizer(self, texts: Sequence[str]) -> PreTrainedTokenizerFast:
        """Byte-level BPE; texts end with `END`, which is also what pads."""
        learnt = ByteLevelBPETokenizer(add_prefix_space=True)
        learnt.train_from_iterator(texts, vocab_size=self.words, special_tokens=[END], show_progress=False)
        if self.around:
            learnt._tokenizer.post_processor = processors.TemplateProcessing(
                single=self.around, special_tokens=[(END, 0)]
            )
        return PreTrainedTokenizerFast(tokenizer_object=learnt._tokenizer, eos_token=END, pad_token=END)

    @abstractmethod
    def config(self, sizes: dict[str, int]) -> Any:
        """Of a model of that size."""

    @abstractmethod
    def write(self, folder: Path, split: str, verses: Sequence[Verse]) -> None:
        """A file of the data."""

    @abstractmethod
    def ready(self, tokenizer: PreTrainedTokenizerFast, verses: Sequence[Verse]) -> Any:
        """What batches of the teacher are drawn from."""

    @abstractmethod
    def batch(self, ready: Any) -> tuple[dict[str, Tensor], Tensor]:
        """Inputs and labels that fit them, for the teacher."""


class Language(BibleTask):
    """The next token."""

    task, words, train, steps, epochs, unit = "CausalLM", 1024, 3000, 600, 4, "next-token accuracy"
    dataset: ClassVar = {"files": {"format": "Text"}, "packing": True, "maxTokens": LENGTH}
    auto = AutoModelForCausalLM

    def config(self, sizes: dict[str, int]) -> LlamaConfig:
        """See BibleTask."""
        ends = {"bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": True}
        return LlamaConfig(vocab_size=self.words, max_position_embeddings=LENGTH, **ends, **sizes)

    def write(self, folder: Path, split: str, verses: Sequence[Verse]) -> None:
        """See BibleTask."""
        text = "\n".join(verse.text for verse in verses) + "\n"
        (folder / f"{split}.txt").write_text(text, encoding="utf-8")

    def ready(self, tokenizer: PreTrainedTokenizerFast, verses: Sequence[Verse]) -> Tensor:
        """One stream, cut into rows [N, LENGTH + 1]."""
        stream = torch.tensor([token for verse in verses for token in [*tokenizer(verse.text).input_ids, 0]])
        return stream[: len(stream) // (LENGTH + 1) * (LENGTH + 1)].view(-1, LENGTH + 1)

    def batch(self, ready: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """See BibleTask."""
        part = ready[torch.randint(len(ready), (BATCH,))]
        return {"input_ids": part[:, :-1]}, part[:, 1:]


class Encoders(BibleTask):
    """Tasks of a BERT."""

    words, train, steps, epochs = 2048, 1500, 1200, 10
    around = f"{END} $A {END}"

    def config(self, sizes: dict[str, int]) -> BertConfig:
        """See BibleTask."""
        names = dict(enumerate(sorted(self.classes)))
        return BertConfig(
            vocab_size=self.words,
            max_position_embeddings=2 * LENGTH,
            pad_token_id=PADDING,
            id2label=names,
            label2id={name: place for place, name in names.items()},
            **sizes,
        )

    classes: ClassVar[tuple[str, ...]]

    def write(self, folder: Path, split: str, verses: Sequence[Verse]) -> None:
        """See BibleTask."""
        lines = "".join(json.dumps(self.row(verse)) + "\n" for verse in verses)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")

    @abstractmethod
    def row(self, verse: Verse) -> dict[str, Any]:
        """A line of the data."""


class Sections(Encoders):
    """Which part of the Bible a verse is from."""

    task, unit, classes = "TextClassification", "accuracy", tuple(name for name, _ in SECTIONS)
    steps, rate = 3000, 5e-4
    dataset: ClassVar = {"files": {"format": "JsonLines"}, "maxTokens": LENGTH}
    auto = AutoModelForSequenceClassification

    def row(self, verse: Verse) -> dict[str, Any]:
        """See Encoders."""
        return {"text": verse.text, "label": verse.section}

    def ready(
        self, tokenizer: PreTrainedTokenizerFast, verses: Sequence[Verse]
    ) -> tuple[list[list[int]], Tensor]:
        """Tokens and labels."""
        places = {name: place for place, name in enumerate(sorted(self.classes))}
        texts = [verse.text for verse in verses]
        tokens = tokenizer(texts, truncation=True, max_length=LENGTH).input_ids
        return tokens, torch.tensor([places[verse.section] for verse in verses])

    def batch(self, ready: tuple[list[list[int]], Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """See BibleTask."""
        rows = torch.randint(len(ready[1]), (BATCH,))
        return padded([ready[0][row] for row in rows.tolist()]), ready[1][rows]


class Names(Encoders):
    """Which words are written with a capital letter, told from the words in small letters: names, mostly."""

    task, unit, classes = "TokenClassification", "macro F1", ("capital", "small")
    dataset: ClassVar = {
        "files": {"format": "JsonLines"},
        "columns": {"tokens": "words", "tags": "tags"},
        "maxTokens": LENGTH,
    }
    auto = AutoModelForTokenClassification

    def row(self, verse: Verse) -> dict[str, Any]:
        """See Encoders. A first word has its capital for being the first, and is left out."""
        words = re.findall(r"[A-Za-z]+", verse.text)[1:] or ["amen"]
        return {"words": [word.lower() for word in words], "tags": [_case(word) for word in words]}

    def ready(
        self, tokenizer: PreTrainedTokenizerFast, verses: Sequence[Verse]
    ) -> list[tuple[list[int], list[int]]]:
        """Tokens of each verse, and labels on the first of each word."""
        rows = [self.row(verse) for verse in verses]
        encoded = tokenizer(
            [row["words"] for row in rows], is_split_into_words=True, truncation=True, max_length=LENGTH
        )
        found = []
        for place, row in enumerate(rows):
            words = encoded.word_ids(place)
            first = [word is not None and (at == 0 or words[at - 1] != word) for at, word in enumerate(words)]
            labels = [
                self.classes.index(row["tags"][word]) if starts else IGNORED
                for word, starts in zip(words, first, strict=True)
            ]
            found.append((encoded.input_ids[place], labels))
        return found

    def batch(self, ready: list[tuple[list[int], list[int]]]) -> tuple[dict[str, Tensor], Tensor]:
        """See BibleTask."""
        part = [ready[row] for row in torch.randint(len(ready), (BATCH,)).tolist()]
        inputs = padded([tokens for tokens, _ in part])
        labels = torch.full_like(inputs["input_ids"], IGNORED)
        for row, (_, tags) in enumerate(part):
            labels[row, : len(tags)] = torch.tensor(tags)
        return inputs, labels


def padded(rows: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """Tokens and mask [B, L]."""
    longest = max(map(len, rows))
    tokens = torch.tensor([[*row, *[PADDING] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return {"input_ids": tokens, "attention_mask": mask}


def _case(word: str) -> str:
    return "capital" if word[0].isupper() else "small"


TASKS: tuple[type[BibleTask], ...] = (Language, Sections, Names)
