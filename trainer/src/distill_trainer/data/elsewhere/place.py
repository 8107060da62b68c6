"""What a URI names and what lies there: pure, from listings to local names and to the key that a copy is kept under."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from distill_api.elsewhere import shown
from distill_trainer.errors import ContractBroken


@dataclass(frozen=True)
class Place:
    """A URI taken apart."""

    uri: str
    field: str

    @property
    def protocol(self) -> str:
        """s3, gs, http or https."""
        return self.uri.partition("://")[0]

    @property
    def is_bucket(self) -> bool:
        """Whether it lies in object storage, and not on a web server."""
        return not self.protocol.startswith("http")

    @property
    def shown(self) -> str:
        """What messages and logs say."""
        return shown(self.uri)

    @property
    def bucket(self) -> str:
        """Name of the bucket, or of the host with its port."""
        return self.uri.partition("://")[2].partition("/")[0]

    @property
    def inside(self) -> str:
        """The key or the prefix in the bucket, or the path on the host, without slashes at its ends."""
        rest = self.uri.partition("://")[2].partition("/")[2]
        return (rest if self.is_bucket else urlsplit(self.uri).path).strip("/")

    @property
    def id(self) -> str:
        """What tells it from others: in object storage a slash at the end says nothing."""
        return f"{self.protocol}://{self.bucket}/{self.inside}" if self.is_bucket else self.uri

    @property
    def name(self) -> str:
        """The last word of the path: what the data set is called."""
        word = self.inside.rpartition("/")[2] or self.bucket
        name = word if self.is_bucket else unquote(word)
        return name if usable(name) else "data"

    def says(self, what: str) -> str:
        """A sentence about it that begins with the field and the value."""
        return f"{self.field} is {self.shown!r}: {what}"


@dataclass(frozen=True)
class Asked:
    """What is wanted: a place, and how many bytes it may have, as the field `limit_field` says."""

    place: Place
    limit: int
    limit_field: str

    def too_large(self, what: str) -> str:
        """The sentence for more than that."""
        allowed = f"{self.limit_field} ({size_said(self.limit)})"
        return self.place.says(f"{what}, and {allowed} allows less: name a narrower path, or raise the limit")


@dataclass(frozen=True)
class RemoteFile:
    """One file there. `path` is what its store calls it, `name` where it lies below the place, with slashes.

    `version` changes whenever the content does; None where the server tells nothing of the kind. `size` in bytes.
    """

    path: str
    name: str
    size: int | None
    version: str | None


@dataclass(frozen=True)
class Listing:
    """All that lies at a place. `single` says that the place is the one file itself."""

    files: tuple[RemoteFile, ...]
    single: bool

    @property
    def size(self) -> int:
        """Bytes of all whose size is known."""
        return sum(file.size or 0 for file in self.files)

    def key(self) -> str | None:
        """16 hexadecimal digits that change when a file comes, goes or changes; None where that cannot be told."""
        if any(file.version is None for file in self.files):
            return None
        rows = sorted([file.name, file.size, file.version] for file in self.files)
        return digest16(json.dumps(rows))


def listing(place: Place, files: Iterable[RemoteFile], *, single: bool) -> Listing:
    """The files that count, in order. Raises ContractBroken for names that cannot be files here, and for none at all."""
    kept = sorted((file for file in files if not _hidden(file.name)), key=lambda file: file.name)
    for file in kept:
        if not all(map(usable, file.name.split("/"))):
            raise ContractBroken(
                "FileNameUnusable",
                place.says(f"{file.name!r} below it cannot be the name of a file on a disk: rename it"),
            )
    if not kept:
        kind = "nothing lies below it" if place.is_bucket else "the page links to no file below it"
        raise ContractBroken("DatasetNotFound", place.says(f"{kind}: correct the path, or upload the data"))
    return Listing(tuple(kept), single)


def usable(word: str) -> bool:
    """Whether it can be one name in a folder."""
    return word not in {"", ".", ".."} and "\0" not in word and "/" not in word and len(word.encode()) < 250


def size_said(size: int) -> str:
    """`1.5 GiB`, `312 B`."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.3g} TiB"


def digest16(text: str) -> str:
    """16 hexadecimal digits of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _hidden(name: str) -> bool:
    """As in folders: .DS_Store and its like do not count; nor do the empty objects that stand for folders."""
    return name.endswith("/") or any(
        word.startswith(".") and word not in {".", ".."} for word in name.split("/")
    )
