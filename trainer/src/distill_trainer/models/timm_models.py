"""Image classifiers of timm (https://huggingface.co/docs/timm). Weights come from a file, never from a hub."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from distill_trainer.data.extras import required
from distill_trainer.models.library import LibraryClassifier
from distill_trainer.models.preprocessing import Preprocessing
from distill_trainer.models.source import Shape


class TimmSource(LibraryClassifier):
    """A network of `timm.list_models()`."""

    kind = "timm"
    decided_here: ClassVar = {
        "num_classes": "the data decide it",
        "pretrained": "trained parameters come from weights.uri",
        "pretrained_cfg": "mean, deviation and size are chosen by the name's tag, or by pretrained_cfg_overlay",
        "checkpoint_path": "trained parameters come from weights.uri",
        "cache_dir": "nothing is fetched",
        "features_only": "a classifier is needed",
    }

    def knows(self, name: str) -> bool:
        """Tags count as part of a name."""
        return bool(self._timm.is_model(name))

    def known(self) -> list[str]:
        """Without tags."""
        return list(self._timm.list_models())

    def create(self, channels: int, classes: int) -> nn.Module:
        """`timm.create_model`."""
        args = {**self._args, "in_chans": channels, "num_classes": classes}
        network: nn.Module = self._timm.create_model(self._network, pretrained=False, **args)
        return network

    def channels(self, shape: Shape | None) -> int:
        """The data's, unless `args.in_chans` says otherwise."""
        return int(self._args.get("in_chans", shape[0] if shape else 3))

    def preprocessing(self, network: nn.Module, shape: Shape) -> Preprocessing:
        """Mean and deviation of its `pretrained_cfg`; its own size where it takes no other."""
        known: dict[str, Any] = dict(getattr(network, "pretrained_cfg", None) or {})
        fixed = known.get("fixed_input_size") and not self._args.get("dynamic_img_size")
        size = self._args.get("img_size", known["input_size"][1:]) if fixed else None
        return Preprocessing.normalising(
            self.channels(shape), shape, known.get("mean"), known.get("std"), size, field=self._field
        )

    @property
    def _timm(self) -> Any:
        return required("timm", extra="vision", field=f"{self._field}.timm")
