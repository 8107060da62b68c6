"""Networks taken apart on the meta device, against sums done by hand."""

import torch
from language_world import llama, tokenizer, write_texts
from torch import nn

from distill_api.contract import TrainerConfig
from distill_trainer.estimate.count import count_job, count_network


def on_meta(make):
    with torch.device("meta"):
        return make()


def example(*shape):
    return torch.empty(*shape, device="meta")


def test_two_linear_layers():
    """[4, 8] → 16 → 3: weights 8·16 + 16·3, biases 16 + 3; FLOPs 2·(8·16 + 16·3) a sample.

    Kept for the backward pass: the input (8), what ReLU gives (16, which the second layer takes, too).
    """
    network = on_meta(lambda: nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)))
    counted = count_network(network, example(4, 8), 4, element=4)
    assert counted.parameters == 8 * 16 + 16 + 16 * 3 + 3
    assert (counted.largest, counted.beside) == (0, counted.parameters)  # no list of layers within it
    assert counted.flops == 2 * (8 * 16 + 16 * 3)
    assert counted.saved == (8 + 16) * 4
    assert counted.passing == 2 * 16 * 4
    assert counted.width == 16


def test_in_16_bits_half_is_kept():
    network = on_meta(lambda: nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)))
    assert count_network(network, example(4, 8), 4, element=2).saved == (8 + 16) * 2


def test_a_convolution_works_at_every_pixel():
    """3×3 over 8×8 pixels, 1 → 4 channels: 2·9·4 a pixel, far from 2·N."""
    network = on_meta(lambda: nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.Flatten()))
    counted = count_network(network, example(2, 1, 8, 8), 2, element=4)
    assert counted.parameters == 36
    assert counted.flops == 2 * 36 * 64
    assert counted.width == 0


def test_a_tensor_that_is_shared_counts_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(10, 4)
            self.layers = nn.ModuleList([nn.Linear(4, 4, bias=False) for _ in range(3)])
            self.head = nn.Linear(4, 10, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, tokens):
            hidden = self.embed(tokens)
            for layer in self.layers:
                hidden = layer(hidden)
            return self.head(hidden)

    network = on_meta(Tied)
    tokens = torch.empty(2, 5, dtype=torch.int64, device="meta")
    counted = count_network(network, tokens, 2, element=4)
    assert counted.parameters == 40 + 3 * 16
    assert (counted.largest, counted.beside) == (16, 40)
    assert counted.flops == 2 * 5 * (3 * 16 + 40)
    assert counted.width == 4


def test_a_transformer_of_text():
    """Each layer multiplies 12·h² numbers a token and twice s·h for attention; then pooler h² and head h·3, once."""
    from transformers import AutoModelForSequenceClassification, BertConfig

    from distill_trainer.models.text_network import TextNetwork

    width, layers, tokens = 16, 3, 32
    config = BertConfig(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=4 * width, vocab_size=100,
        num_labels=3,
    )  # fmt: skip
    network = on_meta(lambda: TextNetwork(AutoModelForSequenceClassification.from_config(config)))
    inputs = {"input_ids": torch.ones(2, tokens, dtype=torch.int64, device="meta")}
    counted = count_network(network, inputs, 2, element=4)
    each = 2 * (tokens * 12 * width**2 + 2 * tokens**2 * width)
    assert counted.flops == layers * each + 2 * (width**2 + 3 * width)
    assert counted.largest == 12 * width**2 + 13 * width
    assert counted.beside == counted.parameters - layers * counted.largest  # embeddings, pooler and head
    assert counted.width == width


def test_of_a_student_with_adapters_these_alone_are_trained(workspace):
    """Rank 4 on query and value of two layers 32 wide: 2·2·(4·32 + 32·4), beside all that stays."""
    write_texts(workspace.root / "data", train=20, test=8)
    for name in ("teacher", "student"):
        llama().save_pretrained(workspace.root / name)
        tokenizer().save_pretrained(workspace.root / name)
    models = {
        name: {"huggingFace": {"id": f"file://{workspace.root / name}"}} for name in ("teacher", "student")
    }
    data = {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "Text"}}
    base = {"task": "CausalLM", "dataset": data, "teacher": models["teacher"]}
    whole, adapted = (
        count_job(TrainerConfig.model_validate(workspace.config(**base, student=student)), 4).student
        for student in (models["student"], {**models["student"], "lora": {"rank": 4}})
    )
    own = 2 * 2 * (4 * 32 + 32 * 4)
    assert (whole.adapters, whole.trained) == (None, whole.parameters)
    assert (adapted.adapters, adapted.parameters) == (own, whole.parameters + own)
    assert adapted.training_flops < whole.training_flops
    assert adapted.saved < whole.saved
