"""Small convolutional networks that fit any image size and class count: the builtin teachers and students."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class ConvNet(nn.Module):
    """Stages of 3×3 convolutions with batch norm, halved between stages while the image allows, then a mean over space.

    `fc` is the head; `features.0.weight` is the input layer, [width, channels, 3, 3].
    """

    def __init__(
        self, shape: tuple[int, int, int], classes: int, *, widths: tuple[int, ...], depth: int
    ) -> None:
        super().__init__()
        channels, height, width = shape
        side = min(height, width)
        layers: list[nn.Module] = []
        for before, after in pairwise((channels, *widths)):
            layers += _stage(before, after, depth)
            if side >= 4:  # a 1×1 map would leave batch norm a single value per channel
                layers.append(nn.MaxPool2d(2))
                side //= 2
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] → logits [B, classes]."""
        logits: Tensor = self.fc(self.features(images * 2 - 1).mean(dim=(2, 3)))
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
