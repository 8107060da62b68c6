"""Image classifiers of torchvision (https://docs.pytorch.org/vision/stable/models.html). Nothing is fetched."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from distill_trainer.data.extras import required
from distill_trainer.models.library import LibraryClassifier
from distill_trainer.models.preprocessing import Preprocessing
from distill_trainer.models.source import Shape

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What `torchvision.transforms.presets.ImageClassification`, that of all its weights, normalises with."""
_SIZES = {"vit": "image_size", "maxvit": "input_size"}
"""Families that take pictures of one size, with the argument that says which; 224 where it is not given."""
_TWO_HEADS = {"googlenet", "inception_v3"}


class TorchvisionSource(LibraryClassifier):
    """A network of `torchvision.models.list_models(torchvision.models)`."""

    kind = "torchvision"
    decided_here: ClassVar = {
        "num_classes": "the data decide it",
        "weights": "trained parameters come from weights.uri",
        "weights_backbone": "trained parameters come from weights.uri",
        "progress": "nothing is fetched",
        "aux_logits": "the second head of googlenet and inception_v3 is left out",
    }

    def knows(self, name: str) -> bool:
        """Classifiers alone: no detection, no video."""
        return name in self.known()

    def known(self) -> list[str]:
        """Names of its classifiers."""
        return list(self._models.list_models(module=self._models))

    def create(self, channels: int, classes: int) -> nn.Module:  # noqa: ARG002
        """`torchvision.models.get_model`."""
        args = {**self._args, "num_classes": classes}
        if self._network in _TWO_HEADS:
            args |= {"aux_logits": False}
        network: nn.Module = self._models.get_model(self._network, weights=None, **args)
        return network

    def channels(self, shape: Shape | None) -> int:  # noqa: ARG002
        """Three: its networks know no other."""
        return 3

    def preprocessing(self, network: nn.Module, shape: Shape) -> Preprocessing:  # noqa: ARG002
        """The normalisation of all its weights; the size where only one is taken."""
        argument = _SIZES.get(self._network.partition("_")[0])
        size = self._args.get(argument, 224) if argument else None
        return Preprocessing.normalising(3, shape, _MEAN, _STD, size, field=self._field)

    @property
    def _models(self) -> Any:
        return required("torchvision", extra="vision", field=f"{self._field}.torchvision").models
