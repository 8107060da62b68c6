"""Arrays in files are the arrays that they stand for, and lie in files: a sample more takes no memory more."""

import hashlib
import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from distill_trainer import mapped
from distill_trainer.data import labels
from distill_trainer.data.dataset import Selection, SourceSplit
from distill_trainer.data.images import Form
from distill_trainer.data.pictures import DecodedPixels, Pictures
from distill_trainer.data.sample_ids import NumberedIds
from distill_trainer.errors import UserError
from distill_trainer.language.content import LanguageContent
from distill_trainer.language.encoded import Encoded
from distill_trainer.teacher_outputs.ids import Places, id_digests

MORE = mapped.AT_ONCE + 5_000
"""Samples that are not worked on all at once."""


def in_a_file(tensor):
    """Whether the tensor's memory is that of a file which has no name any more."""
    address = tensor.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        bounds, _, rest = line.partition(" ")
        first, end = (int(bound, 16) for bound in bounds.split("-"))
        if first <= address < end:
            return "distill-" in rest or "(deleted)" in rest
    raise AssertionError("no memory of this process")


@contextmanager
def no_file_larger_than(size):
    """What a full disk does, as this process may have it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.uint8])
@pytest.mark.parametrize("tail", [(), (3,), (2, 3)])
def test_parts_follow_one_another(dtype, tail):
    parts = [torch.randint(0, 2, (count, *tail)).to(dtype) for count in (4, 0, 1, 7)]
    found = mapped.written(parts)
    assert torch.equal(found, torch.cat(parts))
    assert found.dtype == dtype
    assert in_a_file(found)


@pytest.mark.parametrize("tail", [(), (0,), (3,)])
def test_nothing_is_an_array_too(tail):
    assert mapped.written([]).shape == (0,)
    assert mapped.written([torch.ones(0, *tail)] * 2).shape == (0, *tail)
    assert mapped.written([torch.ones(2, 0)] * 2).shape == (4, 0)
    assert mapped.zeros((0, *tail), torch.bool).shape == (0, *tail)


def test_zeros_can_be_written_to():
    found = mapped.zeros((3, 2), torch.int32)
    assert found.tolist() == [[0, 0]] * 3
    found[1] = torch.tensor([5, -6])
    assert found.tolist() == [[0, 0], [5, -6], [0, 0]]
    assert in_a_file(found)


def test_a_full_disk_is_said():
    with no_file_larger_than(2**20):
        mapped.zeros((2**20,), torch.uint8)
        for too_much in (
            lambda: mapped.zeros((2**18 + 1,), torch.float32),
            lambda: mapped.written([torch.ones(2**18), torch.ones(1)]),
            lambda: mapped.written([torch.ones(2**19)]),
        ):
            with pytest.raises(UserError, match=r"no room for .* TMPDIR") as fault:
                too_much()
            assert fault.value.reason == "ScratchFull"


def test_labels_and_rows_of_a_split_are_in_files_and_its_digest_is_that_of_all_at_once():
    known = labels.indices(row % 7 for row in range(MORE))
    assert torch.equal(known, torch.arange(MORE) % 7)

    class Content:
        def digest(self):
            return "content"

    rows = torch.arange(MORE)[torch.arange(MORE) % 5 != 0]
    part = Selection(SourceSplit(NumberedIds("train/", MORE), known, Content()), rows)
    assert torch.equal(part.rows, rows)
    assert torch.equal(part.labels, known[rows])
    assert all(map(in_a_file, (known, part.rows, part.labels)))
    digest = hashlib.sha256(b"content")
    digest.update("\0".join(f"train/{row}" for row in rows.tolist()).encode())
    digest.update((rows % 7).numpy().tobytes())
    assert part.digest() == digest.hexdigest()


def test_kept_pictures_are_in_a_file_which_is_made_when_one_is_looked_into():
    cells = [[[row, 1], [2, 3]] for row in range(5)]
    pixels = DecodedPixels(Pictures(NumberedIds("", 5), cells.__getitem__, "image"), Form(True, 2, 2))
    assert "_kept" not in vars(pixels)
    assert pixels.looked_into().broken == {}
    kept = vars(pixels)["_kept"]
    assert in_a_file(kept.pixels)
    assert in_a_file(kept.have)
    assert kept.pixels.tolist() == [[cell] for cell in cells]
    assert kept.have.all()


def test_places_are_those_of_numpy_unique_however_many_there_are():
    ids = [f"id {row % (MORE - 3)}" for row in range(MORE)]
    known, numbers = np.unique(id_digests(ids), return_inverse=True)
    places = Places(ids)
    assert places.count == MORE - 3 == len(known)
    assert (places.of == numbers).all()
    assert (places.find(known)[1] == np.arange(len(known))).all()
    assert in_a_file(torch.from_numpy(places.of))
    assert Places([]).count == 0


def test_documents_and_blocks_of_a_language_model_are_in_files():
    class Words:
        def encode(self, cells):
            return [Encoded([*cell, 9], [False] * len(cell) + [True]) for cell in cells]

        def digest(self):
            return "words"

    cells = [[1, 2, 3], [], [4] * 6, [5]]
    for packing, samples in ((False, [[1, 2, 3, 9], [9], [4, 4, 4, 4, 4], [5, 9]]), (True, None)):
        made = LanguageContent(
            cells.__getitem__, len(cells), Words(), "text", 4, packing=packing, words=str
        )  # fmt: skip
        whole = [token for cell in cells for token in (*cell, 9)]
        blocks = [whole[first : first + 5] for first in range(0, len(whole) - 1, 4)]
        shown = [list(map(int, made.shown(row).words)) for row in range(len(made))]
        assert shown == (samples or blocks)
        assert made.says()
        for array in (made._spool.ids, made._spool.trained, made._spool.starts):
            assert in_a_file(torch.from_numpy(array))
