"""Language models in whole runs: from lines of text or conversations to a student that Transformers loads."""

import json

import pytest
import torch
from language_world import (
    CHAT,
    conversation,
    gpt2,
    llama,
    tokenizer,
    write_language_teacher,
    write_rows,
    write_texts,
)
from text_world import bert_config
from transformers import AutoModelForCausalLM, AutoTokenizer

from distill_api.contract import ExitCode
from distill_api.job import DistillationJobSpec


@pytest.fixture(scope="module")
def language_teacher(tmp_path_factory):
    return write_language_teacher(tmp_path_factory.mktemp("language") / "teacher", template=CHAT)


@pytest.fixture
def job(workspace, language_teacher):
    """Fields of a run on texts that count; the student's head is its table of tokens, the teacher's is not."""
    write_texts(workspace.root / "data")
    gpt2().save_pretrained(workspace.root / "student")
    return {
        "task": "CausalLM",
        "teacher": {"huggingFace": {"id": f"file://{language_teacher}"}},
        "student": {"huggingFace": {"id": f"file://{workspace.root / 'student'}"}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "Text"}},
        "objective": {"temperature": 1.0},
        "training": {"epochs": 4, "batchSize": 8, "learningRate": 0.02},
    }


def scored(folder, lines):
    """Next-token accuracy and perplexity over words and ends, text by text and so without any padding."""
    words, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    right, losses = [], []
    for line in lines:
        ids = torch.tensor([*words(line).input_ids, words.eos_token_id])
        with torch.no_grad():
            log_q = model(ids[None, :-1]).logits[0, :, : len(words)].double().log_softmax(-1)
        right += (log_q.argmax(-1) == ids[1:]).tolist()
        losses += (-log_q.gather(-1, ids[1:, None])).flatten().tolist()
    return sum(right) / len(right), torch.tensor(losses).mean().exp().item()


def test_a_tied_student_learns_and_is_loaded_by_transformers(workspace, job):
    ended = workspace.train(**job)
    assert ended.code is ExitCode.SUCCEEDED
    result, folder = ended.outcome.result, workspace.version(ended)
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.lm_head.weight.data_ptr() == model.transformer.wte.weight.data_ptr()
    assert model.config.tie_word_embeddings
    assert result.student.parameters == sum(tensor.numel() for tensor in model.parameters())
    lines = (workspace.root / "data" / "test.txt").read_text().splitlines()
    accuracy, perplexity = scored(folder, lines)
    assert result.student.metric == pytest.approx(accuracy, abs=1e-9)
    assert result.student.perplexity == pytest.approx(perplexity, rel=1e-4)
    assert result.student.perplexity < 6 < 16  # of 16 tokens, where nothing is learnt
    assert result.teacher.perplexity < 4
    assert "perplexity" in ended.outcome.message
    assert "less is better" in (folder / "report.html").read_text()


def test_what_is_written_is_what_save_pretrained_writes(workspace, job, tmp_path):
    ended = workspace.train(**{**job, "training": {"epochs": 1}})
    from safetensors import safe_open

    AutoModelForCausalLM.from_config(gpt2()).save_pretrained(tmp_path / "plain")
    names = []
    for folder in (workspace.version(ended), tmp_path / "plain"):
        with safe_open(folder / "model.safetensors", "pt") as file:
            names.append(set(file.keys()))
    assert names[0] == names[1]


@pytest.mark.parametrize("mode", ["Online", "Cached"])
def test_stopped_and_started_again_gives_the_same_student_bit_for_bit(workspace, job, stop_after, mode):
    job = {**job, "teacherOutputs": {"mode": mode}}
    whole = workspace.train(**job)
    output = {"uri": "pvc://models/again"}
    stopped = workspace.train(stop=stop_after(20), **job, output=output)
    assert stopped.code is ExitCode.DISRUPTED
    ended = workspace.train(**job, output=output)
    assert ended.outcome.lineage.student_digest == whole.outcome.lineage.student_digest


def history(workspace, ended):
    found = json.loads((workspace.version(ended) / "result.json").read_text())["detail"]["history"]
    return [record["loss"] for record in found]


@pytest.mark.parametrize("packing", [False, True])
def test_stored_outputs_teach_the_same(workspace, job, packing):
    losses = []
    for mode in ("Online", "Cached"):
        dataset = {**job["dataset"], "packing": packing, "maxTokens": 16}
        ended = workspace.train(**{**job, "dataset": dataset}, teacherOutputs={"mode": mode})
        assert ended.code is ExitCode.SUCCEEDED
        losses.append(history(workspace, ended))
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_a_student_of_its_teachers_layers_with_chat_data(workspace, job):
    turns = [("one", "two three"), ("four", "five six seven"), ("one two", "three"), ("six", "seven eight")]
    rows = [conversation(*pair) for pair in turns * 8]
    write_rows(workspace.root / "chat", "conversation", rows)
    files = {"uri": f"file://{workspace.root / 'chat'}", "format": "JsonLines"}
    chat = {
        "dataset": {"files": files, "columns": {"messages": "conversation"}},
        "student": {"initFromTeacher": {"count": 1}},
    }
    ended = workspace.train(**{**job, **chat})
    assert ended.code is ExitCode.SUCCEEDED
    folder = workspace.version(ended)
    assert AutoModelForCausalLM.from_pretrained(folder).config.num_hidden_layers == 1
    assert AutoTokenizer.from_pretrained(folder).chat_template == CHAT


def test_heads_of_unequal_width_are_accepted(workspace, job, tmp_path):
    padded = write_language_teacher(tmp_path / "padded", llama(vocab_size=160), steps=1, size=120)
    gpt2(vocab_size=128).save_pretrained(workspace.root / "student")
    named = {"teacher": {"huggingFace": {"id": f"file://{padded}"}}}
    ended = workspace.check(**{**job, **named})
    assert ended.code is ExitCode.SUCCEEDED
    assert "120 tokens in the vocabulary" in ended.outcome.message
    assert workspace.train(**{**job, **named, "training": {"epochs": 1}}).code is ExitCode.SUCCEEDED


def test_tokens_beyond_the_vocabulary_are_refused(workspace, job):
    gpt2(vocab_size=12).save_pretrained(workspace.root / "student")
    ended = workspace.check(**job)
    assert ended.outcome.reason == "VocabularyMismatch"
    assert (
        "student student knows 12 tokens and the tokenizer has 16, the last of them 'ten'"
        in ended.outcome.message
    )


def test_an_encoder_sees_what_it_would_predict_and_is_refused(workspace, job):
    bert_config().save_pretrained(workspace.root / "student")
    ended = workspace.check(**job)
    assert ended.outcome.reason == "TaskMismatch"
    assert "is a bert encoder, which sees the tokens that follow" in ended.outcome.message


def test_another_tokenizer_is_refused(workspace, job):
    tokenizer(size=20).save_pretrained(workspace.root / "student")
    assert workspace.check(**job).outcome.reason == "TokenizerMismatch"


def test_the_temperature_of_classifiers_is_warned_about(workspace, job):
    said = workspace.check(**{**job, "objective": {"temperature": 4.0}}).outcome.message
    assert "objective.temperature is 4: for language models 1 or 2 is usual" in said
    assert "for language models" not in workspace.check(**job).outcome.message


def test_columns_that_are_never_trained_are_warned_about(workspace, job):
    words = "vocab_size is 64 and the tokenizer has 16 tokens"
    assert words in workspace.check(**job).outcome.message
    gpt2(vocab_size=16).save_pretrained(workspace.root / "student")
    assert "vocab_size" not in workspace.check(**job).outcome.message


def test_text_that_is_no_utf8_is_named(workspace, job):
    (workspace.root / "data" / "train.txt").write_bytes(b"one two\n" * 30 + b"caf\xe9\n")
    ended = workspace.train(**job)
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "FileTorn")
    assert "train.txt is no UTF-8 text (byte 243)" in ended.outcome.message


def test_a_folder_without_text_is_refused(workspace, job):
    (workspace.root / "empty").mkdir()
    dataset = {"files": {"uri": f"file://{workspace.root / 'empty'}", "format": "Text"}}
    ended = workspace.check(**{**job, "dataset": dataset})
    assert "has no file that ends in .txt" in ended.outcome.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"task": "TextClassification", "dataset": {"packing": True}},
            "dataset.packing: has an effect with task CausalLM",
        ),
        (
            {"task": "TextClassification", "dataset": {"columns": {"messages": "m"}}},
            "dataset.columns.messages: has an effect with task CausalLM",
        ),
        ({"evaluation": {"metric": "macroF1"}}, "evaluation.metric: must be accuracy, of the next token"),
    ],
)
def test_settings_without_an_effect_are_refused(job, changes, words):
    spec = {**job, "output": {"uri": "pvc://models/run"}, **changes}
    spec["dataset"] = {**job["dataset"], **changes.get("dataset", {})}
    with pytest.raises(ValueError, match=words):
        DistillationJobSpec.model_validate(spec)
