"""Stores on this machine: S3 by moto, a web server whose answers a test decides, and questions to the trainer's copies."""

import functools
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from distill_trainer.data.elsewhere import Asked, Place, Progress, forget, local_copy

GIB = 2**30


def fetch(uri: str, progress: Progress | None = None, *, limit: int = GIB) -> Path:
    """A copy as a process that has just started would get it."""
    forget()
    return local_copy(Asked(Place(uri, "dataset.files.uri"), limit, "dataset.files.sizeLimit"), progress)


def contents(folder: Path) -> dict[str, bytes]:
    """Every visible file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class Bucket:
    """A bucket of an S3 server."""

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name = client, name
        client.create_bucket(Bucket=name)

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def put_folder(self, folder: Path, prefix: str) -> str:
        """Upload a folder; its URI."""
        for name, content in contents(folder).items():
            self.put(f"{prefix}/{name}", content)
        return f"s3://{self.name}/{prefix}"


class Web:
    """Files by path. `answers` replaces what is sent for a path: a function of the handler and the content."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler, bytes], None]] = {}
        self.asked: Counter[str] = Counter()
        self.authorizations: list[str | None] = []
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler, *, body: bool) -> None:
        path = handler.path.partition("?")[0]
        self.authorizations.append(handler.headers.get("Authorization"))
        if body:
            self.asked[path] += 1
        if path not in self.files and not path.endswith("/"):
            handler.send_error(404)
            return
        if body and path in self.answers:
            self.answers[path](handler, self.files[path])
            return
        content = self.files.get(path) or self.page(path)
        self.head(handler, path, len(content))
        if body:
            handler.wfile.write(content)

    def head(self, handler: BaseHTTPRequestHandler, path: str, length: int) -> None:
        handler.send_response(200)
        if path.endswith("/"):
            handler.send_header("Content-Type", "text/html")
        elif self.tags.get(path, "1"):
            handler.send_header("ETag", self.tags.get(path, "1"))
        handler.send_header("Content-Length", str(length))
        handler.end_headers()

    def page(self, path: str) -> bytes:
        """Links as nginx makes them, those that sort the list and lead up among them."""
        below = {name.removeprefix(path) for name in self.files if name.startswith(path)}
        links = {name.partition("/")[0] + ("/" if "/" in name else "") for name in below}
        lines = [f'<a href="{link}">{link}</a>' for link in ["../", "?C=N;O=D", "/elsewhere", *sorted(links)]]
        return "\n".join(lines).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def __init__(self, web: Web, *arguments: Any) -> None:
        self.web = web
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.web.answer(self, body=True)

    def do_HEAD(self) -> None:
        self.web.answer(self, body=False)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving():
    """A web server; everything is there once the block is entered."""
    web = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, web))
    server.daemon_threads = True
    web.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
