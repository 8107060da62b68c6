"""Pictures that cannot be read: named and counted, left out up to a limit, in every process and at every start alike."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from test_parallel import together

from distill_api.contract import ExitCode
from distill_trainer import data, loop
from distill_trainer.data import images, pictures
from distill_trainer.data.images import BrokenPictureError
from distill_trainer.teacher_outputs.teacher_pass import TeacherPass

TEACHER = {"python": {"factory": "own_models:tiny_conv", "args": {"classes": 2, "width": 8}}}
STUDENT = {"python": {"factory": "own_models:tiny_conv", "args": {"classes": 2, "width": 4}}}
BROKEN = ("empty.jpg", "half.jpg", "text.jpg")


def encoded(image, kind="PNG", **settings):
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def grey(seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 8), dtype=np.uint8))


def odd_ones():
    """A good picture of every mode that pictures come in."""
    grey16 = Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16))
    see_through = grey(2).convert("P")
    see_through.info["transparency"] = 0
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "l.png": encoded(grey(0)),
        "la.png": encoded(grey(1).convert("LA")),
        "p.png": encoded(see_through, transparency=0),
        "rgba.png": encoded(grey(3).convert("RGBA")),
        "cmyk.jpg": encoded(grey(4).convert("CMYK"), "JPEG"),
        "grey16.png": encoded(grey16),
        "dot.png": encoded(Image.new("L", (1, 1), 7)),
        "turned.jpg": encoded(grey(5), "JPEG", exif=turned),
    }


def forty():
    """Name → bytes: three broken ones, eight odd ones, 29 plain ones."""
    noise = Image.fromarray(np.random.default_rng(9).integers(0, 255, (64, 64), dtype=np.uint8))
    broken = {"half.jpg": encoded(noise, "JPEG")[:900], "empty.jpg": b"", "text.jpg": b"a picture, surely"}
    plain = {f"{place:02}.png": encoded(grey(10 + place)) for place in range(29)}
    return {**broken, **odd_ones(), **plain}


def write_folder(root: Path) -> dict:
    """Splits train (40, three of them broken), validation and test (10, one of them broken)."""
    parts = {
        "train": forty(),
        "validation": {f"{place}.png": encoded(grey(50 + place)) for place in range(6)},
        "test": {"torn.png": encoded(grey(1))[:40]} | {f"{p}.png": encoded(grey(70 + p)) for p in range(9)},
    }
    for split, files in parts.items():
        for place, (name, content) in enumerate(sorted(files.items())):
            folder = root / split / "ab"[place % 2]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return {"uri": f"file://{root}", "format": "ImageFolder"}


def write_parquet(root: Path) -> dict:
    root.mkdir(parents=True, exist_ok=True)
    train, rest = forty(), {f"{place}.png": encoded(grey(50 + place)) for place in range(6)}
    test = {"torn.png": encoded(grey(1))[:40]} | {
        f"{place}.png": encoded(grey(70 + place)) for place in range(9)
    }
    for split, files in {"train": train, "validation": rest, "test": test}.items():
        rows = [content for _, content in sorted(files.items())]
        labels = ["ab"[place % 2] for place in range(len(rows))]
        pq.write_table(pa.table({"image": rows, "label": labels}), root / f"{split}.parquet")
    return {"uri": f"file://{root}", "format": "Parquet"}


WRITERS = {"ImageFolder": write_folder, "Parquet": write_parquet}


@pytest.fixture
def shown(monkeypatch):
    """Ids of the samples that each step is shown."""
    seen, real = [], loop.examples

    def examples(parts, indices, *args):
        seen.append([parts.data.train.ids[place] for place in indices.tolist()])
        return real(parts, indices, *args)

    monkeypatch.setattr(loop, "examples", examples)
    return seen


def job(files, limit=4, **changes):
    return {
        "teacher": TEACHER,
        "student": STUDENT,
        "dataset": {"files": files, "maxBrokenSamples": limit},
        "training": {"epochs": 2, "batchSize": 8, "learningRate": 0.01},
        **changes,
    }


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("kept", [True, False], ids=["in memory", "on demand"])
def test_the_others_are_trained_in_every_epoch_and_the_test_set_is_one_smaller(
    workspace, shown, monkeypatch, kind, kept, caplog
):
    if not kept:
        monkeypatch.setattr(pictures, "KEPT_BYTES", 0)
    ended = workspace.train(**job(WRITERS[kind](workspace.root / "data")))
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    assert len(shown) == 2 * 5  # ⌈37 ÷ 8⌉
    epochs = [sorted(name for step in part for name in step) for part in (shown[:5], shown[5:])]
    assert epochs[0] == epochs[1]
    assert len(set(epochs[0])) == len(epochs[0]) == 37
    assert ended.outcome.result.samples == 9
    said = (workspace.version(ended) / "report.html").read_text()
    for text in (caplog.text, said):
        assert "train: 3 of 40 pictures cannot be read and are left out" in text
        assert "test: 1 of 10 pictures cannot be read and are left out" in text
    if kind == "ImageFolder":
        for name in BROKEN:
            assert f"/{name} (" in said
        assert not [name for name in epochs[0] if name.endswith(BROKEN)]


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(("limit", "words"), [(0, ""), (3, ", and dataset.maxBrokenSamples allows 3")])
def test_too_many_are_all_named_and_the_setting_with_them(workspace, kind, limit, words):
    ended = workspace.train(**job(WRITERS[kind](workspace.root / "data"), limit))
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "BrokenPictures")
    said = ended.outcome.message
    assert f"4 of 56 pictures cannot be read{words}: " in said
    assert "set dataset.maxBrokenSamples to 4 or more to leave them out" in said
    names = (*BROKEN, "torn.png") if kind == "ImageFolder" else ()
    assert [name for name in names if f"/{name} (" not in said] == []


def test_a_store_has_the_others_alone_and_a_second_start_computes_nothing(workspace, monkeypatch, stop_after):
    asked, real = [], TeacherPass.__call__
    monkeypatch.setattr(
        TeacherPass, "__call__", lambda self, batch: (asked.extend(batch.ids), real(self, batch))[1]
    )
    made = job(write_folder(workspace.root / "data"), teacherOutputs={"mode": "Cached"})
    assert workspace.train(stop_after(12), **made).code is ExitCode.DISRUPTED
    assert len(asked) == len(set(asked)) == 37
    ended = workspace.train(**made)
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    assert len(asked) == 37
    whole = workspace.train(**made, output={"uri": "pvc://models/whole"})
    assert whole.outcome.lineage.student_digest == ended.outcome.lineage.student_digest


def test_two_processes_leave_out_the_same(workspace):
    made = job(write_folder(workspace.root / "data"))
    codes, said = together(workspace, 2, **made)
    assert codes == [0, 0], said
    assert said.result.samples == 9
    [result] = (workspace.output / "versions").glob("*/result.json")
    assert len(json.loads(result.read_text())["detail"]["history"]) == 2


def other_files_for_the_second(rank, stop):
    if rank == 1:
        real = images.decode

        def decode(content, form):
            if content == encoded(grey(10)):
                raise BrokenPictureError("gone")
            return real(content, form)

        images.decode = decode


def test_processes_that_read_other_samples_end_with_a_sentence(workspace):
    made = job(write_folder(workspace.root / "data"), limit=9)
    codes, said = together(workspace, 2, other_files_for_the_second, **made)
    assert 0 not in codes
    assert "reads other samples of dataset" in said.message, said.message


def test_every_mode_loads_and_opaque_equals_plain(tmp_path):
    for name, content in odd_ones().items():
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / name).write_bytes(content)
    colour = Image.fromarray(np.random.default_rng(3).integers(0, 255, (8, 8, 3), dtype=np.uint8))
    for place in range(12):
        (tmp_path / "b").mkdir(exist_ok=True)
        image = colour.convert("RGBA") if place % 2 else colour
        (tmp_path / "b" / f"{place:02}.png").write_bytes(encoded(image))
    from distill_api.dataset import Dataset

    files = {"uri": f"file://{tmp_path}", "format": "ImageFolder"}
    loaded = data.load(Dataset.model_validate({"files": files}), seed=0)
    assert loaded.shape == (3, 8, 8)
    batch = loaded.train.batch(torch.arange(len(loaded.train)))
    assert batch.inputs.isfinite().all()
    same = [batch.inputs[place] for place, name in enumerate(batch.ids) if name.startswith("b/")]
    assert all(torch.equal(each, same[0]) for each in same)
    assert len(loaded.train) + len(loaded.validation) + len(loaded.test) == 20


def test_a_file_that_the_volume_does_not_give_is_no_broken_picture(workspace, monkeypatch):
    files = write_folder(workspace.root / "data")
    real = Path.read_bytes

    def read_bytes(path):
        if path.name == "05.png":
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    ended = workspace.train(**job(files))
    assert ended.outcome.reason == "DatasetUnreadable"
    assert "05.png is there and cannot be read (Input/output error)" in ended.outcome.message
