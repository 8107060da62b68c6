"""Small convolutional networks that fit any image size and class count: the builtin teachers and students."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class ConvNet(nn.Module):
    """Stages of 3×3 convolutions with batch norm, halved between stages while the image allows, then means over a coarse grid.

    The grid (2×2, 3×3 where the map is that small) keeps where a stroke is, which one mean over space would lose.

    `fc` is the head; `features.0.weight` is the input layer, [width, channels, 3, 3].
    """

    def __init__(
        self, shape: tuple[int, int, int], classes: int, *, widths: tuple[int, ...], depth: int
    ) -> None:
        super().__init__()
        channels, height, width = shape
        layers: list[nn.Module] = []
        for before, after in pairwise((channels, *widths)):
            layers += _stage(before, after, depth)
            if min(height, width) >= 4:  # a 1×1 map would leave batch norm a single value per channel
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
        self.features = nn.Sequential(*layers)
        self.kernel = (max(height // 2, 1), max(width // 2, 1))
        self.fc = nn.Linear(widths[-1] * (height // self.kernel[0]) * (width // self.kernel[1]), classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] → logits [B, classes]."""
        grid = F.avg_pool2d(self.features(images * 2 - 1), self.kernel)
        logits: Tensor = self.fc(grid.flatten(1))
        return logits


def _stage(before: int, after: int, depth: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for index in range(depth):
        source = before if index == 0 else after
        layers += [
            nn.Conv2d(source, after, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return layers
