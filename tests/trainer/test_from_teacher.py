"""Students that start as layers of their teacher: which, what is copied, what is refused."""

import json

import pytest
import torch
from language_world import gpt2, llama
from pydantic import ValidationError
from text_world import bert_config, write_sentences, write_student, write_teacher
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, Gemma2Config

from distill_api.contract import ExitCode
from distill_api.sources import InitFromTeacher, Student
from distill_trainer.errors import ContractBroken
from distill_trainer.models.from_teacher import copy_layers, plan_copy, spread, thinned


@pytest.mark.parametrize(
    ("count", "available", "layers"),
    [(6, 12, (0, 2, 4, 7, 9, 11)), (3, 6, (0, 3, 5)), (2, 4, (0, 3)), (4, 4, (0, 1, 2, 3)), (1, 5, (0,))],
)
def test_layers_are_spread_with_both_ends(count, available, layers):
    assert spread(count, available) == layers


def causal(config):
    return AutoModelForCausalLM.from_config(config)


PAIRS = [
    (lambda: causal(llama(num_hidden_layers=4)), lambda: causal(llama(num_hidden_layers=2)), "model.layers"),
    (lambda: causal(gpt2(n_layer=4)), lambda: causal(gpt2(n_layer=2)), "transformer.h"),
    (
        lambda: AutoModelForSequenceClassification.from_config(bert_config(num_hidden_layers=4)),
        lambda: AutoModelForSequenceClassification.from_config(bert_config()),
        "bert.encoder.layer",
    ),
]


@pytest.mark.parametrize(("teacher", "student", "stack"), PAIRS)
def test_every_tensor_is_the_teachers_and_none_is_shared(teacher, student, stack):
    theirs, mine = teacher(), student()
    plan = plan_copy(theirs, mine, InitFromTeacher(layers=[1, 3]))
    copy_layers(theirs, mine, plan)
    assert (plan.stack, plan.layers) == (stack, (1, 3))
    source = theirs.state_dict()
    for name, tensor in mine.state_dict().items():
        wanted = name.replace(f"{stack}.1.", f"{stack}.3.").replace(f"{stack}.0.", f"{stack}.1.")
        assert torch.equal(tensor, source[wanted]), name
        assert tensor.data_ptr() != source[wanted].data_ptr(), name


def test_all_layers_make_a_student_that_says_what_its_teacher_says():
    theirs, mine = causal(llama()).eval(), causal(llama()).eval()
    copy_layers(theirs, mine, plan_copy(theirs, mine, InitFromTeacher(count=2)))
    ids = torch.arange(8)[None]
    with torch.no_grad():
        assert torch.equal(mine(ids).logits, theirs(ids).logits)


def test_tables_of_tokens_share_what_both_have():
    theirs, mine = causal(llama(vocab_size=96)), causal(llama())
    copy_layers(theirs, mine, plan_copy(theirs, mine, InitFromTeacher(count=2)))
    assert torch.equal(mine.lm_head.weight, theirs.lm_head.weight[:64])


def test_a_tied_student_stays_tied():
    theirs, mine = causal(gpt2(n_layer=3)), causal(gpt2())
    copy_layers(theirs, mine, plan_copy(theirs, mine, InitFromTeacher(count=2)))
    assert mine.lm_head.weight is mine.transformer.wte.weight


@pytest.mark.parametrize(
    ("init", "teacher", "student", "reason", "words"),
    [
        ({"count": 5}, llama(), llama(), "LayerNotFound", "count is 5, and the teacher has 2 layers"),
        ({"layers": [0, 2]}, llama(), llama(), "LayerNotFound", "names layer 2, and the teacher has 2"),
        ({"count": 1}, llama(), llama(), "LayerMismatch", "names 1 of the teacher's layers"),
        (
            {"count": 2},
            llama(),
            llama(hidden_size=16),
            "WidthMismatch",
            "in the teacher and .* in the student",
        ),
        (
            {"count": 2},
            llama(),
            gpt2(),
            "LayerMismatch",
            "the teacher has model.layers, the student transformer.h",
        ),
    ],
)
def test_what_cannot_be_copied_is_refused(init, teacher, student, reason, words):
    with pytest.raises(ContractBroken, match=words) as found:
        plan_copy(causal(teacher), causal(student), InitFromTeacher(**init))
    assert found.value.reason == reason


def test_settings_of_single_layers_go_with_them():
    config = Gemma2Config(num_hidden_layers=4).to_dict()
    assert config["layer_types"] == ["sliding_attention", "full_attention"] * 2
    thin = thinned(config, (1, 3), key="num_hidden_layers", available=4)
    assert (thin["num_hidden_layers"], thin["layer_types"]) == (2, ["full_attention"] * 2)
    assert thin["hidden_size"] == config["hidden_size"]


@pytest.mark.parametrize(
    ("student", "words"),
    [
        ({}, "set exactly one of builtin, huggingFace, timm, torchvision, python; or initFromTeacher alone"),
        (
            {"builtin": {"name": "mlp"}, "initFromTeacher": {"count": 1}},
            "copies layers of Transformers models",
        ),
        ({"initFromTeacher": {"count": 1}, "weights": {"uri": "file:///w"}}, "remove one of them"),
        ({"initFromTeacher": {"count": 1, "layers": [0]}}, "set exactly one of layers, count"),
        ({"initFromTeacher": {}}, "set exactly one of layers, count"),
    ],
)
def test_settings_that_contradict_are_refused(student, words):
    with pytest.raises(ValidationError, match=words):
        Student.model_validate(student)


@pytest.fixture(scope="module")
def deep_teacher(tmp_path_factory):
    return write_teacher(tmp_path_factory.mktemp("deep") / "teacher", num_hidden_layers=3)


@pytest.fixture
def job(workspace, deep_teacher):
    write_sentences(workspace.root / "data")
    return {
        "task": "TextClassification",
        "teacher": {"huggingFace": {"id": f"file://{deep_teacher}"}},
        "student": {"initFromTeacher": {"layers": [0, 2]}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "JsonLines"}},
        "training": {"epochs": 1, "batchSize": 16, "learningRate": 1e-9},
    }


def test_a_student_of_texts_starts_as_its_teachers_layers(workspace, job, deep_teacher):
    ended = workspace.train(**job)
    assert ended.code is ExitCode.SUCCEEDED
    folder = workspace.version(ended)
    student = AutoModelForSequenceClassification.from_pretrained(folder)
    teacher = AutoModelForSequenceClassification.from_pretrained(deep_teacher)
    assert (
        json.loads((folder / "student.json").read_text())["model"]["huggingFace"]["id"] == "teacher-2-layers"
    )
    assert student.config.num_hidden_layers == 2
    for mine, layer in ((0, 0), (1, 2)):
        pair = zip(
            student.bert.encoder.layer[mine].parameters(),
            teacher.bert.encoder.layer[layer].parameters(),
            strict=True,
        )
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in pair)


def test_the_students_own_config_must_fit(workspace, job):
    write_student(workspace.root / "student", num_hidden_layers=2, hidden_size=16)
    named = {"huggingFace": {"id": f"file://{workspace.root / 'student'}"}, **job["student"]}
    ended = workspace.check(**{**job, "student": named})
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "WidthMismatch")
    assert "is [64, 32] in the teacher and [64, 16] in the student" in ended.outcome.message


def test_two_starts_are_refused(workspace, job, deep_teacher):
    ended = workspace.check(**{**job, "student": {**job["teacher"], **job["student"]}})
    assert ended.outcome.reason == "TwoStarts"


def test_a_teacher_of_no_layers_is_refused(workspace):
    ended = workspace.check(student={"initFromTeacher": {"count": 1}})
    assert ended.outcome.reason == "LayerMismatch"
    assert "copies layers of Transformers models, and teacher convnet-small is none" in ended.outcome.message
