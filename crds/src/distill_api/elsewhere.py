"""Data that no volume holds: what their URIs look like, what reads them, and with whose credentials.

Used by `spec.dataset`; the trainer asks `is_elsewhere` whether something has to be fetched.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from distill_api.base import ApiModel, Name, Rule, stay_below

BUCKET_SCHEMES = ("s3", "gs")
SCHEMES = (*BUCKET_SCHEMES, "https", "http")
DEFAULT_SIZE_LIMIT = "20Gi"
DATA_URI_SAYS = (
    "must be pvc://<claim>/<path>, file:///<path>, s3://<bucket>/<prefix>, gs://<bucket>/<prefix> or "
    "https://<host>/<path>, without .. in the path"
)

_HOST = "[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?"
_BUCKET = "[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]"

DataUri = Annotated[
    str,
    Field(
        min_length=8,
        max_length=2048,
        pattern=rf"^(pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/.+|file:///.+|(s3|gs)://{_BUCKET}(/.*)?|https?://{_HOST}/.*)$",
        json_schema_extra={"x-says": DATA_URI_SAYS, "x-rule": r"!self.matches('/\\.\\.(/|$)')"},
    ),
    AfterValidator(lambda uri: stay_below(uri, DATA_URI_SAYS)),
]
"""Where data lie. A user's name or a password has no room in it: whoever may read the job would read them."""

LIMIT_IS_OF_WHAT_IS_FETCHED = Rule(
    "!has(self.sizeLimit) || self.uri.matches('^(s3|gs|https?)://')",
    "limits what is fetched from object storage or a web server, and uri names neither: remove it",
    field="sizeLimit",
)
SECRET_HAS_A_READER = Rule(
    "!has(self.secretRef) || (has(self.files) && self.files.uri.matches('^(s3|gs|https)://')) || "
    "(has(self.huggingFace) && !self.huggingFace.id.contains('://'))",
    "has an effect on s3://, gs://, https:// and data of the hub alone: remove it",
    field="secretRef",
)


class SecretReference(ApiModel):
    """A Secret whose keys become environment variables."""

    name: Name = Field(description="Name of the Secret, in the job's namespace.")


def is_elsewhere(uri: str) -> bool:
    """Whether a URI names data that have to be fetched before they can be read."""
    return re.match(f"({'|'.join(SCHEMES)})://", uri) is not None


def shown(uri: str) -> str:
    """A URI for messages, logs and reports: on web servers without its query, which may be a signature."""
    address = re.match(r"https?://[^?#]*", uri)
    return uri if address is None or address[0] == uri else f"{address[0]}?…"
