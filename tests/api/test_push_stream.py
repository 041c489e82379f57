"""Pushes through the API: one, many in a stream, what comes in; bad lines and callers who leave."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from channeld.api.client import ApiClient
from channeld.api.endpoints import StreamedPushes
from channeld.api.requests import PushMany
from channeld.api.server import ApiServer
from channeld.core.errors import Rejected
from tests.api.cast import ALICE, BOB
from tests.api.conftest import TOKEN
from tests.api.scripted import ScriptedNode
from tests.api.scripted_pushes import CHANNEL, SLOW, UNLUCKY

TALK = b"talk".ljust(16, b"\0")


def to_bob(in_flight: int = 1_000, stream: bytes = TALK) -> PushMany:
    return PushMany(BOB, "ETH", stream, in_flight)


async def test_one_push_and_its_total(client: ApiClient, node: ScriptedNode) -> None:
    first = await client.push(BOB, "ETH", TALK, (5,), 1.0)
    assert (first.asked, first.sent, first.dropped, first.stream_total) == (1, 1, (), 5)
    again = await client.push(BOB, "ETH", TALK, (5,) * 3, 1.0)
    assert (again.asked, again.sent, again.stream_count, again.stream_total) == (3, 3, 4, 20)
    assert (await client.streams(None, 10))[0] == [node.totals["sent", TALK]]
    assert await client.stream(CHANNEL, "sent", TALK) == node.totals["sent", TALK]
    with pytest.raises(Rejected, match="no channel"):
        await client.stream(bytes(32), "sent", TALK)
    with pytest.raises(Rejected, match="only neighbours"):
        await client.push(ALICE, "ETH", TALK, (5,), 1.0)
    with pytest.raises(Rejected, match="stream: expected 0x and 16 bytes"):
        await client.push(BOB, "ETH", b"short", (5,), 1.0)


async def everything(client: ApiClient, amounts: list[int], to: PushMany) -> list[StreamedPushes]:
    return [line async for line in client.push_many(amounts, to)]


async def test_a_thousand_pushes_are_each_answered_once(client: ApiClient, node: ScriptedNode) -> None:
    amounts = list(range(100, 1_100))
    answers = await everything(client, amounts, to_bob())
    answers.sort(key=lambda answer: answer.index)
    ends = [answer.index + answer.lines for answer in answers]
    assert [answer.index for answer in answers] == [0, *ends[:-1]] and ends[-1] == 1_000
    assert sum(answer.push.sent for answer in answers if answer.push) == 1_000
    assert node.totals["sent", TALK].total == sum(amounts)


async def test_no_more_wait_at_once_than_was_asked_for(client: ApiClient, node: ScriptedNode) -> None:
    answers = await everything(client, [1] * 200, to_bob(in_flight=7))
    assert node.most_pushing <= 7 and all(answer.lines <= 7 for answer in answers)
    assert sum(answer.lines for answer in answers) == 200


async def test_some_are_dropped_and_the_others_are_made(client: ApiClient) -> None:
    (answer,) = await everything(client, [1, UNLUCKY, 2], to_bob())
    assert answer.push is not None
    assert (answer.push.sent, answer.push.dropped, answer.push.failure) == (2, (1,), "expected luck")


async def test_amounts_go_as_they_arise(client: ApiClient) -> None:
    heard: asyncio.Queue[int] = asyncio.Queue()

    async def one_by_one() -> AsyncIterator[int]:
        for amount in (3, 4, 5):
            yield amount
            assert await heard.get() == amount  # the last one is answered before the next is said

    async with aclosing(client.push_many(one_by_one(), to_bob())) as answers:
        totals = []
        async for answer in answers:
            assert answer.push is not None
            totals.append(answer.push.stream_total)
            heard.put_nowait(answer.push.stream_total - sum(totals[:-1][-1:]))
    assert totals == [3, 7, 12]


async def raw(server: ApiServer, body: bytes, query: str = "") -> list[dict[str, object]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    query = query or f"peer=0x{BOB.hex()}&asset=ETH"
    writer.write(
        f"POST /v1/pushes/stream?{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    answer = await reader.read()
    writer.close()
    return [json.loads(line) for line in answer.splitlines() if line.startswith(b"{")]


async def test_bad_lines_are_answered_and_do_not_stop_the_others(server: ApiServer) -> None:
    lines = [b'"5"', b"5", b"", b'"0"', b'"-5"', b'"5.0"', b'"' + b"9" * 29 + b'"', b"\xff", b' "6" ']
    answers = await raw(server, b"\n".join(lines))
    answers.sort(key=lambda answer: int(str(answer["index"])))
    assert [(answer["index"], answer["lines"], answer["error"] is None) for answer in answers] == [
        (0, 1, True),
        *((index, 1, False) for index in range(1, 7)),
        (7, 1, True),
    ]


async def test_a_line_without_end_is_answered_before_it_has_ended(server: ApiServer) -> None:
    (answer, *_) = await raw(server, b'"' + b"1" * 100_000)
    assert "expected an amount in quotes" in str(answer["error"])


async def test_a_wrong_query_is_refused(server: ApiServer) -> None:
    (answer,) = await raw(server, b'"5"', query="asset=ETH")
    assert "peer: expected a value" in str(answer["error"])


async def test_what_a_caller_who_left_has_asked_for_is_made(
    server: ApiServer, client: ApiClient, node: ScriptedNode
) -> None:
    node.push_gate = asyncio.Event()
    async with aclosing(client.push_many([5, 6], to_bob())) as answers:
        reading = asyncio.create_task(anext(answers))
        assert await node.pushes.get() == 2
        reading.cancel()
        await asyncio.wait([reading])
    node.push_gate.set()
    while (await node.sent.get()).total < 11:
        pass


async def test_pending_pushes_are_told_as_such(client: ApiClient) -> None:
    (answer,) = await everything(client, [5, 6], to_bob(stream=SLOW))
    assert answer.push is not None and (answer.push.sent, answer.push.pending) == (0, 2)


async def test_what_comes_in_is_told_while_it_comes(client: ApiClient, node: ScriptedNode) -> None:
    async with aclosing(client.received()) as lines:
        for total in (5, 10):
            node.incoming.put_nowait(node.grow("received", "ETH", TALK, [5]))
            assert (await anext(lines)).total == total
        assert node.followers == 1
    await node.left.wait()
    assert node.followers == 0
