"""Data on a web server: files, pages of links, what is refused at once, and what is tried again."""

from contextlib import suppress

import pytest
from store_world import contents, fetch, serving

from distill_api.contract import ExitCode
from distill_api.dataset import Dataset
from distill_trainer import data
from distill_trainer.data.elsewhere import Progress, forget, patience
from distill_trainer.errors import ConfigInvalid, ContractBroken, UserError


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.0)
    yield
    forget()


def test_a_file(web):
    web.files = {"/sets/a%20b.csv": b"text,label\n"}
    path = fetch(f"{web.url}/sets/a%20b.csv")
    assert (path.name, path.read_bytes()) == ("a b.csv", b"text,label\n")


def test_the_files_that_a_page_links_to(web):
    web.files = {
        "/set/train/a/1%20x.txt": b"1",
        "/set/train/b/2.txt": b"2",
        "/set/test/.hidden": b"",
        "/elsewhere": b"no",
    }
    folder = fetch(f"{web.url}/set/")
    assert folder.name == "set"
    assert contents(folder) == {"train/a/1 x.txt": b"1", "train/b/2.txt": b"2"}


def test_pictures_of_a_page_are_a_data_set(web, tmp_path):
    from PIL import Image

    for number in range(24):
        file = tmp_path / f"{number}.png"
        Image.new("L", (4, 4), number).save(file)
        web.files[f"/set/train/{'cat' if number % 2 else 'dog'}/{number}.png"] = file.read_bytes()
    dataset = Dataset.model_validate({"files": {"uri": f"{web.url}/set/", "format": "ImageFolder"}})
    found = data.describe(dataset)
    assert (found.classes, sum(found.sizes.values()), found.shape) == (("cat", "dog"), 24, (1, 4, 4))


REFUSED = {
    "missing": ("/none.csv?key=hidden", "DatasetNotFound", "/none.csv?…': the server has no such file (404)"),
    "page": ("/page", "DatasetNotFound", "/page': it is a page and no file: end it with /"),
    "no links": ("/empty/", "DatasetNotFound", "the page links to no file below it"),
    "forbidden": ("/closed.csv", "AccessDenied", "refused (403)"),
    "gone": ("/gone.csv", "DatasetNotFound", "(404)"),
    "not taken": ("/strange.csv", "FetchRefused", "the server refuses to send it (status 418): correct it"),
}


@pytest.mark.parametrize(("path", "reason", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_had_is_said_at_once(web, path, reason, sentence, caplog):
    def page(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.end_headers()

    web.files = dict.fromkeys(("/page", "/closed.csv", "/gone.csv", "/strange.csv"), b"x")
    for name, status in (("/closed.csv", 403), ("/gone.csv", 410), ("/strange.csv", 418)):
        web.answers[name] = lambda handler, _, status=status: handler.send_error(status)
    original, web.head = (
        web.head,
        lambda handler, name, size: page(handler) if name == "/page" else original(handler, name, size),
    )
    with pytest.raises(ContractBroken) as refused:
        fetch(web.url + path)
    assert refused.value.reason == reason
    assert sentence in refused.value.message
    assert "hidden" not in refused.value.message + caplog.text
    assert web.asked[path] < 2


def failing(web, times: int, fail):
    """The first `times` answers for /d.csv are `fail`; the others are right."""
    left = [times]

    def answer(handler, content):
        if left[0] > 0:
            left[0] -= 1
            fail(handler, content)
        else:
            web.head(handler, "/d.csv", len(content))
            handler.wfile.write(content)

    web.files["/d.csv"] = b"0123456789"
    web.answers["/d.csv"] = answer


def _torn(web):
    def torn(handler, content):
        web.head(handler, "/d.csv", len(content))
        handler.wfile.write(content[:4])

    return torn


def _unavailable(_):
    return lambda handler, _content: handler.send_error(503)


@pytest.mark.parametrize("kind", [_torn, _unavailable], ids=["torn", "unavailable"])
def test_what_may_pass_is_tried_again(web, kind, caplog):
    failing(web, 2, kind(web))
    assert fetch(f"{web.url}/d.csv").read_bytes() == b"0123456789"
    assert web.asked["/d.csv"] == 3
    assert "try 3 of 5" in caplog.text


def test_what_does_not_pass_is_given_up_and_nothing_half_is_left(web, scratch):
    failing(web, 99, _torn(web))
    with pytest.raises(UserError, match=r"could not be fetched in 5 tries .*network policies") as refused:
        fetch(f"{web.url}/d.csv")
    assert refused.value.exit_code is ExitCode.FAILED  # Kubernetes tries again
    assert web.asked["/d.csv"] == 5
    assert not [path for path in scratch.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_more_than_was_announced_ends_at_the_limit(web):
    web.files = {"/endless.csv": b"x"}

    def without_length(handler, *_):
        handler.send_response(200)
        handler.send_header("ETag", "1")
        handler.end_headers()

    def endless(handler, _):
        without_length(handler)
        with suppress(OSError):  # the other side hangs up
            while True:
                handler.wfile.write(b"x" * 2**16)

    web.head, web.answers["/endless.csv"] = without_length, endless
    with pytest.raises(ContractBroken, match=r"more came, and dataset.files.sizeLimit \(1 MiB\) allows less"):
        fetch(f"{web.url}/endless.csv", limit=2**20)


def test_a_server_that_tells_no_version_is_asked_by_each_process_once(web):
    web.files, web.tags = {"/d.csv": b"1"}, {"/d.csv": ""}
    dataset = Dataset.model_validate({"files": {"uri": f"{web.url}/d.csv", "format": "Csv"}})
    first = data.fetched(dataset)
    assert data.fetched(dataset) == first
    assert web.asked["/d.csv"] == 1
    web.files["/d.csv"] = b"2"
    forget()
    second = data.fetched(dataset)
    assert second is not None
    assert second.read_bytes() == b"2"


def test_authorization_is_sent_to_the_host_alone(web, monkeypatch):
    monkeypatch.setenv("DISTILL_HTTP_AUTHORIZATION", "Bearer abc")
    with serving() as other:
        other.files = {"/real.csv": b"moved"}

        def move(handler, _):
            handler.send_response(302)
            handler.send_header("Location", f"{other.url}/real.csv")
            handler.end_headers()

        web.files = {"/d.csv": b"right"}
        assert fetch(f"{web.url}/d.csv").read_bytes() == b"right"
        web.answers["/d.csv"], web.tags["/d.csv"] = move, "2"
        assert fetch(f"{web.url}/d.csv").read_bytes() == b"moved"
        assert set(web.authorizations) == {"Bearer abc"}
        assert set(other.authorizations) == {None}
    with pytest.raises(ConfigInvalid, match="DISTILL_HTTP_AUTHORIZATION would be sent for all to read"):
        fetch("http://example.invalid/d.csv")


def test_progress_is_told_in_bytes(web):
    class Heard(Progress):
        told: list[tuple[int, int]] = []  # noqa: RUF012

        def tell(self, done, total):
            self.told.append((done, total))

    web.files = {"/set/a.csv": b"1234", "/set/b.csv": b"56"}
    fetch(f"{web.url}/set/", Heard())
    assert Heard.told[-1] == (6, 6)
