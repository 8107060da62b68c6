"""From bodies to images, and from probabilities to answers."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from distill_server.answers import predictions
from distill_server.endpoints.pictures import images_of_v1, images_of_v2
from distill_server.errors import RequestError

GREY = (1, 2, 3)
ROWS = [[0.0, 0.5, 1.0], [0.25, 0.0, 1.0]]


def png(size: tuple[int, int] = (3, 2), mode: str = "L", colour: object = 128) -> str:
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_v1_takes_rows_with_and_without_channels() -> None:
    images = images_of_v1({"instances": [ROWS, [ROWS]]}, GREY)
    assert torch.equal(images, torch.tensor([[ROWS], [ROWS]]))


def test_v1_takes_json_whatever_the_content_type_was() -> None:
    assert images_of_v1(b'{"instances": [[[0, 0, 1], [0, 1, 0]]]}', GREY).sum() == 2


@pytest.mark.parametrize("given", [png(), png((6, 4)), png(mode="RGB", colour=(128, 128, 128))])
def test_v1_brings_picture_files_to_the_models_form(given: str) -> None:
    images = images_of_v1({"instances": [{"b64": given}]}, GREY)
    assert torch.allclose(images, torch.full((1, *GREY), 128 / 255))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, 'must be {"instances": [image, …]} with images of shape [2, 3] or [1, 2, 3]'),
        (b"nope", "the body is no JSON"),
        ({"instances": []}, "instances is empty"),
        (
            {"instances": [[[0.1, 0.2]]]},
            "instances[0] has shape [1, 2]: images have shape [2, 3] or [1, 2, 3]",
        ),
        ({"instances": [ROWS, [[0.1], [0.2, 0.3]]]}, "instances[1] has rows of different lengths"),
        ({"instances": [[["a", "b", "c"]] * 2]}, "instances[0] holds list, not numbers"),
        (
            {"instances": [[[0, 128, 255]] * 2]},
            "pixels from 0 to 255: they go from 0 to 1; divide bytes by 255",
        ),
        ({"instances": [[[0, float("nan"), 1]] * 2]}, "pixels from nan"),
        ({"instances": [{"url": "x"}]}, "instances[0] has the keys url"),
        ({"instances": [{"b64": "%"}]}, "is no base64"),
        ({"instances": [{"b64": base64.b64encode(b"x").decode()}]}, "cannot be read as a picture"),
    ],
)
def test_v1_says_what_was_expected(body: object, said: str) -> None:
    with pytest.raises(RequestError) as fault:
        images_of_v1(body, GREY)
    assert said in str(fault.value)


@pytest.mark.parametrize(
    ("datatype", "array"),
    [
        ("FP32", np.ones((2, 1, 2, 3), dtype=np.float32)),
        ("FP64", np.ones((2, 2, 3))),
        ("UINT8", np.full((2, 2, 3), 255, dtype=np.uint8)),
        ("BYTES", np.array([png(colour=255), png(colour=255)], dtype=object)),
    ],
)
def test_v2_takes_numbers_bytes_and_files(datatype: str, array: np.ndarray) -> None:
    assert torch.equal(images_of_v2(datatype, array, GREY, name="images"), torch.ones(2, *GREY))


@pytest.mark.parametrize(
    ("datatype", "array", "said"),
    [
        ("INT64", np.ones((1, 2, 3)), "has datatype INT64"),
        ("FP32", np.ones((2, 3)), "has shape [2, 3]: send a batch [B, …]"),
        ("FP32", np.ones((0, 2, 3)), "has shape [0, 2, 3]"),
        ("FP32", np.full((1, 2, 3), 9.0), "pixels from 9 to 9"),
    ],
)
def test_v2_says_what_was_expected(datatype: str, array: np.ndarray, said: str) -> None:
    with pytest.raises(RequestError) as fault:
        images_of_v2(datatype, array, GREY, name="images")
    assert said in str(fault.value)


def test_an_answer_names_the_class() -> None:
    [answer] = predictions(torch.tensor([[0.25, 0.75]]), ["cat", "dog"])
    assert answer == {"label": "dog", "index": 1, "confidence": 0.75, "probabilities": [0.25, 0.75]}
