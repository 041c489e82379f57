"""Peers who have proven a key and misbehave: they lose the connection, nobody else notices."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable
from functools import partial

import pytest

from channeld.core.errors import PeerViolation
from channeld.wire.framing import seal_frames
from tests.transport.transport_cast import Node, cast, mallory_at

VIOLATION = 1008


async def test_text_after_the_handshake() -> None:
    async with cast(1) as (bob,), mallory_at(bob) as mallory:
        await mallory.introduce()
        await mallory.socket.send_str("hello")
        assert await mallory.close_code() == VIOLATION
        await bob.until_heard("down")
        assert bob.heard("down") == ["MalformedMessage: frame: expected a binary frame, got a text frame"]


async def test_a_frame_that_is_not_sealed() -> None:
    async with cast(1) as (bob,), mallory_at(bob) as mallory:
        await mallory.introduce()
        await mallory.socket.send_bytes(bytes(100))
        assert await mallory.close_code() == VIOLATION
        await bob.until_heard("down")
        assert "BadSeal" in str(bob.heard("down"))


async def test_half_a_frame_delivers_what_was_whole_and_no_more() -> None:
    async with cast(1) as (bob,), mallory_at(bob) as mallory:
        await mallory.introduce()
        (frame,) = seal_frames(mallory.noise, [b"whole", b"cut"])
        await mallory.socket.send_bytes(frame[:-1])
        assert await mallory.close_code() == VIOLATION
        await bob.until_heard("down")
        assert bob.heard() == [b"whole"]


async def test_a_message_without_end() -> None:
    async with cast(1) as (bob,), mallory_at(bob) as mallory:
        await mallory.introduce()
        for _ in range(17):
            await mallory.socket.send_bytes(mallory.noise.seal(b"\x01" + bytes(65_534)))
        assert await mallory.close_code() == VIOLATION
        await bob.until_heard("down")
        assert "at most 1048576 bytes" in str(bob.heard("down"))


async def test_a_message_that_the_daemon_refuses() -> None:
    def refuse(peer_id: bytes, data: bytes) -> None:
        raise PeerViolation("expected a tag below 32, got 99")

    async with cast(2) as (alice, bob):
        bob.answer = refuse
        await alice.transport.connect(bob.id, bob.url)
        alice.transport.send(bob.id, b"nonsense")
        alice.transport.send(bob.id, b"more of it")
        await asyncio.gather(alice.until_heard("down"), bob.until_heard("down"))
        assert bob.heard() == [b"nonsense"]
        assert bob.heard("down") == ["PeerViolation: expected a tag below 32, got 99"]
        assert alice.heard("down") == ["closed with code 1008 (violation)"]


async def test_nothing_is_delivered_after_the_end() -> None:
    async with cast(2) as (alice, bob):
        bob.answer = lambda peer_id, data: bob.live(peer_id).abort("enough")
        await alice.transport.connect(bob.id, bob.url)
        for word in (b"one", b"two", b"three"):
            alice.transport.send(bob.id, word)
        await bob.until_heard("down")
        assert bob.heard() == [b"one"]
        assert bob.heard("down") == ["enough"]


async def test_a_bug_of_ours_is_not_swallowed() -> None:
    def stumble(peer_id: bytes, data: bytes) -> None:
        raise AssertionError("an invariant does not hold")

    bugs = collected_bugs()
    async with cast(2) as (alice, bob):
        bob.answer = stumble
        await alice.transport.connect(bob.id, bob.url)
        alice.transport.send(bob.id, b"innocent")
        await asyncio.gather(alice.until_heard("down"), bob.until_heard("down"))
    assert [str(bug) for bug in bugs] == ["an invariant does not hold"]


async def test_a_bug_when_a_peer_arrives_is_not_swallowed_either() -> None:
    def stumble(peer_id: bytes) -> None:
        raise AssertionError("an invariant does not hold")

    bugs = collected_bugs()
    async with cast(2) as (alice, bob):
        bob.greet = stumble
        await alice.transport.connect(bob.id, bob.url)
        await bob.until(lambda: bool(bugs))
    assert [str(bug) for bug in bugs] == ["an invariant does not hold"]


def collected_bugs() -> list[BaseException]:
    bugs: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: bugs.append(context["exception"]))
    return bugs


async def test_a_daemon_that_no_longer_listens_can_still_close() -> None:
    async def never() -> None:
        await asyncio.get_running_loop().create_future()

    async with cast(2) as (alice, bob):
        bob.answer = lambda peer_id, data: never()
        await alice.transport.connect(bob.id, bob.url)
        alice.transport.send(bob.id, b"wait for ever")
        await bob.until_heard("message")
        await bob.transport.close()
        assert bob.heard("down") == ["this node stops"]
        await alice.until_heard("down")


async def test_a_flood_of_pings_does_not_starve_the_others() -> None:
    async with cast(2) as (alice, bob), mallory_at(bob) as mallory:
        await mallory.introduce()
        await alice.transport.connect(bob.id, bob.url)

        async def flood() -> None:
            while True:
                await mallory.socket.ping()
                await asyncio.sleep(0)

        flooding = asyncio.create_task(flood())
        for number in range(20):
            alice.transport.send(bob.id, b"%d" % number)
            await bob.until(partial(has_heard, bob, alice.id, b"%d" % number))
        flooding.cancel()
        await asyncio.wait([flooding])


async def test_a_peer_who_does_not_read_loses_the_connection_not_our_memory() -> None:
    limit_bytes = 1 << 20
    async with cast(1, max_unsent_bytes=limit_bytes) as (bob,), mallory_at(bob) as mallory:
        await mallory.introduce()
        await bob.until_heard("up")
        connection = bob.live(mallory.id)
        sent_bytes = 0
        while connection.send(bytes(50_000)):
            sent_bytes += 50_000
            await asyncio.sleep(0)
            assert sent_bytes < 100 * limit_bytes, "the queue has no bound"
        await bob.until_heard("down")
        assert "reads too slowly" in str(bob.heard("down"))
        assert not connection.send(b"more")


async def test_many_small_messages_count_too() -> None:
    async with cast(1, max_unsent_messages=100) as (bob,), mallory_at(bob) as mallory:
        await mallory.introduce()
        await bob.until_heard("up")
        assert [bob.transport.send(mallory.id, b"x") for _ in range(101)] == [True] * 100 + [False]
        await bob.until_heard("down")


async def test_a_flooder_is_slowed_to_the_pace_of_the_daemon() -> None:
    gate = asyncio.Event()

    def slow(peer_id: bytes, data: bytes) -> Awaitable[None]:
        return passed_through()

    async def passed_through() -> None:
        await gate.wait()

    async with cast(2, max_unsent_bytes=4 << 20) as (alice, bob):
        bob.answer = slow
        connection = await alice.transport.connect(bob.id, bob.url)
        full = False
        while not full:  # it ends because bob's slowness reaches alice's queue
            full = not connection.send(bytes(60_000))
            await asyncio.sleep(0)
        assert len(bob.heard()) == 1
        gate.set()
        await bob.until_heard("down")


async def test_a_flooder_does_not_starve_the_others() -> None:
    async with cast(3) as (alice, bob, carol):
        await alice.transport.connect(bob.id, bob.url)
        await carol.transport.connect(bob.id, bob.url)
        stop = False

        async def flood() -> None:
            while not stop:
                alice.transport.send(bob.id, b"spam")
                await asyncio.sleep(0)

        flooding = asyncio.create_task(flood())
        for number in range(20):
            carol.transport.send(bob.id, b"%d" % number)
            await bob.until(partial(has_heard, bob, carol.id, b"%d" % number))
        stop = True
        await flooding


def has_heard(node: Node, peer_id: bytes, detail: bytes) -> bool:
    return ("message", peer_id, detail) in node.story


def has_lost(node: Node, peer_id: bytes) -> bool:
    return ("down", peer_id) in [(what, who) for what, who, _ in node.story]


async def test_one_frame_full_of_messages_does_not_take_the_whole_turn() -> None:
    loop = asyncio.get_running_loop()
    turn, per_turn = 0, Counter[int]()

    def tick() -> None:
        nonlocal turn
        turn += 1
        if per_turn.total() < 1500:
            loop.call_soon(tick)

    def count(peer_id: bytes, data: bytes) -> None:
        per_turn[turn] += 1

    async with cast(2) as (alice, bob):
        bob.answer = count
        await alice.transport.connect(bob.id, bob.url)
        for _ in range(1500):
            alice.transport.send(bob.id, b"x")
        loop.call_soon(tick)
        await bob.until_heard("message", 1500)
        assert max(per_turn.values()) <= 512


async def test_a_silent_peer_is_given_up_and_a_quiet_honest_one_is_kept() -> None:
    async with (
        cast(2, ping_interval_s=0.1, silence_timeout_s=0.8) as (alice, bob),
        mallory_at(bob, 66) as mallory,
        mallory_at(bob, 67) as oscar,
    ):
        await alice.transport.connect(bob.id, bob.url)
        for silent in (mallory, oscar):  # one after the other: twice the time in which alice says nothing
            await silent.introduce()
            await bob.until(partial(has_lost, bob, silent.id))
        assert alice.heard("down") == []
        assert "silent" in str(bob.heard("down"))


async def test_our_own_slowness_is_not_the_peers_silence() -> None:
    gate = asyncio.Event()

    async def passed_through() -> None:
        await gate.wait()

    async with (
        cast(2, ping_interval_s=0.1, silence_timeout_s=0.8) as (alice, bob),
        mallory_at(bob) as mallory,
    ):
        bob.answer = lambda peer_id, data: passed_through()
        bob.transport.want(alice.id, None)
        await mallory.introduce()
        (frame,) = seal_frames(mallory.noise, [b"wait for it"])
        await mallory.socket.send_bytes(frame)
        await bob.until_heard("message")
        await alice.transport.connect(bob.id, bob.url)
        async with mallory_at(bob, 67) as oscar:  # her silence measures that the time has passed
            await oscar.introduce()
            await bob.until_heard("down")
        assert bob.transport.connection(mallory.id) is not None
        gate.set()


async def test_a_new_connection_of_the_same_peer_replaces_the_old() -> None:
    async with cast(1) as (bob,), mallory_at(bob) as mallory, mallory_at(bob) as again:
        await mallory.introduce()
        await bob.until_heard("up")
        await again.introduce()
        await bob.until_heard("up", 2)
        assert [what for what, _, _ in bob.story] == ["up", "down", "up"]
        assert bob.heard("down") == ["replaced by a newer connection of the same peer"]
        assert await mallory.close_code() in (4001, 1006)
        (frame,) = seal_frames(again.noise, [b"it is me"])
        await again.socket.send_bytes(frame)
        await bob.until_heard("message")


async def test_nothing_that_was_said_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with cast(2) as (alice, bob), mallory_at(bob) as mallory:
            await alice.transport.connect(bob.id, bob.url)
            alice.transport.send(bob.id, b"the secret word")
            await bob.until_heard("message")
            await mallory.introduce()
            (frame,) = seal_frames(mallory.noise, [b"the secret word"])
            await mallory.socket.send_bytes(frame + b"the secret word")
            await mallory.close_code()
    text = caplog.text
    assert "is connected" in text
    assert "secret word" not in text
    assert b"the secret word".hex() not in text
    assert (b"\x01" * 32).hex() not in text, "alice's key"
