"""Image folders and odd pictures."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from distill_api.dataset import Dataset
from distill_trainer import data
from distill_trainer.data import images, pictures
from distill_trainer.data.images import BrokenPictureError, Form
from distill_trainer.errors import ContractBroken

RGB8 = Form(grey=False, height=8, width=8)


def folder_of(root: Path, **fields: object) -> Dataset:
    return Dataset.model_validate({"files": {"uri": f"file://{root}", "format": "ImageFolder"}, **fields})


def pattern(label: int) -> Image.Image:
    """A picture that gives its class away: the pixel at that place is white."""
    array = np.zeros((8, 8), dtype=np.uint8)
    array[label // 8, label % 8] = 255
    return Image.fromarray(array)


def write_classes(root: Path, names: list[str], *, each: int = 6) -> None:
    for index, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for number in range(each):
            pattern(index).save(root / name / f"{number}.png")


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_folders_named_1_to_12_are_in_numeric_order_and_it_is_said(tmp_path: Path) -> None:
    write_classes(tmp_path, [str(number) for number in range(1, 13)])
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "3" / ".DS_Store").write_bytes(b"x")
    loaded = data.load(folder_of(tmp_path), seed=0)
    assert loaded.classes == tuple(str(number) for number in range(1, 13))
    batch = loaded.train.batch(torch.arange(len(loaded.train)))
    images_, labels = batch.inputs, batch.labels
    assert torch.equal(images_.flatten(1).argmax(1), labels)
    assert "classes are folder names in numeric order: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12" in loaded.says


def test_names_in_text_order_and_an_empty_folder_named(tmp_path: Path) -> None:
    write_classes(tmp_path, ["zebra", "ape"])
    (tmp_path / "lion").mkdir()
    described = data.describe(folder_of(tmp_path))
    assert described.classes == ("ape", "lion", "zebra")
    assert "class folders without a picture, kept as classes that are never seen: lion" in described.says


def test_other_splits_use_the_classes_of_the_training_split(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", ["a", "b", "c"])
    write_classes(tmp_path / "test", ["c"], each=2)
    loaded = data.load(folder_of(tmp_path), seed=0)
    assert loaded.test.labels.tolist() == [2, 2]
    assert loaded.test.ids[0] == "test/c/0.png"


def test_a_class_that_training_lacks_is_refused(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", ["apple", "pear"])
    write_classes(tmp_path / "test", ["aple"])
    with pytest.raises(ContractBroken, match=r"has the class 'aple'.*did you mean 'apple'") as fault:
        data.describe(folder_of(tmp_path))
    assert fault.value.reason == "UnknownClass"


def test_broken_pictures_are_all_named_before_training(tmp_path: Path) -> None:
    write_classes(tmp_path, ["a", "b"], each=20)
    (tmp_path / "a" / "empty.jpg").write_bytes(b"")
    (tmp_path / "a" / "text.jpg").write_text("a picture, surely")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8))
    (tmp_path / "b" / "half.jpg").write_bytes(encoded(noise, "JPEG")[:900])
    with pytest.raises(ContractBroken) as fault:
        data.load(folder_of(tmp_path), seed=0)
    assert fault.value.reason == "BrokenPictures"
    assert "3 of 43 pictures cannot be read" in fault.value.message
    for name in ("a/empty.jpg (the file is empty)", "a/text.jpg (it is no picture", "b/half.jpg ("):
        assert name in fault.value.message


def test_large_sets_are_decoded_on_demand_and_give_the_same_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classes(tmp_path, ["a", "b"], each=10)
    kept = data.load(folder_of(tmp_path), seed=0)
    monkeypatch.setattr(pictures, "KEPT_BYTES", 0)
    demanded = data.load(folder_of(tmp_path), seed=0)
    rows = torch.tensor([3, 0, 3])
    assert torch.equal(kept.train.batch(rows).inputs, demanded.train.batch(rows).inputs)
    assert kept.digest == demanded.digest


def test_the_majority_decides_and_the_others_are_said(tmp_path: Path) -> None:
    write_classes(tmp_path, ["a", "b"], each=10)
    Image.new("RGB", (20, 10), "red").save(tmp_path / "a" / "odd.png")
    described = data.describe(folder_of(tmp_path))
    assert described.shape == (1, 8, 8)
    assert any("1 of 21 pictures looked at are not 8×8 grey" in said for said in described.says)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("size", [(8, 8), (1, 1), (17, 5)])
def test_every_mode_and_size_is_brought_to_one_form(mode: str, size: tuple[int, int]) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    decoded = images.decode(encoded(Image.new(mode, size), kind), RGB8)
    assert decoded.shape == (3, 8, 8)
    assert decoded.dtype == torch.uint8


def test_opaque_rgba_equals_rgb_and_transparency_is_white() -> None:
    red = Image.new("RGB", (8, 8), "red")
    assert torch.equal(images.decode(encoded(red), RGB8), images.decode(encoded(red.convert("RGBA")), RGB8))
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert int(images.decode(encoded(clear), RGB8).min()) == 255


def test_sixteen_bit_grey_keeps_its_brightness() -> None:
    half = Image.fromarray(np.full((8, 8), 32896, dtype=np.uint16))
    assert images.decode(encoded(half), Form(grey=True, height=8, width=8)).unique().tolist() == [128]


def test_a_turned_photograph_is_turned_back() -> None:
    exif = Image.Exif()
    exif[images.EXIF_ORIENTATION] = 6
    photograph = encoded(Image.new("RGB", (10, 4)), "JPEG", exif=exif)
    assert images.form_of(photograph) == Form(grey=False, height=10, width=4)


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(BrokenPictureError, match="convert it to 8 bits"):
        images.decode(encoded(Image.new("F", (8, 8)), "TIFF"), RGB8)


@pytest.mark.parametrize(("value", "said"), [(70_000, "from 70000 to 70000"), (-5, "from -5 to -5")])
def test_pixels_of_32_bits_beyond_16_are_refused(value: int, said: str) -> None:
    wide = encoded(Image.fromarray(np.full((8, 8), value, dtype=np.int32)), "TIFF")
    with pytest.raises(BrokenPictureError, match=said):
        images.decode(wide, RGB8)


def test_every_usual_ending_counts_and_others_are_said(tmp_path: Path) -> None:
    write_classes(tmp_path, ["ape", "cat"])
    pattern(0).save(tmp_path / "ape" / "more.jfif", "JPEG")
    (tmp_path / "cat" / "phone.HEIC").write_bytes(b"x")
    loaded = data.load(folder_of(tmp_path), seed=0)
    assert len(loaded.train) + len(loaded.validation) + len(loaded.test) == 13
    assert any("1 files are left out" in said and "(.heic), as phone.HEIC" in said for said in loaded.says)
