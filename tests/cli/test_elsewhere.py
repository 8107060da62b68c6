"""Data that no volume holds, without a cluster: fetched with this machine's own credentials, and that is said."""

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from distill_api.contract import ExitCode

pytest.importorskip("fsspec.implementations.http")
pytest.importorskip("pyarrow")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder on a web server, with pictures of 8×8 pixels in ten classes, and where it is."""
    folder = tmp_path / "served" / "digits"
    folder.mkdir(parents=True)
    pixels = [f"[{', '.join(str(row % 256) for _ in range(64))}]" for row in range(200)]
    lines = [f'{{"image": {each}, "label": {row % 10}}}' for row, each in enumerate(pixels)]
    (folder / "train.jsonl").write_text("\n".join(lines))
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("DISTILL_SCRATCH", str(tmp_path / "scratch"))
    yield f"http://127.0.0.1:{server.server_port}/digits/"
    server.shutdown()
    server.server_close()


def elsewhere(job_text, uri):
    text = job_text.replace(
        "{builtin: {name: digits}, limit: 200}", f"{{files: {{uri: '{uri}', format: JsonLines}}}}"
    )
    assert uri in text
    return text


def test_validate_fetches_and_says_so(distill, write, job_text, claim, place, tmp_path):
    answer = distill("validate", write(elsewhere(job_text, place)), "--claim", claim)
    assert answer.code == 0, answer.out
    assert f"spec.dataset.files.uri: {place} is fetched to this machine first" in answer.out
    assert "fit digits: 10 classes, 140 training samples" in answer.out
    assert list((tmp_path / "scratch").rglob("train.jsonl"))


def test_validate_says_what_is_not_there(distill, write, job_text, claim, place):
    answer = distill("validate", write(elsewhere(job_text, place + "none.jsonl")), "--claim", claim)
    assert answer.code == ExitCode.CONTRACT_BROKEN
    assert "DatasetNotFound: dataset.files.uri is" in answer.out


def test_offline_fetches_nothing(distill, write, job_text, tmp_path):
    answer = distill("validate", "--offline", write(elsewhere(job_text, "s3://nowhere/x")))
    assert answer.code == 0
    assert "fetched" not in answer.out


def test_estimate_counts_what_is_there(distill, write, job_text, place):
    answer = distill("estimate", write(elsewhere(job_text, place)))
    assert answer.code == 0, answer.error
    assert "140 samples" in answer.out
    assert "is fetched to this machine first" in answer.out


def test_run_trains_on_it(distill, write, job_text, claim, place, tmp_path):
    text = elsewhere(job_text, f"{place}train.jsonl?signature=sgntr")
    answer = distill("run", write(text), "--claim", claim, "--output", tmp_path / "out")
    assert answer.code == 0, answer.out + answer.error
    (page,) = (tmp_path / "out/versions").rglob("report.html")
    assert f"{place}train.jsonl?…" in page.read_text(encoding="utf-8")
    assert not [
        path for path in (tmp_path / "out").rglob("*") if path.is_file() and b"sgntr" in path.read_bytes()
    ]
    assert list((tmp_path / "out/versions").rglob("model.safetensors"))


def test_a_secret_has_no_effect_here_and_that_is_said(distill, write, job_text, claim, monkeypatch):
    monkeypatch.setenv("DISTILL_SCRATCH", "/proc/none")
    text = elsewhere(job_text, "https://127.0.0.1:9/x?signature=sgntr")
    text = text.replace("format: JsonLines}}", "format: JsonLines}, secretRef: {name: s3}}")
    answer = distill("validate", write(text), "--claim", claim)
    assert "spec.dataset.secretRef has no effect without a cluster" in answer.out
    assert "ScratchNotWritable: /proc/none" in answer.out
    assert "sgntr" not in answer.out
