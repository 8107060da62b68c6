"""Test samples on which the models disagree, as pictures or texts inside the page; a word stands in its sentence."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from distill_trainer.data.dataset import Passage
from distill_trainer.report.page import Page
from distill_trainer.report.words import cut, escape, percent

SHOWN = 12
_LONGEST_SIDE = 128
_LONGEST_TEXT = 280


def disagreements(page: Page) -> str:
    """Figures: first where the teacher is right, the student's surest mistakes before the others."""
    student, teacher, labels = page.student, page.teacher, page.labels
    differ = np.flatnonzero(student.classes != teacher.classes)
    if not len(differ):
        return f"<p class='note'>Both predict the same class for all {page.rows_are} of the test split.</p>"
    teacher_right = teacher.classes[differ] == labels[differ]
    order = np.lexsort((-student.confidence[differ], ~teacher_right))
    chosen = differ[order][:SHOWN]
    figures = [_figure(page, int(index)) for index in chosen]
    count = f"{len(differ)} of {len(labels)} {page.rows_are} of the test split" + (
        f", {len(chosen)} shown" if len(differ) > len(chosen) else ""
    )
    kind = "examples" if isinstance(page.data.test.shown(0), Tensor) else "examples texts"
    return f"<p class='note'>{count}; the student's surest mistakes first.</p><div class='{kind}'>{''.join(figures)}</div>"


def data_uri(image: Tensor) -> str:
    """A picture float32 [C, H, W] in [0, 1] as a PNG in a data URI."""
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    picture = Image.fromarray(pixels[0]) if len(pixels) != 3 else Image.fromarray(np.moveaxis(pixels, 0, 2))
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    raw = io.BytesIO()
    picture.save(raw, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(raw.getvalue()).decode()


def _figure(page: Page, index: int) -> str:
    sample, label = int(page.samples[index]), int(page.labels[index])
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
    shown = page.data.test.shown(sample)
    what = f"test sample {escape(str(page.data.test.ids[sample]))}, label {name}"
    if isinstance(shown, Tensor):
        body = f'<img src="{data_uri(shown)}" alt="{what}">'
    elif isinstance(shown, str):
        body = f'<q title="{what}">{cut(shown, _LONGEST_TEXT)}</q>'
    else:
        rank = int((page.samples[:index] == sample).sum())  # the rows of a sample stand in its own order
        body = f'<q title="{what}">{in_sentence(shown, rank)}</q>'
    return f"<figure>{body}<figcaption>label <b>{cut(page.data.classes[label], 18)}</b>{lines}</figcaption></figure>"


def in_sentence(passage: Passage, rank: int) -> str:
    """The sentence with the word of its row number `rank` marked; of long ones what stands around it."""
    place = passage.counted[rank]
    before, after = " ".join(passage.words[:place]), " ".join(passage.words[place + 1 :])
    half = _LONGEST_TEXT // 2
    before = before if len(before) <= half else "…" + before[-half:]
    return f"{escape(before)} <mark>{cut(passage.words[place], half)}</mark> {cut(after, half)}".strip()


def _line(name: str, predicted: str, confidence: float, right: bool) -> str:  # noqa: FBT001
    sign, style = ("✓", "good") if right else ("✗", "bad")
    return f'<span><i class="{style}">{sign}</i> {name}: {cut(predicted, 14)} <small>({percent(confidence, 0)})</small></span>'
