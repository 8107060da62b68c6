"""Transformers models from folders that the tests write: as teacher, as student, and read back without the folder."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ConvNextConfig, ConvNextForImageClassification, ViTConfig, ViTForImageClassification

from distill_api.contract import ExitCode
from distill_api.training import Task
from distill_trainer.errors import ContractBroken
from distill_trainer.models import Signature
from distill_trainer.models.preprocessing import Preprocessing
from distill_trainer.student import load_student


@pytest.fixture
def vit(tmp_path):
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=16,
        patch_size=8,
        num_channels=3,
        num_labels=10,
    )
    torch.manual_seed(0)
    ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    processor = {
        "do_resize": True,
        "size": {"height": 16, "width": 16},
        "do_normalize": True,
        "image_mean": [0.5] * 3,
        "image_std": [0.25] * 3,
    }
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(processor))
    return tmp_path / "vit"


@pytest.fixture
def convnext(tmp_path):
    config = ConvNextConfig(
        num_channels=1,
        patch_size=2,
        hidden_sizes=[8, 8],
        depths=[1, 1],
        num_stages=2,
        image_size=8,
        num_labels=10,
    )
    torch.manual_seed(0)
    ConvNextForImageClassification(config).save_pretrained(tmp_path / "convnext")
    return tmp_path / "convnext"


def model(folder):
    return {"huggingFace": {"id": f"file://{folder}"}}


def test_a_vit_teaches_a_convnext(workspace, vit, convnext):
    ended = workspace.train(teacher=model(vit), student=model(convnext), training={"epochs": 1})
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    shutil.rmtree(convnext)
    student = load_student(workspace.version(ended))
    assert student.predict(torch.rand(3, 1, 8, 8)).shape == (3, 10)


def test_the_teacher_sees_what_its_processor_would_make(workspace, vit):
    from distill_api.sources import HuggingFaceModel, Teacher
    from distill_trainer.models import open_model

    source = open_model(Teacher(hugging_face=HuggingFaceModel(id=f"file://{vit}")), field="teacher")
    network = source.build(Signature(Task.IMAGE_CLASSIFICATION, 10, (1, 16, 16)))
    source.load(network)
    images = torch.rand(2, 1, 16, 16)
    plain = ViTForImageClassification.from_pretrained(vit).eval()
    expected = plain(pixel_values=(images.repeat(1, 3, 1, 1) - 0.5) / 0.25).logits
    torch.testing.assert_close(network.eval()(images), expected)


def test_class_count_of_the_config(workspace, vit):
    config = json.loads((vit / "config.json").read_text())
    config["id2label"] = {str(index): f"L{index}" for index in range(4)}
    config["label2id"] = {f"L{index}": index for index in range(4)}
    (vit / "config.json").write_text(json.dumps(config))
    ended = workspace.check(teacher=model(vit))
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "ClassCountMismatch")


def test_grey_is_repeated_and_colour_is_never_dropped():
    grey = Preprocessing.of({}, {"num_channels": 3}, (1, 8, 8), field="teacher")
    assert torch.equal(grey.apply(torch.full((1, 1, 8, 8), 0.5)), torch.full((1, 3, 8, 8), 0.5))
    with pytest.raises(ContractBroken, match="takes images of 1 channel") as refused:
        Preprocessing.of({}, {"num_channels": 1}, (3, 8, 8), field="student")
    assert refused.value.reason == "InputShapeMismatch"


def test_a_pickle_is_refused(workspace, vit):
    (vit / "model.safetensors").unlink()
    torch.save({}, vit / "pytorch_model.bin")
    assert workspace.check(teacher=model(vit)).outcome.reason == "WeightsArePickle"


def test_a_folder_without_config(workspace, tmp_path):
    ended = workspace.check(teacher=model(tmp_path / "nothing"))
    assert ended.outcome.reason == "ModelNotFound"
    assert "config.json" in ended.outcome.message


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("MobileViT", {}),
        ("EfficientNet", {}),
        ("EfficientNet", {"rescale_factor": 1 / 127.5, "rescale_offset": True, "include_top": False}),
        ("ViT", {"do_normalize": False, "rescale_factor": 1 / 127.5}),
        ("ViT", {"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [60.0] * 3}),
    ],
)
def test_pixels_are_those_of_the_library(kind, settings):
    import transformers

    processor = getattr(transformers, f"{kind}ImageProcessor")(
        **{"do_resize": False, "do_center_crop": False, **settings}
    )
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    expected = processor(images=Image.fromarray(pixels), return_tensors="pt")["pixel_values"]
    ours = Preprocessing.of(json.loads(processor.to_json_string()), {}, (3, 8, 8), field="teacher")
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    torch.testing.assert_close(ours.apply(images), expected, rtol=1e-5, atol=1e-5)
