"""Pixels that are decoded when a batch asks for them: of files, of table cells. Small sets stay decoded, in a file."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distill_trainer import mapped
from distill_trainer.batch import Samples, any_tensor
from distill_trainer.data import arrays, images
from distill_trainer.data.images import BrokenPictureError, Form
from distill_trainer.errors import ContractBroken

KEPT_BYTES = 256 * 1024 * 1024
"""Decoded pictures of a split up to this size are kept, in a file: the second epoch decodes nothing."""
LOOKED_AT = 512
"""Pictures whose header decides about the form of all."""
NAMED = 5
AT_ONCE = 256
"""Pictures that are handed to the decoders together, so that a million results never wait for each other."""


@dataclass(frozen=True)
class Pictures:
    """Undecoded pictures: `read(row)` gives a file's bytes, or a table's cell of numbers; `ids` names them."""

    ids: Sequence[str]
    read: Callable[[int], Any]
    field: str

    def sample_forms(self) -> list[Form]:
        """Forms of evenly spaced pictures; broken ones are left out here and named by the digest."""
        step = max(1, len(self.ids) // LOOKED_AT)
        return [form for row in range(0, len(self.ids), step) if (form := self._form(row)) is not None]

    def _form(self, row: int) -> Form | None:
        try:
            cell = self.read(row)
            return images.form_of(cell) if isinstance(cell, bytes) else arrays.shape_of(cell)
        except (BrokenPictureError, OSError):
            return None

    def decode(self, row: int, form: Form) -> Tensor:
        """uint8 [C, H, W]. Raises BrokenPictureError."""
        try:
            cell = self.read(row)
        except OSError as error:
            raise BrokenPictureError(error.strerror or "it cannot be read") from error
        return _decoded(cell, form)


@dataclass(frozen=True)
class Looked:
    """Digest of a split's content, and why which rows are no pictures."""

    digest: str
    broken: dict[int, str]


@dataclass(frozen=True)
class Kept:
    """Decoded pictures: `pixels` uint8 [N, C, H, W], of those rows that `have` (bool [N])."""

    pixels: Tensor
    have: Tensor

    @classmethod
    def room(cls, count: int, form: Form) -> Kept:
        """Room for so many, in files. Raises UserError (ScratchFull)."""
        return cls(mapped.zeros((count, *form.shape), torch.uint8), mapped.zeros((count,), torch.bool))

    def put(self, rows: Tensor | int, pixels: Tensor) -> None:
        """Keep some."""
        self.pixels[rows] = pixels
        self.have[rows] = True


class DecodedPixels:
    """The pixels of `Pictures`, in one form."""

    def __init__(self, pictures: Pictures, form: Form) -> None:
        self._pictures = pictures
        self._form = form
        self._keeps = len(pictures.ids) * torch.Size(form.shape).numel() <= KEPT_BYTES
        self._looked: Looked | None = None

    @functools.cached_property
    def _kept(self) -> Kept | None:
        """None where they are too many."""
        return Kept.room(len(self._pictures.ids), self._form) if self._keeps else None

    @property
    def pictures(self) -> Pictures:
        """What is decoded."""
        return self._pictures

    def read(self, rows: Tensor) -> Samples:
        """float32 [B, C, H, W] in [0, 1]. Raises ContractBroken that names pictures which are broken."""
        kept = self._kept
        if kept is None:
            return Samples(torch.stack(self._decoded(rows.tolist())).to(torch.float32) / 255)
        missing = rows[~kept.have[rows]]
        if len(missing):
            kept.put(missing, torch.stack(self._decoded(missing.tolist())))
        return Samples(kept.pixels[rows].to(torch.float32) / 255)

    def shown(self, row: int) -> Tensor:
        """One picture."""
        return any_tensor(self.read(torch.tensor([row])).inputs)[0]

    def digest(self) -> str:
        """Digest of every picture's undecoded content, broken ones' too."""
        return self.looked_into().digest

    def looked_into(self, *, whole: bool = False) -> Looked:
        """What is found by reading every file once, in the first call.

        Pictures that are kept are decoded on the way, and all of them where `whole` asks for it; of others the
        header is looked into. Raises ContractBroken where a file is there and cannot be read, which is no fault of the data.
        """
        if self._looked is None:
            self._looked = self._look(whole=whole)
        return self._looked

    def _look(self, *, whole: bool) -> Looked:
        content, broken = hashlib.sha256(str(self._form).encode()), dict[int, str]()
        look = functools.partial(self._look_at, kept=self._kept, whole=whole)
        count = len(self._pictures.ids)
        for start in range(0, count, AT_ONCE):
            rows = range(start, min(start + AT_ONCE, count))
            for row, (read, fault) in zip(rows, _decoders().map(look, rows), strict=True):
                content.update(read)
                broken |= {row: fault} if fault else {}
        return Looked(content.hexdigest(), broken)

    def _look_at(self, row: int, *, kept: Kept | None, whole: bool) -> tuple[bytes, str]:
        """The bytes that are there, and why they are no picture; empty where they are one."""
        cell = None
        try:
            cell = self._pictures.read(row)
            self._look_into(row, cell, kept, whole=whole)
        except (BrokenPictureError, FileNotFoundError) as error:
            return _bytes(cell), str(error)
        except OSError as error:
            raise ContractBroken(
                "DatasetUnreadable",
                f"{self._pictures.field}: {self._pictures.ids[row]} is there and cannot be read ({error.strerror}); mend the "
                "volume, and start again",
            ) from error
        return _bytes(cell), ""

    def _look_into(self, row: int, cell: Any, kept: Kept | None, *, whole: bool) -> None:
        if kept is not None:
            kept.put(row, _decoded(cell, self._form))
        elif whole:
            _decoded(cell, self._form)
        elif isinstance(cell, bytes):
            images.form_of(cell)

    def _decoded(self, rows: list[int]) -> list[Tensor]:
        def decode(row: int) -> Tensor:
            try:
                return self._pictures.decode(row, self._form)
            except BrokenPictureError as error:
                name = {self._pictures.ids[row]: str(error)}
                raise broken_pictures(name, len(self._pictures.ids), self._pictures.field) from error

        return list(_decoders().map(decode, rows))


def _decoders() -> ThreadPoolExecutor:
    """This process's own: threads do not live on in a fork."""
    return _decoders_of(os.getpid())


@functools.cache
def _decoders_of(_process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="decode")


def common_form(pictures: Sequence[Pictures]) -> tuple[Form, tuple[str, ...]]:
    """The form of most pictures, and what is said about the others. Raises ContractBroken where none is whole."""
    forms = [form for part in pictures for form in part.sample_forms()]
    if forms:
        form, says = images.majority(forms)
        return form, (says,) if says else ()
    some = next((part for part in pictures if len(part.ids)), None)
    if some is None:
        raise ContractBroken("EmptySplit", "dataset: there is no picture in any split")
    try:
        some.decode(0, Form(grey=True, height=1, width=1))
    except BrokenPictureError as error:
        raise broken_pictures({some.ids[0]: str(error)}, len(some.ids), some.field) from error
    raise ContractBroken("BrokenPictures", f"{some.field}: no picture can be read")


def broken_pictures(why: dict[str, str], total: int, field: str, *, limit: int = 0) -> ContractBroken:
    """The fault that names pictures with the reason of each, `why`; `limit` is how many may be left out."""
    allowed = f", and dataset.maxBrokenSamples allows {limit}" if limit else ""
    return ContractBroken(
        "BrokenPictures",
        f"{field}: {len(why)} of {total} pictures cannot be read{allowed}: {named(why)}; replace or remove them, or set "
        f"dataset.maxBrokenSamples to {len(why)} or more to leave them out",
    )


def named(why: dict[str, str]) -> str:
    """The first of them, each with its reason."""
    first = ", ".join(f"{name} ({reason})" for name, reason in list(why.items())[:NAMED])
    return first + (f" and {len(why) - NAMED} more" if len(why) > NAMED else "")


def _decoded(cell: Any, form: Form) -> Tensor:
    return images.decode(cell, form) if isinstance(cell, bytes) else arrays.decode_numbers(cell, form)


def _bytes(cell: Any) -> bytes:
    return cell if isinstance(cell, bytes) else repr(cell).encode()
