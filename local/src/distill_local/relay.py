"""The way in from outside: listening sockets made in the outer network namespace, served from inside.

A socket keeps the namespace it was made in. `distill up` binds on 127.0.0.1 outside and hands the sockets to the
supervisor, which accepts on them here and dials the inner address. Bytes pass untouched, TLS included.
"""

import asyncio
import contextlib
import socket

_CHUNK = 65_536


async def serve_relay(listener: socket.socket, address: str, port: int) -> asyncio.Server:
    """Start to pass each connection made to `listener` on to `address:port`; return the running server."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _relay(reader, writer, address, port)

    listener.setblocking(False)
    return await asyncio.start_server(connected, sock=listener)


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, port: int) -> None:
    try:
        inner_reader, inner_writer = await asyncio.open_connection(address, port)
    except OSError:  # nobody listens inside yet: the client sees a closed connection and tries again
        writer.close()
        return
    try:
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
    finally:
        inner_writer.close()
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end, then say so to the other side, which may still have something to send."""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
