"""Low-rank adapters of a Transformers student, by PEFT: put in before training, merged after it.

Hu et al.: LoRA (arXiv 2106.09685), equation 3: h = W₀x + (α/r)·B·A·x. The network keeps its class and the names of its layers;
once merged it is the plain model again, so that all that follows training knows nothing of adapters.
https://huggingface.co/docs/peft/developer_guides/low_level_api
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from distill_api.lora import Lora
from distill_api.sources import HuggingFaceModel, Student
from distill_api.training import Strategy
from distill_trainer.data.extras import required
from distill_trainer.data.suggest import did_you_mean
from distill_trainer.errors import ContractBroken

FIELD = "student.lora"


def base_of(student: Student) -> HuggingFaceModel | None:
    """What the adapters go with; None where that is layers of the teacher, which lie nowhere by themselves."""
    return None if student.init_from_teacher else student.hugging_face


def check_lora(
    lora: Lora,
    student: nn.Module,
    *,
    name: str,
    trained: bool,
    strategy: Strategy,
    base: HuggingFaceModel | None,
) -> str:
    """What will be trained and written, as a sentence; `student` (on the meta device) is adapted on the way.

    Raises ContractBroken: AdaptersOfNothing, AdaptersNotSharded, AdaptersOfSharedWeights, LayerNotFound, LibraryMissing.
    """
    if not trained:
        raise ContractBroken(
            "AdaptersOfNothing",
            f"{FIELD}: student {name} has no trained weights, and adapters change little of what is there: name a model with "
            "weights, start from layers of the teacher (student.initFromTeacher), or remove student.lora",
        )
    if strategy is Strategy.FSDP:
        raise ContractBroken(
            "AdaptersNotSharded", f"{FIELD} cannot be trained with training.strategy FSDP: remove one of them"
        )
    whole = sum(parameter.numel() for parameter in student.parameters())
    adapt(student, lora)
    own = sum(parameter.numel() for parameter in student.parameters() if parameter.requires_grad)
    layers = ", ".join(_targets(student, lora))
    return (
        f"{FIELD}: {own:,} parameters are trained beside {whole:,} that stay ({own / whole:.2%}), adapters of rank {lora.rank} on "
        f"{layers}; tensors that the weights lack, as a new head, are trained whole; {_written(base)}"
    )


def _written(base: HuggingFaceModel | None) -> str:
    if base is None:
        return "no adapter/ is written, since layers of the teacher are no model that it could be loaded on"
    return f"adapter/ beside the student holds them apart, to be loaded on {base.id}"


def adapt(student: nn.Module, lora: Lora, fresh: Sequence[str] = ()) -> None:
    """Put adapters in; they and the tensors `fresh` are trained, nothing else. The student answers as before: B is 0.

    Raises ContractBroken: LayerNotFound, AdaptersOfSharedWeights, AdaptersOfNothing.
    """
    peft = _library()
    targets = _targets(student, lora)
    _refuse_shared(student, targets)
    _refuse_fresh(student, targets, fresh)
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(targets),
        fan_in_fan_out=_transposed(student, targets),
    )
    peft.inject_adapter_in_model(config, student)
    for name, parameter in student.named_parameters():
        if name in fresh:
            parameter.requires_grad_()


def merge(student: nn.Module) -> None:
    """Add each adapter to its layer's weight and take it out: W = W₀ + (α/r)·B·A."""
    tuner: Any = required("peft.tuners.tuners_utils", extra="lora", field=FIELD).BaseTunerLayer
    for name, layer in list(student.named_modules()):
        if isinstance(layer, tuner):
            layer.merge()
            student.set_submodule(name, layer.get_base_layer())
    del student.peft_config  # PEFT's own mark of a model with adapters
    student.requires_grad_()


def _library() -> Any:
    return required("peft", extra="lora", field=FIELD)


def _targets(student: nn.Module, lora: Lora) -> tuple[str, ...]:
    """The names that are set, each of which some layer must have, or PEFT's own for this kind of model."""
    known = sorted(
        {name.rpartition(".")[2] for name, layer in student.named_modules() if _has_a_matrix(layer)}
    )
    if lora.target_modules is None:
        usual = _library().utils.constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
        kind = getattr(getattr(student, "config", None), "model_type", "")
        if kind not in usual:
            raise ContractBroken(
                "LayerNotFound",
                f"{FIELD}.targetModules is not set, and PEFT has no usual ones for {kind} models: name some of {', '.join(known)}",
            )
        return tuple(usual[kind])
    for target in lora.target_modules:
        if not _layers_called(student, target):
            raise ContractBroken(
                "LayerNotFound",
                f"{FIELD}.targetModules has {target!r}, which no layer of the student is called{did_you_mean(target, known)}; "
                f"known are {', '.join(known)}",
            )
    return tuple(lora.target_modules)


def _refuse_shared(student: nn.Module, targets: Sequence[str]) -> None:
    """Merged into one of two layers that share their weights an adapter would change the other, which was trained without."""
    names: dict[int, list[str]] = {}
    for name, weight in student.named_parameters(remove_duplicate=False):
        names.setdefault(id(weight), []).append(name.rpartition(".")[0])
    for target in targets:
        for layer in _layers_called(student, target):
            shared = names.get(id(getattr(layer, "weight", None)), [])
            if len(shared) > 1:
                raise ContractBroken(
                    "AdaptersOfSharedWeights",
                    f"{FIELD}.targetModules has {target!r}, and {' and '.join(shared)} share one tensor, which merging would change "
                    "for both: leave it out",
                )


def _refuse_fresh(student: nn.Module, targets: Sequence[str], fresh: Sequence[str]) -> None:
    new = {
        id(student.get_parameter(name)): name for name in fresh if name in dict(student.named_parameters())
    }
    for target in targets:
        for layer in _layers_called(student, target):
            name = new.get(id(getattr(layer, "weight", None)))
            if name:
                raise ContractBroken(
                    "AdaptersOfNothing",
                    f"{FIELD}.targetModules has {target!r}, and {name} starts fresh, since the weights lack it: leave it out, and "
                    "it is trained whole",
                )


def _layers_called(student: nn.Module, target: str) -> list[nn.Module]:
    """As PEFT finds them: the whole name, or its end."""
    return [layer for name, layer in student.named_modules() if name == target or name.endswith(f".{target}")]


def _has_a_matrix(layer: nn.Module) -> bool:
    weight = getattr(layer, "weight", None)
    return isinstance(weight, nn.Parameter) and weight.dim() > 1


def _transposed(student: nn.Module, targets: Sequence[str]) -> bool:
    """Whether weights are [in, out], as those of GPT-2's Conv1D are."""
    found = [layer for target in targets for layer in _layers_called(student, target)]
    return any(type(layer).__name__ == "Conv1D" for layer in found)
