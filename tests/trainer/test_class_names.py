"""Teachers that name their classes in another order than the data: the same class is the same column for everybody."""

import json
import shutil

import pytest
import torch
from PIL import Image
from text_world import WORDS, sentences, write_sentences, write_student, write_teacher
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertForSequenceClassification,
    ConvNextConfig,
    ConvNextForImageClassification,
)

from distill_api.contract import ExitCode
from distill_trainer.models.class_names import ClassOrder, class_order
from distill_trainer.student import load_student

FOLDERS = [str(number) for number in range(1, 13)]
AS_TEXT = sorted(FOLDERS)


class TestOrder:
    def test_the_same_order_needs_no_word(self):
        assert class_order(["cat", "dog"], ("cat", "dog")) == ClassOrder(named=True)

    def test_names_in_another_order_say_where_each_class_is(self):
        found = class_order(AS_TEXT, FOLDERS)
        assert [AS_TEXT[place] for place in found.order] == FOLDERS
        assert "put in the data's, 1, 2, 3, 4, " in found.said

    def test_case_and_separators_make_no_difference(self):
        assert class_order(["POSITIVE", "NOT-POSITIVE"], ("not_positive", "positive")).order == (1, 0)
        assert class_order(["a", "A"], ("A", "a")).order == (1, 0)

    @pytest.mark.parametrize("own", [None, ["LABEL_0", "LABEL_1"], ["wolf", "lynx"]])
    def test_without_common_names_the_data_decides_and_it_is_said(self, own):
        found = class_order(own, ("cat", "dog"))
        assert (found.order, found.named, found.fault) == (None, False, "")
        assert "its outputs are taken in the data's order, cat, dog" in found.said

    def test_some_common_names_at_other_places_are_a_contradiction(self):
        found = class_order(["dog", "cat", "wolf"], ("cat", "dog", "lynx"))
        assert found.fault.startswith("has the class 'cat' as output 1, the data as number 0")

    def test_some_common_names_at_the_same_places_are_none(self):
        assert class_order(["cat", "dog", "wolf"], ("cat", "dog", "lynx")).fault == ""


def picture(number):
    """8×8, the bits of the folder's number as dark and bright columns."""
    bits = torch.tensor([(number >> place) & 1 for place in range(4)]).repeat_interleave(2)
    return (bits * 200 + 20).expand(8, 8).to(torch.uint8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Six pictures in each of twelve folders, for training and for the test."""
    root = tmp_path_factory.mktemp("folders")
    for split in ("train", "validation", "test"):
        for name in FOLDERS:
            folder = root / split / name
            folder.mkdir(parents=True)
            (folder / ".DS_Store").write_bytes(b"no picture")
            for copy in range(6):
                Image.fromarray((picture(int(name)) + copy).numpy()).save(folder / f"{copy}.png")
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny ConvNeXt that knows all twelve, with its outputs in numeric order."""
    torch.manual_seed(0)
    config = ConvNextConfig(
        num_channels=1, patch_size=2, hidden_sizes=[16, 16], depths=[1, 1], num_stages=2, image_size=8, num_labels=12
    )  # fmt: skip
    network = ConvNextForImageClassification(config)
    images = torch.stack([picture(number) for number in range(1, 13)])[:, None] / 255
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(80):
        optimizer.zero_grad()
        network(pixel_values=images + 0.02 * torch.rand(12, 1, 1, 1), labels=torch.arange(12)).loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("trained") / "convnext"
    network.save_pretrained(folder)
    return folder


def reordered(source, folder, order, names, loader):
    """The same model with its outputs in another order, which `names` (None: placeholders) says."""
    network = loader.from_pretrained(source)
    with torch.no_grad():
        for tensor in network.classifier.parameters():
            tensor.copy_(tensor[order])
    network.config.id2label = {
        place: name if names else f"LABEL_{place}" for place, name in enumerate(names or order)
    }
    network.config.label2id = {name: place for place, name in network.config.id2label.items()}
    network.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("outputs", "named", "right"),
    [(FOLDERS, True, 72), (FOLDERS, False, 72), (AS_TEXT, True, 72), (AS_TEXT, False, 6)],
    ids=["numeric", "numeric without names", "text", "text without names: only folder 1 keeps its place"],
)
def test_folders_named_1_to_12(workspace, tmp_path, folders, trained, outputs, named, right):
    order = [FOLDERS.index(name) for name in outputs]
    teacher = reordered(
        trained, tmp_path / "teacher", order, outputs if named else None, ConvNextForImageClassification
    )
    job = {
        "teacher": {"huggingFace": {"id": f"file://{teacher}"}},
        "student": {"builtin": {"name": "mlp"}},
        "dataset": {"files": {"uri": f"file://{folders}", "format": "ImageFolder"}},
        "training": {"epochs": 1, "batchSize": 32},
    }
    said = workspace.check(**job).outcome.message
    assert "classes are folder names in numeric order: 1, 2, 3" in said
    assert (
        "teacher teacher does not name its classes: its outputs are taken in the data's order, 1, 2, 3"
        in said
    ) is not named
    assert ("teacher teacher has its classes in another order" in said) is (named and outputs == AS_TEXT)
    ended = workspace.train(**job)
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    result = ended.outcome.result
    assert (round(result.teacher.metric * result.samples), result.samples) == (right, 72)
    if not named:
        assert (
            "its outputs are taken in the data&#x27;s order"
            in (workspace.version(ended) / "report.html").read_text()
        )


@pytest.fixture(scope="module")
def text_teacher(tmp_path_factory):
    return write_teacher(tmp_path_factory.mktemp("text") / "teacher")


@pytest.fixture
def text_job(workspace, tmp_path, text_teacher):
    """A teacher whose outputs are stone, animal, plant, written its own way; the data's order is that of the alphabet."""
    teacher = reordered(
        text_teacher,
        tmp_path / "teacher",
        [2, 0, 1],
        ["STONE", "ANIMAL", "PLANT"],
        BertForSequenceClassification,
    )
    for file in text_teacher.glob("tokenizer*"):
        shutil.copy(file, teacher)
    write_sentences(tmp_path / "data")
    return {
        "task": "TextClassification",
        "teacher": {"huggingFace": {"id": f"file://{teacher}"}},
        "student": {"huggingFace": {"id": f"file://{write_student(tmp_path / 'student')}"}},
        "dataset": {"files": {"uri": f"file://{tmp_path / 'data'}", "format": "JsonLines"}},
        "training": {"epochs": 1, "batchSize": 16, "learningRate": 0.005},
    }  # fmt: skip


def right_by_name(folder):
    """Share of the test's sentences that Transformers, with the folder's own names, gives the right label."""
    network, words = (
        AutoModelForSequenceClassification.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    rows = sentences(60, seed=2)
    with torch.no_grad():
        said = (
            network(**words([row["text"] for row in rows], padding=True, return_tensors="pt"))
            .logits.argmax(-1)
            .tolist()
        )
    names = [network.config.id2label[index].lower() for index in said]
    return sum(name == row["label"] for name, row in zip(names, rows, strict=True)) / 60


@pytest.mark.parametrize("start", ["config", "trained"])
def test_a_teacher_of_texts_is_understood_by_name_and_its_student_too(workspace, text_job, start):
    """A student of a config alone takes the data's names; one that was trained with the same names keeps its own order."""
    if start == "trained":
        training = {**text_job["training"], "learningRate": 1e-6}
        text_job = {**text_job, "student": text_job["teacher"], "training": training}
    ended = workspace.train(**text_job)
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    result, folder = ended.outcome.result, workspace.version(ended)
    assert result.teacher.metric > 0.9
    assert right_by_name(folder) == pytest.approx(result.student.metric)
    config = json.loads((folder / "config.json").read_text())["id2label"]
    if start == "trained":
        assert config == {"0": "STONE", "1": "ANIMAL", "2": "PLANT"}
        assert result.student.metric == result.teacher.metric
    else:
        assert list(config.values()) == sorted(WORDS)
    student, rows = load_student(folder), sentences(60, seed=2)
    assert student.classes == tuple(sorted(WORDS))
    said = student.predict(student.encoder.encode([row["text"] for row in rows]).inputs).argmax(-1).tolist()
    served = sum(student.classes[index] == row["label"] for index, row in zip(said, rows, strict=True)) / 60
    assert served == pytest.approx(result.student.metric)


def test_names_that_contradict_the_data_are_refused(workspace, text_job, tmp_path):
    config = json.loads((tmp_path / "teacher" / "config.json").read_text())
    config["id2label"] = {"0": "stone", "1": "animal", "2": "mineral"}
    (tmp_path / "teacher" / "config.json").write_text(json.dumps(config))
    ended = workspace.check(**text_job)
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "ClassNamesMismatch")
    assert "has the class 'animal' as output 1, the data as number 0" in ended.outcome.message
    assert "give id2label of its config.json the names of dataset" in ended.outcome.message
