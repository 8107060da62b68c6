"""Tiny language models and their data, written by the tests: a word a token, chat templates, configs of two layers."""

import json
import random
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedTokenizerFast

SPECIAL = ["<s>", "</s>", "<unk>", "<|user|>", "<|assistant|>", "<|end|>"]
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
CHAT = "{{ bos_token }}{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
"""As common templates are: no marks around answers, and no header for an answer to come."""
MARKED = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}<|assistant|>{% generation %}{{ m['content'] }}</s>"
    "{% endgeneration %}{% else %}<|user|>{{ m['content'] }}{% endif %}{% endfor %}"
)
FORGETFUL = "{% for m in messages %}{{ '<|' + m['role'] + '|>' }}{% if loop.last %}{{ m['content'] }}{% endif %}<|end|>{% endfor %}"
"""Rewrites earlier turns when later ones follow, as templates do that drop thoughts."""


def tokenizer(
    *, template: str | None = None, bos: bool = True, size: int | None = None
) -> PreTrainedTokenizerFast:
    """A word a token; padding is the end token, as is common. `size` adds words up to that many tokens."""
    known = [*SPECIAL, *WORDS]
    known += [f"w{place}" for place in range(len(known), size or 0)]
    backend = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(known)}, unk_token="<unk>")
    )
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if bos:
        backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="</s>",
        additional_special_tokens=SPECIAL[3:],
    )
    made.chat_template = template
    return made


def conversation(*turns: str) -> list[dict[str, str]]:
    """User and assistant in turn."""
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(turns)]


def gpt2(**changes: Any) -> GPT2Config:
    """Two layers of width 16; its head is its table of tokens."""
    settings = {"vocab_size": 64, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2Config(**{**settings, **ends, **still, **changes})


def llama(**changes: Any) -> LlamaConfig:
    """Two layers of width 32, a head of its own."""
    settings = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "tie_word_embeddings": False}
    return LlamaConfig(**{**settings, **heads, **ends, **changes})


def counting(count: int, *, seed: int) -> list[str]:
    """Texts that count upwards from anywhere: the next word follows from the one before."""
    draw = random.Random(seed)
    starts = [draw.randrange(len(WORDS) - 2) for _ in range(count)]
    return [" ".join(WORDS[start : start + draw.randint(3, 8)]) for start in starts]


def write_texts(folder: Path, *, train: int = 96, test: int = 24) -> Path:
    """train.txt and test.txt, a document a line."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.txt").write_text("\n\n".join(counting(train, seed=1)))
    (folder / "test.txt").write_text("\n".join(counting(test, seed=2)) + "\n")
    return folder


def write_rows(folder: Path, column: str, rows: list[Any]) -> Path:
    """train.jsonl with one column."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.jsonl").write_text("".join(json.dumps({column: row}) + "\n" for row in rows))
    return folder


def write_language_teacher(
    folder: Path, config: Any | None = None, *, steps: int = 80, **settings: Any
) -> Path:
    """A tiny model that has learnt to count, with its tokenizer."""
    torch.manual_seed(0)
    words, network = tokenizer(**settings), AutoModelForCausalLM.from_config(config or llama())
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    rows = [torch.tensor([*words(text).input_ids, 1]) for text in counting(96, seed=1)]
    for step in range(steps):
        part = rows[(8 * step) % 96 :][:8]
        batch = nn.utils.rnn.pad_sequence(part, batch_first=True, padding_value=-100)
        optimizer.zero_grad()
        network(input_ids=batch.clamp(min=0), labels=batch).loss.backward()
        optimizer.step()
    network.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


class BigramTable(nn.Module):
    """Logits at t are row `token_t` of a table [V, columns]: any value can be set, and its gradient is the loss's."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> Any:
        return type("Output", (), {"logits": self.table[input_ids]})
