"""The server as a pod runs it: one process for all tests, asked over HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from server_world import Server, free_port, running, start

from distill_api.training import Task
from distill_trainer.models import Signature, reopen
from distill_trainer.output import content_digest
from distill_trainer.student import load_student

pytest.importorskip("kserve")
MODEL = {"builtin": {"name": "mlp"}}
IMAGE = [[round((row * 8 + column) / 63, 3) for column in range(8)] for row in range(8)]


def write_student(folder: Path) -> None:
    torch.manual_seed(0)
    source = reopen(MODEL, folder)
    source.write(source.build(Signature(Task.IMAGE_CLASSIFICATION, 10, (1, 8, 8))), folder)
    config = {
        "format": "distilled-student/v1",
        "task": "ImageClassification",
        "model": MODEL,
        "classes": [f"class {index}" for index in range(10)],
        "input": {"shape": [1, 8, 8], "range": [0, 1]},
    }
    (folder / "student.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("model")
    write_student(folder)
    with running(folder, tmp_path_factory.mktemp("log") / "server.log") as found:
        yield found


def test_v1_answers_as_the_student_does_and_names_its_version(server: Server) -> None:
    status, answer, headers = server.ask("/v1/models/student:predict", {"instances": [IMAGE, [IMAGE]]})
    expected = load_student(server.folder).predict(torch.tensor([[IMAGE]]))[0]
    version = content_digest(server.folder)
    assert status == 200
    assert answer["modelVersion"] == headers["x-model-version"] == version
    for prediction in answer["predictions"]:
        assert prediction["probabilities"] == pytest.approx(expected.tolist(), abs=1e-6)
        assert prediction["index"] == int(expected.argmax())
        assert prediction["label"] == f"class {prediction['index']}"


def test_v1_takes_what_curl_sends(server: Server) -> None:
    body = json.dumps({"instances": [IMAGE]}).encode()
    assert server.ask("/v1/models/student:predict", body, "application/x-www-form-urlencoded")[0] == 200


def test_v2_answers_the_same_and_describes_itself(server: Server) -> None:
    _, v1, _ = server.ask("/v1/models/student:predict", {"instances": [IMAGE]})
    tensor = {
        "name": "images",
        "datatype": "FP32",
        "shape": [1, 8, 8],
        "data": [pixel for row in IMAGE for pixel in row],
    }
    status, answer, _ = server.ask("/v2/models/student/infer", {"inputs": [tensor]})
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert status == 200
    assert answer["model_version"] == v1["modelVersion"]
    assert outputs["label"]["data"] == [v1["predictions"][0]["label"]]
    assert outputs["probabilities"]["shape"] == [1, 10]
    metadata = server.ask("/v2/models/student")[1]
    assert metadata["versions"] == [v1["modelVersion"]]
    assert metadata["inputs"] == [{"name": "images", "datatype": "FP32", "shape": [-1, 1, 8, 8]}]


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/models/student:predict", {"instances": [[[1, 2]]]}, "images have shape [8, 8] or [1, 8, 8]"),
        ("/v1/models/student:predict", b"{", "Unrecognized request format"),
        ("/v2/models/student/infer", {}, "inputs: Field required"),
        ("/v2/models/student/infer", {"inputs": []}, "takes one input, 'images'"),
        (
            "/v2/models/student/infer",
            {"inputs": [{"name": "images", "datatype": "FP32", "shape": [1, 9, 9], "data": [0.5] * 64}]},
            "do not fill its shape [1, 9, 9]",
        ),
    ],
)
def test_wrong_input_is_answered_with_400_and_a_sentence(
    server: Server, path: str, body: Any, said: str
) -> None:
    status, answer, _ = server.ask(path, body)
    assert status == 400
    assert said in answer["error"]


def test_requests_and_confidences_are_on_the_metrics_page(server: Server) -> None:
    def count(text: str, name: str) -> float:
        return float(next(line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(name)))

    good = 'distill_student_requests_total{code="200",model_name="student"}'
    before = server.ask("/metrics")[1]
    server.ask("/v1/models/student:predict", {"instances": [IMAGE, IMAGE]})
    after = server.ask("/metrics")[1]
    assert count(after, good) == count(before, good) + 1
    confidences = "distill_student_prediction_confidence_count"
    assert count(after, confidences) == count(before, confidences) + 2
    assert 'code="503"' in after


def test_a_torn_model_ends_with_a_sentence_in_the_termination_message(tmp_path: Path) -> None:
    write_student(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    log, termination = tmp_path / "log", tmp_path / "termination"
    process = start(tmp_path, free_port(), log, DISTILL_TERMINATION_LOG=str(termination))
    assert process.wait(300) == 65
    outcome = json.loads(termination.read_text())
    assert outcome["message"] in log.read_text()
    assert "model.safetensors" in outcome["message"]
    assert "Traceback" not in log.read_text()
