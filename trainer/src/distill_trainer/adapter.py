"""The adapters of a trained student apart, in PEFT's own format, for those who keep one base model and many adapters.

`PeftModel.from_pretrained(base, "<version>/adapter")` is the student; the version itself holds it merged.
https://huggingface.co/docs/peft/developer_guides/checkpoint
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from distill_api.sources import HuggingFaceModel
from distill_api.training import Task
from distill_trainer.data.extras import required
from distill_trainer.lora import FIELD
from distill_trainer.weights import plain_tensors

FOLDER = "adapter"
_BASE = "base_model.model."
"""What PEFT puts before the names of the base model."""


@dataclass(frozen=True)
class Adapter:
    """Tensors by PEFT's names, and PEFT's LoraConfig."""

    tensors: dict[str, Tensor]
    config: Any

    def write(self, folder: Path) -> None:
        """`adapter/` below a version's folder."""
        self.config.save_pretrained(folder / FOLDER)
        save_file(self.tensors, folder / FOLDER / "adapter_model.safetensors", {"format": "pt"})


def adapter_of(student: nn.Module, base: HuggingFaceModel, task: Task) -> Adapter:
    """Those of a student whose adapters are still in, with the tensors that were trained whole beside them."""
    config: Any = student.peft_config["default"]  # type: ignore[index] # PEFT's own mark
    library = required("peft", extra="lora", field=FIELD)
    whole = [
        name for name, weight in student.named_parameters() if weight.requires_grad and ".lora_" not in name
    ]
    modules = sorted({name.rpartition(".")[0] for name in whole})
    found = library.get_peft_model_state_dict(student, save_embedding_layers=False)
    for name, tensor in student.state_dict().items():
        if any(name.startswith(f"{module}.") for module in modules):
            found[name] = tensor
    config.base_model_name_or_path, config.revision = base.id, base.revision
    config.target_modules = sorted(config.target_modules)  # a set, whose order is another in each process
    config.modules_to_save = modules or None
    config.inference_mode = True
    if task is Task.CAUSAL_LM:
        config.task_type = library.TaskType.CAUSAL_LM
    else:
        kind = type(student)
        config.auto_mapping = {"base_model_class": kind.__name__, "parent_library": kind.__module__}
    return Adapter(plain_tensors({_BASE + name: tensor for name, tensor in found.items()}), config)
