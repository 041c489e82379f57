"""Peers that do not behave, on real sockets: what they cost bob is counted, and the others notice nothing."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.strangers import policies_with_bad_signatures
from channeld.adapters.signer import address_of
from channeld.core.channel import Ack, Reestablish
from channeld.core.errors import OperationalError, PeerViolation
from channeld.core.messages import Hello
from channeld.daemon import commands, peering
from channeld.wire.messages import encode
from tests.daemon.cluster import USD, Cluster, cluster, eventually
from tests.daemon.town import STAKE
from tests.transport.transport_cast import Node


@asynccontextmanager
async def stranger(seed: int = 77) -> AsyncIterator[Node]:
    """mallory, who is only a key and a socket."""
    mallory = Node(seed)
    try:
        yield mallory
    finally:
        await mallory.transport.close()


async def dials(mallory: Node, net: Cluster, name: str, *words: bytes) -> None:
    """mallory proves her key to a daemon and says her words."""
    target = net[name]
    mallory.greet = lambda peer_id: [mallory.transport.send(peer_id, word) for word in words] and None
    await mallory.transport.connect(target.signer.public_key, f"ws://127.0.0.1:{target.listen_port}/")


async def test_a_stranger_leaves_nothing_behind(tmp_path):
    """Keys are free: whoever comes with a new one each time must not fill bob's memory."""
    async with cluster(tmp_path, "bob") as net:
        hello = encode(net["bob"].peering._hello)
        for seed in (71, 72, 73):
            async with stranger(seed) as mallory:
                await dials(mallory, net, "bob", hello)
                await eventually(lambda mallory=mallory: net["bob"].peering.is_connected(mallory.id))
                assert net["bob"].peering.node_of(address_of(mallory.id)) == mallory.id
            await eventually(lambda: not net["bob"].peering._peers)
        assert net["bob"].peering._by_address == {}
        assert net["bob"].engine.tables.channels_of == {}


async def test_who_does_not_greet_loses_the_place(tmp_path, monkeypatch):
    monkeypatch.setattr(peering, "UNGREETED_S", 0.05)
    async with cluster(tmp_path, "bob") as net, stranger() as mallory:
        await dials(mallory, net, "bob")
        await mallory.until_heard("down")
        assert not net["bob"].peering._peers


@pytest.mark.parametrize("other", ["silent", "of another chain"])
async def test_a_peer_that_never_greeted_is_neither_remembered_nor_dialled_again(
    tmp_path, monkeypatch, other
):
    monkeypatch.setattr(commands, "GREETING_S", 0.5)
    async with cluster(tmp_path, "alice") as net, stranger() as mallory:
        await mallory.listen()
        if other == "of another chain":
            ours = net["alice"].peering._hello
            wrong = encode(Hello(ours.protocol, ours.chain_id + 1, ours.adjudicator, "mallory"))
            mallory.greet = lambda peer_id: mallory.transport.send(peer_id, wrong) and None
        with pytest.raises(OperationalError, match="did not answer the greeting"):
            await net["alice"].connect(f"{mallory.id.hex()}@127.0.0.1:{mallory.port}")
        assert net["alice"].peering.known == {} and (await net["alice"].peers())[0] == []
        # Nobody wants her: no task dials, after a restart neither.
        assert net["alice"].peering.transport._wanted == {}
        assert list(net["alice"].engine.journal.load("peer")) == []


async def test_a_flooder_waits_for_its_own_messages_and_nobody_else_does(tmp_path, monkeypatch):
    """alice has gone mad: 20,000 answers to nothing. bob reads a few at a time; carol is served meanwhile."""
    monkeypatch.setattr(peering, "USELESS_PAUSE_S", 0.002)
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        for name in ("alice", "carol"):
            await net.connect(name, "bob")
        ab = await net.open("alice", "bob", "USD", STAKE, STAKE)
        await net.open("carol", "bob", "USD", STAKE, STAKE)
        bob, engine = net["bob"], net["bob"].engine
        waiting: list[int] = []
        post = engine.post

        def counting(event: object) -> None:
            post(event)
            waiting.append(len(engine._queue))

        engine.post = counting
        useless: Counter[bytes] = Counter()
        heard = engine.on_useless
        engine.on_useless = lambda peer: (useless.update([peer]), heard(peer))
        word = encode(Ack(ab, 10**6, bytes(64)))
        alice = net["alice"].peering.transport.connection(bob.signer.public_key)
        sent = 0
        (invoice,) = await bob.create_invoice("USD", USD, "", None, 1)
        paying = asyncio.create_task(net["carol"].pay(invoice.text, None, None, 30.0))
        while sent < 20_000:
            # As fast as she can without losing the connection.
            while alice._queued_bytes < 100_000 and sent < 20_000:
                assert alice.send(word)
                sent += 1
            await asyncio.sleep(0)
        assert (await paying).status == "succeeded"
        await eventually(lambda: len(waiting) >= sent, 60.0)
        assert max(waiting) < 3 * peering.PEER_BACKLOG_MESSAGES
        assert useless[net.node_id("alice")] >= sent and useless[net.node_id("carol")] == 0
        assert bob.peering.is_connected(net.node_id("alice")), "a duplicate answer is no violation"


async def test_who_asks_for_the_state_again_and_again_is_not_answered_as_often(tmp_path):
    """Each question of 100 bytes costs bob a write, a signature and an answer as large as the whole state."""
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "USD", STAKE, STAKE)
        (invoice,) = await net["bob"].create_invoice("USD", USD, "", None, 1)
        assert (await net["alice"].pay(invoice.text, None, None, 30.0)).status == "succeeded"
        bob = net["bob"]
        line = bob.peering.transport.connection(net.node_id("alice"))
        copies: list[bytes] = []
        send = line.send

        def noting(data: bytes) -> bool:
            copies.append(data)
            return send(data)

        line.send = noting
        question = encode(Reestablish(ab, 0, 0, 0, 0))
        for _ in range(1_000):
            net["alice"].peering.transport.send(net.node_id("bob"), question)
        await eventually(line.ended.is_set)
        assert "reestablish messages on a connection" in line._end_reason
        assert len(copies) <= peering.REESTABLISHES_A_CHANNEL + peering.MORE_REESTABLISHES


async def test_policies_that_are_refused_count_as_useless(tmp_path):
    """The check of a signature each: whoever says many is heard more slowly, as with any other such words."""
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        await net.open("alice", "bob", "USD", STAKE, STAKE)
        bob, alice = net["bob"].peering, net["alice"].peering
        words = policies_with_bad_signatures(net["bob"].domain)[:100]
        before = bob._peers[net.node_id("alice")].useless
        for word in words:
            alice.transport.send(net.node_id("bob"), word)
        await eventually(lambda: bob._peers[net.node_id("alice")].useless >= before + len(words))


async def test_a_violation_is_logged_once(tmp_path, caplog):
    async with cluster(tmp_path, "bob") as net, stranger() as mallory:
        hello = encode(net["bob"].peering._hello)
        with caplog.at_level("INFO"):
            await dials(mallory, net, "bob", hello, hello)
            await mallory.until_heard("down")
            await eventually(lambda: not net["bob"].peering._peers)
        lines = [r.getMessage() for r in caplog.records if PeerViolation.__name__ in r.getMessage()]
        assert len(lines) == 1 and "expected one hello" in lines[0]
