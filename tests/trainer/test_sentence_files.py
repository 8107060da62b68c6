"""What a folder of Sentence Transformers says, as several of its versions write it, and what is refused."""

import json

import pytest
from embedding_world import write_encoder, write_sentence_files
from sentence_transformers import SentenceTransformer

from distill_api.sources import HuggingFaceModel
from distill_trainer.errors import ContractBroken
from distill_trainer.models.huggingface import HuggingFaceSource
from distill_trainer.models.sentence import (
    PoolingMode,
    read_length,
    read_pooling,
    write_length,
    write_modules,
)

OLDER = {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": False}


@pytest.fixture
def folder(tmp_path):
    write_sentence_files(tmp_path, length=12)
    return tmp_path


def pooled(folder, **config):
    (folder / "1_Pooling/config.json").write_text(json.dumps(config))


def refusal(folder):
    with pytest.raises(ContractBroken) as error:
        read_pooling(folder, "teacher")
    return f"{error.value.reason}: {error.value.message}"


def test_a_folder_without_these_files_takes_the_mean(tmp_path):
    assert read_pooling(tmp_path, "teacher") is PoolingMode.MEAN
    assert read_length(tmp_path, "teacher") is None


@pytest.mark.parametrize("mode", PoolingMode)
def test_older_and_newer_names(folder, mode):
    for config in (
        {"pooling_mode": mode.value},
        {"pooling_mode": [mode.value]},
        {**OLDER, f"pooling_mode_{'cls_token' if mode == 'cls' else 'mean_tokens'}": True},
    ):
        pooled(folder, **config)
        assert read_pooling(folder, "teacher") is mode
    assert read_length(folder, "teacher") == 12


@pytest.mark.parametrize("mode", PoolingMode)
def test_what_is_written_is_read_by_us_and_by_the_library(tmp_path, mode):
    write_encoder(tmp_path)
    write_modules(tmp_path, mode, 32)
    write_length(tmp_path, 9)
    assert (read_pooling(tmp_path, "model"), read_length(tmp_path, "model")) == (mode, 9)
    theirs = SentenceTransformer(str(tmp_path), device="cpu")
    assert (theirs[1].pooling_mode, theirs.max_seq_length) == (mode.value, 9)
    theirs.save(str(tmp_path / "again"))
    again = tmp_path / "again"
    source = HuggingFaceSource.of(HuggingFaceModel(id=f"file://{again}"), None, "teacher")
    assert (read_pooling(again, "model"), source.tokenizer().model_max_length) == (mode, 9)


def test_two_poolings_at_once_are_refused(folder):
    pooled(folder, **{**OLDER, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True})
    assert "PoolingUnsupported: teacher.huggingFace.id: 1_Pooling pools by cls and mean" in refusal(folder)


def test_what_changes_texts_before_the_tokenizer_is_refused(folder):
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"default_prompt_name": "query"}))
    assert "puts the prompt 'query' before each text" in refusal(folder)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"do_lower_case": True}))
    assert "sentence_bert_config.json has do_lower_case" in refusal(folder)


@pytest.mark.parametrize("content", ["[", "{}7", "7", '[{"type": "a.Transformer"}]'])
def test_a_list_of_modules_that_is_none(folder, content):
    (folder / "modules.json").write_text(content)
    assert "ModelNotFound: teacher.huggingFace.id: modules.json is no list of modules" in refusal(folder)
