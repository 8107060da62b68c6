"""fsspec's file systems, one for each protocol, with the credentials that the environment holds. Imported when used.

Whose credentials they are is said in words for messages; they themselves are never kept, shown or logged here.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from distill_trainer.data.elsewhere.place import Place
from distill_trainer.data.extras import required
from distill_trainer.errors import ConfigInvalid

GOOGLE_JSON = "GOOGLE_APPLICATION_CREDENTIALS_JSON"
"""Environment variable: a service account's key as text. The libraries' own variable is the path of a file with it."""
HTTP_AUTHORIZATION = "DISTILL_HTTP_AUTHORIZATION"
"""Environment variable: the value of the header Authorization, as in `Bearer …`."""
_NO_KEY = "is no key of a service account: put the whole JSON file that Google made into the Secret"
_QUIET_SECONDS = 60
"""A connection that sends nothing for so long is given up. How long a whole file may take has no limit."""
_LOGS = {"gcsfs": logging.CRITICAL, "botocore": logging.WARNING, "aiobotocore": logging.WARNING}
"""gcsfs logs a traceback for what is one sentence here, botocore a line for each time that it finds credentials."""
_THIS_MACHINE = {"localhost", "127.0.0.1"}


@dataclass(frozen=True)
class Store:
    """An fsspec file system; `credentials` says whose it reads with, empty for nobody's.

    `options` are for its `get_file`: each file comes as one stream, since pieces side by side would be held in memory.
    """

    files: Any
    credentials: str
    options: Mapping[str, Any] = field(default_factory=dict)


def open_store(place: Place) -> Store:
    """The store of a place. Raises ContractBroken where its library is missing, ConfigInvalid for unusable credentials."""
    for library, level in _LOGS.items():
        logging.getLogger(library).setLevel(level)
    openers = {"s3": _s3, "gs": _google, "http": _http, "https": _http}
    return openers[place.protocol](place)


def _s3(place: Place) -> Store:
    """By boto's own chain: the environment, its files, a ServiceAccount's role, the machine's; else as anybody."""
    s3fs = required("s3fs", extra="remote", field=place.field)
    session, faults = (
        required(name, extra="remote", field=place.field)
        for name in ("botocore.session", "botocore.exceptions")
    )
    try:
        found = session.Session().get_credentials()
    except faults.BotoCoreError as error:
        raise ConfigInvalid(place.says(f"the credentials found here cannot be used: {error}")) from error
    # Listings and instances are not kept: what lies there is looked up when it is asked for.
    files = s3fs.S3FileSystem(anon=found is None, use_listings_cache=False, skip_instance_cache=True)
    said = f"the credentials found here ({found.method})" if found is not None else ""
    return Store(files, said, {"max_concurrency": 1})


def _google(place: Place) -> Store:
    """By a key in the environment, else by Google's own chain; else as anybody."""
    # The JSON interface alone: the package's own name stands for one that asks over gRPC what kind a bucket is.
    gcsfs = required("gcsfs.core", extra="remote", field=place.field)
    timeout = _timeout(place)
    token = _google_key() or _google_default(place)
    options = {"session_kwargs": {"trust_env": True, "timeout": timeout}, "requests_timeout": timeout}
    try:
        files = gcsfs.GCSFileSystem(
            token=token or "anon", use_listings_cache=False, skip_instance_cache=True, **options
        )
    except (ValueError, KeyError) as error:
        raise ConfigInvalid(f"{GOOGLE_JSON} {_NO_KEY}") from error
    said = GOOGLE_JSON if isinstance(token, dict) else "the credentials found here (google.auth)"
    return Store(files, said if token else "", {"concurrency": 1})


def _google_key() -> dict[str, Any] | None:
    text = os.environ.get(GOOGLE_JSON)
    if not text:
        return None
    try:
        key = json.loads(text)
    except ValueError:
        key = None
    if not isinstance(key, dict) or "type" not in key:
        raise ConfigInvalid(f"{GOOGLE_JSON} {_NO_KEY}")
    return key


def _google_default(place: Place) -> Any:
    """Credentials of the environment, the user or the machine; None where there are none."""
    auth = required("google.auth", extra="remote", field=place.field)
    try:
        found, _ = auth.default(scopes=["https://www.googleapis.com/auth/devstorage.read_only"])
    except auth.exceptions.DefaultCredentialsError as error:
        if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            raise ConfigInvalid(
                place.says(
                    "GOOGLE_APPLICATION_CREDENTIALS names no file with credentials: correct or unset it"
                )
            ) from error
        return None
    return found


def _http(place: Place) -> Store:
    """With the header of the environment, and through a proxy where the environment names one."""
    required("aiohttp", extra="remote", field=place.field)
    http = required("fsspec.implementations.http", extra="remote", field=place.field)
    # As the bytes lie there: a file that is packed for the way would have another size, and .csv.gz come unpacked.
    headers = {"Accept-Encoding": "identity"}
    authorization = os.environ.get(HTTP_AUTHORIZATION)
    if authorization:
        _refuse_open_letters(place)
        headers["Authorization"] = authorization  # aiohttp drops it where it is sent on to another host
    client = {"headers": headers, "trust_env": True, "timeout": _timeout(place)}
    files = http.HTTPFileSystem(simple_links=False, client_kwargs=client, skip_instance_cache=True)
    return Store(files, HTTP_AUTHORIZATION if authorization else "")


def _refuse_open_letters(place: Place) -> None:
    if place.protocol == "http" and urlsplit(place.uri).hostname not in _THIS_MACHINE:
        raise ConfigInvalid(
            place.says(f"{HTTP_AUTHORIZATION} would be sent for all to read: write https://, or unset it")
        )


def _timeout(place: Place) -> Any:
    aiohttp = required("aiohttp", extra="remote", field=place.field)
    return aiohttp.ClientTimeout(total=None, sock_connect=_QUIET_SECONDS, sock_read=_QUIET_SECONDS)
