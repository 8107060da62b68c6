"""A small trained teacher, trainer.json files, and runs of the trainer within the test's process."""

import copy
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from distill_api.contract import ExitCode, Outcome
from distill_api.dataset import BuiltinDataset, Dataset
from distill_trainer import program
from distill_trainer.data import load
from distill_trainer.models import builtin_network
from distill_trainer.stop import StopSignal

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def teacher_weights(tmp_path_factory) -> Path:
    """A convnet-small that has learnt digits for three epochs."""
    torch.manual_seed(0)
    data = load(Dataset(builtin=BuiltinDataset(name="digits")), seed=0)
    network = builtin_network("convnet-small", shape=data.shape, classes=10)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(3):
        for indices in torch.randperm(len(data.train)).split(32):
            batch = data.train.batch(indices)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(batch.inputs), batch.labels).backward()
            optimizer.step()
    file = tmp_path_factory.mktemp("teacher") / "digits-teacher.safetensors"
    save_file(network.state_dict(), file)
    return file


@pytest.fixture
def scratch(tmp_path, monkeypatch) -> Path:
    """Where copies of data are kept, and an environment without credentials."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "DISTILL_HTTP_AUTH"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("DISTILL_SCRATCH", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


@pytest.fixture(scope="session")
def s3_server():
    """The address of an S3 server."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(s3_server, scratch, monkeypatch):
    """An empty bucket, and the environment that a Secret gives to pods that read it."""
    import boto3
    from store_world import Bucket

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bucket = Bucket(boto3.client("s3"), "samples")
    yield bucket
    for listed in bucket.client.list_objects_v2(Bucket="samples").get("Contents", []):
        bucket.client.delete_object(Bucket="samples", Key=listed["Key"])
    bucket.client.delete_bucket(Bucket="samples")


@pytest.fixture
def web(scratch):
    """A web server on this machine."""
    from store_world import serving

    with serving() as found:
        yield found


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: ExitCode
    outcome: Outcome
    raw: bytes


@pytest.fixture
def workspace(tmp_path, monkeypatch, teacher_weights) -> "Workspace":
    monkeypatch.setenv("DISTILL_CLAIMS", str(tmp_path / "claims"))
    monkeypatch.setenv("DISTILL_TERMINATION_LOG", str(tmp_path / "termination-log"))
    monkeypatch.setenv("DISTILL_HTTP_HOST", "127.0.0.1")
    monkeypatch.setenv("DISTILL_HTTP_PORT", "0")
    return Workspace(tmp_path, teacher_weights)


class Workspace:
    """A claim called `models`, and trainer.json files that start from a small run on 200 digits."""

    def __init__(self, root: Path, teacher_weights: Path) -> None:
        self.root = root
        self.output = root / "claims" / "models" / "run"
        self._base: dict[str, Any] = {
            "job": {"name": "digits"},
            "task": "ImageClassification",
            "teacher": {
                "builtin": {"name": "convnet-small"},
                "weights": {"uri": f"file://{teacher_weights}"},
            },
            "student": {"builtin": {"name": "convnet-tiny"}},
            "dataset": {"builtin": {"name": "digits"}, "limit": 200},
            "training": {"epochs": 3, "batchSize": 32, "learningRate": 0.01},
            "output": {"uri": "pvc://models/run"},
            "recipeDigest": "sha256:" + "ab" * 32,
        }

    def config(self, **changes: Any) -> dict[str, Any]:
        """The base with fields replaced; `training={"epochs": 1}` changes one field of the training."""
        document = copy.deepcopy(self._base)
        for name, value in changes.items():
            merge = name in {"training", "objective"} and isinstance(value, dict)
            document[name] = {**document.get(name, {}), **value} if merge else value
        return document

    def write(self, document: Any) -> Path:
        path = self.root / "trainer.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
        return path

    def run(self, command: str, document: Any, stop: StopSignal | None = None) -> Ended:
        code = program.run(command, self.write(document), stop or StopSignal())
        raw = (self.root / "termination-log").read_bytes()
        return Ended(code, Outcome.model_validate_json(raw), raw)

    def check(self, **changes: Any) -> Ended:
        return self.run("check", self.config(**changes))

    def train(self, stop: StopSignal | None = None, **changes: Any) -> Ended:
        return self.run("train", self.config(**changes), stop)

    def version(self, ended: Ended) -> Path:
        assert ended.outcome.result is not None
        return self.output / "versions" / ended.outcome.result.artifact.uri.rpartition("/")[2]


@pytest.fixture
def stop_after() -> Callable[[int], StopSignal]:
    """A signal that comes at the n-th time somebody looks: a SIGTERM at a chosen point of the run."""

    class Countdown(StopSignal):
        def __init__(self, looks: int) -> None:
            super().__init__()
            self.left = looks

        @property
        def requested(self) -> bool:
            self.left -= 1
            return self.left < 0

    return Countdown
