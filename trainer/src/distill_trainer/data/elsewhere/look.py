"""What lies at a place: one listing of a bucket, the headers of a file, or the links of pages with the headers of each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote, urlsplit

from distill_trainer.data.elsewhere.place import Listing, Place, RemoteFile, listing
from distill_trainer.data.elsewhere.stores import Store
from distill_trainer.errors import ContractBroken

AT_ONCE = 16
"""Files that are asked for, or fetched, at the same time: small ones take longer to ask for than to send."""
_DEPTH = 16
_VERSIONS = ("ETag", "etag", "generation", "LastModified", "Last-Modified", "updated", "Content-MD5")


def look(place: Place, store: Store) -> Listing:
    """Names, sizes and versions of all files. Raises ContractBroken, and whatever the store's library raises."""
    return _bucket(place, store.files) if place.is_bucket else _server(place, store.files)


def _bucket(place: Place, files: Any) -> Listing:
    path = f"{place.bucket}/{place.inside}".rstrip("/")
    found: dict[str, dict[str, Any]] = files.find(path, detail=True)
    if list(found) == [path]:
        return listing(place, [_file(path, place.name, found[path])], single=True)
    below = {name: info for name, info in found.items() if name.startswith(f"{path}/")}
    return listing(
        place,
        [
            _file(name, name.removeprefix(f"{path}/"), info)
            for name, info in below.items()
            if info["type"] == "file"
        ],
        single=False,
    )


def _server(place: Place, files: Any) -> Listing:
    if not urlsplit(place.uri).path.endswith("/"):
        info = files.info(place.uri)
        if info.get("mimetype") == "text/html":
            raise ContractBroken(
                "DatasetNotFound",
                place.says("it is a page and no file: end it with / for the files that the page links to"),
            )
        return listing(place, [_file(place.uri, place.name, info)], single=True)
    links = list(_links(place, files, place.uri, 0))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        infos = pool.map(files.info, links)
        found = [
            _file(link, unquote(link.removeprefix(place.uri)), info)
            for link, info in zip(links, infos, strict=True)
        ]
    return listing(place, found, single=False)


def _links(place: Place, files: Any, page: str, depth: int) -> Iterator[str]:
    """Addresses of the files that a page, and the pages below it, link to. A list's links to sort itself are none."""
    if depth > _DEPTH:
        raise ContractBroken(
            "FetchRefused",
            place.says(f"its pages are nested more than {_DEPTH} deep: name one further below"),
        )
    for link in files.ls(page, detail=False):
        below = link.removeprefix(page)
        if below == link or not below or "?" in below or "#" in below or ".." in below.split("/"):
            continue
        if link.endswith("/"):
            yield from _links(place, files, link, depth + 1)
        else:
            yield link


def _file(path: str, name: str, info: dict[str, Any]) -> RemoteFile:
    version = " ".join(str(info[word]) for word in _VERSIONS if info.get(word))
    return RemoteFile(path, name, info.get("size"), version or None)
