"""Whoever has proven no key: may cost little, may stay short, and is told nothing."""

import asyncio
import gc
import logging
from contextlib import suppress

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channeld.wire.noise import initiate
from tests.transport.transport_cast import Node, cast, mallory_at

HANDSHAKE_FAILED = 4002


@pytest.mark.parametrize("act_one", [b"", b"\x00", bytes(50), b"\x01" * 50, b"GET / HTTP/1.1", bytes(5000)])
async def test_a_wrong_first_act_is_the_last(act_one: bytes) -> None:
    async with cast(1) as (bob,), mallory_at(bob) as mallory:
        await mallory.knock()
        await mallory.socket.send_bytes(act_one)
        assert await mallory.close_code() == HANDSHAKE_FAILED
        assert bob.story == []


async def test_text_is_no_act() -> None:
    async with cast(1) as (bob,), mallory_at(bob) as mallory:
        await mallory.knock()
        await mallory.socket.send_str("hello")
        assert await mallory.close_code() == HANDSHAKE_FAILED
        assert bob.story == []


async def test_an_oversize_frame_is_refused_by_its_header() -> None:
    async with cast(1) as (bob,), mallory_at(bob) as mallory:
        await mallory.knock()
        await mallory.socket.send_bytes(bytes(65_570))
        assert await mallory.close_code() == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        assert bob.story == []


async def test_messages_before_the_third_act_are_not_heard() -> None:
    async with cast(1) as (bob,), mallory_at(bob) as mallory:
        await mallory.knock()
        act_one, _ = initiate(mallory.key, bob.id, b"\x07" * 32)
        await mallory.socket.send_bytes(act_one)
        await mallory.socket.receive_bytes()
        await mallory.socket.send_bytes(b"an early message")
        assert await mallory.close_code() == HANDSHAKE_FAILED
        assert bob.story == []


async def test_act_one_for_somebody_else_is_refused() -> None:
    async with cast(2) as (bob, carol), mallory_at(bob) as mallory:
        await mallory.knock()
        act_one, _ = initiate(mallory.key, carol.id, b"\x07" * 32)
        await mallory.socket.send_bytes(act_one)
        assert await mallory.close_code() == HANDSHAKE_FAILED


async def test_who_says_nothing_is_shown_out() -> None:
    async with cast(1, handshake_timeout_s=0.5) as (bob,), mallory_at(bob) as mallory:
        reader, writer = await asyncio.open_connection("127.0.0.1", bob.port)
        await mallory.knock()  # says a little: HTTP, but no act
        half_a_request, half_writer = await asyncio.open_connection("127.0.0.1", bob.port)
        half_writer.write(b"GET / HTTP/1.1\r\nHost: ")
        for silent in (reader, half_a_request):
            with pytest.raises(ConnectionError):  # a reset, or the end of the stream
                if await silent.read(1) == b"":
                    raise ConnectionResetError
        assert await mallory.close_code() == 1006
        for quiet in (writer, half_writer):
            quiet.close()
        assert bob.story == []


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: bob\r\n\r\n", b"426"),
        (b"POST / HTTP/1.1\r\nHost: bob\r\nContent-Length: 3\r\n\r\nabc", b"426"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: " + b"b" * 9000 + b"\r\n\r\n", b"400"),
        (
            b"GET / HTTP/1.1\r\nHost: bob\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \xff\xfe\r\n\r\n",
            b"",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: bob\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            b"426",
        ),
    ],
)
async def test_other_http_is_turned_away(
    request_bytes: bytes, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with cast(1) as (bob,):
        with caplog.at_level(logging.INFO):
            reader, writer = await asyncio.open_connection("127.0.0.1", bob.port)
            writer.write(request_bytes)
            answer = await reader.read(-1)
            writer.close()
        assert status in answer.split(b"\r\n")[0]
        assert b"101 " not in answer
        assert max((record.levelno for record in caplog.records), default=0) <= logging.INFO


async def test_one_network_cannot_take_all_places_and_leaving_frees_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with cast(2, max_handshakes_per_network=3) as (alice, bob):
        idle = [await asyncio.open_connection("127.0.0.1", bob.port) for _ in range(3)]
        refused, writer = await asyncio.open_connection("127.0.0.1", bob.port)
        with pytest.raises(ConnectionError):
            if await refused.read(1) == b"":
                raise ConnectionResetError
        writer.close()
        assert "127.0.0.1 was turned away: all 3 places of one network are taken" in caplog.messages
        for _, quiet in idle:
            quiet.close()
        alice.transport.want(bob.id, bob.url)  # dials until a place is free
        await bob.until_heard("up")


async def test_a_crowd_that_is_turned_away_is_no_bug_of_ours() -> None:
    bugs: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: bugs.append(context))
    async with cast(2, max_handshakes_per_network=3) as (alice, bob):
        crowd = [await asyncio.open_connection("127.0.0.1", bob.port) for _ in range(20)]
        for reader, _ in crowd[3:]:
            with suppress(ConnectionError):
                assert await reader.read(1) == b""
        for _, writer in crowd:
            writer.close()
        alice.transport.want(bob.id, bob.url)
        await bob.until_heard("up")
        gc.collect()  # a task that failed is reported when it is forgotten
    assert bugs == []  # a daemon stops at the first


async def test_authenticated_strangers_are_limited_and_wanted_peers_are_not() -> None:
    async with cast(3, max_strangers=1) as (alice, bob, carol), mallory_at(bob) as mallory:
        await mallory.introduce()
        await bob.until_heard("up")
        await alice.transport.connect(bob.id, bob.url)
        await alice.until_heard("down")
        assert alice.heard("down") == ["closed with code 1013 (try later)"]

        bob.transport.want(carol.id, None)  # bob has a channel with her
        await carol.transport.connect(bob.id, bob.url)
        await bob.until_heard("up", 2)
        assert bob.heard("down") == []

        await mallory.socket.close()
        await bob.until_heard("down")
        await alice.transport.connect(bob.id, bob.url)
        await bob.until_heard("up", 3)


async def test_a_stranger_who_becomes_a_partner_frees_his_place() -> None:
    async with cast(3, max_strangers=1) as (alice, bob, carol):
        await alice.transport.connect(bob.id, bob.url)
        await bob.until_heard("up")
        bob.transport.want(alice.id, None)
        await carol.transport.connect(bob.id, bob.url)
        await bob.until_heard("up", 2)
        await alice.transport.disconnect(bob.id, "bye")
        await bob.until_heard("down")


async def test_what_strangers_log_is_counted_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    async with cast(1, stranger_log_interval_s=3600.0) as (bob,):
        with caplog.at_level(logging.INFO):
            for _ in range(5):
                async with mallory_at(bob) as mallory:
                    await mallory.knock()
                    await mallory.socket.send_bytes(b"rubbish")
                    await mallory.close_code()
    lines = [
        record.getMessage() for record in caplog.records if "failed the handshake" in record.getMessage()
    ]
    assert lines == ["127.0.0.1 failed the handshake: ACT1_READ_FAILED: expected 50 bytes, got 7"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(st.binary(max_size=120), max_size=4))
def test_random_bytes_over_tcp_never_reach_the_node(frames: list[bytes]) -> None:
    async def story() -> Node:
        async with cast(1, handshake_timeout_s=0.2) as (bob,):
            reader, writer = await asyncio.open_connection("127.0.0.1", bob.port)
            for frame in frames:
                writer.write(frame)
            writer.write_eof()
            with suppress(ConnectionError):
                await reader.read(-1)
            writer.close()
        return bob

    assert asyncio.run(story()).story == []
