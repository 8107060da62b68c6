"""Sentence embeddings, from texts without labels to a student that Sentence Transformers loads."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from embedding_world import write_encoder, write_sentence_files, write_texts
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer
from text_world import sentences, tokenizer, write_rows
from transformers import AutoModel

from distill_api.contract import ExitCode
from distill_trainer.student import load_student

TEXTS = ["cat", "the oak of the elm and the dog in it is a jade to talc", "a cow", "opal and mica"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("embedding") / "encoder", length=64)


@pytest.fixture
def job(workspace, encoder):
    """Four layers → two."""
    write_texts(workspace.root / "data")
    return {
        "task": "Embedding",
        "teacher": {"huggingFace": {"id": f"file://{encoder}"}},
        "student": {"initFromTeacher": {"count": 2}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "JsonLines"}},
        "objective": {"alpha": 0},
        "evaluation": {"metric": "spearman"},
        "training": {"epochs": 12, "batchSize": 24, "learningRate": 0.001},
    }


@pytest.fixture(scope="module")
def texts():
    return [row["text"] for row in sentences(40, seed=2)]


def embedded(folder, texts, **settings):
    return SentenceTransformer(str(folder), device="cpu").encode(texts, **settings)


def test_a_student_learns_and_sentence_transformers_gives_its_vectors(workspace, job, encoder, texts):
    ended = workspace.train(**job)
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    result, folder = ended.outcome.result, workspace.version(ended)
    theirs, mine = embedded(encoder, texts), embedded(folder, texts)
    pairs = np.triu_indices(len(texts), 1)
    by_scipy = spearmanr((mine @ mine.T)[pairs], (theirs @ theirs.T)[pairs]).statistic
    assert result.student.metric == pytest.approx(by_scipy, abs=1e-3)
    assert result.student.metric_low < result.student.metric < result.student.metric_high
    assert (result.teacher.metric, result.drop.value) == (1.0, pytest.approx(1 - result.student.metric))
    assert result.student.calibration_error is None
    student = load_student(folder)
    ours = student.predict(student.text_encoder.encode(texts).inputs).numpy()
    assert np.abs(ours - mine).max() < 1e-5
    history = json.loads((folder / "result.json").read_text())["detail"]["history"]
    assert history[-1]["student_metric"] > history[0]["student_metric"]
    assert history[-1]["task_loss"] == 0
    assert "have no labels" not in ended.outcome.message


def test_report_and_card_speak_of_embeddings(workspace, job):
    folder = workspace.version(workspace.train(**{**job, "training": {"epochs": 1}}))
    report, card = ((folder / name).read_text() for name in ("report.html", "README.md"))
    assert "pairwise Spearman correlation" in report
    assert "find the same other text nearest" in report
    assert "Confusion matrix" not in report
    assert 'library_name: "sentence-transformers"' in card
    assert "SentenceTransformer(FOLDER)" in card


def test_the_graphs_hold_pooling_and_normalising_for_any_batch_and_length(workspace, job):
    output = {"uri": "pvc://models/graphs", "formats": ["Safetensors", "ONNX", "TorchExport"]}
    ended = workspace.train(**{**job, "training": {"epochs": 1}}, output=output)
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    folder = workspace.root / "claims/models/graphs/versions" / ended.outcome.result.artifact.uri[-12:]
    student, graph = load_student(folder), torch.export.load(folder / "model.pt2").module()
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    taken = {given.name for given in session.get_inputs()}
    names = list(student.text_encoder.encode(["a"]).inputs)
    torch.manual_seed(0)
    for batch in (1, 2, 3, 17):
        for length in (1, 7, 64):
            inputs = {name: torch.zeros(batch, length, dtype=torch.int64) for name in names}
            inputs["input_ids"] = torch.randint(4, 24, (batch, length))
            inputs["attention_mask"] = (
                torch.arange(length) < torch.randint(1, length + 1, (batch, 1))
            ).long()
            wanted = student.predict(inputs)
            feed = {name: tensor.numpy() for name, tensor in inputs.items() if name in taken}
            [found] = session.run(["sentence_embedding"], feed)
            again = session.run(None, feed)[0]
            assert (found == again).all()
            assert found.shape == (batch, 32)
            assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-5
            assert np.abs(found - wanted.numpy()).max() < 1e-4
            assert (graph(*inputs.values()) - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("mode", ["mean", "cls"])
def test_a_text_has_the_same_vector_alone_and_beside_a_long_one(workspace, job, tmp_path, mode):
    encoder = write_encoder(tmp_path / "encoder", mode=mode)
    job = {**job, "teacher": {"huggingFace": {"id": f"file://{encoder}"}}, "training": {"epochs": 1}}
    folder = workspace.version(workspace.train(**job))
    student = load_student(folder)
    alone = student.predict(student.text_encoder.encode(["the cat"]).inputs)
    beside = student.predict(student.text_encoder.encode(["the cat", " ".join(["oak"] * 30)]).inputs)[:1]
    assert torch.cosine_similarity(alone.double(), beside.double()).item() >= 1 - 1e-6
    assert (
        np.abs(
            embedded(folder, TEXTS) - student.predict(student.text_encoder.encode(TEXTS).inputs).numpy()
        ).max()
        < 1e-5
    )
    wanted = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}[mode]
    assert json.loads((folder / "1_Pooling/config.json").read_text())[wanted] is True


def test_stored_outputs_teach_the_same_as_a_teacher_beside(workspace, job):
    ended = [
        workspace.train(**job, teacherOutputs={"mode": mode}, output={"uri": f"pvc://models/{mode}"})
        for mode in ("Online", "Cached")
    ]
    histories = [
        json.loads(
            (
                workspace.root
                / "claims/models"
                / mode
                / "versions"
                / end.outcome.result.artifact.uri[-12:]
                / "result.json"
            ).read_text()
        )["detail"]["history"]
        for mode, end in zip(("Online", "Cached"), ended, strict=True)
    ]
    for online, cached in zip(*histories, strict=True):
        assert cached["loss"] == pytest.approx(online["loss"], rel=1e-4)


@pytest.mark.parametrize("mode", ["Online", "Cached"])
def test_stopped_and_started_again_gives_the_same_student_bit_for_bit(workspace, job, stop_after, mode):
    job = {**job, "teacherOutputs": {"mode": mode}}
    whole = workspace.train(**job)
    output = {"uri": "pvc://models/again"}
    assert workspace.train(stop=stop_after(7), **job, output=output).code is ExitCode.DISRUPTED
    ended = workspace.train(**job, output=output)
    assert ended.outcome.lineage.student_digest == whole.outcome.lineage.student_digest


def test_cut_batches_train_and_say_what_is_compared(workspace, job, caplog):
    training = {"epochs": 1, "batchSize": 24, "gradientAccumulation": 3}
    ended = workspace.train(**{**job, "training": training})
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    assert (
        "batches are cut into 3 parts: Relational, and KLDivergence of embeddings, compare the samples of a part"
        in caplog.text
    )


TERMS = {
    "distances and angles": [{"type": "Relational", "weight": 25}],
    "the vectors": [{"type": "MSELogits"}],
    "the pooled vectors": [
        {"type": "Hint", "pairs": [{"teacher": "pooling", "student": "pooling", "projection": "Linear"}]}
    ],
    "which sample it is": [{"type": "Contrastive", "negatives": 16, "dimension": 8}],
    "attention": [
        {
            "type": "AttentionTransfer",
            "mode": "MiniLM",
            "pairs": [{"teacher": "model.encoder.layer.3", "student": "model.encoder.layer.1"}],
        }
    ],
    "reverse": [{"type": "KLDivergence", "variant": "Reverse", "temperature": 0.1}],
}


@pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS.keys())
def test_other_terms_train_too(workspace, job, terms):
    ended = workspace.train(
        **{**job, "training": {"epochs": 2, "batchSize": 24}, "objective": {"alpha": 0, "terms": terms}}
    )
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message


def test_a_narrower_student_is_compared_by_similarities_and_not_value_by_value(workspace, job):
    config = AutoModel.from_pretrained(job["teacher"]["huggingFace"]["id"].removeprefix("file://")).config
    config.hidden_size, config.num_hidden_layers = 16, 1
    config.save_pretrained(workspace.root / "narrow")
    job["student"] = {"huggingFace": {"id": f"file://{workspace.root / 'narrow'}"}}
    refused = workspace.check(**{**job, "objective": {"alpha": 0, "terms": [{"type": "MSELogits"}]}})
    assert refused.outcome.reason == "WidthMismatch"
    assert "have 32 values, the student's 16" in refused.outcome.message
    job["training"] = {**job["training"], "epochs": 1}
    ended = workspace.train(**job)
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    assert embedded(workspace.version(ended), TEXTS).shape == (4, 16)


@pytest.mark.parametrize(
    ("mode", "kinds", "said"),
    [
        ("lasttoken", ("Normalize",), "1_Pooling pools by lasttoken"),
        ("max", (), "1_Pooling pools by max"),
        ("mean", ("Dense",), "modules.json has the module Dense"),
    ],
)
def test_what_is_not_computed_is_refused(workspace, job, tmp_path, mode, kinds, said):
    encoder = write_encoder(tmp_path / "encoder")
    write_sentence_files(encoder, mode=mode, kinds=kinds)
    ended = workspace.check(**{**job, "teacher": {"huggingFace": {"id": f"file://{encoder}"}}})
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "PoolingUnsupported")
    assert said in ended.outcome.message


def test_texts_are_cut_where_the_folder_says_unless_the_job_says_otherwise(workspace, job, tmp_path):
    encoder = write_encoder(tmp_path / "encoder", length=9)
    job = {**job, "teacher": {"huggingFace": {"id": f"file://{encoder}"}}, "training": {"epochs": 1}}
    folder = workspace.version(workspace.train(**job))
    assert json.loads((folder / "student.json").read_text())["input"] == {"maxTokens": 9}
    assert json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"] == 9
    job["dataset"] = {**job["dataset"], "maxTokens": 5}
    folder = workspace.version(workspace.train(**job))
    student = load_student(folder)
    assert student.text_encoder.encode([TEXTS[1]]).inputs["input_ids"].shape == (1, 5)
    assert (
        np.abs(
            embedded(folder, TEXTS) - student.predict(student.text_encoder.encode(TEXTS).inputs).numpy()
        ).max()
        < 1e-5
    )


def test_two_test_texts_are_refused(workspace, job):
    rows = [{"text": row["text"]} for row in sentences(30, seed=3)]
    write_rows(workspace.root / "data", train=rows, test=rows[:2])
    ended = workspace.check(**job)
    assert ended.outcome.reason == "TooFewSamples"
    assert "the test split of dataset" in ended.outcome.message


def test_a_teacher_without_a_pooler_has_the_same_digest_each_time(workspace, job, tmp_path):
    encoder = write_encoder(tmp_path / "encoder")
    model = AutoModel.from_pretrained(encoder, add_pooling_layer=False)
    model.save_pretrained(encoder)
    job = {**job, "teacher": {"huggingFace": {"id": f"file://{encoder}"}}}
    digests = {
        workspace.train(
            **{**job, "training": {"epochs": 1, "seed": seed}}, output={"uri": f"pvc://models/{seed}"}
        ).outcome.lineage.teacher_digest
        for seed in (0, 1)
    }
    assert len(digests) == 1


def test_the_tests_tokenizer_marks_padding():
    assert tokenizer()(["cat", "a cat"], padding=True)["attention_mask"][0] == [1, 1, 1, 0]
