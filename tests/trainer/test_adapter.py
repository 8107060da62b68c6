"""The adapters apart, in PEFT's format: on the model that they were trained on they are the merged student."""

import json
import shutil

import pytest
import torch
from lora_world import lora_job, write_models
from peft import AutoPeftModelForCausalLM, PeftModel
from text_world import write_sentences, write_teacher
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from distill_api.contract import ExitCode
from distill_trainer.output import content_digest


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("adapter"))


@pytest.mark.parametrize("kind", ["student", "gpt2"])
def test_on_its_base_it_is_the_merged_student(workspace, folders, kind):
    """Matrices [out, in], and [in, out], which GPT-2 has."""
    ended = workspace.train(**lora_job(workspace.root / "data", folders, kind))
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    folder, base = workspace.version(ended), folders / kind
    ids, merged = torch.arange(8)[None], AutoModelForCausalLM.from_pretrained(folder)
    plain = AutoModelForCausalLM.from_pretrained(base)
    before = plain(ids).logits
    after = PeftModel.from_pretrained(plain, folder / "adapter")(ids).logits
    torch.testing.assert_close(after, merged(ids).logits, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(after, before, atol=1e-2)
    config = json.loads((folder / "adapter/adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["task_type"]) == (4, 16, "CAUSAL_LM")
    assert config["base_model_name_or_path"] == f"file://{base}"
    assert config["target_modules"] == sorted(config["target_modules"])


def test_it_is_told_of_and_not_part_of_what_is_served(workspace, folders):
    ended = workspace.train(**lora_job(workspace.root / "data", folders))
    folder, base = workspace.version(ended), folders / "student"
    said = f"adapter/ beside the student holds them apart, to be loaded on file://{base}"
    assert said in (folder / "report.html").read_text()
    assert 'PeftModel.from_pretrained(base, FOLDER + "/adapter")' in (folder / "README.md").read_text()
    shutil.rmtree(folder / "adapter")
    assert content_digest(folder) == ended.outcome.result.artifact.digest


def test_peft_finds_the_base_by_itself_where_it_is_a_name_that_it_knows(workspace, folders):
    ended = workspace.train(**lora_job(workspace.root / "data", folders))
    adapter = workspace.version(ended) / "adapter"
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = str(folders / "student")  # as a hub id would stand there
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    assert AutoPeftModelForCausalLM.from_pretrained(adapter).active_adapter == "default"


def test_layers_of_the_teacher_are_no_base(workspace, folders):
    job = lora_job(workspace.root / "data", folders)
    job["student"] = {"initFromTeacher": {"count": 2}, "lora": {"rank": 2}}
    folder = workspace.version(workspace.train(**job))
    assert not (folder / "adapter").exists()
    assert "no adapter/ is written, since layers of the teacher" in (folder / "report.html").read_text()
    assert "PeftModel" not in (folder / "README.md").read_text()


def test_a_new_head_goes_with_it(workspace, tmp_path):
    """The student was trained for two classes, the data has three."""
    teacher = write_teacher(tmp_path / "teacher", steps=30)
    write_sentences(workspace.root / "data", train=48, test=12)
    base = write_teacher(tmp_path / "student", steps=1)
    two = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2, ignore_mismatched_sizes=True)
    two.save_pretrained(base)
    job = {
        "task": "TextClassification",
        "teacher": {"huggingFace": {"id": f"file://{teacher}"}},
        "student": {"huggingFace": {"id": f"file://{base}"}, "lora": {"rank": 2}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "JsonLines"}},
        "training": {"epochs": 1},
    }
    folder = workspace.version(workspace.train(**job))
    merged = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    plain = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=3, ignore_mismatched_sizes=True
    )
    adapted = PeftModel.from_pretrained(plain, folder / "adapter").eval()
    words = AutoTokenizer.from_pretrained(folder)(
        ["the cat", "a dog in the oak"], padding=True, return_tensors="pt"
    )
    torch.testing.assert_close(adapted(**words).logits, merged(**words).logits, atol=1e-5, rtol=1e-4)
    config = json.loads((folder / "adapter/adapter_config.json").read_text())
    assert config["modules_to_save"] == ["classifier"]
    assert config["auto_mapping"]["base_model_class"] == "BertForSequenceClassification"
    job["student"]["lora"]["targetModules"] = ["classifier"]
    ended = workspace.train(**job)
    assert ended.outcome.reason == "AdaptersOfNothing"
    assert "classifier.weight starts fresh" in ended.outcome.message
