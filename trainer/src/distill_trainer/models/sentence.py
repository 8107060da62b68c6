"""How a folder of Sentence Transformers makes one vector of a text: read where it is there, and written for the student.

Beside the encoder's own files lie `modules.json`, which lists what follows it, a folder with the pooling's `config.json`,
and `sentence_bert_config.json`, or the tokenizer's, with the length that texts are cut at (https://www.sbert.net). Without them a text is the
mean of its tokens, as Sentence Transformers takes it too.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Any

from distill_trainer.errors import ContractBroken
from distill_trainer.models import hub

MODULES, LENGTH, PROMPTS = "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"
POOLING = "1_Pooling"
_COMPUTED = {"Transformer", "Pooling", "Normalize"}
_OLDER_NAMES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


class PoolingMode(StrEnum):
    """How the vectors of a text's tokens become one."""

    MEAN = "mean"
    CLS = "cls"


def read_length(folder: Path, field: str) -> int | None:
    """The tokens that texts are cut at, as versions before 6 write it; None where it is left to the tokenizer."""
    found = hub.read_optional_json(folder / LENGTH, field).get("max_seq_length")
    return int(found) if found else None


def read_pooling(folder: Path, field: str) -> PoolingMode:
    """The pooling. Raises ContractBroken (PoolingUnsupported) for what would be computed otherwise here."""
    length = hub.read_optional_json(folder / LENGTH, field)
    if length.get("do_lower_case"):
        raise _unsupported(field, f"{LENGTH} has do_lower_case", "a tokenizer that lowers case itself")
    prompt = hub.read_optional_json(folder / PROMPTS, field).get("default_prompt_name")
    if prompt:
        raise _unsupported(
            field, f"{PROMPTS} puts the prompt {prompt!r} before each text", "a model without a prompt"
        )
    return _mode(folder, field)


def write_modules(folder: Path, mode: PoolingMode, width: int) -> None:
    """`modules.json` and the pooling, beside the encoder's files: pooled, then divided by its length."""
    kinds = (("Transformer", ""), ("Pooling", POOLING), ("Normalize", "2_Normalize"))
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (kind, path) in enumerate(kinds)
    ]
    _write(folder / MODULES, modules)
    flags = {name: value == mode.value for name, value in _OLDER_NAMES.items()}
    (folder / POOLING).mkdir(exist_ok=True)
    _write(folder / POOLING / "config.json", {"word_embedding_dimension": width, **flags})


def write_length(folder: Path, max_tokens: int) -> None:
    """`sentence_bert_config.json`."""
    _write(folder / LENGTH, {"max_seq_length": max_tokens, "do_lower_case": False})


def _mode(folder: Path, field: str) -> PoolingMode:
    if not (folder / MODULES).is_file():
        return PoolingMode.MEAN
    kinds = _modules(folder / MODULES, field)
    for kind in kinds:
        if kind not in _COMPUTED:
            raise _unsupported(field, f"{MODULES} has the module {kind}", "a model without it")
    if "Pooling" not in kinds:
        return PoolingMode.MEAN
    config = hub.read_optional_json(folder / kinds["Pooling"] / "config.json", field)
    names = _pooled_by(config)
    if len(names) != 1 or names[0] not in set(PoolingMode):
        shown = " and ".join(names) or "nothing"
        raise _unsupported(field, f"{kinds['Pooling']} pools by {shown}", "a model that pools by mean or cls")
    return PoolingMode(names[0])


def _modules(file: Path, field: str) -> dict[str, str]:
    """Each module's folder, by its kind: the last part of its class."""
    try:
        modules = json.loads(file.read_text(encoding="utf-8"))
        return {str(module["type"]).rpartition(".")[2]: str(module["path"]) for module in modules}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ContractBroken(
            "ModelNotFound",
            f"{field}.huggingFace.id: {MODULES} is no list of modules, each with type and path ({type(error).__name__}): name a "
            "folder that Sentence Transformers wrote",
        ) from error


def _pooled_by(config: dict[str, Any]) -> list[str]:
    """The modes of a pooling, as versions from 5 on write them and as those before did."""
    found = config.get("pooling_mode")
    if found is not None:
        return [found] if isinstance(found, str) else [str(name) for name in found]
    if not set(config) & set(_OLDER_NAMES):
        return [PoolingMode.MEAN]
    return [name for key, name in _OLDER_NAMES.items() if config.get(key)]


def _unsupported(field: str, what: str, remedy: str) -> ContractBroken:
    return ContractBroken(
        "PoolingUnsupported",
        f"{field}.huggingFace.id: {what}, which this trainer does not compute: name {remedy}",
    )


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
