"""`distill sweep`: what it takes, one teacher for all trials, the best by the validation split, gone on with, failures as rows."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from distill_api.contract import ExitCode
from distill_cli.errors import CommandError
from distill_cli.sweeping.knobs import KNOBS, Range, turned
from distill_cli.sweeping.picture import page
from distill_cli.sweeping.ranking import ranked
from distill_cli.sweeping.record import Row
from distill_cli.sweeping.search import search
from distill_cli.sweeping.show import table, yaml_lines
from distill_cli.sweeping.trials import grid

TEMPERATURE, ALPHA, RATE = KNOBS


def row(value, seed=0, reason="Succeeded", **values):
    validation = None if value is None else {"value": value, "low": value - 0.02, "high": value + 0.02}
    return Row(values, seed, f"{values}{seed}", "", reason, "why", validation, 100)


def test_values_and_ranges():
    assert turned(ALPHA, "0,0.1, 0.1").values == (0.0, 0.1)
    assert turned(RATE, "0.001..0.1").values == Range(0.001, 0.1)


@pytest.mark.parametrize(
    ("knob", "text", "said"),
    [
        (ALPHA, "0,much", "--alpha 0,much: 'much' is no number"),
        (ALPHA, "1..0", "--alpha 1..0: the first end of a range must be less"),
        (TEMPERATURE, "0..4", "--temperature 0..4: must begin above 0"),
    ],
)
def test_values_that_are_none(knob, text, said):
    with pytest.raises(CommandError, match=re.escape(said)):
        turned(knob, text)


def test_a_grid_has_every_pair():
    combinations = grid([turned(TEMPERATURE, "1,4"), turned(ALPHA, "0,0.5")])
    assert [each.name for each in combinations] == [
        "temperature-1_alpha-0",
        "temperature-1_alpha-0.5",
        "temperature-4_alpha-0",
        "temperature-4_alpha-0.5",
    ]
    assert combinations[3].words == "T 4  α 0.5"
    assert yaml_lines({"temperature": 4, "alpha": 0.5, "learning-rate": 0.01}) == (
        "  objective: {temperature: 4, alpha: 0.5}\n  training: {learningRate: 0.01}"
    )


def test_with_alpha_1_every_temperature_is_one_training():
    combinations = grid([turned(TEMPERATURE, "1,4,8"), turned(ALPHA, "0.5,1")])
    assert [each.name for each in combinations] == [
        "temperature-1_alpha-0.5",
        "alpha-1",
        "temperature-4_alpha-0.5",
        "temperature-8_alpha-0.5",
    ]
    assert combinations[1].words == "α 1"
    assert len(grid([turned(RATE, "0.1,0.2"), turned(ALPHA, "0.5,1")])) == 4


def test_a_row_for_every_temperature_stretches_over_the_picture_and_says_any():
    rows = [row(0.9 + t / 100, temperature=t, alpha=0.0) for t in (1.0, 2.0, 4.0)] + [row(0.91, alpha=1.0)]
    found = ranked(rows)
    html = page("t", found, "accuracy", "", [])
    assert html.count("colspan='3'") == 1
    assert "<td>any</td><td>1</td><td>0.9100</td>" in html
    assert "T = 4, α = 0 is best: accuracy 0.9400; 1 of 3 others cannot be told from it" in html
    many = [row(0.9, temperature=float(t), alpha=0.1 + t / 100) for t in range(1, 6)]
    drawn = page("t", ranked([*many, row(0.91, alpha=1.0)]), "accuracy", "", [])
    widths = sorted(float(each) for each in re.findall(r"<rect[^>]*width='([0-9.]+)'", drawn))
    assert widths == [14.0] * 5 + [400 - 20 - 50 + 14.0]


def test_the_table_fits_into_80_columns():
    rows = [row(0.9 + t / 100, seed, temperature=t, alpha=0.0) for t in (1.5, 2.25) for seed in (0, 1)]
    console = Console(width=80, record=True, file=StringIO())
    console.print(table(ranked([*rows, row(0.92, alpha=1.0)]), "accuracy", 0.95))
    lines = console.export_text().splitlines()
    assert len(lines) == 4  # none is broken into two
    assert lines[0].split() == ["T", "α", "accuracy", "95", "%", "interval", "seeds"]
    assert lines[2].split()[:3] == ["2", "any", "1"]
    assert lines[2].endswith("≈ best")


def test_ranked_by_the_mean_over_seeds_with_what_failed_last():
    found = ranked(
        [
            row(0.90, alpha=0.0),
            row(None, alpha=0.5, reason="Diverged"),
            row(0.91, alpha=1.0),
            row(0.96, seed=1, alpha=0.0),
            row(0.93, seed=1, alpha=1.0),
            row(0.80, alpha=0.2),
        ]
    )
    assert [dict(each.values)["alpha"] for each in found] == [0.0, 1.0, 0.2, 0.5]
    best = found[0]
    assert (best.value, best.low, best.high) == pytest.approx((0.93, 0.91, 0.95))
    assert (best.worst, best.top) == (0.90, 0.96)
    assert [each.near for each in found] == [False, True, False, False]
    assert found[3].failed == ("Diverged: why",)


def test_the_picture_is_one_file_for_light_and_dark():
    rows = [row(0.9 + t / 100 - a / 10, temperature=t, alpha=a) for t in (1.0, 2.0) for a in (0.0, 0.5)]
    rows[1] = row(None, reason="<Broken>", temperature=1.0, alpha=0.5)
    html = page("Sweep of digits", ranked(rows), "accuracy", "  objective: {alpha: 0}", ["a note"])
    assert html.count("--share:") == 3
    assert "class='best' style='--share:1.000'" in html
    assert "<li>T 1  α 0.5: &lt;Broken&gt;: why</li>" in html
    assert "prefers-color-scheme: dark" in html
    assert not re.search(r"(src|href)=|url\(|@import|http", html)
    drawn = [row(0.9 + i / 100, temperature=1.0 + i, alpha=i / 10) for i in range(6)]
    assert page("t", ranked(drawn), "accuracy", "", []).count("<rect") == 6


def proposals(folder, trials, fail_at=None):
    seen, ranges = [], [turned(TEMPERATURE, "1..8"), turned(ALPHA, "0,0.5")]

    def evaluate(combination):
        values = dict(combination.values)
        if len(seen) == fail_at:
            raise KeyboardInterrupt
        seen.append(tuple(values.values()))
        return None if len(seen) == 3 else -abs(values["temperature"] - 3) - values["alpha"]

    with suppress(KeyboardInterrupt):
        search(ranges, trials, 0, "recipe", folder, evaluate)
    return seen


def test_a_search_that_was_interrupted_goes_on_as_it_would_have(tmp_path):
    pytest.importorskip("optuna")
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = proposals(tmp_path / "whole", 14)
    assert len(set(whole)) > 10
    assert all(1 <= temperature <= 8 and alpha in {0, 0.5} for temperature, alpha in whole)
    first = proposals(tmp_path / "parts", 14, fail_at=6)
    assert first == whole[:6]
    assert (
        proposals(tmp_path / "parts", 14) == whole
    )  # those of the first start are asked for again, then the others
    assert proposals(tmp_path / "parts", 14) == whole


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is nothing to sweep: give values to --temperature, --alpha, --learning-rate"),
        (["--alpha", "0..1"], "--alpha is a range: say with --trials N how many combinations to try"),
        (["--alpha", "0,2"], "--alpha 2: spec.objective.alpha: 2.0: must be between 0 (teacher only) and 1"),
        (["--alpha", "0,1", "--seeds", "0"], "--seeds 0: must be at least 1"),
        (
            ["--temperature", "1,2", "--set", "spec.objective.terms=[{type: MSELogits}]"],
            "--temperature has no effect: every term of spec.objective.terms has a temperature of its own, or none",
        ),
        (
            ["--temperature", "1,2", "--set", "spec.objective.alpha=1"],
            "--temperature has no effect with spec.objective.alpha 1, which leaves the teacher out",
        ),
        (
            ["--temperature", "1,2", "--set", "spec.curriculum.schedules.temperature={from: 4, to: 1}"],
            "has no effect beside curriculum.schedules.temperature",
        ),
    ],
)
def test_refused_before_anything_is_trained(distill, job, claim, arguments, said, tmp_path):
    answer = distill("sweep", job, "--claim", claim, *arguments)
    assert (answer.code, said in answer.error) == (ExitCode.CONFIG_INVALID, True), answer.error
    assert not list(tmp_path.glob("**/run.log"))


def logs(folder):
    return {file.parent.name: file.read_text() for file in folder.glob("trials/*/run.log")}


def test_one_teacher_for_all_and_an_end_that_goes_on(distill, job, claim, tmp_path):
    out = tmp_path / "out"
    command = ["sweep", job, "--claim", claim, "--output", out]
    first = distill(*command, "--temperature", "1,4")
    assert first.code == 0, first.error
    one, four = (logs(out)[f"temperature-{value}_seed-0"] for value in (1, 4))
    assert re.search(r"teacher outputs: 0 samples found, \d+ computed", one)
    assert "teacher outputs: all" in four
    assert "computed" not in four

    document = json.loads((out / "sweep.json").read_text())
    values = {each["values"]["temperature"]: each["validation"]["value"] for each in document["rows"]}
    assert document["best"]["temperature"] == max(sorted(values), key=values.get)
    for each in document["rows"]:
        figures = each["validation"]
        assert figures["low"] <= figures["value"] <= figures["high"]
        detail = json.loads((Path(each["folder"]) / "result.json").read_text())["detail"]
        best = detail["history"][detail["bestEpoch"] - 1]
        assert figures["value"] == pytest.approx(best["student_metric"])
    assert "on the test split, which did not choose it" in first.out
    assert f"objective: {{temperature: {document['best']['temperature']:g}}}" in first.out
    assert "<table class='heat'>" in (out / "sweep.html").read_text()

    again = distill(*command, "--temperature", "1,4")
    assert again.out.count("(found)") == 2
    assert logs(out) == {"temperature-1_seed-0": one, "temperature-4_seed-0": four}


def test_a_failing_trial_is_a_row(distill, job, claim, tmp_path):
    sgd = [
        "--set",
        "spec.training.optimizer=SGD",
        "--set",
        "spec.objective.terms=[{type: MSELogits, weight: 1000000}]",
    ]
    sgd += [
        "--set",
        "spec.objective.alpha=0",
        "--set",
        "spec.student.builtin.name=mlp",
        "--set",
        "spec.training.epochs=3",
    ]
    answer = distill(
        "sweep", job, "--claim", claim, "--output", tmp_path / "out", "--learning-rate", "10,0.00000001", *sgd
    )
    assert answer.code == 0, answer.error
    assert "failed (Diverged): the loss is no finite number" in answer.out
    document = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert {each["values"]["learning-rate"]: each["reason"] for each in document["rows"]} == {
        10: "Diverged",
        1e-08: "Succeeded",
    }
    assert document["best"] == {"learning-rate": 1e-08}


def test_stopped_it_keeps_a_checkpoint_and_says_how_to_go_on(job, claim, tmp_path):
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "distill_cli.main",
        "sweep",
        str(job),
        "--claim",
        claim,
        "--output",
        str(out),
    ]
    command += ["--alpha", "0,0.5", "--set", "spec.training.epochs=400"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    ) as sweep:
        while "epoch 1/" not in "".join(logs(out).values()):
            assert sweep.poll() is None, sweep.stderr.read()
            time.sleep(0.1)
        sweep.send_signal(signal.SIGINT)
        _, error = sweep.communicate()
    assert sweep.returncode == ExitCode.DISRUPTED
    assert "stopped after 0 trials; run the same command again" in error
    assert list(out.glob("trials/alpha-0_seed-0/checkpoints/*/*/step-*"))
