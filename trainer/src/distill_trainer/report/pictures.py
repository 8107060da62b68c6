"""Test samples on which the models disagree, as pictures inside the page."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distill_trainer.evaluate import labels_of
from distill_trainer.report.page import Page
from distill_trainer.report.words import cut, escape, percent

SHOWN = 12
_LONGEST_SIDE = 128


def disagreements(page: Page) -> str:
    """Figures: first where the teacher is right, the student's surest mistakes before the others."""
    student, teacher, labels = page.student, page.teacher, labels_of(page.data.test)
    differ = np.flatnonzero(student.classes != teacher.classes)
    if not len(differ):
        return "<p class='note'>Both predict the same class for every test sample.</p>"
    teacher_right = teacher.classes[differ] == labels[differ]
    order = np.lexsort((-student.confidence[differ], ~teacher_right))
    chosen = differ[order][:SHOWN]
    images, _ = page.data.test.batch(torch.from_numpy(chosen))
    figures = [_figure(page, int(index), image) for index, image in zip(chosen, images, strict=True)]
    count = f"{len(differ)} of {len(labels)} test samples" + (
        f", {len(chosen)} shown" if len(differ) > len(chosen) else ""
    )
    return f"<p class='note'>{count}; the student's surest mistakes first.</p><div class='examples'>{''.join(figures)}</div>"


def data_uri(image: Tensor) -> str:
    """A picture float32 [C, H, W] in [0, 1] as a PNG in a data URI."""
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    picture = Image.fromarray(pixels[0]) if len(pixels) != 3 else Image.fromarray(np.moveaxis(pixels, 0, 2))
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    raw = io.BytesIO()
    picture.save(raw, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(raw.getvalue()).decode()


def _figure(page: Page, index: int, image: Tensor) -> str:
    label = int(page.data.test.labels[index])
    lines = "".join(
        _line(
            name,
            page.data.classes[predictions.classes[index]],
            float(predictions.confidence[index]),
            predictions.classes[index] == label,
        )
        for name, predictions in (("student", page.student), ("teacher", page.teacher))
    )
    name = escape(page.data.classes[label])
    return (
        f'<figure><img src="{data_uri(image)}" alt="test sample {escape(str(page.data.test.ids[index]))}, label {name}" '
        f'loading="lazy"><figcaption><b>{cut(page.data.classes[label], 18)}</b>{lines}</figcaption></figure>'
    )


def _line(name: str, predicted: str, confidence: float, right: bool) -> str:  # noqa: FBT001
    sign, style = ("✓", "good") if right else ("✗", "bad")
    return f'<span><i class="{style}">{sign}</i> {name}: {cut(predicted, 14)} <small>({percent(confidence, 0)})</small></span>'
