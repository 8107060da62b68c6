"""Image classifiers in the format of Hugging Face Transformers, from the hub or a local folder; safetensors only.

The preprocessing that the model was trained with (size, mean, deviation) becomes part of the network, so that teacher
and student see the same batch whatever they are. Transformers is imported when such a model is used, not before.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from distill_api.sources import HuggingFaceModel, Weights
from distill_trainer import uris, weights
from distill_trainer.errors import ConfigInvalid, ContractBroken
from distill_trainer.models.preprocessing import Preprocessing
from distill_trainer.models.source import Shape


class Classifier(nn.Module):
    """A Transformers image classifier behind its own preprocessing."""

    def __init__(self, model: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.model = model
        self.preprocessing = preprocessing

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] → logits [B, classes]."""
        logits: Tensor = self.model(pixel_values=self.preprocessing.apply(images)).logits
        return logits


class HuggingFaceSource:
    """A model folder: config.json, preprocessor_config.json, model.safetensors."""

    def __init__(self, name: str, config: dict[str, Any], preprocessor: dict[str, Any], field: str) -> None:
        self._name = name
        self._config = config
        self._preprocessor = preprocessor
        self._field = field
        self._folder: Path | None = None

    @classmethod
    def of(cls, model: HuggingFaceModel, trained: Weights | None, field: str) -> HuggingFaceSource:
        """From the API's model. Raises ContractBroken where nothing is there."""
        name, revision = model.id, model.revision
        if trained:
            raise ConfigInvalid(
                f"{field}.weights is set beside {field}.huggingFace, which brings its own: remove it"
            )
        folder = _local_folder(name, field) if uris.is_uri(name) else _download(name, revision, field)
        source = cls(name, _read_json(folder / "config.json", field), _optional_json(folder), field)
        source._folder = folder
        return source

    @classmethod
    def rebuilt(cls, config: dict[str, Any]) -> HuggingFaceSource:
        """From what `config` wrote."""
        return cls(str(config["id"]), config["config"], config["preprocessor"], "model")

    @property
    def name(self) -> str:
        """The hub id, or the folder's last name."""
        return self._name.rstrip("/").rpartition("/")[2] if uris.is_uri(self._name) else self._name

    @property
    def weights_name(self) -> str:
        """The first file of weights."""
        files = self._files()
        return files[0].name if files else ""

    def check_files(self) -> None:
        """Headers of every weights file. A teacher must have weights, a student may start from its config alone."""
        files = self._files()
        for file in files:
            weights.read_header(file, field=f"{self._field}.huggingFace.id")
        if not files:
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

    def build(self, shape: Shape, classes: int) -> nn.Module:
        """The network of the config with a head for `classes`."""
        model = _transformers().AutoModelForImageClassification.from_config(
            self._transformers_config(classes)
        )
        return Classifier(model, self._preprocessing(shape))

    def load(self, module: nn.Module) -> None:
        """Load the folder's weights; a student's head of another class count starts fresh, and it is said."""
        if not self._files():
            return
        network = cast("Classifier", module).model
        auto = _transformers().AutoModelForImageClassification
        loaded, info = auto.from_pretrained(
            str(self._folder),
            config=network.config,
            use_safetensors=True,
            ignore_mismatched_sizes=self._field == "student",
            output_loading_info=True,
        )
        if self._field == "teacher" and (info["missing_keys"] or info["mismatched_keys"]):
            names = ", ".join(str(key) for key in [*info["missing_keys"], *info["mismatched_keys"]][:3])
            raise ContractBroken(
                "WeightsMismatch",
                f"teacher.huggingFace.id {self._name!r}: its weights do not fit its config.json: {names} missing or "
                "of another shape; name a folder that save_pretrained wrote",
            )
        network.load_state_dict(loaded.state_dict())

    def config(self) -> dict[str, Any]:
        """The whole config, so that the student needs no hub to be rebuilt."""
        return {"huggingFace": {"id": self.name, "config": self._config, "preprocessor": self._preprocessor}}

    def state(self, module: nn.Module) -> dict[str, Tensor]:
        """Everything of the network."""
        return weights.plain_tensors(module.state_dict())

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.safetensors")) if self._folder else []

    def _refuse_pickles(self) -> None:
        for file in sorted(self._folder.glob("*.bin")) if self._folder else []:
            weights.read_header(file, field=f"{self._field}.huggingFace.id")

    def _transformers_config(self, classes: int) -> Any:
        settings = {
            key: value
            for key, value in self._config.items()
            if key not in {"id2label", "label2id", "num_labels"}
        }
        kind = settings.pop("model_type", None)
        transformers = _transformers()
        if kind not in transformers.CONFIG_MAPPING:
            raise ContractBroken(
                "UnknownModel",
                f"{self._field}.huggingFace.id {self._name!r}: its config.json has model_type {kind!r}, which "
                "Transformers does not know; name a folder of an image classifier",
            )
        config = transformers.AutoConfig.for_model(kind, **settings)
        if len(config.id2label) != classes:
            config.num_labels = classes
        return config

    def _preprocessing(self, shape: Shape) -> Preprocessing:
        return Preprocessing.of(self._preprocessor, self._config, shape, field=self._field)


def _transformers() -> Any:
    try:
        import transformers  # noqa: PLC0415  (seconds of import that only these models pay)
    except ImportError as error:
        raise ConfigInvalid(
            "a huggingFace model needs the package transformers in the trainer's image: pip install 'distill-trainer[huggingface]'"
        ) from error
    speech: Any = transformers.utils.logging
    speech.set_verbosity_error()
    speech.disable_progress_bar()
    return transformers


def _local_folder(uri: str, field: str) -> Path:
    folder = uris.resolve(uri, field=f"{field}.huggingFace.id")
    if not (folder / "config.json").is_file():
        raise ContractBroken(
            "ModelNotFound",
            f"{field}.huggingFace.id: {folder} has no config.json; name a folder that save_pretrained wrote",
        )
    return folder


def _download(name: str, revision: str | None, field: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    patterns = ["config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json"]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the hub's client raises a dozen kinds: no network, no such id, gated …
        raise ContractBroken(
            "ModelNotFound",
            f"{field}.huggingFace.id {name!r} could not be fetched ({type(error).__name__}); check the id, the revision and "
            "the network, or name a folder: pvc://<claim>/<path>",
        ) from error


def _read_json(path: Path, field: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ContractBroken(
            "ModelNotFound", f"{field}.huggingFace.id: {path.name} cannot be read as JSON: {error}"
        ) from error
    return dict(value)


def _optional_json(folder: Path) -> dict[str, Any]:
    file = folder / "preprocessor_config.json"
    return _read_json(file, "preprocessor") if file.is_file() else {}
