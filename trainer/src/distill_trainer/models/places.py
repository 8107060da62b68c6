"""What a Transformers config says of a text's places: how many a model has, and how it finds the last one. Used by `huggingface`."""

from __future__ import annotations

import inspect
from typing import Any

from distill_trainer.models import hub

_COUNT_AFTER_PADDING = {
    *("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm", "xmod", "longformer"),
    *("mpnet", "ibert", "data2vec-text", "esm", "luke", "layoutlmv3", "lilt", "markuplm"),
}
"""Their first position is that after the padding token's id, so that a table of 514 has room for 512."""
_MPNET_PADDING = 1  # whatever its config says


def longest_input(config: dict[str, Any]) -> int | None:
    """The most tokens of a text; None where they are not bounded."""
    given = (config.get(key) for key in ("max_position_embeddings", "n_positions", "max_seq_len"))
    positions = next((int(value) for value in given if value), None)
    kind = config.get("model_type")
    if positions is None or kind not in _COUNT_AFTER_PADDING:
        return positions
    padding = _MPNET_PADDING if kind == "mpnet" else int(config.get("pad_token_id", 1))
    return positions - padding - 1


def ends_by_padding(config: dict[str, Any]) -> tuple[int | None] | None:
    """The padding token, where a classifier of texts answers at the last token before it, as decoders do; else None."""
    transformers = hub.transformers_library()
    kind = config.get("model_type")
    if kind not in transformers.CONFIG_MAPPING:
        return None
    heads, made_of = transformers.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, transformers.CONFIG_MAPPING[kind]
    looks = made_of in heads and "pad_token_id" in inspect.getsource(heads[made_of].forward)
    return (config.get("pad_token_id"),) if looks else None
