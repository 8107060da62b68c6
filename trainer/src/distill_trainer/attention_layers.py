"""Attention layers of transformers and the projections that their attention is made of. Used by the contract check.

The attention itself is made again from queries and keys, so that nothing depends on how the model computes it: fused
kernels, which the models use, keep no scores. That is right for the architectures listed here, which add nothing to the
product of queries and keys but the mask; relative positions and rotations would be missing from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from distill_trainer.errors import ContractBroken
from distill_trainer.layers import bare

_BERT = ("query", "key", "value", "num_attention_heads")
_KINDS = {
    "BertSelfAttention": _BERT,
    "CamembertSelfAttention": _BERT,
    "ElectraSelfAttention": _BERT,
    "RobertaSelfAttention": _BERT,
    "XLMRobertaSelfAttention": _BERT,
    "DistilBertSelfAttention": ("q_lin", "k_lin", "v_lin", "n_heads"),
}
"""Names of query, key, value and number of heads, by class; MiniLM models are BERT or XLM-RoBERTa."""
_KNOWN = "BERT, MiniLM, RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA and DistilBERT"
_SHOWN = 3


@dataclass(frozen=True)
class AttentionLayer:
    """An attention layer by name; `projections` names its query, key and value layers, each giving [B, L, heads · d]."""

    name: str
    projections: tuple[str, str, str]
    heads: int


def attention_layer(network: nn.Module, name: str, field: str, owner: str) -> AttentionLayer:
    """The attention layer that `name` is, or the only one inside it. Raises ContractBroken (LayerMismatch)."""
    below = _attention_names(bare(network).get_submodule(name), name)
    if len(below) == 1:
        return _described(network, below[0], field)
    every = _attention_names(bare(network), "")
    remedy = (
        f"attention layers of the {owner} are {', '.join(every[:_SHOWN])}{' …' if len(every) > _SHOWN else ''}"
        if every
        else f"the {owner} has none of a known kind ({_KNOWN}); use Hint"
    )
    holds = f"holds {len(below)} attention layers" if below else "is no attention layer"
    raise ContractBroken(
        "LayerMismatch", f"{field}: layer {name!r} of the {owner} {holds}, and one is compared; {remedy}"
    )


def _attention_names(module: nn.Module, prefix: str) -> list[str]:
    names = [name for name, inner in module.named_modules() if type(inner).__name__ in _KINDS]
    return [".".join(filter(None, (prefix, name))) for name in names]


def _described(network: nn.Module, name: str, field: str) -> AttentionLayer:
    module = bare(network).get_submodule(name)
    if getattr(module, "is_decoder", False):
        raise ContractBroken(
            "LayerMismatch",
            f"{field}: {name!r} sees earlier tokens alone, and encoders are compared; use Hint",
        )
    query, key, value, heads = _KINDS[type(module).__name__]
    return AttentionLayer(
        name, (f"{name}.{query}", f"{name}.{key}", f"{name}.{value}"), int(getattr(module, heads))
    )
