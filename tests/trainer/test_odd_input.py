"""What no task may stumble over in the middle of a run: empty texts, tokens that a model has no row for, weights that are no numbers."""

import json
import math

import pytest
from embedding_world import write_encoder, write_texts
from safetensors.torch import load_file, save_file
from text_world import write_sentences, write_student, write_teacher

from distill_api.contract import ExitCode


def of_folder(folder):
    return {"huggingFace": {"id": f"file://{folder}"}}


@pytest.fixture
def jobs(workspace, tmp_path):
    """A job of each task whose samples are texts with one tokenizer; students of config alone."""
    data = workspace.root / "data"
    dataset = {"files": {"uri": f"file://{data}", "format": "JsonLines"}}

    def job(task):
        if task == "Embedding":
            write_texts(data, train=30, test=10)
            write_student(tmp_path / "student")
            more = {"objective": {"alpha": 0}, "evaluation": {"metric": "spearman"}}
            teacher = write_encoder(tmp_path / "teacher")
        else:
            write_sentences(data, train=30, test=10)
            write_student(tmp_path / "student")
            more, teacher = {}, write_teacher(tmp_path / "teacher", steps=1)
        return {
            "task": task,
            "teacher": of_folder(teacher),
            "student": of_folder(tmp_path / "student"),
            "dataset": dataset,
            **more,
        }

    return job


@pytest.mark.parametrize("task", ["Embedding", "TextClassification"])
def test_an_empty_text_is_named(workspace, jobs, task):
    job = jobs(task)
    with (workspace.root / "data/train.jsonl").open("a") as file:
        file.write(json.dumps({"text": "", "label": "stone"}) + "\n")
    ended = workspace.train(**job)
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "EmptyText")
    assert "dataset.columns.text (text) of split 'train' is empty in row 30" in ended.outcome.message


@pytest.mark.parametrize("task", ["Embedding", "TextClassification"])
def test_tokens_beyond_the_vocabulary_are_refused(workspace, jobs, tmp_path, task):
    job = jobs(task)
    config = json.loads((tmp_path / "student/config.json").read_text())
    (tmp_path / "student/config.json").write_text(json.dumps({**config, "vocab_size": 9}))
    ended = workspace.check(**job)
    assert ended.outcome.reason == "VocabularyMismatch"
    assert "student student knows 9 tokens and the tokenizer has" in ended.outcome.message


@pytest.mark.parametrize("field", ["teacher", "student"])
def test_weights_that_are_no_numbers_are_named_before_training(workspace, teacher_weights, tmp_path, field):
    tensors = load_file(teacher_weights)
    tensors["fc.bias"][3] = math.nan
    save_file(tensors, tmp_path / "broken.safetensors")
    model = {
        "builtin": {"name": "convnet-small"},
        "weights": {"uri": f"file://{tmp_path / 'broken.safetensors'}"},
    }
    ended = workspace.train(**{field: model})
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "WeightsNotFinite")
    assert f"{field} convnet-small: fc.bias of its weights hold NaN" in ended.outcome.message
