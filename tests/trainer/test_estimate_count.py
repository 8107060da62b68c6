"""Networks taken apart on the meta device, against sums done by hand."""

import torch
from torch import nn

from distill_trainer.estimate.count import count_network


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
    assert counted.largest == 8 * 16 + 16
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
    assert counted.largest == 40
    assert counted.flops == 2 * 5 * (3 * 16 + 40)
    assert counted.width == 4
