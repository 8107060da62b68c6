"""Networks of one's own: what a function in the image returns, and how samples are handed to it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distill_api.model_sources import PythonModel, given_arguments
from distill_api.sources import Weights
from distill_api.training import Task
from distill_trainer import uris
from distill_trainer.errors import ContractBroken
from distill_trainer.models import hub
from distill_trainer.models.factory import call_factory, code_digest
from distill_trainer.models.source import Signature
from distill_trainer.models.weights_file import WeightsFile

log = logging.getLogger(__name__)


class ByName(nn.Module):
    """A network of texts that takes its tensors by name and gives logits, or an object that has them."""

    def __init__(self, model: nn.Module, columns: int | None = None) -> None:
        """`columns` are the classes that exist; a wider head is cut there."""
        super().__init__()
        self.model = model
        self._columns = columns
        self._names = _accepted(model)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """`input_ids`, `attention_mask` … int64 [B, L], those that the model's forward names → logits [B, …, classes]."""
        given = {
            name: tensor for name, tensor in inputs.items() if self._names is None or name in self._names
        }
        mask = given.get("attention_mask")
        if (
            mask is not None and mask.is_meta and mask.dim() == 4
        ):  # the contract check's, as Transformers wants it
            given["attention_mask"] = torch.ones_like(given["input_ids"])
        output = self.model(**given)
        logits: Tensor = output if isinstance(output, Tensor) else output.logits
        return logits[..., : self._columns]


class PythonSource(WeightsFile):
    """What a function returns. A teacher's weights may come with it."""

    def __init__(
        self, factory: str, args: Mapping[str, Any], file: Path | None, words: Path | None, field: str
    ) -> None:
        """`words` is the folder with the tokenizer."""
        super().__init__(file, field)
        self._factory = factory
        self._args = dict(args)
        self._words = words

    @classmethod
    def of(cls, model: PythonModel, trained: Weights | None, field: str) -> PythonSource:
        """From the API's model and its weights. Raises ContractBroken where there is no such function, or no tokenizer."""
        place = f"{field}.python.tokenizer"
        words = uris.resolve(model.tokenizer, field=place) if model.tokenizer else None
        if words and not hub.has_tokenizer(words):
            raise ContractBroken(
                "TokenizerMissing",
                f"{place}: {words} holds no tokenizer; name a folder that tokenizer.save_pretrained wrote",
            )
        code_digest(model.factory, f"{field}.python")
        return cls(model.factory, given_arguments(model), cls.path(trained, field), words, field)

    @classmethod
    def reopened(cls, config: dict[str, Any], folder: Path) -> PythonSource:
        """From what `config` wrote. Raises ContractBroken where this image has no such function."""
        path = str(config["factory"])
        if code_digest(path, "model.python") != config.get("code"):
            log.warning("the file of factory %s has changed since the student was written", path)
        return cls(path, config["args"], None, folder, "model")

    @property
    def name(self) -> str:
        """The function."""
        return self._factory

    def class_names(self) -> tuple[str, ...] | None:
        """Of its outputs nothing is known but what the data say."""
        return () if self._field == "teacher" else None

    def trained_classes(self) -> tuple[str, int] | None:
        """Open: the check compares what comes out."""
        return None

    def build(self, signature: Signature) -> nn.Module:
        """Call the function; on the meta device what it made elsewhere is moved there, since its code may use numbers."""
        meta = torch.get_default_device().type == "meta"
        with torch.device("cpu" if meta else torch.get_default_device()):
            made = call_factory(self._factory, self._args, f"{self._field}.python")
        network = _without_numbers(made) if meta else made
        if signature.shape is not None:
            return network
        return ByName(network, signature.classes if signature.task is Task.CAUSAL_LM else None)

    def inner(self, module: nn.Module) -> nn.Module:
        """What the function returned."""
        return module.model if isinstance(module, ByName) else module

    def config(self) -> dict[str, Any]:
        """The function, its arguments, and the digest of its file, so that another code is another teacher."""
        code = code_digest(self._factory, f"{self._field}.python")
        return {"python": {"factory": self._factory, "args": self._args, "code": code}}

    def tokenizer(self) -> Any | None:
        """That of the folder."""
        if self._words is None or not hub.has_tokenizer(self._words):
            return None
        return hub.transformers_library().AutoTokenizer.from_pretrained(str(self._words))


def _accepted(model: nn.Module) -> set[str] | None:
    """Names that its forward takes; None where it takes all."""
    parameters = inspect.signature(model.forward).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return {parameter.name for parameter in parameters}


def _without_numbers(network: nn.Module) -> nn.Module:
    """The same network on the meta device; a tensor that two layers share stays shared, which `to` would undo."""
    moved: dict[int, Tensor] = {}
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False, remove_duplicate=False)):
            empty = nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
            setattr(module, name, moved.setdefault(id(parameter), empty))
        for name, buffer in list(module.named_buffers(recurse=False, remove_duplicate=False)):
            setattr(module, name, moved.setdefault(id(buffer), torch.empty_like(buffer, device="meta")))
    return network
