"""Mallory at the API's door: she has no token, holds connections, sends half of things, and hangs up."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from channeld.api.client import ApiClient
from channeld.api.doorway import MAX_UNPROVEN
from channeld.api.server import ApiServer, serve_api
from tests.api.conftest import MAX_BODY_BYTES, TOKEN
from tests.api.scripted import ScriptedNode

HALF_A_HEAD = b"POST /v1/invoices HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le"
HALF_A_BODY = (
    "POST /v1/invoices HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    '{"asset":'
).encode()
WHOLE = f"GET /v1/info HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def wires() -> AsyncIterator[list[Wire]]:
    held: list[Wire] = []
    try:
        yield held
    finally:
        for _, writer in held:
            writer.transport.abort()


async def dial(server: ApiServer, held: list[Wire], sent: bytes) -> asyncio.StreamReader:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    held.append((reader, writer))
    writer.write(sent)
    await writer.drain()
    return reader


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What came until the end."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_one_more_than_the_limit_takes_the_place_of_the_oldest(
    server: ApiServer, client: ApiClient
) -> None:
    async with wires() as held:
        readers = [await dial(server, held, HALF_A_HEAD) for _ in range(MAX_UNPROVEN)]
        assert (await client.info()).alias
        assert await ended(readers[0]) == b""
        assert not readers[-1].at_eof()


async def test_who_does_not_show_the_token_in_time_is_turned_out(node: ScriptedNode) -> None:
    server = await serve_api(node, "127.0.0.1", 0, TOKEN, MAX_BODY_BYTES, proof_s=0.01)
    try:
        async with wires() as held:
            for sent in (b"", HALF_A_HEAD, b"GET /v1/info HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"):
                answer = await ended(await dial(server, held, sent))
                assert b"200 OK" not in answer
    finally:
        await server.close()


async def test_who_has_shown_the_token_stays(server: ApiServer) -> None:
    async with wires() as held:
        mine = await dial(server, held, WHOLE)
        assert b"200 OK" in await mine.readuntil(b"\r\n\r\n")
        mallory = [await dial(server, held, HALF_A_HEAD) for _ in range(MAX_UNPROVEN + 1)]
        assert await ended(mallory[0]) == b""
        held[0][1].write(WHOLE)
        assert b"200 OK" in await mine.readuntil(b"HTTP/1.1 200 OK\r\n")


async def test_a_body_that_never_ends_is_answered(node: ScriptedNode) -> None:
    server = await serve_api(node, "127.0.0.1", 0, TOKEN, MAX_BODY_BYTES, body_s=0.01)
    try:
        async with wires() as held:
            answer = await ended(await dial(server, held, HALF_A_BODY))
            assert b"408" in answer.splitlines()[0]
            assert b"expected the body within 0.01 s" in answer
    finally:
        await server.close()


async def test_nobody_fills_the_log(
    server: ApiServer, client: ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A hang-up in mid-body is no bug, and what is no HTTP is nobody's business."""
    caplog.set_level(logging.DEBUG, "channeld")
    async with wires() as held:
        long = b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"
        for sent in (long, b"\0\1\2\r\n\r\n"):
            assert b"400" in await ended(await dial(server, held, sent))
    await somebody_hangs_up(server)
    assert (await client.info()).alias
    noisy = [record for record in caplog.records if record.exc_info or record.levelno > logging.DEBUG]
    assert noisy == []


async def somebody_hangs_up(server: ApiServer) -> None:
    """In the middle of a body; returns when the server has said so."""
    said = Heard()
    logging.getLogger("channeld.api.server").addHandler(said)
    try:
        async with wires() as held:
            await dial(server, held, HALF_A_BODY)
            # what came first is read first
            await (await dial(server, held, WHOLE)).readuntil(b"\r\n\r\n")
        async with asyncio.timeout(20):
            await said.hang_up.wait()
    finally:
        logging.getLogger("channeld.api.server").removeHandler(said)


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.hang_up = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "in the middle of its body" in record.getMessage():
            self.hang_up.set()
