"""Models and data for whole epochs: folders in the formats that ours and the peers read alike, with random content.

What is learnt does not matter here, only what it costs. Written once into `build/bench/epochs`.
"""

from __future__ import annotations

import struct
from pathlib import Path

import torch
from epochs_sizes import CLASSES, LENGTH, PICTURES, SIDE, TEXTS, WORDS
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetForImageClassification,
)

STUDENT = {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2}
TEACHER = {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4}


def make(root: Path) -> None:
    """Everything below `root`; nothing where it is there."""
    if (root / "made").exists():
        return
    torch.manual_seed(0)
    _resnet(root / "image/teacher", [64, 128, 256], [2, 2, 2])
    _resnet(root / "image/student", [16, 32], [1, 1])
    for split, count in (("train", PICTURES), ("validation", 64), ("t10k", 64)):
        _pictures(root / "image/data", split, count)
    _llama(root / "text/teacher", TEACHER)
    _llama(root / "text/student", STUDENT)
    for split, count in (("train", TEXTS), ("validation", 2), ("test", 2)):
        _texts(root / "text/data", split, count)
    (root / "made").touch()


def _resnet(folder: Path, widths: list[int], depths: list[int]) -> None:
    config = ResNetConfig(
        num_channels=1,
        embedding_size=widths[0],
        hidden_sizes=widths,
        depths=depths,
        layer_type="basic",
        num_labels=CLASSES,
    )
    ResNetForImageClassification(config).save_pretrained(folder)


def _pictures(folder: Path, split: str, count: int) -> None:
    """IDX files, named as those of MNIST."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = torch.randint(256, (count, SIDE, SIDE), dtype=torch.uint8)
    labels = torch.arange(count, dtype=torch.int64).remainder(CLASSES).to(torch.uint8)
    for name, array in (("images-idx3-ubyte", pictures), ("labels-idx1-ubyte", labels)):
        header = struct.pack(f">HBB{array.dim()}I", 0, 8, array.dim(), *array.shape)
        (folder / f"{split}-{name}").write_bytes(header + array.numpy().tobytes())


def _llama(folder: Path, sizes: dict[str, int]) -> None:
    ends = {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0}
    config = LlamaConfig(
        vocab_size=WORDS, num_attention_heads=4, max_position_embeddings=LENGTH, **ends, **sizes
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    words = Tokenizer(WordLevel({f"w{word}": word for word in range(WORDS)}, unk_token="w1"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w0", pad_token="w0").save_pretrained(folder)


def _texts(folder: Path, split: str, count: int) -> None:
    """Lines of one word less than fit, since each ends with its end token."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        " ".join(f"w{word}" for word in torch.randint(2, WORDS, (LENGTH - 1,)).tolist()) for _ in range(count)
    ]
    (folder / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
