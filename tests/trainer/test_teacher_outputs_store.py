"""The store on disk: every sample its own output, whatever the order, the shards, the other writers and the damage."""

import os
import time
import tracemalloc

import numpy as np
import pytest
import torch

from distill_trainer.teacher_outputs.ids import Places, as_digests, as_tensor, id_digests, seeds
from distill_trainer.teacher_outputs.shard import Joined, Piece, Torn, read_shard, write_shard
from distill_trainer.teacher_outputs.store import OutputStore

IDS = [f"train/{number}" for number in range(50)]


def rows_of(number):
    """Sample n has n % 3 + 1 rows, as a text has tokens; each row says whose it is."""
    return torch.tensor([[number, place] for place in range(number % 3 + 1)], dtype=torch.float32)


def piece(numbers):
    rows = [rows_of(number) for number in numbers]
    return Piece(
        id_digests([IDS[number] for number in numbers]),
        torch.tensor([len(each) for each in rows]),
        {"logits": torch.cat(rows)},
        {"middle": torch.tensor(numbers, dtype=torch.float32)[:, None].expand(-1, 4).contiguous()},
    )


def filled(folder, *parts):
    store = OutputStore(folder, IDS)
    for numbers in parts:
        store.add(piece(numbers))
    return store


def check(store, numbers):
    found = store.read(torch.tensor(numbers))
    assert torch.equal(found.rows["logits"], torch.cat([rows_of(number) for number in numbers]))
    assert found.counts.tolist() == [number % 3 + 1 for number in numbers]
    assert found.layers["middle"][:, 0].tolist() == numbers


def test_ids_are_found_again_and_others_are_not():
    places = Places(["b", "a", "c", "a"])
    assert places.count == 3
    assert places.of[1] == places.of[3]
    ours, numbers = places.find(id_digests(["c", "no", "a"]))
    assert ours.tolist() == [0, 2]
    assert numbers.tolist() == [places.of[2], places.of[1]]
    digests = id_digests(IDS)
    assert (as_digests(as_tensor(digests)) == digests).all()
    assert len(np.unique(seeds(digests))) == len(IDS)


def test_any_order_and_any_batch_from_several_shards(tmp_path):
    store = filled(tmp_path, range(0, 20, 2), range(1, 20, 2), range(20, 50))
    assert store.complete
    generator = torch.Generator().manual_seed(0)
    for size in (1, 7, 50):
        for _ in range(5):
            check(store, torch.randperm(50, generator=generator)[:size].tolist())
    check(store, [3, 3, 7])  # the same sample twice in a batch


def test_started_again_it_reads_what_was_written(tmp_path):
    filled(tmp_path, range(50))
    check(OutputStore(tmp_path, IDS), [49, 0, 17])


def test_another_split_of_the_same_data_finds_its_own_samples(tmp_path):
    filled(tmp_path, range(30), range(30, 50))
    few = [IDS[number] for number in (40, 2, 31)]
    found = OutputStore(tmp_path, [*few, "other/1"]).read(torch.tensor([0, 1, 2]))
    assert found.layers["middle"][:, 0].tolist() == [40, 2, 31]


def test_what_is_missing_is_named_and_never_made_up(tmp_path):
    store = filled(tmp_path, range(0, 50, 2))
    assert not store.complete
    assert store.stored == 25
    assert store.missing(torch.tensor([5, 4, 5, 3, 0])).tolist() == [5, 3]
    with pytest.raises(LookupError, match="1 of 2 samples"):
        store.read(torch.tensor([4, 5]))


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_torn_shard_is_set_aside_and_its_samples_are_missing(tmp_path, caplog, damage):
    store = OutputStore(tmp_path, IDS)
    paths = [write_shard(tmp_path, piece(range(start, start + 25))) for start in (0, 25)]
    content = bytearray(paths[0].read_bytes())
    if damage == "cut":
        del content[-40:]
    else:
        content[len(content) // 2] ^= 1
    paths[0].write_bytes(content)
    with pytest.raises(Torn):
        read_shard(paths[0])
    store.look_again()
    assert store.missing(torch.arange(50)).tolist() == list(range(25))
    check(store, [30, 40])
    assert "set aside" in caplog.text
    assert paths[0].with_name(paths[0].name + ".torn").read_bytes() == content
    assert not paths[0].exists()
    store.add(piece(range(25)))
    check(OutputStore(tmp_path, IDS), [0, 24, 25])


def test_two_writers_of_the_same_samples_do_no_harm(tmp_path):
    one, other = OutputStore(tmp_path, IDS), OutputStore(tmp_path, IDS)
    one.add(piece(range(30)))
    other.add(piece(range(30)))
    other.add(piece(range(10, 50)))
    assert len(list(tmp_path.glob("*.safetensors"))) == 2  # the same content is the same file
    one.look_again()
    for store in (one, other, OutputStore(tmp_path, IDS)):
        check(store, [0, 10, 29, 30, 49])


def test_drafts_of_killed_writers_are_never_read_and_go_when_old(tmp_path):
    filled(tmp_path, range(50))
    for name, age in (("old", 2 * 24 * 3600), ("young", 60)):
        draft = tmp_path / f".{name}.tmp"
        draft.write_bytes(b"half")
        os.utime(draft, (time.time() - age,) * 2)
    store = OutputStore(tmp_path, IDS)
    assert store.complete
    assert [path.name for path in tmp_path.glob(".*.tmp")] == [".young.tmp"]


def test_a_write_that_fails_leaves_no_file(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("distill_trainer.teacher_outputs.shard.sync", full)
    with pytest.raises(OSError, match="No space"):
        write_shard(tmp_path, piece(range(5)))
    assert list(tmp_path.iterdir()) == []


def test_pieces_join_in_order(tmp_path):
    joined = Joined()
    for numbers in (range(5), range(5, 9)):
        joined.add(piece(numbers))
    assert len(joined) == 9
    whole = joined.whole()
    assert joined.nbytes == whole.nbytes
    assert write_shard(tmp_path, whole) == write_shard(tmp_path, piece(range(9)))
    assert whole.counts.tolist() == [number % 3 + 1 for number in range(9)]
    assert whole.nbytes == 4 * (2 * int(whole.counts.sum()) + 4 * 9)


def test_neither_outputs_nor_their_index_are_in_memory(tmp_path):
    """Both are in files; what is kept is small whatever the number of samples."""
    count = 100_000
    ids = [f"{number:06d}" for number in range(count)]
    digests = id_digests(ids)
    logits = torch.arange(count, dtype=torch.float32)[:, None].expand(-1, 100).contiguous()
    write_shard(tmp_path, Piece(digests, torch.ones(count, dtype=torch.int64), {"logits": logits}, {}))
    del digests, logits
    tracemalloc.start()
    store = OutputStore(tmp_path, ids)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < count / 4
    rows = torch.tensor([count - 1, 0, 12_345])
    assert store.read(rows).rows["logits"][:, 7].tolist() == rows.tolist()
