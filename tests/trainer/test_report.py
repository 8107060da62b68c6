"""The page's structure and words: what stands first, drawings that say what they show, numbers as people read them."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from distill_api.curriculum import Stage
from distill_api.training import Metric, Objective
from distill_trainer.report.confusion import confusion_matrix
from distill_trainer.report.curves import Line, curve_chart
from distill_trainer.report.intervals import interval_chart
from distill_trainer.report.learning import loss_lines
from distill_trainer.report.scale import domain, shared_power, ticks
from distill_trainer.report.values import difference, differences, span, value
from distill_trainer.report.words import duration, times
from distill_trainer.snapshot import EpochRecord

VOID = {"meta", "img", "rect", "line", "circle", "polyline", "br", "hr"}


class Outline(HTMLParser):
    """Checks that tags close as they open; keeps headings and attributes by tag."""

    def __init__(self, text):
        super().__init__()
        self.open, self.headings, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] in {"h1", "h2"}:
            self.headings.append(text)


def test_the_page_answers_first_and_every_drawing_speaks(workspace):
    ended = workspace.train(training={"epochs": 2})
    html = (workspace.version(ended) / "report.html").read_text()
    outline, result = Outline(html), ended.outcome.result
    assert outline.open == []
    assert outline.headings[0].startswith(f"The student keeps {100 * result.retained:.1f}")
    assert outline.headings[1:4] == ["Student against teacher", "Learning", "Confusion matrix of the student"]
    assert outline.headings[-3:] == ["What was read and assumed", "Lineage", "Configuration"]
    head = html[html.index("<header>") : html.index("</header>")]
    assert re.findall("<dt>(.*?)</dt>", head) == ["accuracy", "size", "latency of a sample", "training"]
    assert "2 epochs on CPU" in head
    assert "drop that is not chance" in head
    gate = float(re.search(r"maxDropVsTeacher from ([0-9.]+) on", head)[1])
    assert 0 <= gate - result.drop.value < 0.001
    least = float(re.search(r"minValue up to ([0-9.]+)", head)[1])
    assert 0 <= result.student.metric - least < 0.001
    drawings = [attributes for tag, attributes in outline.tags if tag == "svg"]
    assert len(drawings) == 4
    assert all(each["role"] == "img" and each["aria-label"] for each in drawings)
    assert html.count("<desc>") == 4
    assert "loading=" not in html  # a picture that is not looked at yet is missing in print
    assert "<script" not in html


def record(epoch=1, **losses):
    values = {"loss": 0.5, "task_loss": 2.0, "distillation_loss": 0.5, **losses}
    return EpochRecord(
        epoch, student_metric=0.5, teacher_metric=0.9, learning_rate=0.1, seconds=1.0, **values
    )


@pytest.mark.parametrize(
    ("alpha", "fixed", "names"),
    [
        (0.1, True, ["total", "labels (cross-entropy)", "teacher (T²·KL)"]),
        (0.0, True, ["labels (cross-entropy, not in the loss)", "teacher (T²·KL)"]),
        (1.0, True, ["labels (cross-entropy)", "teacher (T²·KL, not in the loss)"]),
        (0.0, False, ["total", "labels (cross-entropy)", "teacher (T²·KL)"]),
    ],
)
def test_a_part_that_is_the_whole_loss_is_drawn_once(alpha, fixed, names):
    stage = Stage(name="all", epochs=1, objective=Objective(alpha=alpha))
    assert [line.name for line in loss_lines(stage, [record()], fixed_alpha=fixed)] == names


def test_lines_differ_without_colours():
    stage = Stage(name="all", epochs=1, objective=Objective(alpha=0.5))
    styles = [line.style.partition(" ")[2] for line in loss_lines(stage, [record()], fixed_alpha=True)]
    assert sorted(styles) == ["", "dashed", "dotted"]


def test_of_equal_values_the_axis_ends_at_what_is_possible():
    assert domain([1.0, 1.0], 1.0) == pytest.approx((0.998, 1.0))
    assert ticks(*domain([1.0, 1.0], 1.0))[-1] == 1.0
    assert "150" not in curve_chart("t", [Line("a", "b", [1.0, 1.0])], axis="y", as_percent=True)
    assert "150" not in interval_chart([("a", "b", 1.0, 1.0, 1.0)], "label", as_percent=True)
    low, high = domain([0.0, 0.0], 1.0)
    assert len(ticks(low, high)) > 1
    flat = ticks(*domain([0.3, 0.3], None))
    assert flat[0] <= 0.3 <= flat[-1]


def test_small_values_share_a_power_of_ten():
    assert shared_power([0.0, 4e-5, 8e-5]) == ("× 10⁻⁵", pytest.approx(1e-5))
    assert shared_power([0.0, 40.0]) == ("", 1.0)
    drawn = curve_chart("Losses", [Line("total", "total", [1.4e-4, 6e-5])], axis="loss")
    assert "loss × 10⁻⁴" in drawn
    assert "e-0" not in drawn.split("</desc>")[1]


def test_a_chart_tells_its_ends_its_best_and_where_a_stage_begins():
    drawn = curve_chart(
        "Validation accuracy", [Line("student", "student", [0.1, 0.9, 0.8])], axis="accuracy", marked=2, as_percent=True,
        borders=[(1, "outputs")],
    )  # fmt: skip
    assert "<desc>student: from 10 % in epoch 1 to 80 % in epoch 3; best: 90 % in epoch 2</desc>" in drawn
    assert ">outputs →</text>" in drawn
    assert "epoch 2, kept" in drawn
    assert ">accuracy</text>" in drawn


def test_counts_fit_their_cells():
    counts = np.array([[12_345, 0], [1234, 999]])
    drawn = confusion_matrix(counts, ("a", "b"))
    assert re.findall(r">([0-9.k]+)</text>", drawn) == ["12k", "1.2k", "999"]
    assert "12345</title>" in drawn  # the whole number for whoever points at it
    assert "min-width" in drawn


def test_a_correlation_is_no_percentage():
    assert value(Metric.SPEARMAN, 0.9017) == "0.902"
    assert value(Metric.ACCURACY, 0.9017) == "90.17\u202f%"
    assert span(Metric.SPEARMAN, 0.85, 0.93) == "0.850 – 0.930"
    assert difference(Metric.ACCURACY, -0.0279) == "2.79 points"
    assert differences(Metric.MACRO_F1, -0.01, 0.02) == "−1.00 to 2.00"


@pytest.mark.parametrize(
    ("taken", "words"), [(0.45, "0.5 s"), (12.3, "12 s"), (200, "3 min 20 s"), (18_720, "5 h 12 min")]
)
def test_times_that_somebody_waits_for(taken, words):
    assert duration(taken).replace("\u202f", " ") == words


@pytest.mark.parametrize(
    ("theirs", "mine", "words"),
    [(10, 5, "2.0× faster"), (5, 10, "2.0× slower"), (100, 101, "as fast"), (0, 5, "–")],
)
def test_compared_with_the_teacher(theirs, mine, words):
    assert times(theirs, mine, "faster") == words
