"""The terms of the objective against both models: layers found by name, widths compared. Part of the contract check.

Everything that a term needs to know of the models is found here, on the meta device, before anything is trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn

from distill_api.curriculum_rules import SOFTENING
from distill_api.terms import AttentionMode, KLVariant, LayerPair, Projection, Term, TermType
from distill_api.training import Objective
from distill_trainer.attention_layers import attention_layer
from distill_trainer.batch import Inputs, any_tensor
from distill_trainer.data.suggest import did_you_mean
from distill_trainer.errors import ContractBroken
from distill_trainer.layers import layer_names, matching_layers, watch
from distill_trainer.losses import LOGITS, PlannedPair, TermPlan
from distill_trainer.shapes_alone import shapes_alone

_SHOWN_LAYERS = 8
_Shape = tuple[int, ...]


@dataclass(frozen=True)
class Networks:
    """Both networks and an input for them; on the meta device, where shapes are all there is."""

    teacher: nn.Module
    student: nn.Module
    example: Inputs


@dataclass(frozen=True)
class _Names:
    """One pair of the spec with the layers that it names; `field` is where it stands."""

    field: str
    pair: LayerPair
    teacher: list[str]
    student: list[str]
    heads: tuple[int, ...] = ()
    """Of each layer, where they are projections of attention layers."""


@shapes_alone()
def plan_terms(
    objective: Objective,
    networks: Networks,
    *,
    widths: tuple[int, int],
    samples: int,
    at: str = "objective",
) -> tuple[TermPlan, ...]:
    """Each term of the objective, which stands `at`, with its layers; `widths` are those of both models' outputs, the teacher's first.

    Raises ContractBroken: LayerNotFound, LayerMismatch, WidthMismatch, TooFewClasses, TooFewSamples.
    """
    terms = objective.effective_terms
    named = [_names(term, f"{at}.terms[{index}]", networks) for index, term in enumerate(terms)]
    pairs = [pair for each in named for pair in each]
    teacher = _shapes(
        networks.teacher, networks.example, [(pair.field, pair.teacher) for pair in pairs], "teacher"
    )
    student = _shapes(
        networks.student, networks.example, [(pair.field, pair.student) for pair in pairs], "student"
    )
    plans = []
    for index, (term, name, found) in enumerate(zip(terms, term_names(terms), named, strict=True)):
        field = f"{at}.terms[{index}]"
        _check_sizes(term, field, widths, samples)
        planned = tuple(pair for each in found for pair in _planned(term, each, teacher, student))
        planned = planned or _on_logits(term, widths)
        temperature = objective.temperature if term.temperature is None else term.temperature
        follows = term.temperature is None and term.type in SOFTENING
        plans.append(TermPlan(name, term, temperature, planned, samples, follows, field))
    return tuple(plans)


def term_names(terms: tuple[Term, ...]) -> list[str]:
    """What progress and report call each: type and variant, with a number from the second of a name on."""
    seen: Counter[str] = Counter()
    names = []
    for term in terms:
        plain = term.variant in {None, KLVariant.FORWARD}
        name = term.type.value if plain or not term.variant else f"{term.type.value} {term.variant.value}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return names


def term_warnings(objective: Objective, at: str = "objective") -> Iterator[str]:
    """What is allowed and odd of the objective that stands `at`."""
    for index, term in enumerate(objective.effective_terms):
        if term.variant is KLVariant.JENSEN_SHANNON and term.beta is not None and abs(term.beta - 0.5) > 0.45:
            side = "Forward" if term.beta < 0.5 else "Reverse"
            yield (
                f"{at}.terms[{index}].beta is {term.beta:g}: this near an end the loss and its gradient shrink like "
                f"{min(term.beta, 1 - term.beta):.2g}; use variant {side}, or a greater weight"
            )


def _names(term: Term, field: str, networks: Networks) -> list[_Names]:
    found = []
    for index, pair in enumerate(term.pairs or ()):
        place = f"{field}.pairs[{index}]"
        teacher = _matching(networks.teacher, pair.teacher, f"{place}.teacher", "teacher")
        student = _matching(networks.student, pair.student, f"{place}.student", "student")
        if len(teacher) != len(student):
            raise ContractBroken(
                "LayerMismatch",
                f"{place}: {pair.teacher!r} names {_layers(teacher)} of the teacher and {pair.student!r} {_layers(student)} of "
                "the student; name as many of one as of the other",
            )
        if term.mode is not None and term.mode.of_transformers:
            found.append(_attention_pairs(term.mode, _Names(place, pair, teacher, student), networks))
        else:
            found.append(_Names(place, pair, teacher, student))
    single = term.type in {TermType.RELATIONAL, TermType.CONTRASTIVE}
    if single and found and len(found[0].teacher) > 1:
        raise ContractBroken(
            "LayerMismatch",
            f"{field}.pairs[0] names {_layers(found[0].teacher)}: {term.type.value} compares one layer of each; give each "
            "further pair a term of its own",
        )
    return found


def _attention_pairs(mode: AttentionMode, named: _Names, networks: Networks) -> _Names:
    """The projections that the mode compares, a pair each, in place of the attention layers that are named."""
    sides = [
        [attention_layer(network, name, f"{named.field}.{owner}", owner) for name in names]
        for owner, network, names in (
            ("teacher", networks.teacher, named.teacher),
            ("student", networks.student, named.student),
        )
    ]
    for theirs, mine in zip(*sides, strict=True):
        if theirs.heads != mine.heads:
            raise ContractBroken(
                "LayerMismatch",
                f"{named.field}: {theirs.name!r} of the teacher has {theirs.heads} heads and {mine.name!r} of the student "
                f"{mine.heads}: {mode.value} compares head with head; use a student with as many",
            )
    compared = 2 if mode is AttentionMode.TINY_BERT else 3
    teacher, student = ([name for layer in side for name in layer.projections[:compared]] for side in sides)
    heads = tuple(layer.heads for layer in sides[0] for _ in range(compared))
    return replace(named, teacher=teacher, student=student, heads=heads)


def _matching(network: nn.Module, pattern: str, field: str, owner: str) -> list[str]:
    names = matching_layers(network, pattern)
    if names:
        return names
    known = layer_names(network)
    shown = ", ".join(known[:_SHOWN_LAYERS]) + (
        f" and {len(known) - _SHOWN_LAYERS} more" if len(known) > _SHOWN_LAYERS else ""
    )
    raise ContractBroken(
        "LayerNotFound",
        f"{field} is {pattern!r}, which no layer of the {owner} is called{did_you_mean(pattern, known)}; known are {shown}",
    )


def _shapes(
    network: nn.Module, example: Inputs, wanted: list[tuple[str, list[str]]], owner: str
) -> dict[str, _Shape]:
    """Output shape of each wanted layer, batch left out."""
    names = [name for _, layers in wanted for name in layers]
    if not names:
        return {}
    with watch(network, names) as seen, torch.no_grad():
        network(example)
    for field, layers in wanted:
        for name in layers:
            if name not in seen or seen[name].dim() < 2 or len(seen[name]) != len(any_tensor(example)):
                raise ContractBroken(
                    "LayerMismatch",
                    f"{field}.{owner}: layer {name!r} of the {owner} gives no tensor with one row a sample; name another",
                )
    return {name: tuple(output.shape[1:]) for name, output in seen.items()}


def _planned(
    term: Term, found: _Names, teacher: dict[str, _Shape], student: dict[str, _Shape]
) -> Iterator[PlannedPair]:
    heads = found.heads or (None,) * len(found.student)
    for mine, theirs, of_pair in zip(found.student, found.teacher, heads, strict=True):
        pair = PlannedPair(theirs, mine, teacher[theirs], student[mine], found.pair.projection, of_pair)
        fault = _fault(term, pair)
        if fault:
            raise ContractBroken(
                "LayerMismatch",
                f"{found.field}: layer {theirs!r} of the teacher gives {_shown(pair.teacher_shape)}, layer {mine!r} of the "
                f"student {_shown(pair.student_shape)}: {fault}",
            )
        yield pair


def _fault(term: Term, pair: PlannedPair) -> str:
    """What does not fit, with its remedy; empty where all does."""
    mine, theirs = pair.student_shape, pair.teacher_shape
    if pair.heads is not None:
        return (
            ""
            if mine[0] == theirs[0]
            else "they see different numbers of positions; use models with the same"
        )
    if term.type is TermType.ATTENTION_TRANSFER:
        if len(mine) != 3 or len(theirs) != 3:
            return "AttentionTransfer compares maps of channels × height × width; name convolutional layers, or set mode to TinyBERT or MiniLM for attention layers"
        return (
            ""
            if mine[1:] == theirs[1:]
            else "height and width differ; name layers whose maps are equally large"
        )
    if term.type is not TermType.HINT:
        return ""
    if _without_width(mine) != _without_width(theirs):
        return "they differ in more than their width, which no projection mends; name layers of the same size"
    if mine != theirs and pair.projection is not Projection.LINEAR:
        return "the widths differ; set projection: Linear on the pair, which learns a map between them"
    return ""


def _without_width(shape: _Shape) -> _Shape:
    return shape[1:] if len(shape) >= 3 else shape[:-1]


def _check_sizes(term: Term, field: str, widths: tuple[int, int], samples: int) -> None:
    classes, mine = widths
    if term.type is TermType.MSE_LOGITS and classes != mine:
        raise ContractBroken(
            "WidthMismatch",
            f"{field}.type is MSELogits, and the teacher's outputs have {classes} values, the student's {mine}: use "
            "KLDivergence or Relational, which compare similarities, or Hint with projection: Linear",
        )
    if term.type is TermType.DECOUPLED and classes < 3:
        raise ContractBroken(
            "TooFewClasses",
            f"{field}.type is Decoupled and there are {classes} classes: beside the target only one is left, whose part says "
            "nothing; use KLDivergence",
        )
    if term.type is TermType.CONTRASTIVE and samples < 2:
        raise ContractBroken(
            "TooFewSamples",
            f"{field}.type is Contrastive and there is {samples} training sample: it needs others to contrast with; use "
            "KLDivergence or give more data",
        )


def _on_logits(term: Term, widths: tuple[int, int]) -> tuple[PlannedPair, ...]:
    """Contrastive sizes its projections by the logits where no pair is given."""
    if term.type is not TermType.CONTRASTIVE:
        return ()
    return (PlannedPair(LOGITS, LOGITS, widths[:1], widths[1:]),)


def _layers(names: list[str]) -> str:
    return f"{len(names)} layer{'s' if len(names) > 1 else ''}"


def _shown(shape: _Shape) -> str:
    return "×".join(map(str, shape))
