"""Students that embed texts: the same vector by both protocols, alone and beside others."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from embedding_world import write_encoder
from prometheus_client import CollectorRegistry
from transformers import AutoModel, AutoTokenizer

pytest.importorskip("kserve")
from kserve import InferInput, InferRequest

from distill_server.errors import RequestError
from distill_server.metrics import StudentMetrics
from distill_server.model import ServedStudent
from distill_trainer.student import load_student

TEXTS = ["the cat", "an oak of the elm and the dog in it"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedStudent:
    folder: Path = write_encoder(tmp_path_factory.mktemp("model") / "encoder")
    document = {
        "format": "distilled-student/v1",
        "task": "Embedding",
        "model": {"huggingFace": {"id": "tiny", "config": json.loads((folder / "config.json").read_text())}},
        "classes": [],
        "input": {"maxTokens": 16},
    }
    (folder / "student.json").write_text(json.dumps(document))
    metrics = StudentMetrics("m", CollectorRegistry())
    served = ServedStudent("m", load_student(folder), version="v", metrics=metrics)
    served.folder = folder
    return served


def expected(served: ServedStudent, text: str) -> np.ndarray:
    """By Transformers alone, one text at a time: the mean over its tokens, divided by its length."""
    tokens = AutoTokenizer.from_pretrained(served.folder)(text, return_tensors="pt")
    with torch.no_grad():
        mean = AutoModel.from_pretrained(served.folder).eval()(**tokens).last_hidden_state[0].mean(0)
    return (mean / mean.norm()).numpy()


async def test_both_protocols_give_each_text_its_vector(served: ServedStudent) -> None:
    v1 = await served.predict({"instances": TEXTS})
    given = InferInput("text", [2], "BYTES", [text.encode() for text in TEXTS])
    v2 = await served.predict(InferRequest("m", [given]))
    [output] = v2.outputs
    assert (output.name, output.datatype, output.shape) == ("embedding", "FP32", [2, 32])
    rows = np.array(output.data).reshape(2, 32)
    for text, said, row in zip(TEXTS, v1["predictions"], rows, strict=True):
        assert said["embedding"] == pytest.approx(expected(served, text), abs=1e-5)
        assert row == pytest.approx(said["embedding"], abs=1e-7)
    assert v1["modelVersion"] == v2.model_version == "v"


def test_the_metadata_say_text_in_and_a_vector_out(served: ServedStudent) -> None:
    assert served.get_input_types() == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert served.get_output_types() == [{"name": "embedding", "datatype": "FP32", "shape": [-1, 32]}]
    assert served.endpoint.described() == "texts, cut after 16 tokens, embeddings of 32 values"


async def test_what_is_no_text_is_refused(served: ServedStudent) -> None:
    with pytest.raises(RequestError, match=r"instances\[1\]"):
        await served.predict({"instances": ["a", 7]})
