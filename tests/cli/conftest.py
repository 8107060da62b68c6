"""The `distill` program called as a user calls it, a job about digits, and a claim with weights of its teacher."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from distill_cli.main import main

JOB = """\
apiVersion: distillation.dev/v1alpha1
kind: DistillationJob
metadata: {name: digits, namespace: team-a}
spec:
  task: ImageClassification
  teacher: {builtin: {name: convnet-small}, weights: {uri: pvc://models/teacher.safetensors}}
  student: {builtin: {name: convnet-tiny}}
  dataset: {builtin: {name: digits}, limit: 200}
  objective:
    alpha: 0.1
    temperature: 4
  training: {epochs: 1, batchSize: 32, learningRate: 0.01}
  output: {uri: pvc://models/students/digits}
"""


@dataclass(frozen=True)
class Said:
    """How a command ended and what it printed."""

    code: int
    out: str
    error: str


@pytest.fixture
def distill(capsys, monkeypatch) -> Callable[..., Said]:
    """Run a command in this process."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def call(*arguments: object) -> Said:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, error = capsys.readouterr()
        return Said(code, out, error)

    return call


@pytest.fixture
def write(tmp_path) -> Callable[..., Path]:
    """Write a file of YAML."""

    def to_file(text: str, name: str = "job.yaml") -> Path:
        file = tmp_path / name
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        return file

    return to_file


@pytest.fixture
def job_text() -> str:
    """The job as it is written."""
    return JOB


@pytest.fixture
def job(write) -> Path:
    """The job in a file."""
    return write(JOB)


@pytest.fixture(scope="session")
def teacher_file(tmp_path_factory) -> Path:
    """Parameters of a convnet-small that has learnt nothing: enough for everything but a good student."""
    import torch
    from safetensors.torch import save_file

    from distill_trainer.models.builtin import NETWORKS

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_file(NETWORKS["convnet-small"]((1, 8, 8), 10).state_dict(), file)
    return file


@pytest.fixture
def claim(tmp_path, teacher_file) -> str:
    """`models=DIR`, a folder with the teacher's parameters."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "teacher.safetensors").symlink_to(teacher_file)
    return f"models={folder}"
