"""Image classifiers that a library makes by name: what timm and torchvision have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from distill_api.model_sources import TimmModel, TorchvisionModel, given_arguments
from distill_api.sources import Weights
from distill_trainer.data.suggest import did_you_mean
from distill_trainer.errors import ContractBroken
from distill_trainer.models.preprocessing import Preprocessing
from distill_trainer.models.source import Shape, Signature
from distill_trainer.models.weights_file import WeightsFile


class LibraryClassifier(WeightsFile):
    """A network of a library; its layers keep the names that they have there."""

    kind: str
    """The field of the API, which is the library's name too."""
    decided_here: ClassVar[Mapping[str, str]]
    """Arguments that a job may not give, with what decides them."""

    def __init__(self, name: str, args: Mapping[str, Any], file: Path | None, field: str) -> None:
        """Raises ContractBroken: LibraryMissing, UnknownModel, ArgumentsInvalid."""
        super().__init__(file, field)
        self._network = name
        self._args = dict(args)
        if not self.knows(name):
            known = self.known()
            raise ContractBroken(
                "UnknownModel",
                f"{field}.{self.kind}.name is {name!r}, which none of the {len(known)} classifiers of {self.kind} is called"
                f"{did_you_mean(name, known)}; its documentation lists them",
            )
        for argument, why in self.decided_here.items():
            if argument in self._args:
                raise ContractBroken(
                    "ArgumentsInvalid", f"{field}.{self.kind}.args.{argument} cannot be set: {why}; remove it"
                )

    @classmethod
    def of(cls, model: TimmModel | TorchvisionModel, trained: Weights | None, field: str) -> Self:
        """From the API's model and its weights. Raises ContractBroken."""
        return cls(model.name, given_arguments(model), cls.path(trained, field), field)

    @classmethod
    def reopened(cls, config: dict[str, Any], folder: Path) -> Self:  # noqa: ARG003
        """From what `config` wrote."""
        return cls(str(config["name"]), config["args"], None, "model")

    @abstractmethod
    def knows(self, name: str) -> bool:
        """Whether the library has such a classifier."""

    @abstractmethod
    def known(self) -> list[str]:
        """Names of the library's classifiers."""

    @abstractmethod
    def create(self, channels: int, classes: int) -> nn.Module:
        """The library's network with fresh parameters; what it raises is told as a fault of the arguments."""

    @abstractmethod
    def channels(self, shape: Shape | None) -> int:
        """Of the pictures that the network takes, where the data have `shape`."""

    @abstractmethod
    def preprocessing(self, network: nn.Module, shape: Shape) -> Preprocessing:
        """What the network is shown of pictures of `shape`. Raises ContractBroken."""

    @property
    def name(self) -> str:
        """The architecture."""
        return self._network

    def class_names(self) -> tuple[str, ...] | None:
        """Trained outputs have no names; fresh ones are the data's."""
        return () if self._file else None

    def trained_classes(self) -> tuple[str, int] | None:
        """Rows of the head in the weights; a student gets a new head for other classes."""
        shapes = self.trained_shapes()
        if shapes is None or self._field == "student":
            return None
        head = next((name for name in self._head() if shapes.get(name)), None)
        return (head.rpartition(".")[0], shapes[head][0]) if head else None

    def fresh(self, network: nn.Module) -> tuple[str, ...]:
        """A student's head where its weights are for another number of classes."""
        shapes, own = self.trained_shapes(), network.state_dict()
        if shapes is None or self._field != "student":
            return ()
        return tuple(name for name in self._head() if shapes.get(name) not in {None, tuple(own[name].shape)})

    def build(self, signature: Signature) -> nn.Module:
        """The network for the data's classes and channels, behind its preprocessing. Raises ContractBroken."""
        if signature.shape is None:
            raise ContractBroken(
                "TaskMismatch",
                f"{self._field}.{self.kind}.name is {self._network!r}, which classifies pictures, and task is "
                f"{signature.task.value}; name a model with {self._field}.huggingFace",
            )
        network = self._created(self.channels(signature.shape), signature.classes)
        network.register_forward_pre_hook(partial(_prepare, self.preprocessing(network, signature.shape)))
        return network

    def config(self) -> dict[str, Any]:
        """Name and arguments: shape and classes are written beside them."""
        return {self.kind: {"name": self._network, "args": self._args}}

    def _head(self) -> list[str]:
        """Names of its tensors: those that differ between networks of two class counts."""
        with torch.device("meta"):
            two, three = (self._created(self.channels(None), classes).state_dict() for classes in (2, 3))
        return [name for name, tensor in two.items() if tensor.shape != three[name].shape]

    def _created(self, channels: int, classes: int) -> nn.Module:
        try:
            return self.create(channels, classes)
        except Exception as error:  # whatever a network makes of arguments that are not its own
            raise ContractBroken(
                "ArgumentsInvalid",
                f"{self._field}.{self.kind}: {self._network} cannot be made with args {self._args} "
                f"({type(error).__name__}: {(str(error).splitlines() or [''])[0]}); give it arguments that it has",
            ) from error


def _prepare(preprocessing: Preprocessing, _network: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
    """A forward pre-hook: in front of the network, and in the names of its layers nowhere."""
    return (preprocessing.apply(given[0]),)
