"""Models in the format of Hugging Face Transformers, from the hub or a local folder; safetensors only.

The preprocessing that an image model was trained with (size, mean, deviation) becomes part of the network, so that
teacher and student see the same batch whatever they are. Transformers is imported when such a model is used, not before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from safetensors.torch import load_model
from torch import Tensor, nn

from distill_api.sources import HuggingFaceModel, InitFromTeacher, Weights
from distill_api.training import Task
from distill_trainer import uris, weights
from distill_trainer.errors import ConfigInvalid, ContractBroken
from distill_trainer.models import hub, places
from distill_trainer.models.class_names import ClassOrder, class_order
from distill_trainer.models.embedding_network import EmbeddingNetwork, without_pooler
from distill_trainer.models.from_teacher import chosen_layers, thinned
from distill_trainer.models.preprocessing import Preprocessing
from distill_trainer.models.sentence import read_length, read_pooling, write_modules
from distill_trainer.models.source import Signature
from distill_trainer.models.text_network import TextNetwork, order_of

_AUTO: dict[Task, str] = {
    Task.IMAGE_CLASSIFICATION: "AutoModelForImageClassification",
    Task.TEXT_CLASSIFICATION: "AutoModelForSequenceClassification",
    Task.TOKEN_CLASSIFICATION: "AutoModelForTokenClassification",
    Task.CAUSAL_LM: "AutoModelForCausalLM",
    Task.EMBEDDING: "AutoModel",
}
_HEAD_SIZES = {"id2label", "label2id", "num_labels"}
_DECODERS_ANYWAY = {"gpt_neox", "gpt_neox_japanese"}
"""Their configs have `is_decoder: false`, and they are decoders all the same."""


class Classifier(nn.Module):
    """A Transformers image classifier behind its own preprocessing."""

    order: Tensor | None

    def __init__(
        self, model: nn.Module, preprocessing: Preprocessing, order: Sequence[int] | None = None
    ) -> None:
        """`order` names the output of each class of the data."""
        super().__init__()
        self.model = model
        self.preprocessing = preprocessing
        self.register_buffer("order", order_of(order))

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] → logits [B, classes]."""
        logits: Tensor = self.model(pixel_values=self.preprocessing.apply(images)).logits
        return logits if self.order is None else logits[:, self.order]


class HuggingFaceSource:
    """A model folder: config.json, model.safetensors, and preprocessor_config.json or a tokenizer."""

    def __init__(
        self, name: str, config: dict[str, Any], folder: Path, field: str, *, trained: bool = True
    ) -> None:
        """`trained` is false where the folder's weights are another model's."""
        self._name = name
        self._trained = trained
        self._config = config
        self._preprocessor = hub.read_optional_json(folder / hub.PREPROCESSOR, field)
        self._field = field
        self._folder = folder

    @classmethod
    def of(cls, model: HuggingFaceModel, trained: Weights | None, field: str) -> HuggingFaceSource:
        """From the API's model. Raises ContractBroken where nothing is there."""
        if trained:
            raise ConfigInvalid(
                f"{field}.weights is set beside {field}.huggingFace, which brings its own: remove it"
            )
        folder = hub.open_folder(model.id, model.revision, field)
        return cls(model.id, hub.read_json(folder / "config.json", field), folder, field)

    @classmethod
    def reopened(cls, config: dict[str, Any], folder: Path) -> HuggingFaceSource:
        """From what `config` wrote; its files lie in the folder."""
        return cls(str(config["id"]), config["config"], folder, "model")

    @property
    def name(self) -> str:
        """The hub id, or the folder's last name."""
        return self._name.rstrip("/").rpartition("/")[2] if uris.is_uri(self._name) else self._name

    @property
    def weights_name(self) -> str:
        """The first file of weights."""
        files = self._files()
        return files[0].name if files else ""

    def with_layers(self, init: InitFromTeacher) -> HuggingFaceSource:
        """A student of this teacher's config with some of its layers alone, untrained. Raises ContractBroken."""
        kind = hub.transformers_library().CONFIG_MAPPING[self._config["model_type"]]
        key = kind.attribute_map.get("num_hidden_layers", "num_hidden_layers")
        available = self._config.get(key)
        if not isinstance(available, int):
            raise ContractBroken(
                "LayerMismatch",
                f"student.initFromTeacher: the config of teacher {self.name} says no {key}; name a student's config with "
                "student.huggingFace",
            )
        layers = chosen_layers(init, available)
        config = thinned(self._config, layers, key=key, available=available)
        name = f"{self.name}-{len(layers)}-layers"
        return HuggingFaceSource(name, config, self._folder, "student", trained=False)

    def check_files(self) -> None:
        """The config, and the headers of every weights file. A teacher must have weights, a student may start from its config alone."""
        self._library_config()
        files = self._files()
        for file in files:
            weights.read_header(file, field=f"{self._field}.huggingFace.id")
        if not files and self._trained:
            self._refuse_pickles()
        if not files and self._field == "teacher":
            raise ContractBroken(
                "WeightsMissing",
                f"teacher.huggingFace.id {self._name!r} has no model.safetensors: an untrained teacher teaches nothing",
            )

    def trained_shapes(self) -> dict[str, tuple[int, ...]] | None:
        """Open: Transformers renames tensors between versions, so `load` compares instead."""
        return None

    def trained_classes(self) -> tuple[str, int] | None:
        """`num_labels` of the config, where there are weights; a student gets a new head for other classes."""
        if self._field == "student" or not self._files():
            return None
        labels = self._config.get("id2label")
        return ("classifier", len(labels) if labels else int(self._config.get("num_labels", 2)))

    def class_names(self) -> tuple[str, ...]:
        """`id2label` of the config, in the order of the outputs; empty where it says nothing."""
        labels = self._config.get("id2label") or {}
        return tuple(str(labels[key]) for key in sorted(labels, key=int))

    def build(self, signature: Signature) -> nn.Module:
        """The network of the config with the task's head. Raises ContractBroken where it cannot have one."""
        auto = getattr(hub.transformers_library(), _AUTO[signature.task])
        config = self._transformers_config(signature)
        try:
            model = auto.from_config(config)
        except ValueError as error:  # the model's kind has no such head
            raise ContractBroken(
                "TaskMismatch",
                f"{self._field}.huggingFace.id {self._name!r} is a {config.model_type} model, which has no "
                f"{_AUTO[signature.task]}, and task is {signature.task.value}; name a model for this task",
            ) from error
        if signature.task is Task.EMBEDDING:
            return EmbeddingNetwork(model, read_pooling(self._folder, self._field))
        if signature.task is Task.CAUSAL_LM:
            return TextNetwork(model, columns=signature.classes, use_cache=False)
        order = self._order(signature).order
        if signature.shape is None:
            return TextNetwork(model, order=order)
        preprocessing = Preprocessing.of(self._preprocessor, self._config, signature.shape, field=self._field)
        return Classifier(model, preprocessing, order)

    def fresh(self, network: nn.Module) -> tuple[str, ...]:  # noqa: ARG002
        """Open, as the shapes are: `load` tells."""
        return ()

    def load(self, module: nn.Module) -> tuple[str, ...]:
        """Load the folder's weights; a student's head of another class count starts fresh."""
        if not self._files():
            return ()
        network: Any = self.inner(module)
        loaded, info = type(network).from_pretrained(
            str(self._folder),
            config=network.config,
            use_safetensors=True,
            ignore_mismatched_sizes=self._field == "student",
            output_loading_info=True,
        )
        missing = [
            key if isinstance(key, str) else str(key[0])
            for key in (*info["missing_keys"], *info["mismatched_keys"])
        ]
        if isinstance(module, EmbeddingNetwork):
            missing = without_pooler(loaded, missing)
        if self._field == "teacher" and missing:
            names = ", ".join(str(key) for key in missing[:3])
            raise ContractBroken(
                "WeightsMismatch",
                f"teacher.huggingFace.id {self._name!r}: its weights do not fit its config.json: {names} missing or "
                "of another shape; name a folder that save_pretrained wrote",
            )
        network.load_state_dict(loaded.state_dict())
        return tuple(missing)

    def inner(self, module: nn.Module) -> nn.Module:
        """The Transformers model."""
        return cast("Classifier | TextNetwork", module).model

    def config(self) -> dict[str, Any]:
        """The whole config, so that the student needs no hub to be made again."""
        return {"huggingFace": {"id": self.name, "config": self._config}}

    def tokenizer(self) -> Any | None:
        """The tokenizer of the folder, with the library's own class; None where it has none."""
        if not hub.has_tokenizer(self._folder):
            return None
        found = hub.read_tokenizer(self._folder, self._field)
        length = read_length(self._folder, self._field)
        if length is not None:
            found.model_max_length = length
        return found

    def longest_input(self) -> int | None:
        """Positions that the model has; None where they are not bounded."""
        return places.longest_input(self._config)

    def vocabulary(self) -> int | None:
        """Rows of its table of tokens."""
        size = self._config.get("vocab_size")
        return int(size) if size else None

    def ends_by_padding(self) -> tuple[int | None] | None:
        """Its config's padding token, where the head for texts looks for it."""
        return places.ends_by_padding(self._config)

    def generation_file(self) -> Path | None:
        """That of the folder."""
        file = self._folder / hub.GENERATION
        return file if file.is_file() else None

    def write(self, module: nn.Module, folder: Path) -> None:
        """As save_pretrained does, so that Transformers loads the folder as it is; the preprocessor beside it."""
        model: Any = self.inner(module)
        model.save_pretrained(folder, max_shard_size="1TB")
        if isinstance(module, EmbeddingNetwork):
            write_modules(folder, module.pooling.mode, int(model.config.hidden_size))
        if self._preprocessor:
            text = json.dumps(self._preprocessor, indent=2) + "\n"
            (folder / hub.PREPROCESSOR).write_text(text, encoding="utf-8")

    def read(self, module: nn.Module, folder: Path) -> None:
        """The file as `write` left it: every tensor must be there, but for those that share another's memory."""
        file = folder / weights.FILE
        weights.read_header(file, field="model folder")
        try:
            load_model(self.inner(module), file)
        except RuntimeError as error:
            raise ContractBroken(
                "WeightsMismatch",
                f"model folder: {weights.FILE} does not fit the model: {str(error).splitlines()[-1].strip()}",
            ) from error

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.safetensors")) if self._trained else []

    def _refuse_pickles(self) -> None:
        for file in sorted(self._folder.glob("*.bin")):
            weights.read_header(file, field=f"{self._field}.huggingFace.id")

    def _library_config(self) -> Any:
        settings = {key: value for key, value in self._config.items() if key not in _HEAD_SIZES}
        return hub.library_config(settings, f"{self._field}.huggingFace.id {self._name!r}")

    def _transformers_config(self, signature: Signature) -> Any:
        config = self._library_config()
        if signature.task is Task.CAUSAL_LM:
            self._refuse_encoder(config)
        if signature.task in {Task.CAUSAL_LM, Task.EMBEDDING}:
            return config
        names = self.class_names() if self._order(signature).named else signature.names
        if names:
            config.id2label = dict(enumerate(names))
            config.label2id = {name: place for place, name in enumerate(names)}
        elif len(config.id2label) != signature.classes:
            config.num_labels = signature.classes
        return config

    def _order(self, signature: Signature) -> ClassOrder:
        return class_order(self.class_names(), signature.names) if signature.names else ClassOrder()

    def _refuse_encoder(self, config: Any) -> None:
        """Models that are encoders unless told otherwise see the tokens that they would have to predict."""
        encoder = not getattr(config, "is_decoder", True) and config.model_type not in _DECODERS_ANYWAY
        if encoder:
            raise ContractBroken(
                "TaskMismatch",
                f"{self._field}.huggingFace.id {self._name!r} is a {config.model_type} encoder, which sees the tokens that "
                "follow, and task is CausalLM; name a decoder, or one whose config.json has is_decoder: true",
            )
