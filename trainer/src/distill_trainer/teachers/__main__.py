"""`python -m distill_trainer.teachers digits|fashion-mnist --out F`: trains a teacher and writes its safetensors file."""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file

from distill_api.contract import ExitCode
from distill_api.dataset import BuiltinDataset, Dataset
from distill_api.training import Objective, Training
from distill_trainer import data, outcome
from distill_trainer.errors import Disrupted, UserError
from distill_trainer.stop import StopSignal
from distill_trainer.teachers.fit import accuracy, fit, new_network
from distill_trainer.weights import plain_tensors

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """How a teacher is trained."""

    network: str
    training: Training


RECIPES = {
    "digits": Recipe("convnet-large", Training(epochs=15, batch_size=64)),
    "fashion-mnist": Recipe("convnet-small", Training(epochs=5, batch_size=128, learning_rate=0.004)),
}


def train_teacher(name: str, file: Path, stop: StopSignal) -> float:
    """Train on all training samples of the data set, write the file, return the accuracy on its test split.

    Parameters are rounded to 16 bits, which halves the file; the accuracy is that of the rounded ones.
    """
    recipe = RECIPES[name]
    samples = data.load(Dataset(builtin=BuiltinDataset(name=name)), seed=recipe.training.seed)
    network = new_network(recipe.network, samples, seed=recipe.training.seed)
    fit(network, samples, recipe.training, Objective(), stop=stop)
    rounded = plain_tensors(network.half().state_dict())
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    save_file(rounded, part)
    part.chmod(0o644)  # pods of other users read it from the volume
    part.replace(file)
    return accuracy(network.float(), samples.test)


def main(arguments: list[str] | None = None) -> int:
    """The exit code of `distill_api.contract.ExitCode`."""
    parser = argparse.ArgumentParser(
        prog="python -m distill_trainer.teachers", description="Trains a teacher."
    )
    parser.add_argument("name", choices=list(RECIPES))
    parser.add_argument("--out", type=Path, required=True, help="the safetensors file to write")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    stop = StopSignal()
    stop.install()
    try:
        reached = train_teacher(options.name, options.out, stop)
    except UserError as error:
        return _failed(error.reason, error.message, error.exit_code)
    except OSError as error:
        return _failed(
            "OutputNotWritable", f"--out {options.out} cannot be written: {error.strerror}", ExitCode.FAILED
        )
    except Disrupted:
        return _failed(
            "Disrupted",
            "stopped by a signal: teachers take no checkpoint, the next start begins anew",
            ExitCode.DISRUPTED,
        )
    sentence = f"{options.name} teacher ({RECIPES[options.name].network}): test accuracy {reached:.4f}, written to {options.out}"
    outcome.write(outcome.outcome("Succeeded", sentence))
    log.info("%s", sentence)
    return int(ExitCode.SUCCEEDED)


def _failed(reason: str, message: str, code: ExitCode) -> int:
    outcome.write(outcome.outcome(reason, message))
    print(message, file=sys.stderr)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
