"""Pairs of test texts that student and teacher find similar in quite another measure."""

from __future__ import annotations

import numpy as np

from distill_trainer.judging import Embedded
from distill_trainer.pairwise import Ranked, cosines
from distill_trainer.report.page import Page
from distill_trainer.report.words import cut, escape, percent

SHOWN = 8
_LONGEST_TEXT = 160


def differing_pairs(page: Page, judged: Embedded) -> str:
    """Figures of the pairs whose places among all pairs, from least to most similar, differ most."""
    theirs, mine = cosines(judged.teacher), cosines(judged.student)
    apart = Ranked(mine).ranks() - Ranked(theirs).ranks()
    chosen = np.argsort(-np.abs(apart), kind="stable")[:SHOWN]
    first, second = np.triu_indices(len(judged.samples), 1)
    figures = [
        _figure(
            page,
            (int(judged.samples[first[pair]]), int(judged.samples[second[pair]])),
            (float(mine[pair]), float(theirs[pair])),
            float(apart[pair]) / len(apart),
        )
        for pair in chosen
    ]
    note = f"{len(apart)} pairs of {len(judged.samples)} texts, each model's in order of its cosine; shown are those whose place differs most."
    return f"<p class='note'>{note}</p><div class='examples texts'>{''.join(figures)}</div>"


def _figure(page: Page, places: tuple[int, int], values: tuple[float, float], moved: float) -> str:
    texts = "".join(
        f'<q title="test sample {escape(str(page.data.test.ids[place]))}">{cut(str(page.data.test.shown(place)), _LONGEST_TEXT)}</q>'
        for place in places
    )
    lines = "".join(
        f"<span>{name}: cosine {value:.3f}</span>"
        for name, value in zip(("student", "teacher"), values, strict=True)
    )
    side = "more" if moved > 0 else "less"
    return f"<figure>{texts}<figcaption><b>{side} similar to the student</b><span>by {percent(abs(moved), 0)} of all pairs</span>{lines}</figcaption></figure>"
