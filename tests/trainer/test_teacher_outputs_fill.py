"""Filling: only what is missing, by several at once, through signals and kills, the same bits whatever happened."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from distill_trainer.batch import Samples
from distill_trainer.data.dataset import Selection, SourceSplit
from distill_trainer.errors import Disrupted, UserError
from distill_trainer.stop import StopSignal
from distill_trainer.teacher_outputs import fill as filling_module
from distill_trainer.teacher_outputs.cached import Cached
from distill_trainer.teacher_outputs.encodings import Dense, HiddenState, Sampled, TopK
from distill_trainer.teacher_outputs.fill import Filling, fill
from distill_trainer.teacher_outputs.online import Online
from distill_trainer.teacher_outputs.store import OutputStore
from distill_trainer.teacher_outputs.teacher_pass import TeacherPass, head_name, head_of

COUNT, CLASSES = 103, 5
NO_STOP = StopSignal()
CPU = torch.device("cpu")


class Pictures:
    """Content of a source, made of numbers."""

    def read(self, rows):
        generator = torch.Generator().manual_seed(0)
        return Samples(torch.rand(COUNT, 1, 4, 4, generator=generator)[rows])

    def digest(self):
        return "pictures"


class Tokens:
    """Texts of 1 to 6 tokens, of which all but the first count; padded to the longest of the batch, as texts are."""

    def read(self, rows):
        lengths = rows % 6 + 1
        places = torch.arange(int(lengths.max()))[None]
        real = places < lengths[:, None]
        tokens = torch.where(real, (rows[:, None] * 7 + places * 3) % 11 + 1, 0)
        return Samples({"input_ids": tokens}, labels=tokens % CLASSES, mask=real & (places > 0))

    def digest(self):
        return "tokens"


def split_of(content):
    ids = [f"train/{number}" for number in range(COUNT)]
    source = SourceSplit(ids, torch.arange(COUNT) % CLASSES, content)
    return Selection(source, torch.arange(COUNT))


class Tagger(nn.Module):
    """Tokens → logits of each."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(12, 8), nn.Linear(8, CLASSES)

    def forward(self, inputs):
        return self.head(self.embed(inputs["input_ids"]).tanh())


class Padded(Tagger):
    """Its head is wider than there are classes, and is cut."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, CLASSES + 3)

    def forward(self, inputs):
        return super().forward(inputs)[..., :CLASSES]


def picture_teacher():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(48, CLASSES),
    )


def token_teacher():
    torch.manual_seed(1)
    return Tagger()


class Counted(TeacherPass):
    """Counts the samples that the teacher sees."""

    def __init__(self, *args):
        super().__init__(*args)
        self.samples = 0

    def __call__(self, batch):
        self.samples += len(batch)
        return super().__call__(batch)


def filling(split, teacher, encoding=None, layers=(), head=None, temperature=1.0):
    return Filling(Counted(teacher, layers, head), encoding or Dense(), split, CPU, 8, temperature)


@pytest.fixture
def pictures():
    return split_of(Pictures())


def store_of(tmp_path, split):
    return OutputStore(tmp_path / "store", split.ids)


@pytest.fixture
def small_shards(monkeypatch):
    """A shard for each batch."""
    monkeypatch.setattr(filling_module, "SHARD_BYTES", 1)


@pytest.mark.parametrize("start", [0.0, 0.4, 0.99])
def test_every_sample_once_wherever_it_starts(tmp_path, pictures, start):
    job = filling(pictures, picture_teacher())
    store = store_of(tmp_path, pictures)
    told = []
    done = fill(job, store, NO_STOP, start=start, tell=lambda *counts: told.append(counts))
    assert done.samples == job.teacher.samples == COUNT
    assert store.complete
    assert told[-1] == (COUNT, COUNT)
    assert told == sorted(told)
    again = filling(pictures, picture_teacher())
    assert fill(again, OutputStore(store.folder, pictures.ids), NO_STOP).samples == again.teacher.samples == 0


def test_cached_says_what_online_says(tmp_path, pictures):
    teacher = picture_teacher()
    job = filling(pictures, teacher, layers=("0", "2"))
    store = store_of(tmp_path, pictures)
    fill(job, store, NO_STOP)
    cached, online = Cached(store, job.encoding), Online(teacher, ("0", "2"))
    for size in (1, 10, COUNT):
        batch = pictures.batch(torch.randperm(COUNT, generator=torch.Generator().manual_seed(size))[:size])
        one, other = cached.outputs(batch), online.outputs(batch)
        torch.testing.assert_close(one.logits, other.logits, rtol=1e-6, atol=1e-6)
        for name in ("0", "2"):
            torch.testing.assert_close(one.of(name), other.of(name), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", [Tagger, Padded])
def test_tokens_are_stored_without_padding_and_put_where_they_belong(tmp_path, kind):
    split, teacher = split_of(Tokens()), kind()
    head = head_name(teacher, split.batch(torch.arange(3)).inputs)
    assert head == "head"
    for name, encoding in (("dense", Dense()), ("hidden", HiddenState(head_of(teacher, head, CLASSES)))):
        store = OutputStore(tmp_path / name, split.ids)
        fill(filling(split, teacher, encoding, head=head), store, NO_STOP)
        batch = split.batch(torch.tensor([5, 0, 17, 100]))
        logits = Cached(store, encoding).outputs(batch).logits
        expected = Online(teacher).outputs(batch).logits
        assert logits.shape == expected.shape
        torch.testing.assert_close(logits[batch.mask], expected[batch.mask], rtol=1e-6, atol=1e-6)
        assert logits[~batch.mask].eq(0).all()
        tokens = sum(number % 6 for number in range(COUNT))
        assert store.read(torch.arange(COUNT)).counts.sum() == tokens


@pytest.mark.parametrize("encoding", [TopK(2, (1.0, 3.0)), Sampled(4, 3.0)])
def test_sparse_outputs_are_those_of_each_sample_in_any_batch(tmp_path, encoding):
    split = split_of(Tokens())
    store = store_of(tmp_path, split)
    fill(filling(split, token_teacher(), encoding, temperature=3.0), store, NO_STOP)
    cached = Cached(store, encoding)
    alone = torch.cat([cached.outputs(split.batch(torch.tensor([n]))).sparse.indices for n in (5, 0, 17)])
    together = cached.outputs(split.batch(torch.tensor([5, 0, 17])))
    assert torch.equal(together.sparse.indices, alone)
    assert together.logits.numel() == 0


def test_only_what_is_missing_is_computed(tmp_path, pictures):
    store = store_of(tmp_path, pictures)
    half = Selection(SourceSplit(pictures.ids, pictures.labels, Pictures()), torch.arange(0, COUNT, 2))
    fill(filling(half, picture_teacher()), OutputStore(store.folder, half.ids), NO_STOP)
    job = filling(pictures, picture_teacher())
    store.look_again()
    assert fill(job, store, NO_STOP).samples == job.teacher.samples == COUNT // 2


def test_a_signal_keeps_what_is_computed_and_the_bits_stay_the_same(tmp_path, pictures, stop_after):
    whole = store_of(tmp_path, pictures)
    fill(filling(pictures, picture_teacher()), whole, NO_STOP)
    folder = tmp_path / "stopped"
    computed = 0
    for looks in (3, 5):
        job = filling(pictures, picture_teacher())
        with pytest.raises(Disrupted, match="samples' teacher outputs stored"):
            fill(job, OutputStore(folder, pictures.ids), stop_after(looks), start=0.7)
        computed += job.teacher.samples
    job = filling(pictures, picture_teacher())
    store = OutputStore(folder, pictures.ids)
    fill(job, store, NO_STOP, start=0.2)
    assert computed + job.teacher.samples == COUNT
    rows = torch.arange(COUNT)
    assert torch.equal(store.read(rows).rows["logits"], whole.read(rows).rows["logits"])


def test_two_that_fill_side_by_side_share_the_work(tmp_path, pictures, small_shards):
    """The second starts when the first is half done, elsewhere on the ring: one batch, begun before it was looked, is done twice."""
    folder = tmp_path / "store"
    second = filling(pictures, picture_teacher())

    def when_half(done, _all):
        if done == 56:
            fill(second, OutputStore(folder, pictures.ids), NO_STOP, start=0.8)

    first = filling(pictures, picture_teacher())
    fill(first, OutputStore(folder, pictures.ids), NO_STOP, tell=when_half)
    assert (first.teacher.samples, second.teacher.samples) == (56 + 8, COUNT - 56)


def test_a_full_disk_is_said_and_what_is_stored_stays(tmp_path, pictures, small_shards, monkeypatch):
    from distill_trainer.teacher_outputs import shard

    store = store_of(tmp_path, pictures)
    real, calls = shard.sync, []

    def sync(path):
        calls.append(path)
        if len(calls) > 6:
            raise OSError(28, "No space left on device")
        real(path)

    monkeypatch.setattr(shard, "sync", sync)
    with pytest.raises(UserError, match=r"No space left on device.*teacherOutputs\.store\.uri") as caught:
        fill(filling(pictures, picture_teacher()), store, NO_STOP)
    assert caught.value.reason == "StoreNotWritable"
    assert not caught.value.exit_code.permanent
    assert (
        OutputStore(store.folder, pictures.ids).stored == 24
    )  # three shards: file and folder are synced for each


def test_the_teacher_does_not_move(tmp_path, pictures):
    teacher = picture_teacher().train()
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    fill(filling(pictures, teacher), store_of(tmp_path, pictures), NO_STOP)
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())
    assert not teacher.training


def test_the_last_layer_is_found_where_the_logits_are_its_own():
    class Scaled(Tagger):
        def forward(self, inputs):
            return super().forward(inputs) * 2

    class Shifted(Tagger):
        def forward(self, inputs):
            return super().forward(inputs)[..., 2:]

    for device in ("cpu", "meta"):
        with torch.device(device):
            tokens = {"input_ids": torch.ones(2, 3, dtype=torch.int64)}
            found = [head_name(kind(), tokens) for kind in (Tagger, Padded, Scaled, Shifted)]
            assert found == ["head", "head", None, None]
            assert head_name(picture_teacher(), torch.zeros(2, 1, 4, 4)) == "5"


SLOW = """
    import sys, time
    sys.path.insert(0, {here!r})
    import torch
    torch.set_num_threads(1)
    import {module} as world
    from pathlib import Path
    from distill_trainer.teacher_outputs import fill as filling_module
    filling_module.SHARD_BYTES = 1

    class Slow(world.Counted):
        def __call__(self, batch):
            time.sleep({delay})
            return super().__call__(batch)

    split = world.split_of(world.Pictures())
    job = world.Filling(Slow(world.picture_teacher()), world.Dense(), split, world.CPU, 8, 1.0)
    print("ready", flush=True)
    sys.stdin.readline()
    world.fill(job, world.OutputStore(Path({folder!r}), split.ids), world.NO_STOP, start=float(sys.argv[1]))
    print(job.teacher.samples, flush=True)
"""


@pytest.fixture
def process(tmp_path):
    """Another process that fills the store; it waits for a line before it starts."""
    started = []

    def start(position, delay):
        here, module = str(Path(__file__).parent), Path(__file__).stem
        script = textwrap.dedent(SLOW).format(
            here=here, module=module, delay=delay, folder=str(tmp_path / "store")
        )
        one = subprocess.Popen(
            [sys.executable, "-c", script, str(position)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        started.append(one)
        assert one.stdout.readline() == "ready\n"
        return one

    yield start
    for one in started:
        one.kill()
        one.communicate()


def go(one):
    one.stdin.write("\n")
    one.stdin.flush()


def test_two_processes_fill_one_store(tmp_path, pictures, process):
    both = [process(position, 0.03) for position in (0.0, 0.5)]
    for one in both:
        go(one)
    computed = [int(one.stdout.readline()) for one in both]
    assert all(one.wait() == 0 for one in both)
    assert COUNT <= sum(computed) < 2 * COUNT  # what one had stored the other did not compute
    store = store_of(tmp_path, pictures)
    assert store.complete
    assert not list(store.folder.glob("*.torn"))
    batch = pictures.batch(torch.arange(COUNT))
    expected = Online(picture_teacher()).outputs(batch).logits
    torch.testing.assert_close(Cached(store, Dense()).outputs(batch).logits, expected, rtol=1e-6, atol=1e-6)


def test_a_kill_while_filling_costs_what_was_not_stored(tmp_path, pictures, process):
    one = process(0.0, 0.05)
    folder = tmp_path / "store"
    go(one)
    while len(list(folder.glob("*.safetensors"))) < 3:
        assert one.poll() is None
        time.sleep(0.01)
    one.send_signal(signal.SIGKILL)
    one.wait()
    store = store_of(tmp_path, pictures)
    stored = store.stored
    assert 24 <= stored < COUNT
    job = filling(pictures, picture_teacher())
    assert fill(job, store, NO_STOP).samples == job.teacher.samples == COUNT - stored
    batch = pictures.batch(torch.arange(COUNT))
    expected = Online(picture_teacher()).outputs(batch).logits
    torch.testing.assert_close(Cached(store, Dense()).outputs(batch).logits, expected, rtol=1e-6, atol=1e-6)
