"""Sixteen strangers flood bob: what they cost him is counted for all of them, and friends notice nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.strangers import STRANGERS, Stranger, long_updates, policies_with_bad_signatures
from channeld.core.events import MessageReceived
from channeld.daemon import strangers
from channeld.daemon.commands import Daemon
from channeld.daemon.strangers import BURST_S, LOT_S, MESSAGE_S, SHARE, Account, StrangersTime
from channeld.wire.messages import encode
from tests.daemon.cluster import USD, cluster, eventually
from tests.daemon.town import STAKE

WORDS = {"bad policies": policies_with_bad_signatures, "long updates": lambda _: long_updates()}
SAID_BY_EACH = 250
"""More than two lots, whatever the computer: each message counts for MESSAGE_S at least."""


@asynccontextmanager
async def strangers_at(bob: Daemon, count: int) -> AsyncIterator[list[Stranger]]:
    """Connected and polite so far."""
    cast = [Stranger(number) for number in range(count)]
    try:
        for each in cast:
            await each.transport.connect(bob.signer.public_key, f"ws://127.0.0.1:{bob.listen_port}/")
            each.transport.send(bob.signer.public_key, encode(bob.peering._hello))
        for each in cast:
            await eventually(lambda each=each: bob.peering.is_connected(each.signer.public_key))
        yield cast
    finally:
        await asyncio.gather(*(each.transport.close() for each in cast))


@pytest.mark.parametrize("kind", WORDS)
async def test_sixteen_strangers_flood_and_bob_hears_his_friend(tmp_path, monkeypatch, kind):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        await net.open("alice", "bob", "USD", STAKE, STAKE)
        bob = net["bob"]
        heard: list[bytes] = []
        by_engine: list[bytes] = []
        hear, post = bob.peering._hear, bob.engine.post

        def hearing(peer_id: bytes, peer: object, data: bytes) -> None:
            heard.append(peer_id)
            hear(peer_id, peer, data)

        def posting(event: object) -> None:
            if isinstance(event, MessageReceived):
                by_engine.append(event.peer)
            post(event)

        bob.engine.post = posting
        async with strangers_at(bob, STRANGERS) as cast:
            bob.peering._hear = hearing
            # One lot is saved up, and nothing is added while the story lasts.
            monkeypatch.setattr(strangers, "BURST_S", LOT_S)
            monkeypatch.setattr(strangers, "SHARE", 1e-9)
            words = WORDS[kind](bob.domain)
            for each in cast:
                for number in range(SAID_BY_EACH):
                    assert each.transport.send(bob.signer.public_key, words[number % len(words)])
            await eventually(lambda: bob.peering._strangers_time._waiting == STRANGERS, 60.0)
            for invoice in await bob.create_invoice("USD", USD, "", None, 20):
                assert (await net["alice"].pay(invoice.text, None, None, 30.0)).status == "succeeded"
            ids = {each.signer.public_key for each in cast}
            assert set(by_engine) == {net.node_id("alice")}, "strangers' messages reached the engine"
            said = sum(peer_id in ids for peer_id in heard)
            # Each may have a lot left from its greeting, and owes for the message at which it was stopped.
            assert 0 < said <= (STRANGERS + 1) * LOT_S / MESSAGE_S + STRANGERS < STRANGERS * SAID_BY_EACH
            assert all(bob.peering.is_connected(peer_id) for peer_id in ids), "to be slow is no violation"


async def test_an_honest_newcomer_has_his_turn_among_those_who_flood(tmp_path):
    async with cluster(tmp_path, "bob", "carol") as net:
        bob = net["bob"]
        async with strangers_at(bob, STRANGERS - 1) as cast:
            words = policies_with_bad_signatures(bob.domain)
            for each in cast:
                for _ in range(10):
                    for word in words:
                        assert each.transport.send(bob.signer.public_key, word)
            await eventually(lambda: bob.peering._strangers_time._waiting > 1)
            await net.connect("carol", "bob")
            opened = await net.open("carol", "bob", "USD", STAKE, 0)
            assert net.state("carol", opened).peer == bob.signer.public_key


class Clock:
    """Stands still unless it is moved."""

    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_strangers_have_a_share_of_the_time_and_no_more():
    clock = Clock()
    shared = StrangersTime(clock)
    accounts = [Account() for _ in range(8)]
    spent_s = 0.0
    for _ in range(100):
        for account in accounts:
            while not shared.spend(account, LOT_S / 4, 0):
                spent_s += LOT_S / 4
        clock.now_s += 0.1
    passed_s = 100 * 0.1
    assert 0.5 * SHARE * passed_s < spent_s <= BURST_S + SHARE * passed_s


async def test_who_waits_for_time_has_it_in_turn_and_who_owes_much_waits_again():
    clock = Clock()
    shared = StrangersTime(clock)
    greedy, first, second = Account(), Account(), Account()
    assert shared.spend(greedy, BURST_S + 2 * LOT_S, 0), "all that was saved, and two lots more"
    assert shared.spend(first, LOT_S / 2, 0) and shared.spend(second, LOT_S / 2, 0)
    order: list[str] = []

    async def waits(name: str, account: Account) -> None:
        await shared.wait(account)
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for name, account in (("greedy", greedy), ("first", first), ("second", second)):
            group.create_task(waits(name, account))
        await asyncio.sleep(0)
        latecomer = Account()
        clock.now_s += 60.0
        assert shared.spend(latecomer, LOT_S / 2, 0), "there is time now, but others were here before"
    assert order == ["first", "second", "greedy"]
    assert not shared.spend(latecomer, 0.0, 0)
