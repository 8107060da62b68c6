"""Arrays in files without a name: what there is one of for each sample takes pages that can leave the memory, and no memory.

A file lies in the folder for temporary files and goes with the last array that looks into it, whatever ends the process.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO
from weakref import finalize

import torch
from torch import Tensor

from distill_trainer.errors import UserError

AT_ONCE = 65_536
"""Samples that are worked on together where there is one number of each."""


class Spool:
    """Tensors that follow one another along their first axis; all have the same type and the same other axes."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._form: tuple[torch.dtype, torch.Size] = (torch.int64, torch.Size())
        self._count = self.nbytes = 0

    def __len__(self) -> int:
        return self._count

    def add(self, tensor: Tensor) -> None:
        """Append a tensor [n, …] on the CPU. Raises UserError (ScratchFull)."""
        with _room_for(tensor.nbytes):
            if self._file is None:
                self._file, self._form = _scratch(), (tensor.dtype, tensor.shape[1:])
                finalize(self, self._file.close)
            self._file.write(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
        self._count, self.nbytes = self._count + len(tensor), self.nbytes + tensor.nbytes

    def mapped(self) -> Tensor:
        """All of them as one, [sum of n, …]; nothing can be added any more. Raises UserError (ScratchFull)."""
        dtype, tail = self._form
        with _room_for(self.nbytes), self._file or _scratch() as file:
            file.flush()
            return _looking_into(file, self.nbytes, dtype).reshape(self._count, *tail)


def zeros(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A tensor of zeros that may be written to. Raises UserError (ScratchFull)."""
    size = math.prod(shape) * dtype.itemsize
    with _room_for(size), _scratch() as file:
        # A page that the disk has no room for would end the process when it is written to.
        os.posix_fallocate(file.fileno(), 0, max(size, 1))
        return _looking_into(file, size, dtype).reshape(tuple(shape))


def written(parts: Iterable[Tensor]) -> Tensor:
    """Tensors one after another, made one by one. Raises UserError (ScratchFull)."""
    spool = Spool()
    for part in parts:
        spool.add(part)
    return spool.mapped()


def spans(count: int, size: int = AT_ONCE) -> Iterator[slice]:
    """0 … count − 1 in parts."""
    return (slice(first, min(first + size, count)) for first in range(0, count, size))


def _scratch() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="distill-")


@contextmanager
def _room_for(size: int) -> Iterator[None]:
    """Says that the folder for temporary files does not take so many bytes. Raises UserError (ScratchFull)."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        raise UserError(
            "ScratchFull",
            f"{tempfile.gettempdir()}, the folder for temporary files, has no room for {size / 2**20:.1f} MiB more "
            f"({error.strerror}): free some, or name another folder in the environment variable TMPDIR",
        ) from error


def _looking_into(file: IO[bytes], size: int, dtype: torch.dtype) -> Tensor:
    """The first `size` bytes of a file, [size / itemsize]."""
    if not size:
        return torch.empty(0, dtype=dtype)  # nothing cannot be mapped
    return torch.frombuffer(mmap.mmap(file.fileno(), size), dtype=dtype)
