"""Folders in the format of Hugging Face Transformers, wherever they lie: a local folder, or a snapshot of the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from distill_trainer import uris
from distill_trainer.errors import ConfigInvalid, ContractBroken

PREPROCESSOR = "preprocessor_config.json"
GENERATION = "generation_config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json")
_WANTED = (
    "config.json",
    GENERATION,
    PREPROCESSOR,
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "*.model",
    "modules.json",
    "*_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
)


def open_folder(name: str, revision: str | None, field: str) -> Path:
    """The folder of a hub id or of a URI. Raises ContractBroken (ModelNotFound)."""
    return _local(name, field) if uris.is_uri(name) else _download(name, revision, field)


def read_json(path: Path, field: str) -> dict[str, Any]:
    """One of the folder's files. Raises ContractBroken."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ContractBroken(
            "ModelNotFound", f"{field}.huggingFace.id: {path.name} cannot be read as JSON: {error}"
        ) from error
    return dict(value)


def read_optional_json(path: Path, field: str) -> dict[str, Any]:
    """Empty where there is no such file."""
    return read_json(path, field) if path.is_file() else {}


def with_special_floats(value: Any) -> Any:
    """Settings in which {"__float__": "Infinity"} is the number: JSON has none, and Transformers writes it so."""
    if isinstance(value, dict):
        if set(value) == {"__float__"}:
            return float(value["__float__"])
        return {key: with_special_floats(item) for key, item in value.items()}
    return [with_special_floats(item) for item in value] if isinstance(value, list) else value


def has_tokenizer(folder: Path) -> bool:
    """Whether a tokenizer lies there."""
    return any((folder / name).is_file() for name in TOKENIZER_FILES)


def read_tokenizer(folder: Path, field: str) -> Any:
    """The tokenizer of a folder that has one, by the library's own class. Raises ContractBroken (TokenizerUnreadable)."""
    try:
        return transformers_library().AutoTokenizer.from_pretrained(str(folder))
    except Exception as error:  # torn files, kinds that are unknown, packages that are not installed
        raise ContractBroken(
            "TokenizerUnreadable",
            f"{field}.huggingFace.id: the tokenizer in {folder} cannot be read: {in_one_line(error)}; write it anew with "
            "tokenizer.save_pretrained, as tokenizer.json where that is possible",
        ) from error


def library_config(settings: dict[str, Any], what: str) -> Any:
    """The library's config of what config.json says. Raises ContractBroken: UnknownModel, ModelConfigInvalid; `what` names the model."""
    transformers, kind = transformers_library(), settings.get("model_type")
    if kind not in transformers.CONFIG_MAPPING:
        raise ContractBroken(
            "UnknownModel",
            f"{what}: its config.json has model_type {kind!r}, which Transformers does not know; name a folder that "
            "save_pretrained wrote",
        )
    others = {key: value for key, value in settings.items() if key != "model_type"}
    try:
        return transformers.AutoConfig.for_model(kind, **with_special_floats(others))
    except Exception as error:  # each kind of model looks at its settings in its own way
        raise ContractBroken(
            "ModelConfigInvalid",
            f"{what}: its config.json is no config of a {kind} model: {in_one_line(error)}; correct it, or name a folder that "
            "save_pretrained wrote",
        ) from error


def in_one_line(error: Exception) -> str:
    """What an error of a library says, cut where it goes on for long."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def transformers_library() -> Any:
    """The library, quiet. Raises ConfigInvalid where it is not installed."""
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


def _local(uri: str, field: str) -> Path:
    folder = uris.resolve(uri, field=f"{field}.huggingFace.id")
    if not (folder / "config.json").is_file():
        raise ContractBroken(
            "ModelNotFound",
            f"{field}.huggingFace.id: {folder} has no config.json; name a folder that save_pretrained wrote",
        )
    return folder


def _download(name: str, revision: str | None, field: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(_WANTED)))
    except Exception as error:  # the hub's client raises a dozen kinds: no network, no such id, gated …
        raise ContractBroken(
            "ModelNotFound",
            f"{field}.huggingFace.id {name!r} could not be fetched ({type(error).__name__}); check the id, the revision and "
            "the network, or name a folder: pvc://<claim>/<path>",
        ) from error
