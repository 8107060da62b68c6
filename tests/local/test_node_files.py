"""What the node keeps in files: volumes swapped in one step, logs, the table of images; and what it provisions."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from distill_local.node import logs
from distill_local.node.images import read_images, repository
from distill_local.node.inside.rootfs import resolve
from distill_local.node.provisioner import folder_of, is_released, volume_for, wants_volume
from distill_local.node.volumes import write_files


def seen(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith("..")}


def test_files_are_swapped_as_a_whole(tmp_path):
    write_files(tmp_path, {"a": (b"1", 0o644), "b": (b"1", 0o400)})
    first = (tmp_path / "..data").readlink()
    assert seen(tmp_path) == {"a": "1", "b": "1"}
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o400
    write_files(tmp_path, {"a": (b"1", 0o644), "b": (b"1", 0o400)})
    assert (tmp_path / "..data").readlink() == first, "nothing changed, nothing is written"
    write_files(tmp_path, {"a": (b"2", 0o644), "c": (b"2", 0o644)})
    assert seen(tmp_path) == {"a": "2", "c": "2"}
    assert not (tmp_path / first).exists()


def log_lines(tmp_path, text, chunks=1):
    path = tmp_path / "log"

    async def record():
        stream = asyncio.StreamReader()
        size = len(text) // chunks + 1
        for start in range(0, len(text), size):
            stream.feed_data(text[start : start + size])
        stream.feed_eof()
        await logs.record(stream, "stdout", path)

    asyncio.run(record())
    return path


def read(path, **options):
    async def collect():
        return b"".join([text async for text in logs.read(path, logs.LogOptions(**options), lambda: False)])

    return asyncio.run(collect()).decode()


def test_logs_come_back_as_they_were_said(tmp_path):
    long = b"x" * 40_000 + b"\nlast without an end"
    path = log_lines(tmp_path, b"one\ntwo\n\n" + long, chunks=7)
    assert read(path) == ("one\ntwo\n\n" + long.decode())
    assert read(path, limit=5) == "one\nt"
    assert read(path, since=datetime.now(UTC) + timedelta(seconds=9)) == ""


def test_the_tail_of_a_log(tmp_path):
    path = log_lines(tmp_path, b"one\ntwo\nthree\n")
    assert (read(path, tail=2), read(path, tail=0), read(path, tail=9)) == (
        "two\nthree\n",
        "",
        "one\ntwo\nthree\n",
    )
    assert read(path, tail=1, timestamps=True).split(" ", 1)[1] == "three\n"
    assert logs.tail_of(path, 1) == "three\n"


def test_log_options_that_are_none():
    with pytest.raises(ValueError, match="tailLines='-1' is not a whole number"):
        logs.parse_options({"tailLines": "-1"}, datetime.now(UTC))


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("distillation/trainer:0.1.0", "distillation/trainer"),
        ("docker.io/distillation/trainer@sha256:00", "distillation/trainer"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("docker.io/library/busybox:1", "busybox"),
        ("busybox", "busybox"),
    ],
)
def test_repositories(reference, name):
    assert repository(reference) == name


def test_the_table_of_images(tmp_path):
    table = tmp_path / "images.yaml"
    table.write_text("distillation/test: {command: [sh], user: 5, workingDir: /tmp}\n")
    images = read_images(table)
    assert images.find("distillation/test:9").user == 5
    assert images.find("other") is None
    assert "runs only distillation/test" in images.refusal("other:1")
    table.write_text("distillation/test: {commands: [sh]}\n")
    with pytest.raises(ValueError, match=r"distillation/test\.commands"):
        read_images(table)


def test_links_are_followed_inside_of_the_new_root(tmp_path):
    root = tmp_path / "root"
    (root / "var").mkdir(parents=True)
    (root / "var" / "run").symlink_to("/run")
    (root / "loop").symlink_to("loop")
    assert resolve(str(root), "/var/run/secrets") == f"{root}/run/secrets"
    assert resolve(str(root), "/../../etc") == f"{root}/etc"
    with pytest.raises(OSError, match="symbolic links"):
        resolve(str(root), "/loop/x")


CLASS = {"provisioner": "distillation.dev/folder", "metadata": {"name": "local"}, "reclaimPolicy": "Delete"}


def claim(**annotations):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "data", "namespace": "ns", "uid": "u", "annotations": annotations}
    return {"metadata": metadata, "spec": spec}


def test_which_claims_get_a_volume():
    waits = CLASS | {"volumeBindingMode": "WaitForFirstConsumer"}
    selected = claim(**{"volume.kubernetes.io/selected-node": "local"})
    assert wants_volume(claim(), CLASS, "local")
    assert not wants_volume(claim(), CLASS | {"provisioner": "other"}, "local")
    assert not wants_volume(claim(), waits, "local")
    assert wants_volume(selected, waits, "local")
    assert not wants_volume(selected, waits, "elsewhere")
    bound = claim()
    bound["spec"]["volumeName"] = "pv"
    assert not wants_volume(bound, CLASS, "local")


def test_a_volume_goes_when_it_is_released_and_was_ours():
    volume = volume_for(claim(), CLASS, folder_of(claim(), Path("/state")), "local")
    assert volume["spec"]["local"]["path"] == "/state/ns/data"
    assert not is_released(volume | {"status": {"phase": "Bound"}})
    assert is_released(volume | {"status": {"phase": "Released"}})
    volume["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
    assert not is_released(volume | {"status": {"phase": "Released"}})
