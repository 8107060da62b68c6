"""The script that trains teachers, on the data it is meant for, and the file that is shipped."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distill_api.contract import ExitCode, Outcome
from distill_api.dataset import BuiltinDataset, Dataset
from distill_api.training import Training
from distill_trainer import data
from distill_trainer.teachers import __main__ as teachers
from distill_trainer.teachers import shipped
from distill_trainer.teachers.fit import accuracy, new_network


def digits() -> data.DataSet:
    return data.load(Dataset(builtin=BuiltinDataset(name="digits")), seed=0)


def test_the_shipped_teacher_knows_digits_it_was_not_trained_on() -> None:
    samples = digits()
    teacher = new_network(teachers.RECIPES["digits"].network, samples, seed=0)
    teacher.load_state_dict(load_file(shipped("digits")))
    assert accuracy(teacher.eval(), samples.test) > 0.97


def test_the_script_writes_a_teacher_and_says_how_good_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = teachers.Recipe("mlp", Training(epochs=2, batch_size=64, learning_rate=0.01))
    monkeypatch.setitem(teachers.RECIPES, "digits", quick)
    monkeypatch.setenv("DISTILL_TERMINATION_LOG", str(tmp_path / "termination"))
    file = tmp_path / "new" / "teacher.safetensors"
    assert teachers.main(["digits", "--out", str(file)]) == ExitCode.SUCCEEDED
    outcome = Outcome.model_validate_json((tmp_path / "termination").read_bytes())
    samples = digits()
    network = new_network("mlp", samples, seed=9)
    network.load_state_dict(load_file(file))
    assert f"test accuracy {accuracy(network, samples.test):.4f}" in outcome.message
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setitem(teachers.RECIPES, "digits", teachers.Recipe("mlp", Training(epochs=1)))
    (tmp_path / "file").write_text("")
    assert (
        teachers.main(["digits", "--out", str(tmp_path / "file" / "teacher.safetensors")]) == ExitCode.FAILED
    )
    assert "cannot be written" in capsys.readouterr().err


def test_a_new_network_depends_on_the_seed_alone() -> None:
    samples = digits()
    one, same, other = (new_network("mlp", samples, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
