"""What a probe says of an answer that is not good: a kubelet's words, the same each time. On real sockets."""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress

import pytest

from distill_local.node.probes import Target, check


def target(port):
    return Target(process=None, address="127.0.0.1", ports={"web": port})


@pytest.fixture
def closed_port():
    with socket.socket() as taken:  # bound and not listening: nobody else gets it, and it refuses
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@asynccontextmanager
async def serving(answer):
    """A server that answers each connection with `answer`, or never if that is None."""

    served = asyncio.Event()

    async def serve(reader, writer):
        await reader.readline()
        if answer is None:
            await reader.read()  # until the other side gives up
        writer.write(answer or b"")
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        served.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await served.wait()


def test_a_connection_that_is_refused(closed_port):
    dialled = f"dial tcp 127.0.0.1:{closed_port}: connect: connection refused"
    http = {"httpGet": {"path": "/healthz", "port": "web"}}
    expected = f'Get "http://127.0.0.1:{closed_port}/healthz": {dialled}'
    assert asyncio.run(check(http, target(closed_port))) == (False, expected)
    assert asyncio.run(check({"tcpSocket": {"port": "web"}}, target(closed_port))) == (False, dialled)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (
            b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\noops",
            "HTTP probe failed with statuscode: 500: oops",
        ),
        (b"", 'Get "http://127.0.0.1:{port}/": EOF'),
        (None, 'Get "http://127.0.0.1:{port}/": context deadline exceeded'),
    ],
)
def test_what_an_http_server_answers(answer, expected):
    async def ask():
        async with serving(answer) as port:
            return port, await check({"httpGet": {"port": port}, "timeoutSeconds": 0.5}, target(port))

    port, (ok, why) = asyncio.run(ask())
    assert ok == (expected is None)
    assert ok or why == expected.format(port=port)


def test_a_port_that_has_no_such_name():
    ok, why = asyncio.run(check({"tcpSocket": {"port": "metrics"}}, target(1)))
    assert (ok, why) == (False, "couldn't find port: metrics in the container's ports")
