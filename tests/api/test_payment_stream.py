"""The stream under stress: bad lines, slow readers, callers who leave."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from channeld.api.client import ApiClient
from channeld.api.requests import Pay
from channeld.api.server import ApiServer
from channeld.core.errors import OperationalError
from tests.api.conftest import TOKEN
from tests.api.scripted import ScriptedNode

HEAD = (
    "POST /v1/payments/stream?in_flight={} HTTP/1.1\r\nHost: localhost\r\n"
    f"Authorization: Bearer {TOKEN}\r\n"
    "Transfer-Encoding: chunked\r\n\r\n"
)


@contextlib.asynccontextmanager
async def opened(
    server: ApiServer, in_flight: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HEAD.format(in_flight).encode())
    yield reader, writer
    writer.transport.abort()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def results(reader: asyncio.StreamReader) -> list[Any]:
    """The lines of the answer, up to its end."""
    head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    body = b""
    while rest != b"0\r\n\r\n":
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return [json.loads(line) for line in body.splitlines()]


async def test_bad_lines_are_answered_and_do_not_stop_the_others(
    server: ApiServer, client: ApiClient
) -> None:
    (invoice,) = await client.create_invoice("ETH", 3, "", None, 1)
    good = json.dumps({"invoice": invoice.text}).encode()
    lines = [
        good,
        b"",
        b"{",
        b"[]",
        b'{"invoice": 5}',
        b'{"invoice": "chd1", "more": 1}',
        b"\xff",
        b"  ",
        good,
    ]
    async with opened(server, 1) as (reader, writer):
        writer.write(chunk(b"\n".join(lines)) + b"0\r\n\r\n")
        answers = await results(reader)
    assert [answer["index"] for answer in answers] == [0, 1, 2, 3, 4, 5, 6]  # empty lines are none
    assert [answer["error"]["kind"] if answer["error"] else "paid" for answer in answers] == [
        "paid",
        "rejected",
        "rejected",
        "rejected",
        "rejected",
        "rejected",
        "paid",
    ]
    assert answers[3]["error"]["message"] == "invoice: expected a text, got the number 5"


async def test_lines_may_be_cut_anywhere(server: ApiServer, client: ApiClient) -> None:
    made = await client.create_invoice("ETH", 3, "", None, 3)
    body = b"".join(json.dumps({"invoice": invoice.text}).encode() + b"\n" for invoice in made)
    async with opened(server, 5) as (reader, writer):
        for place in range(0, len(body), 7):
            writer.write(chunk(body[place : place + 7]))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        answers = await results(reader)
    assert sorted(answer["index"] for answer in answers) == [0, 1, 2]
    assert all(answer["payment"]["status"] == "succeeded" for answer in answers)


async def test_a_line_without_end_ends_the_stream(server: ApiServer) -> None:
    async with opened(server, 5) as (reader, writer):
        writer.write(chunk(b"x" * 9_000) + chunk(b"x" * 9_000))
        answers = await results(reader)
    assert [answer["error"]["kind"] for answer in answers] == ["rejected"]


async def test_no_more_payments_are_begun_than_asked_for(
    server: ApiServer, client: ApiClient, node: ScriptedNode
) -> None:
    made = await client.create_invoice("ETH", 3, "", None, 60)
    node.gate = asyncio.Event()
    stream = client.pay_many([Pay(invoice.text) for invoice in made], in_flight=7)
    first = asyncio.ensure_future(anext(stream))
    for _ in range(7):
        await node.begun.acquire()
    assert (await client.info()).alias == "alice"  # the server is not held up, and had time to overdo it
    assert node.paying == 7
    node.gate.set()
    assert (await first).payment is not None
    assert len([result async for result in stream]) == 59
    assert node.most_paying == 7


async def test_a_caller_who_leaves_harms_nobody(
    server: ApiServer, client: ApiClient, node: ScriptedNode, caplog: pytest.LogCaptureFixture
) -> None:
    made = await client.create_invoice("ETH", 3, "", None, 40)
    async with contextlib.aclosing(client.pay_many([Pay(i.text) for i in made], in_flight=3)) as stream:
        await anext(stream)
    async with opened(server, 2) as (reader, writer):
        writer.write(chunk(json.dumps({"invoice": made[0].text}).encode() + b"\nhalf a li"))
        await reader.readuntil(b"succeeded")
    assert len([result async for result in client.pay_many([Pay(i.text) for i in made])]) == 40
    assert "bug" not in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_bug_in_one_payment_is_one_result(
    client: ApiClient, node: ScriptedNode, caplog: pytest.LogCaptureFixture
) -> None:
    node.failing = AssertionError("inside")
    (only,) = [result async for result in client.pay_many([Pay("chd1")])]
    assert only.error is not None
    assert (only.error.kind, "inside" in only.error.message) == ("bug", False)
    assert "inside" in caplog.text


async def test_the_stream_wants_the_token_too(server: ApiServer) -> None:
    with pytest.raises(OperationalError, match="does not accept the token"):
        await anext(ApiClient(server.url, "00" * 32).pay_many([Pay("chd1")]))


async def test_the_server_closes_while_a_payment_waits(
    server: ApiServer, client: ApiClient, node: ScriptedNode
) -> None:
    (invoice,) = await client.create_invoice("ETH", 3, "", None, 1)
    node.gate = asyncio.Event()
    paying = asyncio.ensure_future(client.pay(invoice.text, None, None, 60.0))
    await node.begun.acquire()
    await server.close()
    with pytest.raises(OperationalError, match=r"closed the connection|did not answer"):
        await paying
