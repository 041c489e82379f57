"""Two honest ends over loopback: they meet, talk, part and meet again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from channeld.adapters.transport.dialler import CannotReach
from channeld.core.errors import Rejected
from channeld.wire.limits import MAX_MESSAGE_BYTES
from tests.transport.transport_cast import Node, cast


@pytest.fixture
async def pair() -> AsyncIterator[list[Node]]:
    async with cast(2) as nodes:
        yield nodes


async def test_alice_dials_bob_and_both_know_whom_they_talk_to(pair: list[Node]) -> None:
    alice, bob = pair
    await alice.transport.connect(bob.id, bob.url)
    await bob.until_heard("up")
    assert alice.story == [("up", bob.id, "")]
    assert bob.story == [("up", alice.id, "")]
    assert alice.transport.send(bob.id, b"hello bob")
    assert bob.transport.send(alice.id, b"hello alice")
    await asyncio.gather(alice.until_heard("message"), bob.until_heard("message"))
    assert bob.story[-1] == ("message", alice.id, b"hello bob")
    assert alice.story[-1] == ("message", bob.id, b"hello alice")


async def test_messages_of_all_sizes_arrive_in_order(pair: list[Node]) -> None:
    alice, bob = pair
    connection = await alice.transport.connect(bob.id, bob.url)
    sizes = [1, 65_534, 65_535, MAX_MESSAGE_BYTES, 7, 200_000, *range(1, 300)]
    messages = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    assert all(connection.send(message) for message in messages)
    await bob.until_heard("message", len(messages))
    assert bob.heard() == messages


async def test_a_second_connect_returns_the_same_connection(pair: list[Node]) -> None:
    alice, bob = pair
    first, second = await asyncio.gather(
        alice.transport.connect(bob.id, bob.url), alice.transport.connect(bob.id, bob.url)
    )
    assert first is second
    assert await alice.transport.connect(bob.id, "ws://127.0.0.1:1/") is first
    assert alice.heard("up") == [""]


async def test_a_clean_close_delivers_what_was_queued(pair: list[Node]) -> None:
    alice, bob = pair
    await alice.transport.connect(bob.id, bob.url)
    for number in range(100):
        alice.transport.send(bob.id, bytes([number]) * 10_000)
    await alice.transport.disconnect(bob.id, "done")
    await bob.until_heard("down")
    assert len(bob.heard()) == 100
    assert alice.heard("down") == ["done"]
    assert bob.heard("down") == ["closed with code 1000 (done)"]
    assert not alice.transport.send(bob.id, b"too late")


async def test_the_accepting_side_closes_cleanly_too(pair: list[Node]) -> None:
    alice, bob = pair
    await alice.transport.connect(bob.id, bob.url)
    await bob.until_heard("up")
    bob.transport.send(alice.id, b"last words")
    await bob.transport.disconnect(alice.id, "done")
    await alice.until_heard("down")
    assert alice.heard() == [b"last words"]
    assert alice.heard("down") == ["closed with code 1000 (done)"]


async def test_nobody_is_there(pair: list[Node]) -> None:
    alice, bob = pair
    await bob.transport.close()
    with pytest.raises(CannotReach, match="cannot connect"):
        await alice.transport.connect(bob.id, bob.url)
    assert alice.story == []


async def test_somebody_else_is_there() -> None:
    async with cast(3) as (alice, bob, carol):
        with pytest.raises(CannotReach, match=f"expected the owner of {carol.id.hex()}"):
            await alice.transport.connect(carol.id, bob.url)
        assert alice.story == bob.story == carol.story == []


async def test_nobody_dials_himself(pair: list[Node]) -> None:
    alice, _ = pair
    with pytest.raises(Rejected, match="our own"):
        await alice.transport.connect(alice.id, alice.url)


async def test_a_closed_transport_takes_no_orders(pair: list[Node]) -> None:
    alice, bob = pair
    await alice.transport.close()
    with pytest.raises(Rejected, match="closing"):
        await alice.transport.connect(bob.id, bob.url)
    with pytest.raises(Rejected, match="closing"):
        alice.transport.want(bob.id, bob.url)


async def test_a_wanted_peer_is_dialled_again_after_its_restart(pair: list[Node]) -> None:
    alice, bob = pair
    alice.transport.want(bob.id, bob.url)
    await bob.until_heard("up")
    port = bob.port
    await bob.transport.close()
    await alice.until_heard("down")
    assert alice.heard("down") == ["closed with code 1001 (going away)"]

    again = Node(2 if bob.key.public_key == Node(2).id else 1)
    assert again.id == bob.id
    await again.listen(port)
    await asyncio.gather(again.until_heard("up"), alice.until_heard("up", 2))
    again.transport.send(alice.id, b"I am back")
    await alice.until_heard("message")
    await again.transport.close()


async def test_a_forgotten_peer_is_not_dialled_again(pair: list[Node]) -> None:
    alice, bob = pair
    alice.transport.want(bob.id, bob.url)
    await asyncio.gather(alice.until_heard("up"), bob.until_heard("up"))
    alice.transport.forget(bob.id)
    await bob.transport.disconnect(alice.id, "bye")
    await alice.until_heard("down")
    assert alice.transport.connection(bob.id) is None


async def test_both_dial_at_once_and_the_lower_keys_connection_stays(pair: list[Node]) -> None:
    alice, bob = pair
    for _ in range(5):
        await asyncio.gather(
            alice.transport.connect(bob.id, bob.url), bob.transport.connect(alice.id, alice.url)
        )
        await alice.until(lambda: is_settled(alice, bob))
        alice.transport.send(bob.id, b"ping")
        bob.transport.send(alice.id, b"pong")
        await asyncio.gather(
            alice.until(lambda: alice.story[-1][0] == "message"),
            bob.until(lambda: bob.story[-1][0] == "message"),
        )
        kept = alice.transport.connection(bob.id)
        assert kept is not None
        assert kept.initiator_id == alice.id
        await alice.transport.disconnect(bob.id, "again")
        await bob.until(lambda: bob.transport.connection(alice.id) is None)
    for node in pair:  # ups and downs alternate, whatever crossed on the way
        ups_and_downs = [what for what, _, _ in node.story if what != "message"]
        assert ups_and_downs == ["up", "down"] * (len(ups_and_downs) // 2)


def is_settled(alice: Node, bob: Node) -> bool:
    ends = alice.transport.connection(bob.id), bob.transport.connection(alice.id)
    return all(end is not None and end.initiator_id == alice.id for end in ends)
