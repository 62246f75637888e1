"""
A vendor of long bodies: sends as many bytes as the path says, takes whatever is sent, slowly where the path says so.

    GET  /v1/bytes/N         N bytes at once        POST /v1/take         the whole body, then an answer
    GET  /v1/slow/N          N bytes, dripping      POST /v1/take-slowly  a little of it, ten times a second

    python -m benchmarks.bulk PORT
"""

import asyncio
import contextlib
import sys

PIECE = b"x" * 262_144
PAUSE_SECONDS = 0.1


async def give(writer: asyncio.StreamWriter, size: int, *, slowly: bool) -> None:
    """A body of that many bytes."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n" % size)
    while size > 0:
        piece = PIECE[: min(size, len(PIECE))]
        writer.write(piece)
        await writer.drain()
        size -= len(piece)
        if slowly:
            await asyncio.sleep(PAUSE_SECONDS)


async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, *, slowly: bool) -> None:
    """The whole body, and an answer to it."""
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    left = int(fields[b"content-length"])
    while left > 0:
        piece = await reader.read(min(left, len(PIECE)))
        if not piece:
            return
        left -= len(piece)
        if slowly:
            await asyncio.sleep(PAUSE_SECONDS)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok")


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            slowly = b"slow" in path
            if head.startswith(b"POST"):
                await take(reader, writer, head, slowly=slowly)
            else:
                await give(writer, int(path.rpartition(b"/")[2]), slowly=slowly)
    writer.close()


async def serve(port: int) -> None:
    """Listen for ever."""
    server = await asyncio.start_server(converse, "127.0.0.1", port, limit=65_536)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
