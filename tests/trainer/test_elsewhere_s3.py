"""Data in object storage: the same training as from a folder, what is fetched when, and every refusal in a sentence."""

import logging
import os
import urllib.request

import numpy as np
import pytest
import torch
from store_world import contents, fetch

from distill_api.contract import ExitCode
from distill_api.dataset import Dataset
from distill_trainer import data
from distill_trainer.data.elsewhere import forget, patience
from distill_trainer.data.elsewhere import scratch as copies
from distill_trainer.errors import ContractBroken, UserError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.0)
    yield
    forget()


def digits(folder, rows=240):
    """Some of the builtin digits as a table."""
    loaded = data.load(Dataset.model_validate({"builtin": {"name": "digits"}, "limit": rows}), seed=0)
    split = loaded.train.batch(torch.arange(rows))
    pixels = (split.inputs.flatten(1) * 255).round().int().tolist()
    folder.mkdir()
    table = pa.table({"image": pixels, "label": split.labels.tolist()})
    pq.write_table(table, folder / "train.parquet")
    return folder


def source(uri, kind="Parquet", **fields):
    return {"files": {"uri": uri, "format": kind, **fields}}


def test_a_training_from_s3_is_the_training_from_a_folder(workspace, s3, tmp_path):
    folder = digits(tmp_path / "digits")
    uri = s3.put_folder(folder, "sets/digits")
    found = {}
    for name, place in (("file", f"file://{folder}"), ("s3", uri)):
        ended = workspace.train(
            dataset=source(place), training={"epochs": 1}, output={"uri": f"pvc://models/{name}"}
        )
        assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
        version = workspace.root / "claims/models" / name / "versions"
        student = next(version.iterdir()) / "model.safetensors"
        found[name] = (
            student.read_bytes(),
            ended.outcome.lineage.dataset_digest,
            ended.outcome.result.student.metric,
        )
    assert found["file"] == found["s3"]


def test_the_check_reads_the_same_and_says_what_it_found(workspace, s3, tmp_path, caplog):
    uri = s3.put_folder(digits(tmp_path / "digits"), "digits")
    with caplog.at_level(logging.INFO):
        ended = workspace.check(dataset=source(uri))
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    assert "digits: 10 classes" in ended.outcome.message
    assert f"fetching {uri}: 1 files" in caplog.text
    assert "very secret" not in caplog.text + ended.raw.decode()


def test_a_second_start_fetches_nothing_and_a_change_is_another_data_set(s3):
    def loaded():
        forget()
        dataset = source("s3://samples/texts", "Csv") | {"columns": {"text": "text"}}
        return data.folders.files_root(Dataset.model_validate(dataset))

    s3.put("texts/train.csv", b"text,label\na,0\n")
    s3.put("texts/test.csv", b"text,label\nb,1\n")
    first = loaded()
    before = {path.name: path.stat().st_ino for path in first.iterdir()}
    assert loaded() == first
    assert {path.name: path.stat().st_ino for path in first.iterdir()} == before
    s3.put("texts/test.csv", b"text,label\nb,0\n")
    second = loaded()
    assert second != first
    assert second.name == first.name == "texts"
    assert (second / "test.csv").read_bytes() == b"text,label\nb,0\n"
    assert first.is_dir()  # this process may still read it


def test_a_changed_object_changes_the_digest_of_the_data(s3, tmp_path):
    folder = digits(tmp_path / "digits", 60)
    uri = s3.put_folder(folder, "digits")
    dataset = Dataset.model_validate(source(uri))
    first = data.load(dataset, seed=0).digest
    forget()
    assert data.load(dataset, seed=0).digest == first
    table = pq.read_table(folder / "train.parquet").to_pydict()
    table["image"][0][0] ^= 1
    pq.write_table(pa.table(table), folder / "train.parquet")
    s3.put_folder(folder, "digits")
    forget()
    assert data.load(dataset, seed=0).digest != first


def test_copies_that_nobody_reads_go_and_others_stay(s3, scratch):
    s3.put("d/train.csv", b"1")
    first = fetch("s3://samples/d")
    s3.put("d/train.csv", b"2")
    second = fetch("s3://samples/d/")
    assert contents(first) == {"train.csv": b"1"}
    for descriptor in copies._held:
        os.close(descriptor)  # as the kernel does when a process ends
    copies._held.clear()
    copies.use(second.parent)
    s3.put("d/train.csv", b"3")
    fetch("s3://samples/d")
    assert not first.exists()
    assert contents(second) == {"train.csv": b"2"}


def test_what_is_hidden_and_what_stands_for_folders_is_left_out(s3):
    for key in ("d/a/b.txt", "d/.DS_Store", "d/.cache/x", "d/a/", "dd/other.txt"):
        s3.put(key, b"x" if not key.endswith("/") else b"")
    assert contents(fetch("s3://samples/d")) == {"a/b.txt": b"x"}
    assert set(contents(fetch("s3://samples"))) == {"d/a/b.txt", "dd/other.txt"}
    assert fetch("s3://samples/d/a/b.txt").read_bytes() == b"x"


def test_files_of_many_pieces_come_whole(s3, monkeypatch):
    monkeypatch.setattr(pytest.importorskip("s3fs").S3FileSystem, "default_block_size", 2**20)
    content = np.random.default_rng(0).bytes(7 * 2**20 + 1)
    s3.put("large.bin", content)
    assert fetch("s3://samples/large.bin").read_bytes() == content


REFUSED = {
    "no bucket": ("s3://nowhere/d", {}, "DatasetNotFound", "there is no bucket 'nowhere' (404)"),
    "no key": ("s3://samples/nothing", {}, "DatasetNotFound", "nothing lies below it: correct the path"),
    "too large": (
        "s3://samples/d",
        {"limit": 3},
        "DataTooLarge",
        "1 files of 5 B lie there, and dataset.files.sizeLimit (3 B) allows less: name a narrower path, or raise the limit",
    ),
    "climbing key": (
        "s3://samples/bad",
        {},
        "FileNameUnusable",
        "'../../etc/x' below it cannot be the name of a file",
    ),
}


@pytest.mark.parametrize(("uri", "options", "reason", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_had_is_said(s3, uri, options, reason, sentence):
    s3.put("d/train.csv", b"12345")
    s3.put("bad/../../etc/x", b"root")
    with pytest.raises(ContractBroken) as refused:
        fetch(uri, **options)
    assert refused.value.reason == reason
    assert refused.value.message.startswith(f"dataset.files.uri is {uri!r}: ")
    assert sentence in refused.value.message


def test_a_disk_that_is_too_small_is_said_before_anything_is_fetched(s3, scratch, monkeypatch):
    s3.put("d/train.csv", b"12345")
    usage = copies.shutil.disk_usage("/")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=4))
    with pytest.raises(UserError, match=f"5 B are to be fetched, and {scratch} has 4 B free") as refused:
        fetch("s3://samples/d")
    assert refused.value.exit_code is ExitCode.FAILED  # another node may have the room
    assert not list(scratch.rglob("train.csv"))


def strict(s3_server, requests):
    """From now on S3 asks who it is, after so many requests."""
    question = urllib.request.Request(f"{s3_server}/moto-api/reset-auth", data=requests.encode())
    question.add_header("Content-Type", "text/plain")
    urllib.request.urlopen(question).close()


def test_credentials_that_are_not_taken_are_said_and_not_shown(s3, s3_server, caplog):
    s3.put("d/train.csv", b"1")
    strict(s3_server, "0")
    try:
        with pytest.raises(ContractBroken) as refused:
            fetch("s3://samples/d")
    finally:
        strict(s3_server, "inf")
    assert refused.value.reason == "AccessDenied"
    assert (
        "access is refused (InvalidAccessKeyId) to the credentials found here (env)" in refused.value.message
    )
    assert "s3:ListBucket and s3:GetObject" in refused.value.message
    assert "very secret" not in refused.value.message + caplog.text


def test_without_credentials_open_data_are_read_and_it_is_said(s3, s3_server, monkeypatch, caplog):
    s3.put("open/train.csv", b"1")
    s3.put("closed/train.csv", b"1")
    s3.client.put_object_acl(Bucket="samples", Key="open/train.csv", ACL="public-read")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with caplog.at_level(logging.INFO):
        assert contents(fetch("s3://samples/open")) == {"train.csv": b"1"}
    with pytest.raises(
        ContractBroken, match=r"refused \(403\) without credentials: name a Secret with AWS_ACCESS_KEY_ID"
    ):
        fetch("s3://samples/closed")
    assert "s3://samples/open is read without credentials: none were found" in caplog.text


def test_half_a_pair_of_keys_is_said(s3, monkeypatch):
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(UserError, match="Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY"):
        fetch("s3://samples/d")


def test_a_server_that_does_not_answer_may_answer_later(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(patience, "TRIES", 1)
    with pytest.raises(
        UserError, match=r"could not be fetched in 1 tries \(EndpointConnectionError"
    ) as refused:
        fetch("s3://samples/d")
    assert refused.value.exit_code is ExitCode.FAILED
