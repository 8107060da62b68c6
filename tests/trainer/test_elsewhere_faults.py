"""What exceptions mean, and what places are called: pure."""

import errno

import pytest

from distill_trainer.data.elsewhere import Place
from distill_trainer.data.elsewhere.faults import permanent, reason
from distill_trainer.data.elsewhere.place import Listing, RemoteFile, listing, size_said
from distill_trainer.errors import ContractBroken

S3, GS, WEB = (Place(uri, "f") for uri in ("s3://box/a/b/", "gs://box/a", "https://host:1/a%20b.csv?sign=x"))


class AnswerError(Exception):
    def __init__(self, status):
        super().__init__(f"{status}, url='https://host/?sign=x'")
        self.status = status


def chained(error, code):
    error.__cause__ = Exception()
    error.__cause__.response = {"Error": {"Code": code, "Message": "AKIA very secret"}}
    return error


@pytest.mark.parametrize(
    ("error", "place", "credentials", "said"),
    [
        (chained(FileNotFoundError(), "NoSuchBucket"), S3, "", ("DatasetNotFound", "no bucket 'box'")),
        (FileNotFoundError("box/a"), S3, "", ("DatasetNotFound", "no such object")),
        (
            chained(PermissionError("no"), "ExpiredToken"),
            S3,
            "x",
            ("AccessDenied", "refused (ExpiredToken) to x"),
        ),
        (
            OSError("Forbidden: https://g\nno"),
            GS,
            "",
            ("AccessDenied", "with GOOGLE_APPLICATION_CREDENTIALS_JSON"),
        ),
        (AnswerError(401), WEB, "", ("AccessDenied", "name a Secret with DISTILL_HTTP_AUTHORIZATION")),
        (AnswerError(403), Place("http://h/a", "f"), "", ("AccessDenied", "use https://")),
        (OSError(errno.ENOSPC, "full"), S3, "", ("ScratchTooSmall", "set DISTILL_SCRATCH")),
        (
            chained(OSError(errno.EINVAL, "no"), "InvalidRequest"),
            S3,
            "",
            ("FetchRefused", "(InvalidRequest)"),
        ),
        (NotADirectoryError(errno.ENOTDIR, "a file"), S3, "", ("FetchRefused", "cannot be fetched")),
    ],
)
def test_what_does_not_pass(error, place, credentials, said):
    found = permanent(error, place, credentials)
    assert found is not None
    assert found.reason == said[0]
    assert said[1] in found.message
    assert "very secret" not in found.message
    assert "sign=x" not in found.message


@pytest.mark.parametrize(
    "error",
    [
        AnswerError(500),
        AnswerError(503),
        AnswerError(429),
        AnswerError(408),
        OSError(errno.EBUSY, "slow"),
        TimeoutError(),
        EOFError("4"),
    ],
)
def test_what_may_pass(error):
    assert permanent(error, S3, "") is None


def test_no_signature_is_said():
    assert reason(ValueError("cannot connect to https://host/a?sign=x now")).endswith("https://host/a?… now")
    assert reason(AnswerError(503)) == "status 503"
    assert WEB.shown == "https://host:1/a%20b.csv?…"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("s3://box/a/b/", "b"), ("s3://box", "box"), ("s3://box/what?#", "what?#"), ("https://host:1/a%20b.csv?sign=x", "a b.csv"),
        ("https://host/", "host"), ("https://host/%2e%2e/", "data"),
    ],
)  # fmt: skip
def test_what_a_data_set_is_called(uri, name):
    assert Place(uri, "f").name == name


def files(**versions):
    return Listing(
        tuple(RemoteFile(name, name, 1, version) for name, version in versions.items()), single=False
    )


def test_a_copy_is_of_one_state():
    assert files(a="1", b="2").key() == files(b="2", a="1").key()
    assert len({files(a="1").key(), files(a="2").key(), files(b="1").key(), files(a="1", b="1").key()}) == 4
    assert files(a="1", b=None).key() is None


@pytest.mark.parametrize("name", ["../x", "a//b", "a/./b", "/a", "a\0b", "x" * 250])
def test_names_that_are_none_here_are_refused(name):
    with pytest.raises(ContractBroken, match="cannot be the name of a file"):
        listing(S3, [RemoteFile("p", name, 1, "1")], single=False)


@pytest.mark.parametrize(
    ("size", "said"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**40, "5 TiB")]
)
def test_sizes(size, said):
    assert size_said(size) == said
