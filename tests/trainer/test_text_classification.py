"""Texts, from a folder of JSON Lines and two tiny BERTs to a student that others can load."""

import json

import pytest
import torch
from text_world import SPECIAL, sentences, tokenizer, write_sentences, write_student, write_teacher
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from distill_api.contract import ExitCode
from distill_trainer.student import load_student


@pytest.fixture(scope="module")
def text_teacher(tmp_path_factory):
    return write_teacher(tmp_path_factory.mktemp("text") / "teacher")


@pytest.fixture
def text_job(workspace, text_teacher):
    """Fields of a run on sentences."""
    write_sentences(workspace.root / "data")
    write_student(workspace.root / "student")
    return {
        "task": "TextClassification",
        "teacher": {"huggingFace": {"id": f"file://{text_teacher}"}},
        "student": {"huggingFace": {"id": f"file://{workspace.root / 'student'}"}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "JsonLines"}},
        "objective": {"temperature": 2.0},
        "training": {"epochs": 12, "batchSize": 16, "learningRate": 0.005},
    }


def test_a_student_of_texts_learns_and_is_loaded_by_transformers(workspace, text_job):
    ended = workspace.train(**text_job)
    assert ended.code is ExitCode.SUCCEEDED
    result = ended.outcome.result
    assert result.teacher.metric > 0.9
    assert result.student.metric > 0.8
    folder = workspace.version(ended)
    network, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    words = AutoTokenizer.from_pretrained(folder)
    rows, names = sentences(60, seed=2), json.loads((folder / "student.json").read_text())["classes"]
    batch = words([row["text"] for row in rows], padding=True, return_tensors="pt")
    with torch.no_grad():
        predicted = network.eval()(**batch).logits.argmax(-1).tolist()
    right = sum(names[index] == row["label"] for index, row in zip(predicted, rows, strict=True))
    assert right / 60 == pytest.approx(result.student.metric, abs=1e-9)


def test_the_written_student_reads_texts_as_training_did(workspace, text_job):
    dataset = {**text_job["dataset"], "maxTokens": 6}
    ended = workspace.train(**{**text_job, "dataset": dataset, "training": {"epochs": 1}})
    folder = workspace.version(ended)
    assert json.loads((folder / "student.json").read_text())["input"] == {"maxTokens": 6}
    student = load_student(folder)
    long = student.encoder.encode(["the cat of the oak and the jade in it"])
    assert long.inputs["input_ids"].shape == (1, 6)
    assert student.predict(long.inputs).sum(-1).tolist() == pytest.approx([1.0])


def test_another_tokenizer_is_refused_with_the_first_difference(workspace, text_job):
    other = tokenizer(
        ["oak", *sorted({word for row in sentences(200, seed=1) for word in row["text"].split()})[::-1]]
    )
    other.save_pretrained(workspace.root / "student")
    ended = workspace.check(**text_job)
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "TokenizerMismatch")
    assert "have different tokenizers" in ended.outcome.message


def test_texts_longer_than_the_models_are_refused_by_the_setting(workspace, text_job):
    dataset = {**text_job["dataset"], "maxTokens": 65}
    ended = workspace.check(**{**text_job, "dataset": dataset})
    assert ended.outcome.reason == "InputTooLong"
    assert "dataset.maxTokens is 65, and teacher teacher takes at most 64" in ended.outcome.message


def test_an_empty_text_is_named(workspace, text_job):
    with (workspace.root / "data" / "train.jsonl").open("a") as file:
        file.write(json.dumps({"text": " ", "label": "stone"}) + "\n")
    ended = workspace.train(**text_job)
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "EmptyText")
    assert "dataset.columns.text (text) of split 'train' is empty in row 240" in ended.outcome.message


def test_pictures_are_refused_for_texts(workspace, text_job):
    ended = workspace.check(**{**text_job, "dataset": {"builtin": {"name": "digits"}}})
    assert ended.outcome.reason == "TaskMismatch"
    assert "holds pictures" in ended.outcome.message


def test_a_builtin_network_is_refused_for_texts(workspace, text_job):
    ended = workspace.check(**{**text_job, "student": {"builtin": {"name": "mlp"}}})
    assert ended.outcome.reason == "TaskMismatch"
    assert "student.builtin.name is 'mlp', which classifies pictures" in ended.outcome.message


@pytest.mark.parametrize("mode", ["Online", "Cached"])
def test_stopped_and_started_again_gives_the_same_student_bit_for_bit(workspace, text_job, stop_after, mode):
    text_job = {**text_job, "teacherOutputs": {"mode": mode}}
    whole = workspace.train(**text_job)
    output = {"uri": "pvc://models/again"}
    again = workspace.train(stop=stop_after(30), **text_job, output=output)
    assert again.code is ExitCode.DISRUPTED
    ended = workspace.train(**text_job, output=output)
    assert ended.outcome.lineage.student_digest == whole.outcome.lineage.student_digest


def test_the_special_tokens_lead_the_vocabulary():
    assert tokenizer().convert_tokens_to_ids(SPECIAL) == [0, 1, 2, 3]
