"""`model.onnx`, for ONNX Runtime, TensorRT, OpenVINO … (https://onnx.ai)."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import torch
from torch import Tensor

from distill_trainer.batch import Inputs
from distill_trainer.errors import ConfigInvalid
from distill_trainer.export.exporter import Runner
from distill_trainer.export.trace import Traced, names_of, tensors_of

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


class Onnx:
    """Inputs by the names that the trainer gives them, `logits` or `sentence_embedding` out; batch and length are open."""

    file = "model.onnx"

    def check_installed(self) -> None:
        """Raise ConfigInvalid where a package is missing."""
        missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
        if missing:
            raise ConfigInvalid(
                f"output.formats has ONNX, which needs the package {missing[0]} in the trainer's image: "
                "pip install 'distill-trainer[export]'"
            )

    def write(self, traced: Traced, path: Path) -> None:
        """One file with the weights inside."""
        logging.getLogger("torch.onnx").setLevel(
            logging.ERROR
        )  # it tells of operators of packages that are not used
        torch.onnx.export(
            traced.program,
            (),
            str(path),
            input_names=list(traced.names),
            output_names=[traced.output],
            dynamo=True,
            external_data=False,
            verbose=False,
        )

    def open(self, path: Path) -> Runner:
        """On the CPU."""
        import onnxruntime  # noqa: PLC0415  (half a second that only this format pays)

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        taken = {
            given.name for given in session.get_inputs()
        }  # an input that changes nothing is not in the graph

        def run(inputs: Inputs) -> Tensor:
            named = zip(names_of(inputs), tensors_of(inputs), strict=True)
            [logits] = session.run(None, {name: tensor.numpy() for name, tensor in named if name in taken})
            return torch.from_numpy(logits)

        return run
