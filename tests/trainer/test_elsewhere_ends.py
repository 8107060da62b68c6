"""A fetch that is killed, stopped, shared by two processes, or overtaken by whoever writes there."""

import logging
import threading
from multiprocessing import get_context
from multiprocessing.process import BaseProcess as Process

import pytest
from store_world import contents, fetch

from distill_api.contract import ExitCode
from distill_trainer.data.elsewhere import forget
from distill_trainer.errors import UserError
from distill_trainer.stop import StopSignal


@pytest.fixture(autouse=True)
def forgotten():
    yield
    forget()


def process(uri: str) -> Process:
    """Another process that fetches."""
    started = get_context("fork").Process(target=fetch, args=(uri,), daemon=True)
    started.start()
    return started


class Gate:
    """/set/c.csv: its half is sent, then nothing until it is opened."""

    def __init__(self, web) -> None:
        web.files = {"/set/a.csv": b"aaaa", "/set/b.csv": b"bbbb", "/set/c.csv": b"c" * 2**20}
        web.answers["/set/c.csv"] = self._answer
        self._web = web
        self.reached, self.opened = threading.Event(), threading.Event()

    def _answer(self, handler, content):
        self._web.head(handler, "/set/c.csv", len(content))
        handler.wfile.write(content[:10])
        handler.wfile.flush()
        self.reached.set()
        self.opened.wait(30)
        handler.wfile.write(content[10:])


def wait_for(condition) -> None:
    for _ in range(600):
        if condition():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not come to that")


def test_a_killed_fetch_goes_on_with_what_is_missing(web, scratch):
    gate = Gate(web)
    first = process(f"{web.url}/set/")
    assert gate.reached.wait(60)
    wait_for(lambda: {"a.csv", "b.csv"} <= {path.name for path in scratch.rglob("*.csv")})
    first.kill()
    first.join()
    assert {path.name for path in scratch.rglob("*.csv")} == {"a.csv", "b.csv"}  # whole files alone
    gate.opened.set()
    assert contents(fetch(f"{web.url}/set/")) == {
        "a.csv": b"aaaa", "b.csv": b"bbbb", "c.csv": b"c" * 2**20,
    }  # fmt: skip
    assert {name: web.asked[name] for name in web.files} == {
        "/set/a.csv": 1,
        "/set/b.csv": 1,
        "/set/c.csv": 2,
    }
    assert not list(scratch.rglob("*.part"))


def test_two_processes_fetch_once(web):
    gate = Gate(web)
    other = process(f"{web.url}/set/")
    assert gate.reached.wait(60)
    threading.Timer(0.5, gate.opened.set).start()
    here = fetch(f"{web.url}/set/")  # waits until the other has it
    other.join(60)
    assert other.exitcode == 0
    assert (here / "c.csv").stat().st_size == 2**20
    assert {web.asked[name] for name in web.files} == {1}


def test_sigterm_ends_a_training_that_fetches(web, workspace, monkeypatch):
    gate, stop = Gate(web), StopSignal()

    def ask_to_stop():
        gate.reached.wait(60)
        stop.request()
        gate.opened.set()

    threading.Thread(target=ask_to_stop, daemon=True).start()
    ended = workspace.train(stop=stop, dataset={"files": {"uri": f"{web.url}/set/", "format": "Csv"}})
    assert ended.code is ExitCode.DISRUPTED


def test_what_changes_while_it_is_fetched_is_fetched_anew(web, caplog):
    def change(handler, content):
        web.head(handler, "/set/b.csv", len(content))
        handler.wfile.write(content)
        web.answers.clear()
        web.files |= {"/set/a.csv": b"A", "/set/b.csv": b"B"}
        web.tags |= {"/set/a.csv": "2", "/set/b.csv": "2"}

    web.files = {"/set/a.csv": b"a", "/set/b.csv": b"b"}
    web.answers["/set/b.csv"] = change
    with caplog.at_level(logging.INFO):
        assert contents(fetch(f"{web.url}/set/")) == {"a.csv": b"A", "b.csv": b"B"}
    assert "changed while it was fetched: once more" in caplog.text


def test_what_changes_all_the_time_is_given_up(web):
    def change(handler, content):
        web.head(handler, "/d.csv", len(content))
        handler.wfile.write(content)
        web.tags["/d.csv"] = str(web.asked["/d.csv"] + 1)

    web.files = {"/d.csv": b"1"}
    web.answers["/d.csv"] = change
    with pytest.raises(
        UserError, match="changed 5 times while it was fetched: start the job when nobody writes"
    ):
        fetch(f"{web.url}/d.csv")
