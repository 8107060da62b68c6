"""`distill report`: the figures of a finished run, or why there are none."""

import json
import os

import pytest

from distill_api.contract import ExitCode
from distill_cli.figures import size

RESULT = {
    "reason": "Succeeded",
    "result": {
        "metric": "accuracy",
        "samples": 359,
        "student": {
            "metric": 0.9,
            "metricLow": 0.87,
            "metricHigh": 0.93,
            "parameters": 1000,
            "bytes": 4096,
            "latencyP50Seconds": 0.001,
            "latencyP99Seconds": 0.002,
        },
        "teacher": {
            "metric": 0.96,
            "metricLow": 0.94,
            "metricHigh": 0.98,
            "parameters": 12_000,
            "bytes": 49_152,
            "latencyP50Seconds": 0.004,
            "latencyP99Seconds": 0.004,
        },
        "drop": {"value": 0.06, "low": 0.03, "high": 0.09, "confidence": 0.95},
        "agreement": 0.91,
        "compression": 12.0,
        "retained": 0.9375,
        "artifact": {"uri": "file:///nowhere", "digest": "sha256:0", "bytes": 4096},
        "report": "file:///nowhere/report.html",
    },
}


@pytest.fixture
def version(tmp_path):
    folder = tmp_path / "out" / "versions" / "0123456789ab"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(RESULT))
    return folder


def test_the_table_has_every_figure(distill, version):
    answer = distill("report", version)
    assert answer.code == 0
    for words in ("0.9600", "0.9000", "93.8 % kept", "95 % interval", "0.870 – 0.930", "0.030 – 0.090", "12.0× fewer",
                  "48.0 KiB", "4.0 KiB", "4.0× faster", "2.0× faster", "91.0 %", "on 359 test samples"):  # fmt: skip
        assert words in answer.out
    assert f"report   {version}/report.html\n" in answer.out


def test_of_an_output_folder_the_newest_version_is_shown(distill, version):
    older = version.parent / "older"
    older.mkdir()
    (older / "result.json").write_text(json.dumps(RESULT))
    os.utime(older / "result.json", (1, 1))
    answer = distill("report", version.parents[1])
    assert f"student  {version}\n" in answer.out
    assert "older    older\n" in answer.out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read as a result"),
        ('{"reason": "Diverged", "message": "lost"}', "has no figures (Diverged: lost)"),
    ],
)
def test_a_result_that_is_none(distill, version, text, said):
    (version / "result.json").write_text(text)
    answer = distill("report", version)
    assert (answer.code, said in answer.error) == (ExitCode.CONFIG_INVALID, True)


def test_a_folder_without_a_result(distill, tmp_path):
    assert "holds no result.json and no versions/" in distill("report", tmp_path).error
    assert f"there is no folder {tmp_path}/none" in distill("report", tmp_path / "none").error


def test_a_student_slower_than_its_teacher_is_not_called_faster(distill, version):
    slow = json.loads(json.dumps(RESULT))
    slow["result"]["student"]["latencyP50Seconds"] = 0.008
    (version / "result.json").write_text(json.dumps(slow))
    assert "2.0× slower" in distill("report", version).out


def test_throughput_and_energy_where_they_were_measured(distill, version):
    new = json.loads(json.dumps(RESULT))
    new["result"]["teacher"] |= {"samplesPerSecond": 1234.4, "joulesPerThousandSamples": 3.125}
    new["result"]["student"] |= {"samplesPerSecond": 4937.6, "joulesPerThousandSamples": 1.25}
    new["result"]["measuredOn"] = {
        "device": "CPU (x86_64)",
        "threads": 2,
        "batchSize": 256,
        "energy": "energy by RAPL",
    }
    (version / "result.json").write_text(json.dumps(new))
    out = distill("report", version).out
    for words in ("1,234", "4,938", "4.0× more", "3.12", "1.25", "2.5× less",
                  "both models in turn on the same batches of 256, on CPU (x86_64), 2 threads; energy by RAPL."):  # fmt: skip
        assert words in out


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (80 * 2**30, "80.0 GiB"),
        (200e12, "182 TiB"),
    ],
)
def test_sizes(count, said):
    assert size(count) == said
