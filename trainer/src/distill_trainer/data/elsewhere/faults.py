"""What a store's exceptions mean: a fault that the user can mend, with the sentence, or one that may pass.

Every library raises its own kinds for the same few faults. No message of theirs is repeated where it could hold a
credential: codes are.
"""

from __future__ import annotations

import errno
import re
from typing import Any

from distill_trainer.data.elsewhere.place import Place
from distill_trainer.errors import ContractBroken, UserError

_KEYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS_JSON",
    "https": "DISTILL_HTTP_AUTHORIZATION",
    "http": "",
}
_RIGHTS = {
    "s3": " (s3:ListBucket and s3:GetObject)",
    "gs": " (roles/storage.objectViewer)",
    "https": "",
    "http": "",
}
_MAY_PASS = {408, 425, 429}


def permanent(error: BaseException, place: Place, credentials: str) -> UserError | None:
    """The sentence where trying again would end the same way; None where it may not.

    `credentials` are said in words: whose they are, empty for none.
    """
    status, code = _status(error), _code(error)
    if isinstance(error, FileNotFoundError) or status in {404, 410}:
        return ContractBroken("DatasetNotFound", place.says(_missing(place, code)))
    if isinstance(error, PermissionError) or status in {401, 403} or _forbidden(error):
        return ContractBroken(
            "AccessDenied", place.says(_denied(place, code or str(status or 403), credentials))
        )
    if _kind(error, "NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"):
        return ContractBroken(
            "AccessDenied", place.says(_denied(place, "incomplete credentials", credentials))
        )
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return UserError(
            "ScratchTooSmall", place.says("the scratch folder is full: set DISTILL_SCRATCH to another")
        )
    if isinstance(error, OSError) and error.errno in {
        errno.EINVAL,
        errno.ENAMETOOLONG,
        errno.EISDIR,
        errno.EEXIST,
        errno.ENOTDIR,
    }:
        return ContractBroken(
            "FetchRefused", place.says(f"it cannot be fetched ({code or reason(error)}): correct it")
        )
    if status is not None and 400 <= status < 500 and status not in _MAY_PASS:
        return ContractBroken(
            "FetchRefused", place.says(f"the server refuses to send it (status {status}): correct it")
        )
    return None


def reason(error: BaseException) -> str:
    """What happened, in few words; of an address nothing behind its question mark, which may be a signature."""
    status, code = _status(error), _code(error)
    if status or code:
        return code or f"status {status}"
    words = re.sub(r"\?\S+", "?…", (str(error).strip().splitlines() or [""])[0])[:200]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _missing(place: Place, code: str) -> str:
    if not place.is_bucket:
        return "the server has no such file (404): correct the address"
    if place.protocol == "gs" or code == "NoSuchBucket" or not place.inside:
        return f"there is no bucket {place.bucket!r} (404): correct its name, or the endpoint that it is looked for at"
    return "there is no such object, and none below it (404): correct the path"


def _denied(place: Place, code: str, credentials: str) -> str:
    keys = _KEYS[place.protocol]
    if not keys:
        return f"access is refused ({code}): use https://, with credentials"
    if not credentials:
        return (
            f"access is refused ({code}) without credentials: name a Secret with {keys} in dataset.secretRef"
        )
    return (
        f"access is refused ({code}) to {credentials}: let them list and read it{_RIGHTS[place.protocol]}, or name a Secret "
        "with others in dataset.secretRef"
    )


def _status(error: BaseException) -> int | None:
    """HTTP status of aiohttp's and gcsfs' exceptions."""
    found = getattr(error, "status", None) or getattr(error, "code", None)
    return int(found) if isinstance(found, int) or (isinstance(found, str) and found.isdecimal()) else None


def _forbidden(error: BaseException) -> bool:
    """gcsfs' only word for status 403."""
    return isinstance(error, OSError) and str(error).startswith("Forbidden: ")


def _code(error: BaseException) -> str:
    """The code of S3, as `NoSuchBucket`, from botocore's exception or from what s3fs made of it."""
    for each in (error, error.__cause__):
        response: Any = getattr(each, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


def _kind(error: BaseException, *names: str) -> bool:
    return any(kind.__name__ in names for kind in type(error).__mro__)
