"""A multilayer perceptron: the simplest builtin network, tied to one image size."""

from __future__ import annotations

from torch import Tensor, nn


class Mlp(nn.Module):
    """Flattened pixels → one hidden layer → `fc`. `features.0.weight` is the input layer, [hidden, C·H·W]."""

    def __init__(self, shape: tuple[int, int, int], classes: int, *, hidden: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.features = nn.Sequential(nn.Linear(channels * height * width, hidden), nn.ReLU())
        self.fc = nn.Linear(hidden, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] → logits [B, classes]."""
        logits: Tensor = self.fc(self.features((images * 2 - 1).flatten(1)))
        return logits
