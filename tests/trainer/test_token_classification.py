"""A tag for each word: which tokens count, what the loss divides by, and a student that others can load."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from text_world import bert_config
from transformers import AutoModelForTokenClassification, AutoTokenizer, BertForTokenClassification
from word_world import TAGS, pieces, tagged, write_tagged, write_tagger

from distill_api.contract import ExitCode
from distill_api.dataset import Columns, Dataset, DatasetFiles, FileFormat, HuggingFaceDataset
from distill_trainer.data.dataset import Passage
from distill_trainer.data.sources import open_source
from distill_trainer.data.words import tagged_sentences
from distill_trainer.losses import Outputs, Targets, kl_objective
from distill_trainer.models.text_network import TextNetwork
from distill_trainer.report.disagreements import in_sentence
from distill_trainer.student import load_student
from distill_trainer.text import TextEncoder
from distill_trainer.words import WordEncoder


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    return write_tagger(tmp_path_factory.mktemp("words") / "teacher")


@pytest.fixture
def tag_job(workspace, tagger):
    """Fields of a run on tagged sentences."""
    write_tagged(workspace.root / "data")
    bert_config(num_hidden_layers=1, num_labels=4).save_pretrained(workspace.root / "student")
    return {
        "task": "TokenClassification",
        "teacher": {"huggingFace": {"id": f"file://{tagger}"}},
        "student": {"huggingFace": {"id": f"file://{workspace.root / 'student'}"}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "JsonLines"}},
        "objective": {"temperature": 2.0, "alpha": 0.3},
        "training": {"epochs": 6, "batchSize": 16, "learningRate": 0.005},
    }


def opened(folder, *, max_tokens=64):
    dataset = Dataset(files=DatasetFiles(uri=f"file://{folder}", format=FileFormat.JSON_LINES))
    return tagged_sentences(open_source(dataset), dataset, WordEncoder(TextEncoder(pieces(), max_tokens)))


def write_rows(folder, rows):
    folder.mkdir(exist_ok=True)
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize("mode", ["Online", "Cached"])
def test_a_student_learns_tags_and_is_loaded_by_transformers(workspace, tag_job, mode):
    ended = workspace.train(**tag_job, teacherOutputs={"mode": mode})
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    result = ended.outcome.result
    assert result.teacher.metric > 0.9
    assert result.student.metric > 0.8
    assert result.samples == 60
    folder = workspace.version(ended)
    config = json.loads((folder / "student.json").read_text())
    assert config["classes"] == TAGS
    assert config["input"] == {"maxTokens": 64}
    network = AutoModelForTokenClassification.from_pretrained(folder).eval()
    words = AutoTokenizer.from_pretrained(folder)
    right = []
    for row in tagged(60, seed=2):
        batch = words([row["tokens"]], is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            said = network(**batch).logits[0].argmax(-1).tolist()
        first = [batch.word_ids(0).index(word) for word in range(len(row["tokens"]))]
        right += [TAGS[said[place]] == tag for place, tag in zip(first, row["ner_tags"], strict=True)]
    assert np.mean(right) == pytest.approx(result.student.metric, abs=1e-9)
    confusion = json.loads((folder / "result.json").read_text())["detail"]["confusion"]["student"]
    assert np.sum(confusion) == len(right)
    report = (folder / "report.html").read_text()
    assert ">words<" in report


def test_the_label_stands_on_the_first_token_of_a_word_alone(tmp_path):
    rows = [
        {"tokens": ["the", "oaks", "cat"], "ner_tags": ["other", "plant", "animal"]},
        {"tokens": ["elm"], "ner_tags": ["plant"]},
    ]
    content = opened(write_rows(tmp_path / "data", rows)).splits["train"].content
    samples = content.read(torch.tensor([0, 1]))
    names = pieces().convert_ids_to_tokens
    assert names(samples.inputs["input_ids"][0].tolist()) == ["[CLS]", "the", "oak", "##s", "cat", "[SEP]"]
    assert samples.mask.tolist() == [
        [False, True, True, False, True, False],
        [False, True, False, False, False, False],
    ]
    classes = ["animal", "other", "plant"]
    assert [classes[label] for label in samples.labels[samples.mask].tolist()] == [
        "other",
        "plant",
        "animal",
        "plant",
    ]


def test_words_beyond_the_cut_do_not_count_and_are_not_shown_as_if_they_did(tmp_path):
    rows = [{"tokens": ["the", "oaks", "cat"], "ner_tags": ["other", "plant", "animal"]}]
    content = opened(write_rows(tmp_path / "data", rows), max_tokens=5).splits["train"].content
    samples = content.read(torch.tensor([0]))
    assert samples.mask.sum() == 2
    assert content.shown(0) == Passage(("the", "oaks", "cat"), (0, 1))


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    return [
        TextNetwork(BertForTokenClassification(bert_config(num_labels=4, num_hidden_layers=layers))).eval()
        for layers in (1, 2)
    ]


@torch.no_grad()
def parts(networks, content, rows):
    samples = content.read(torch.tensor(rows))
    student, teacher = (Outputs(network(samples.inputs)) for network in networks)
    return kl_objective(0.3, 2.0)(student, teacher, Targets(samples.labels, mask=samples.mask))


def test_one_word_here_nine_there(networks, tmp_path):
    """Each part of the loss is a mean over words, whichever sentence they stand in and however far it was padded."""
    rows = [
        {"tokens": ["oak"], "ner_tags": ["plant"]},
        {"tokens": ["the", "cats", "a", "oaks", "of", "it", "elm", "cow", "in"], "ner_tags": ["other", "animal", "other", "plant", "other", "other", "plant", "animal", "other"]},
    ]  # fmt: skip
    content = opened(write_rows(tmp_path / "data", rows)).splits["train"].content
    one, nine, both = (parts(networks, content, rows) for rows in ([0], [1], [0, 1]))
    for name in ("task", "distillation", "total"):
        expected = (getattr(one, name) + 9 * getattr(nine, name)) / 10
        assert float(getattr(both, name)) == pytest.approx(float(expected), abs=1e-6)
    assert float(both.task) != pytest.approx(float(one.task + nine.task) / 2, abs=1e-3)


@torch.no_grad()
def test_the_loss_by_an_independent_formula(networks, tmp_path):
    """Cross-entropy with ignore_index −100, as Transformers has it, and KL over the same positions."""
    content = opened(write_rows(tmp_path / "data", tagged(5, seed=3))).splits["train"].content
    samples = content.read(torch.arange(5))
    z_s, z_t = (network(samples.inputs) for network in networks)
    ignored = samples.labels.where(samples.mask, torch.tensor(-100))
    task = F.cross_entropy(z_s.flatten(0, 1), ignored.flatten(), ignore_index=-100)
    p, q = ((z / 2).softmax(-1) for z in (z_t, z_s))
    kl = 4 * (p * (p / q).log()).sum(-1)[ignored != -100].mean()
    found = parts(networks, content, [0, 1, 2, 3, 4])
    assert float(found.task) == pytest.approx(float(task), abs=1e-6)
    assert float(found.distillation) == pytest.approx(float(kl), abs=1e-6)


def test_class_names_come_from_the_features_both_ways(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "words": datasets.List(datasets.Value("string")),
            "pos": datasets.List(datasets.ClassLabel(names=["NOUN", "DET"])),
        }
    )
    data = datasets.Dataset.from_dict(
        {"words": [["the", "oak"], ["elm"]], "pos": [[1, 0], [0]]}, features=features
    )
    datasets.DatasetDict({"train": data}).save_to_disk(tmp_path / "disk")
    (tmp_path / "files").mkdir()
    data.to_parquet(tmp_path / "files" / "train.parquet")
    columns = Columns(tokens="words", tags="pos")
    for dataset in (
        Dataset(hugging_face=HuggingFaceDataset(id=f"file://{tmp_path / 'disk'}"), columns=columns),
        Dataset(
            files=DatasetFiles(uri=f"file://{tmp_path / 'files'}", format=FileFormat.PARQUET), columns=columns
        ),
    ):
        found = tagged_sentences(open_source(dataset), dataset, WordEncoder(TextEncoder(pieces(), 64)))
        assert found.classes == ("NOUN", "DET")
        samples = found.splits["train"].content.read(torch.tensor([0, 1]))
        assert samples.labels[samples.mask].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("row", "reason", "said"),
    [
        ({"tokens": ["a", "cat"], "ner_tags": ["other"]}, "TagsMismatch", "has 1 tags in row 160"),
        ({"tokens": [], "ner_tags": []}, "EmptyText", "has no word in row 160"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_named(workspace, tag_job, row, reason, said):
    with (workspace.root / "data" / "train.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    ended = workspace.train(**tag_job)
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, reason)
    assert said in ended.outcome.message


def test_columns_that_are_no_lists_are_named(workspace, tag_job):
    write_rows(workspace.root / "data", [{"tokens": "a cat", "ner_tags": "other"}])
    ended = workspace.check(**tag_job)
    assert ended.outcome.reason == "LabelMissing"
    assert (
        "dataset.columns.tags (ner_tags) of split 'train' holds no list of tags in row 0"
        in ended.outcome.message
    )


@pytest.mark.parametrize("mode", ["Online", "Cached"])
def test_stopped_and_started_again_gives_the_same_student_bit_for_bit(workspace, tag_job, stop_after, mode):
    tag_job = {**tag_job, "teacherOutputs": {"mode": mode}}
    training = {**tag_job["training"], "epochs": 2}
    whole = workspace.train(**{**tag_job, "training": training})
    output = {"uri": "pvc://models/again"}
    again = workspace.train(stop=stop_after(15), **{**tag_job, "training": training}, output=output)
    assert again.code is ExitCode.DISRUPTED
    ended = workspace.train(**{**tag_job, "training": training}, output=output)
    assert ended.outcome.lineage.student_digest == whole.outcome.lineage.student_digest


def test_the_written_student_reads_words_as_training_did(workspace, tag_job):
    ended = workspace.train(**{**tag_job, "training": {"epochs": 1}})
    student = load_student(workspace.version(ended))
    placed = WordEncoder(student.text_encoder).encode([["the", "oaks"]])
    assert student.predict(placed.inputs)[placed.mask].shape == (2, 4)


def test_a_word_is_marked_in_its_sentence():
    passage = Passage(("the", "<b>", "oak"), (0, 2))
    assert in_sentence(passage, 1) == "the &lt;b&gt; <mark>oak</mark>"
    long = Passage(("a" * 400, "oak", "b" * 400), (0, 1, 2))
    assert len(in_sentence(long, 1)) < 320
