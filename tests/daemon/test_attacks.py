"""Every attack of `python -m bench hostile`, while carol pays bob: what bob holds for mallory is counted."""

import asyncio
from contextlib import suppress

import pytest

from bench.mallory import ATTACKS, Mallory
from channeld.core.errors import ChanneldError
from channeld.core.operations import MAX_CLAIMS_PER_SIDE, MAX_OPERATIONS
from channeld.daemon import peering
from tests.daemon.cluster import ETHER, cluster, eventually

PAYMENTS = 15
SAID = 1_000
"""By mallory, at least, before carol is done: more than one backlog."""
SAID_SLOWLY = 20
"""By who says half a frame, a byte at a time."""


@pytest.mark.parametrize("attack", ATTACKS)
async def test_bob_holds_little_for_mallory_and_serves_carol(tmp_path, monkeypatch, attack):
    monkeypatch.setattr(peering, "USELESS_PAUSE_S", 0.01)  # so that she gets to say a lot
    async with cluster(tmp_path, "bob", "carol", "mallory") as net:
        bob = net["bob"]
        for name in ("carol", "mallory"):
            await net.connect(name, "bob")
            await net.open(name, "bob", "ETH", ETHER, 0)
        (channel,) = net["mallory"].engine.tables.channels()
        mallory = Mallory(net["mallory"], bob.signer.public_key, bob.listen_port, channel.channel_id)
        (invoice,) = await bob.create_invoice("ETH", 10**9, "", None, 1)
        assert (await net["mallory"].pay(invoice.text, None, None, 30.0)).status == "succeeded"

        most_queued = most_unsent = 0
        post = bob.engine.post

        def counting(event: object) -> None:
            nonlocal most_queued, most_unsent
            post(event)
            most_queued = max(most_queued, len(bob.engine._queue))
            line = bob.peering.transport.connection(mallory.daemon.signer.public_key)
            most_unsent = max(most_unsent, 0 if line is None else line._queued_bytes)

        bob.engine.post = counting
        attacking = asyncio.create_task(ATTACKS[attack](mallory))
        try:
            least = SAID_SLOWLY if attack == "half a frame" else SAID
            await eventually(lambda: mallory.said >= least or attacking.done(), 60.0)
            assert not attacking.done(), attacking
            for made in await bob.create_invoice("ETH", 10**9, "", None, PAYMENTS):
                assert (await net["carol"].pay(made.text, None, None, 60.0)).status == "succeeded"
        finally:
            attacking.cancel()
            with suppress(asyncio.CancelledError, ChanneldError):
                await attacking
        tables = bob.engine.tables
        assert most_queued < 3 * peering.PEER_BACKLOG_MESSAGES
        assert most_unsent <= bob.peering.transport._limits.max_unsent_bytes
        assert len(tables.held) <= 1 and len(list(tables.channels())) == 2
        assert len(tables.refs_of_hash) <= 2 * MAX_CLAIMS_PER_SIDE
        kept = net.state("bob", mallory.channel_id)
        assert len(kept.waiting) + len(kept.unanswered) <= 2 * MAX_OPERATIONS
        assert tables.carried.held == {}
        assert len(bob.peering._peers) <= 2 and len(bob.peering._by_address) <= 2
