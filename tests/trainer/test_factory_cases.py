"""Faults that other trainers had, in whole runs on tables of logits, whose losses and steps can be worked out by hand."""

import json
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from language_world import WORDS
from language_world import tokenizer as language_tokenizer
from own_models import bigram_table, logit_table
from safetensors.torch import load_file
from test_parallel import together
from text_world import SPECIAL, tokenizer, write_rows

from distill_api.contract import ExitCode

ONE_STEP = {"epochs": 1, "optimizer": "SGD", "learningRate": 1.0, "weightDecay": 0.0, "schedule": "Constant"}
NAMES = ["a", "b", "c"]


def made_by(function, words, **args):
    return {"python": {"factory": f"own_models:{function}", "args": args, "tokenizer": f"file://{words}"}}


def version(workspace, name="run"):
    [folder] = (workspace.output.parent / name / "versions").iterdir()
    return folder


def record(folder):
    [epoch] = json.loads((folder / "result.json").read_text())["detail"]["history"]
    return epoch


@pytest.fixture
def table_job(workspace):
    """Three texts `w0`, `w1`, `w2` of the classes a, b, c; row i of both tables is turned so that its label comes first."""
    words = [f"w{row}" for row in range(3)]
    tokenizer(words).save_pretrained(workspace.root / "words")
    path = workspace.root / "words/tokenizer.json"
    plain = json.loads(path.read_text())
    plain["post_processor"] = None
    path.write_text(json.dumps(plain))
    rows = [{"text": word, "label": name} for word, name in zip(words, NAMES, strict=True)]
    write_rows(workspace.root / "data", train=rows, validation=rows, test=rows)

    def job(teacher, student, term, **objective):
        tables = [
            made_by(
                "logit_table",
                workspace.root / "words",
                rows=[torch.tensor(row).roll(place).tolist() for place in range(3)],
                first=len(SPECIAL),
            )
            for row in (teacher, student)
        ]
        return {
            "task": "TextClassification",
            "teacher": tables[0],
            "student": tables[1],
            "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "JsonLines"}},
            "objective": {"alpha": 0.0, "temperature": 1.0, "terms": [term], **objective},
            "training": {**ONE_STEP, "batchSize": 3},
        }

    return job


SURE = ([60.0, 5.0, 0.0], [0.0, 0.0, 0.0])
SURE_STUDENT = ([0.0, 0.0, 0.0], [60.0, 0.0, 0.0])
MIXED = ([2.0, 0.0, -1.0], [0.0, 1.0, 0.0])
JSD = {"type": "KLDivergence", "variant": "JensenShannon"}
DKD = {"type": "Decoupled", "alpha": 1.0, "beta": 8.0}


@pytest.mark.parametrize(
    ("tables", "term", "temperature", "value"),
    [
        (MIXED, {"type": "KLDivergence"}, 1.0, 0.912983),
        (MIXED, {"type": "KLDivergence", "variant": "Reverse"}, 1.0, 0.982577),
        (MIXED, {**JSD, "beta": 0.1}, 1.0, 0.080093),
        (MIXED, {**JSD, "beta": 0.5}, 1.0, 0.216673),
        (MIXED, {**JSD, "beta": 0.9}, 1.0, 0.084493),
        (MIXED, {**JSD, "beta": 0.5}, 2.0, 0.259593),
        (SURE, DKD, 1.0, 6.322352),
        (SURE, DKD, 4.0, 38.421357),
        (SURE_STUDENT, DKD, 1.0, 38.901388),
    ],
)
def test_the_loss_that_a_run_prints_is_the_formulas(workspace, table_job, tables, term, temperature, value):
    ended = workspace.train(**table_job(*tables, term, temperature=temperature))
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    assert record(version(workspace))["loss"] == pytest.approx(value, abs=2e-6, rel=1e-6)
    assert load_file(version(workspace) / "model.safetensors")["table"].isfinite().all()


def test_one_step_of_a_run_moves_the_table_by_minus_the_gradient(workspace, table_job):
    alpha, temperature = 0.3, 2.0
    job = table_job(*MIXED, {"type": "KLDivergence"}, alpha=alpha, temperature=temperature)
    assert workspace.train(**job).code is ExitCode.SUCCEEDED
    after = load_file(version(workspace) / "model.safetensors")["table"]
    said, before = (
        logit_table(**job[side]["python"]["args"]).table.detach() for side in ("teacher", "student")
    )
    hard = F.one_hot(torch.arange(3), 3) - before.softmax(1)
    soft = (said / temperature).softmax(1) - (before / temperature).softmax(1)
    expected = before + (alpha * hard + (1 - alpha) * temperature * soft) / 3
    torch.testing.assert_close(after, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", ["Online", "Cached"])
def test_columns_that_no_token_has_change_nothing_in_a_run(workspace, mode):
    """Heads of 160 and 128 columns over 120 tokens; a KL over all columns, then cut, would fall below 0."""
    language_tokenizer(size=120).save_pretrained(workspace.root / "words")
    for split in ("train", "validation", "test"):
        write_rows(workspace.root / "data", **{split: [{"text": "one two three"}, {"text": "w100 w119"}]})
    losses, students = [], []
    for beyond in (-20.0, 0.0, 20.0):
        name = f"run{len(losses)}"
        ended = workspace.train(
            task="CausalLM",
            teacher=made_by("padded_table", workspace.root / "words", tokens=120, seed=0, columns=160, beyond=beyond),
            student=made_by("padded_table", workspace.root / "words", tokens=120, seed=1, columns=128, beyond=0.0),
            dataset={"files": {"uri": f"file://{workspace.root / 'data'}", "format": "JsonLines"}},
            objective={"alpha": 0.0, "temperature": 1.0},
            training={**ONE_STEP, "batchSize": 2},
            teacherOutputs={"mode": mode},
            output={"uri": f"pvc://models/{name}"},
        )  # fmt: skip
        assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
        losses.append(record(version(workspace, name))["loss"])
        students.append(load_file(version(workspace, name) / "model.safetensors")["table"])
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-6)
    assert losses[0] > 0.1
    torch.testing.assert_close(students[2], students[0], atol=1e-6, rtol=0)


@pytest.fixture
def one_and_nine(workspace):
    """Two documents, with one and with nine tokens to be predicted."""
    language_tokenizer(bos=False).save_pretrained(workspace.root / "words")
    texts = [{"text": WORDS[0]}, {"text": " ".join(WORDS[:9])}]
    write_rows(workspace.root / "data", train=texts, validation=texts, test=texts)
    sizes = {"tokens": 16, "columns": 16}
    return {
        "task": "CausalLM",
        "teacher": made_by("bigram_table", workspace.root / "words", seed=0, **sizes),
        "student": made_by("bigram_table", workspace.root / "words", seed=1, **sizes),
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "JsonLines"}},
        "objective": {"alpha": 0.3, "temperature": 1.0},
    }


def by_hand(workspace):
    """Task and distillation losses: sums over all ten tokens, divided by ten."""
    words, end = language_tokenizer(bos=False), 1
    said, own = (bigram_table(16, seed).table.detach().double().log_softmax(1) for seed in (0, 1))
    hard, soft = [], []
    for text in (WORDS[0], " ".join(WORDS[:9])):
        ids = [*words(text).input_ids, end]
        for before, after in pairwise(ids):
            hard.append(-own[before, after].item())
            soft.append((said[before].exp() * (said[before] - own[before])).sum().item())
    assert len(hard) == 10
    return sum(hard) / 10, sum(soft) / 10


def test_one_token_here_nine_there_over_parts_and_processes(workspace, one_and_nine):
    training = {**ONE_STEP, "batchSize": 2}
    ways = {
        "whole": lambda **job: workspace.train(**job).code,
        "cut": lambda **job: (
            workspace.train(**{**job, "training": {**training, "gradientAccumulation": 2}}).code
        ),
        "ranks": lambda **job: max(together(workspace, 2, **job)[0]),
    }
    task, distillation = by_hand(workspace)
    tables = {}
    for name, run in ways.items():
        assert run(**one_and_nine, training=training, output={"uri": f"pvc://models/{name}"}) == 0
        printed = record(version(workspace, name))
        assert printed["task_loss"] == pytest.approx(task, abs=1e-6)
        assert printed["distillation_loss"] == pytest.approx(distillation, abs=1e-6)
        assert printed["loss"] == pytest.approx(0.3 * task + 0.7 * distillation, abs=1e-6)
        tables[name] = load_file(version(workspace, name) / "model.safetensors")["table"]
    for name in ("cut", "ranks"):
        torch.testing.assert_close(tables[name], tables["whole"], atol=1e-6, rtol=0)
    assert not torch.equal(tables["whole"], bigram_table(16, 1).table.detach())


def test_one_word_here_nine_there_over_parts_and_processes(workspace, one_and_nine):
    """The same of tags: the table of a word's token gives the tag's logits."""
    words = WORDS[:9]
    rows = [
        {"tokens": words[:1], "ner_tags": ["a"]},
        {"tokens": words, "ner_tags": [NAMES[place % 3] for place in range(9)]},
    ]
    write_rows(workspace.root / "data", train=rows, validation=rows, test=rows)
    for side in ("teacher", "student"):
        one_and_nine[side]["python"]["args"]["columns"] = 3
    one_and_nine["task"] = "TokenClassification"
    training, tables = {**ONE_STEP, "batchSize": 2}, []
    assert workspace.train(**one_and_nine, training=training, output={"uri": "pvc://models/whole"}).code == 0
    codes, said = together(
        workspace, 2, **one_and_nine, training=training, output={"uri": "pvc://models/ranks"}
    )
    assert codes == [0, 0], said
    own = bigram_table(16, 1, 3).table.detach().double().log_softmax(1)
    ids = language_tokenizer(bos=False)(" ".join(words)).input_ids
    hard = [-own[ids[0], 0], *(-own[token, place % 3] for place, token in enumerate(ids))]
    for name in ("whole", "ranks"):
        assert record(version(workspace, name))["task_loss"] == pytest.approx(sum(hard).item() / 10, abs=1e-6)
        tables.append(load_file(version(workspace, name) / "model.safetensors")["table"])
    torch.testing.assert_close(*tables, atol=1e-6, rtol=0)
