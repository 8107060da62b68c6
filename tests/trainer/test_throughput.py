"""Samples a second of both models, and energy by the machine's own counters: read, wrapped around, absent."""

import json
import os
import time

import pytest
import torch
from torch import nn

from distill_trainer import throughput
from distill_trainer.energy import Counter, Meter, gpu_meter, processor_meter
from distill_trainer.report.words import joules, significant


def zone(root, name, *, of, micro, wraps=262_143_328_850):
    folder = root / name
    folder.mkdir()
    (folder / "name").write_text(of + "\n")
    (folder / "energy_uj").write_text(f"{micro}\n")
    (folder / "max_energy_range_uj").write_text(f"{wraps}\n")
    return folder


def test_packages_are_added_and_their_parts_are_not(tmp_path):
    first = zone(tmp_path, "intel-rapl:0", of="package-0", micro=1_000_000)
    second = zone(tmp_path, "intel-rapl:1", of="package-1", micro=5_000_000)
    core = zone(tmp_path, "intel-rapl:0:0", of="core", micro=0)
    board = zone(tmp_path, "intel-rapl:2", of="psys", micro=0)
    meter = processor_meter(tmp_path)
    before = meter.read()
    for folder, micro in ((first, 3_500_000), (second, 5_250_000), (core, 900_000_000), (board, 900_000_000)):
        (folder / "energy_uj").write_text(str(micro))
    assert meter.since(before) == pytest.approx(2.5 + 0.25)
    assert "processors" in meter.sentence()


def test_a_counter_that_began_anew(tmp_path):
    folder = zone(tmp_path, "intel-rapl:0", of="package-0", micro=9_000_000, wraps=10_000_000)
    meter = processor_meter(tmp_path)
    before = meter.read()
    (folder / "energy_uj").write_text("500000")
    assert meter.since(before) == pytest.approx(1.5)


def test_no_counters_is_said_and_nothing_made_up(tmp_path):
    meter = processor_meter(tmp_path)
    assert not meter
    assert (
        meter.sentence() == "energy is not measured: the machine shows no energy counters of its processors"
    )
    taken = throughput.measure([nn.Linear(2, 2)], torch.zeros(4, 2), meter)
    assert taken[0].joules_per_sample is None
    assert taken[0].samples_per_second > 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_counters_for_root_alone(tmp_path):
    (zone(tmp_path, "intel-rapl:0", of="package-0", micro=1) / "energy_uj").chmod(0)
    assert "cannot be read (Permission denied)" in processor_meter(tmp_path).sentence()


def test_counters_that_vanish_while_they_are_looked_for(tmp_path):
    (zone(tmp_path, "intel-rapl:0", of="package-0", micro=1) / "energy_uj").unlink()
    assert "cannot be read (No such file or directory)" in processor_meter(tmp_path).sentence()


def test_joules_of_a_sample_are_those_of_its_own_model(monkeypatch):
    monkeypatch.setattr(throughput, "_METERED_SECONDS", 0.02)
    spent = [0.0]

    class Burning(nn.Module):
        def __init__(self, each):
            super().__init__()
            self.each = each

        def forward(self, inputs):
            spent[0] += self.each * len(inputs)
            time.sleep(0.001)
            return inputs

    meter = Meter((Counter(lambda: spent[0]),), "that of a test")
    mine, theirs = throughput.measure([Burning(2.0), Burning(7.0)], torch.zeros(8, 1), meter)
    assert (mine.joules_per_sample, theirs.joules_per_sample) == (pytest.approx(2.0), pytest.approx(7.0))
    assert 0 < mine.samples_per_second < 8000


def test_the_result_has_both_rates_and_the_report_says_what_is_known_of_energy(workspace):
    ended = workspace.train(training={"epochs": 1})
    for model in (ended.outcome.result.student, ended.outcome.result.teacher):
        assert model.samples_per_second > 0
    folder = workspace.version(ended)
    page = (folder / "report.html").read_text()
    assert "throughput<small>samples a second in batches" in page
    assert "energy" in page
    written = json.loads((folder / "result.json").read_text())["result"]["student"]
    assert written["samplesPerSecond"] == ended.outcome.result.student.samples_per_second


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="this machine has no GPU whose counter could be read"
)
def test_a_gpus_counter_rises():
    meter = gpu_meter(torch.device("cuda"))
    assert meter, meter.why
    before = meter.read()
    product = torch.randn(2048, 2048, device="cuda")
    for _ in range(200):
        product = product @ product.T / 2048
    torch.cuda.synchronize()
    time.sleep(0.2)
    assert meter.since(before) > 0


def test_as_the_report_writes_them():
    assert [significant(value) for value in (12345, 45.67, 0.78912)] == ["12\u202f300", "45.7", "0.789"]
    assert [joules(value) for value in (2.5e-4, 0.0123, 3.4)] == ["250\u202fµJ", "12.3\u202fmJ", "3.4\u202fJ"]
