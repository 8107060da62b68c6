"""From the API's URIs to paths: `pvc://<claim>/<path>` lies where the operator mounts the claim, `file://` as it says.

Used for weights, model folders, data and the output. `DISTILL_CLAIMS` names another root than /mnt/pvc, so that the
same trainer.json runs on a laptop.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

from distill_api.contract import CLAIM_MOUNTS
from distill_trainer.errors import ConfigInvalid


def is_uri(text: str) -> bool:
    """Whether `text` names a place rather than an id of a hub."""
    return "://" in text


def resolve(uri: str, *, field: str) -> Path:
    """The path of a `pvc://` or `file://` URI; `field` is the setting that a message names. Raises ConfigInvalid."""
    scheme, _, rest = uri.partition("://")
    if scheme == "file":
        if not rest.startswith("/"):
            raise ConfigInvalid(
                f"{field} is {uri!r}: a file URI has three slashes and a whole path, file:///data/…"
            )
        return Path(unquote(rest))
    if scheme == "pvc":
        return _in_claim(uri, rest, field)
    raise ConfigInvalid(f"{field} is {uri!r}: write pvc://<claim>/<path>, or file:///<path> inside the image")


def _in_claim(uri: str, rest: str, field: str) -> Path:
    claim, _, inside = rest.partition("/")
    parts = [part for part in unquote(inside).split("/") if part not in {"", "."}]
    if not claim or claim in {".", ".."} or ".." in parts:
        raise ConfigInvalid(
            f"{field} is {uri!r}: write pvc://<claim>/<path> without '..', for example pvc://models/run-1"
        )
    return claims_root() / claim / Path(*parts)


def claims_root() -> Path:
    """Where claims are mounted."""
    return Path(os.environ.get("DISTILL_CLAIMS", CLAIM_MOUNTS))
