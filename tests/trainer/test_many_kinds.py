"""Kinds of Transformers models that look at values on their way, count positions or padding in their own way, or write odd configs."""

import json

import pytest
import torch
import transformers
from language_world import llama, tokenizer, write_texts
from text_world import tokenizer as bert_tokenizer
from text_world import write_sentences

from distill_api.contract import ExitCode
from distill_trainer.models.hub import with_special_floats
from distill_trainer.models.huggingface import HuggingFaceSource
from distill_trainer.text import TextEncoder

SMALL = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "bos_token_id": 0, "eos_token_id": 1}
DECODERS = {
    "OPT": {"num_attention_heads": 2, "ffn_dim": 32, "word_embed_proj_dim": 16, "pad_token_id": 1},
    "Bloom": {"n_head": 2},
    "Falcon": {"num_attention_heads": 2, "alibi": True},
    "Mamba": {"state_size": 4},
    "Mamba2": {"state_size": 4, "num_heads": 4, "head_dim": 8, "n_groups": 1},
    "GPTNeoX": {"num_attention_heads": 2, "intermediate_size": 32},
}


def of_folder(folder):
    return {"huggingFace": {"id": f"file://{folder}"}}


def written(folder, config, auto, words):
    torch.manual_seed(0)
    getattr(transformers, auto).from_config(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", DECODERS)
def test_decoders_of_many_kinds_fit_and_are_estimated(workspace, tmp_path, kind):
    config = getattr(transformers, f"{kind}Config")(**SMALL, **DECODERS[kind])
    teacher = written(tmp_path / "teacher", config, "AutoModelForCausalLM", tokenizer())
    ended = workspace.check(
        task="CausalLM",
        teacher=of_folder(teacher),
        student={"initFromTeacher": {"count": 1}},
        dataset={"files": {"uri": f"file://{write_texts(workspace.root / 'data')}", "format": "Text"}},
    )
    assert ended.code == ExitCode.SUCCEEDED, ended.outcome.message


def test_numbers_that_json_has_not_are_read_as_transformers_writes_them():
    assert with_special_floats({"limit": [0.0, {"__float__": "Infinity"}]}) == {"limit": [0.0, float("inf")]}


@pytest.fixture
def classification(workspace, tmp_path):
    """Checks a job of text classification with the teacher of a config."""
    data = write_sentences(workspace.root / "data", train=30, test=10)

    def check(config, **changes):
        folder = written(tmp_path / "teacher", config, "AutoModelForSequenceClassification", bert_tokenizer())
        changed = {**json.loads((folder / "config.json").read_text()), **changes}
        (folder / "config.json").write_text(json.dumps(changed))
        return workspace.check(
            task="TextClassification",
            teacher=of_folder(folder),
            student=of_folder(folder),
            dataset={"files": {"uri": f"file://{data}", "format": "JsonLines"}},
        ).outcome

    return check


def test_a_config_with_a_value_of_another_type_is_a_sentence(classification):
    outcome = classification(llama(num_labels=3, pad_token_id=0), hidden_size="wide")
    assert outcome.reason == "ModelConfigInvalid"
    assert "config.json is no config of a llama model" in outcome.message
    assert "hidden_size" in outcome.message


@pytest.mark.parametrize(("padding", "said"), [(None, "no pad_token_id"), (7, "pad_token_id 7")])
def test_a_decoder_that_pads_otherwise_would_answer_for_another_token(classification, padding, said):
    outcome = classification(llama(num_labels=3, pad_token_id=padding))
    assert outcome.reason == "PaddingMismatch"
    assert f"{said} in its config.json, and the tokenizer pads with 0 ('[PAD]')" in outcome.message


def test_an_encoder_takes_the_first_token_whatever_padding_is(classification):
    config = transformers.DistilBertConfig(
        vocab_size=64, dim=16, n_layers=1, n_heads=2, hidden_dim=32, num_labels=3, pad_token_id=9
    )
    assert classification(config).reason == "ContractValid"


@pytest.mark.parametrize(
    ("kind", "padding", "longest"),
    [("bert", 0, 66), ("roberta", 1, 64), ("roberta", 0, 65), ("mpnet", 1, 64)],
)
def test_positions_that_begin_after_the_padding_token(tmp_path, kind, padding, longest):
    config = transformers.AutoConfig.for_model(
        kind,
        vocab_size=64,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=66,
        pad_token_id=padding,
    )
    source = HuggingFaceSource("it", json.loads(config.to_json_string()), tmp_path, "teacher")
    network = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    assert source.longest_input() == longest
    assert network(input_ids=torch.full((1, longest), 5)).logits.shape[0] == 1
    with pytest.raises((IndexError, RuntimeError)):
        network(input_ids=torch.full((1, longest + 1), 5))


def test_texts_are_padded_behind_whatever_the_tokenizer_says():
    words = bert_tokenizer()
    words.padding_side = "left"
    tokens = TextEncoder(words, 16).encode(["cat", "the cat of the dog"]).inputs
    assert tokens["attention_mask"][0].tolist() == [1, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("content", ["{", "{}", '{"version": "1.0", "model": {"type": "Unheard"}}'])
def test_a_tokenizer_that_is_torn_is_a_sentence(workspace, tmp_path, content):
    folder = written(
        tmp_path / "teacher", llama(num_labels=3), "AutoModelForSequenceClassification", bert_tokenizer()
    )
    (folder / "tokenizer.json").write_text(content)
    outcome = workspace.check(
        task="TextClassification", teacher=of_folder(folder), student=of_folder(folder)
    ).outcome
    assert outcome.reason == "TokenizerUnreadable"
    assert "teacher.huggingFace.id: the tokenizer in" in outcome.message
