"""Students of texts: read as training read them, answered in both protocols."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from server_world import Server, running
from text_world import bert_config, tokenizer
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification

pytest.importorskip("kserve")
CLASSES = ["animal", "plant", "stone"]
MAX_TOKENS = 8
LONG = "the cat of the oak and the jade in it"
"""Ten words: twelve tokens with those at its ends."""


def write_student(folder: Path, **config: Any) -> Path:
    torch.manual_seed(0)
    network = BertForSequenceClassification(bert_config())
    network.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    document = {
        "format": "distilled-student/v1",
        "task": "TextClassification",
        "model": {"huggingFace": {"id": "tiny", "config": network.config.to_dict()}},
        "classes": CLASSES,
        "input": {"maxTokens": MAX_TOKENS},
    }
    (folder / "student.json").write_text(json.dumps({**document, **config}))
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = write_student(tmp_path_factory.mktemp("model"))
    with running(folder, tmp_path_factory.mktemp("log") / "server.log") as found:
        yield found


def expected(folder: Path, texts: list[str]) -> list[list[float]]:
    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        tokens = tokenizer()(text, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with torch.no_grad():
            rows.append(network(**tokens).logits.softmax(-1)[0].tolist())
    return rows


def bytes_input(data: list[Any], **changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [len(data)], "data": data, **changes}]}


def test_both_protocols_answer_as_the_model_alone_does_for_texts_cut_as_in_training(server: Server) -> None:
    texts = ["a cat", LONG]
    rows = expected(server.folder, texts)
    status, v1, _ = server.ask("/v1/models/student:predict", {"instances": texts})
    assert status == 200
    for answer, row in zip(v1["predictions"], rows, strict=True):
        assert answer["probabilities"] == pytest.approx(row, abs=1e-5)
        assert answer["label"] == CLASSES[answer["index"]]
        assert answer["confidence"] == max(answer["probabilities"])
    status, v2, _ = server.ask("/v2/models/student/infer", bytes_input(texts))
    outputs = {output["name"]: output for output in v2["outputs"]}
    assert status == 200
    assert outputs["label"]["data"] == [answer["label"] for answer in v1["predictions"]]
    assert outputs["probabilities"]["shape"] == [2, 3]
    assert outputs["probabilities"]["data"] == pytest.approx([*rows[0], *rows[1]], abs=1e-5)


def test_words_beyond_the_cut_change_nothing(server: Server) -> None:
    cut = " ".join(LONG.split()[: MAX_TOKENS - 2])
    _, answer, _ = server.ask("/v1/models/student:predict", {"instances": [LONG, cut]})
    whole, shorter = answer["predictions"]
    assert whole["probabilities"] == pytest.approx(shorter["probabilities"], abs=1e-6)


def test_the_metadata_says_bytes(server: Server) -> None:
    metadata = server.ask("/v2/models/student")[1]
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert metadata["outputs"][-1] == {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/models/student:predict", {"instances": []}, "instances is empty: send one text or more"),
        ("/v1/models/student:predict", {"text": "a cat"}, '{"instances": [text, …]} with texts as strings'),
        ("/v1/models/student:predict", {"instances": ["a cat", 3]}, "instances[1] is int: send a text"),
        ("/v1/models/student:predict", {"instances": [["a", "cat"]]}, "instances[0] is list: send a text"),
        ("/v1/models/student:predict", {"instances": ["a cat", " "]}, "instances[1] is empty"),
        ("/v2/models/student/infer", {"inputs": []}, "takes one input, 'text'"),
        ("/v2/models/student/infer", {}, '"name": "text"'),
        ("/v2/models/student/infer", bytes_input([1.0], datatype="FP32"), "has datatype FP32: send BYTES"),
        ("/v2/models/student/infer", bytes_input(["a cat", ""]), "inputs 'text' [1] is empty"),
        (
            "/v2/models/student/infer",
            bytes_input(["a", "b"], shape=[1, 2]),
            "has shape [1, 2]: send a batch [B]",
        ),
    ],
)
def test_wrong_input_is_answered_with_400_and_a_sentence(
    server: Server, path: str, body: Any, said: str
) -> None:
    status, answer, _ = server.ask(path, body)
    assert status == 400
    assert said in answer["error"]


@pytest.mark.parametrize("missing", ["maxTokens", "tokenizer"])
def test_a_student_that_cannot_read_texts_is_not_served(tmp_path: Path, missing: str) -> None:
    from distill_server.endpoints import endpoint_of
    from distill_trainer.errors import ConfigInvalid
    from distill_trainer.student import load_student

    write_student(tmp_path, **({"input": {}} if missing == "maxTokens" else {}))
    if missing == "tokenizer":
        for file in tmp_path.glob("tokenizer*"):
            file.unlink()
    with pytest.raises(ConfigInvalid, match=r"input\.maxTokens or the tokenizer's files are missing"):
        endpoint_of(load_student(tmp_path))
