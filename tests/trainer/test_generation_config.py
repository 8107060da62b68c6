"""How a language model continues texts unless told otherwise goes with the student: its own settings, else its teacher's."""

import json

import pytest
import torch
from language_world import gpt2, llama, tokenizer, write_language_teacher, write_texts
from transformers import AutoModelForCausalLM, GenerationConfig

TEACHER = {"max_new_tokens": 3, "bos_token_id": 0, "eos_token_id": [1, 5], "pad_token_id": 1}
STUDENT = {**TEACHER, "max_new_tokens": 4, "repetition_penalty": 1.3}


def settings(folder):
    return GenerationConfig.from_pretrained(folder).to_diff_dict()


@pytest.fixture
def job(workspace):
    write_texts(workspace.root / "data", train=24, test=12)
    teacher = write_language_teacher(workspace.root / "teacher", steps=20)
    (teacher / "generation_config.json").write_text(json.dumps(TEACHER))
    return {
        "task": "CausalLM",
        "teacher": {"huggingFace": {"id": f"file://{teacher}"}},
        "student": {"initFromTeacher": {"count": 1}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "Text"}},
        "training": {"epochs": 1, "batchSize": 8},
    }


def test_layers_of_the_teacher_go_on_as_it_does(workspace, job):
    folder = workspace.version(workspace.train(**job))
    assert settings(folder) == settings(workspace.root / "teacher")
    ids = tokenizer()("one two", return_tensors="pt").input_ids
    made = [
        AutoModelForCausalLM.from_pretrained(each).generate(ids)
        for each in (folder, workspace.root / "teacher")
    ]
    assert all(each.shape[1] <= ids.shape[1] + 3 for each in made)
    assert torch.equal(made[0][:, : ids.shape[1]], ids)


@pytest.mark.parametrize(("own", "wanted"), [(STUDENT, STUDENT), (None, TEACHER)], ids=["its own", "none"])
def test_a_students_own_settings_stand_before_its_teachers(workspace, job, own, wanted):
    """A config alone says nothing, and what Transformers makes up of it would go on for 20 tokens."""
    gpt2().save_pretrained(workspace.root / "student")
    if own:
        (workspace.root / "student/generation_config.json").write_text(json.dumps(own))
    job["student"] = {"huggingFace": {"id": f"file://{workspace.root / 'student'}"}}
    folder = workspace.version(workspace.train(**job))
    assert json.loads((folder / "generation_config.json").read_text()) == wanted
    assert (
        AutoModelForCausalLM.from_pretrained(folder).generation_config.max_new_tokens
        == wanted["max_new_tokens"]
    )


def test_without_any_it_is_what_the_library_makes_of_the_config(workspace, job):
    (workspace.root / "teacher/generation_config.json").unlink()
    folder = workspace.version(workspace.train(**job))
    assert settings(folder)["eos_token_id"] == llama().eos_token_id
