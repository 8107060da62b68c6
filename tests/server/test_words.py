"""Students that tag words: each word is answered, or the request is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prometheus_client import CollectorRegistry
from text_world import bert_config
from transformers import BertForTokenClassification
from word_world import TAGS, pieces

pytest.importorskip("kserve")
from kserve import InferInput, InferRequest

from distill_server.errors import RequestError
from distill_server.metrics import StudentMetrics
from distill_server.model import ServedStudent
from distill_trainer.student import load_student

MAX_TOKENS = 8


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedStudent:
    folder: Path = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    network = BertForTokenClassification(bert_config(num_labels=4))
    network.save_pretrained(folder)
    pieces().save_pretrained(folder)
    document = {
        "format": "distilled-student/v1",
        "task": "TokenClassification",
        "model": {"huggingFace": {"id": "tiny", "config": network.config.to_dict()}},
        "classes": TAGS,
        "input": {"maxTokens": MAX_TOKENS},
    }
    (folder / "student.json").write_text(json.dumps(document))
    metrics = StudentMetrics("m", CollectorRegistry())
    return ServedStudent("m", load_student(folder), version="v", metrics=metrics)


def expected(served: ServedStudent, words: list[str]) -> list[list[float]]:
    tokens = pieces()([words], is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        rows = served.student.model.model(**tokens).logits.softmax(-1)[0]
    return [rows[tokens.word_ids(0).index(word)].tolist() for word in range(len(words))]


async def test_each_word_gets_its_own_label_whatever_stands_beside_its_sentence(
    served: ServedStudent,
) -> None:
    sentences = [["the", "oaks", "cat"], ["elm"]]
    answer = await served.predict({"instances": sentences})
    for words, said in zip(sentences, answer["predictions"], strict=True):
        for row, found in zip(expected(served, words), said["probabilities"], strict=True):
            assert found == pytest.approx(row, abs=1e-5)
        assert said["labels"] == [TAGS[index] for index in said["indices"]]
        assert said["indices"] == [int(np.argmax(row)) for row in said["probabilities"]]
        assert said["confidences"] == [max(row) for row in said["probabilities"]]


async def test_v2_is_as_wide_as_the_longest_sentence(served: ServedStudent) -> None:
    rows = [["the", "oaks", "cat"], ["elm", "", ""]]
    given = InferInput("tokens", [2, 3], "BYTES", data=[word for row in rows for word in row])
    v1 = await served.predict({"instances": [rows[0], rows[1][:1]]})
    answer = await served.predict(InferRequest("m", [given]))
    outputs = {output.name: output for output in answer.outputs}
    first, second = (said["labels"] for said in v1["predictions"])
    assert outputs["label"].data == [*first, *second, "", ""]
    assert outputs["index"].data[-2:] == [-1, -1]
    assert outputs["probabilities"].shape == [2, 3, 4]
    assert [kind["name"] for kind in served.get_output_types()] == list(outputs)


@pytest.mark.parametrize(
    ("instances", "said"),
    [
        (["the oak"], "instances[0] is str: send its words as a list"),
        ([["the"], []], "instances[1] is empty"),
        ([["the", " "]], "instances[0][1] is empty"),
        ([["the", 3]], "instances[0][1] is int"),
        ([["the"] * 7], "instances[0] is too long: word 6 and those after it are beyond the 8 tokens"),
    ],
)
async def test_what_cannot_be_answered_is_refused(served: ServedStudent, instances: Any, said: str) -> None:
    with pytest.raises(RequestError) as fault:
        await served.predict({"instances": instances})
    assert said in str(fault.value)
