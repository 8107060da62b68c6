"""Throughput and energy of both models: counters by hand, wrap-around, what is said where nothing measures."""

import pytest
import torch
from torch import nn

from distill_api.dataset import BuiltinDataset, Dataset
from distill_trainer import energy, throughput
from distill_trainer.data import load
from distill_trainer.energy import Meter, NotMeasured, gpu_meter, rapl_meter
from distill_trainer.errors import Disrupted
from distill_trainer.judging import Reading
from distill_trainer.report.words import joules, significant
from distill_trainer.stop import StopSignal

CPU = torch.device("cpu")


def zone(folder, place, name, microjoules, span):
    path = folder / place
    path.mkdir(parents=True)
    for file, value in (("name", name), ("energy_uj", microjoules), ("max_energy_range_uj", span)):
        (path / file).write_text(f"{value}\n")
    return path / "energy_uj"


@pytest.mark.parametrize(
    ("before", "after", "ranges", "joules"),
    [
        ((1_000_000,), (3_500_000,), (9_000_000,), 2.5),
        ((8_000_000,), (500_000,), (9_000_000,), 1.5),
        ((8_000_000, 1_000_000), (500_000, 1_250_000), (9_000_000, 9_000_000), 1.75),
        ((7,), (7,), (9,), 0.0),
    ],
)
def test_joules_between_readings_by_hand(before, after, ranges, joules):
    assert Meter("", lambda: (), ranges).joules(before, after) == joules


def test_packages_and_their_memory_count_once_each(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 10, 1000)
    zone(tmp_path, "intel-rapl:0:0", "core", 20, 1000)
    zone(tmp_path, "intel-rapl:0:1", "dram", 30, 2000)
    zone(tmp_path, "intel-rapl:1", "package-1", 40, 3000)
    zone(tmp_path, "intel-rapl:2", "psys", 50, 1000)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 60, 1000)
    meter = rapl_meter(tmp_path)
    assert (meter.read(), meter.ranges) == ((10, 30, 40), (1000, 2000, 3000))
    assert "package-0, dram, package-1" in meter.source


def test_a_machine_without_counters_says_so(tmp_path):
    with pytest.raises(NotMeasured, match="shows no RAPL counters"):
        rapl_meter(tmp_path / "none")


def test_counters_that_cannot_be_read_say_so(tmp_path):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 10, 1000)
    counter.unlink()
    with pytest.raises(NotMeasured, match=r"cannot be read .FileNotFoundError."):
        rapl_meter(tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: NVML has nothing to measure")
def test_a_gpu_measures_its_own_energy():
    meter = gpu_meter(torch.device("cuda"))
    before = meter.read()
    values = torch.rand(8192, 8192, device="cuda")
    for _ in range(100):
        values = values @ values / 8192
    assert values.sum().item() > 0
    assert meter.joules(before, meter.read()) > 0


class Hungry(nn.Module):
    """Moves a counter by so many microjoules a sample, and notes which batches it sees."""

    def __init__(self, counter, span, microjoules, seen):
        super().__init__()
        self.counter, self.span, self.microjoules, self.seen = counter, span, microjoules, seen

    def forward(self, images):
        self.seen.append((self.microjoules, float(images.sum())))
        now = int(self.counter.read_text()) + self.microjoules * len(images)
        self.counter.write_text(str(now % self.span))
        return images


@pytest.fixture
def reading():
    data = load(Dataset(builtin=BuiltinDataset(name="digits")), seed=0)
    return Reading(data.test, CPU, StopSignal(), batch_size=100)


def test_each_model_is_charged_its_own_energy_on_the_same_batches(tmp_path, monkeypatch, reading):
    span, seen = 5_000_000, []
    counter = zone(tmp_path, "intel-rapl:0", "package-0", span - 1000, span)
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    monkeypatch.setattr(throughput, "_SECONDS", 0.05)
    monkeypatch.setattr(throughput, "_METERED_SECONDS", 0.0)
    compared = throughput.compare(
        Hungry(counter, span, 3000, seen), Hungry(counter, span, 1000, seen), reading
    )
    assert compared.teacher.joules_per_thousand_samples == pytest.approx(3, rel=1e-3)
    assert compared.student.joules_per_thousand_samples == pytest.approx(1, rel=1e-3)
    assert compared.teacher.samples_per_second > 0
    batches = [value for _, value in seen[:4]]
    turns = [seen[start : start + 4] for start in range(0, len(seen), 4)]
    assert len(turns) >= 4
    for number, turn in enumerate(turns):
        assert turn == [((3000, 1000)[number % 2], value) for value in batches]
    assert "energy by RAPL (package-0" in compared.measured_on.sentence


def test_without_counters_energy_is_absent_and_the_sentence_says_why(tmp_path, monkeypatch, reading):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    compared = throughput.compare(nn.Flatten(), nn.Flatten(), reading)
    assert compared.student.joules_per_thousand_samples is None
    assert compared.measured_on.sentence == (
        f"Throughput: both models in turn on the same batches of 100, on {compared.measured_on.device}, 1 thread; "
        f"energy is not measured: this machine shows no RAPL counters in {tmp_path}."
    )


def test_it_stops_when_asked_to(reading):
    reading.stop.request()
    with pytest.raises(Disrupted):
        throughput.compare(nn.Flatten(), nn.Flatten(), reading)


def test_result_report_and_card_have_both(workspace, tmp_path, monkeypatch):
    zone(tmp_path, "intel-rapl:0", "package-0", 10, 1000)
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    monkeypatch.setattr(throughput, "_SECONDS", 0.05)
    ended = workspace.train(training={"epochs": 1})
    result, folder = ended.outcome.result, workspace.version(ended)
    assert result.student.samples_per_second > 0
    assert result.student.joules_per_thousand_samples == 0  # a counter that stands still
    page, card = ((folder / name).read_text() for name in ("report.html", "README.md"))
    assert "samples a second" in page
    assert "1000 samples" in page
    assert result.measured_on.sentence in card
    assert "| energy of 1000 samples | " in card


def test_as_the_report_writes_them():
    assert [significant(value) for value in (12345, 45.67, 0.78912)] == ["12\u202f300", "45.7", "0.789"]
    assert [joules(value) for value in (2.5e-4, 0.0123, 3.4)] == ["250\u202fµJ", "12.3\u202fmJ", "3.4\u202fJ"]
