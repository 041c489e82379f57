"""Why a payment finds no way, when all that is missing is a neighbour who is not there."""

import pytest

from channeld.core.errors import Rejected
from tests.daemon.cluster import USD, cluster, eventually
from tests.daemon.town import STAKE


async def why_not(alice, text: str, channel_id: bytes | None = None) -> str:
    with pytest.raises(Rejected) as refused:
        await alice.pay(text, None, None, 10.0, channel_id)
    return str(refused.value)


async def test_alice_hears_that_bob_is_away_and_not_that_she_has_too_little(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "USD", STAKE, 0)
        alice, bob_id = net["alice"], net.node_id("bob").hex()[:16]
        (some,) = await net["bob"].create_invoice("USD", USD, "", None, 1)
        (dear,) = await net["bob"].create_invoice("USD", STAKE + 1, "", None, 1)
        await net.stop("bob")
        await eventually(lambda: ab not in alice.engine.tables.online)
        away = f"no route to {bob_id}: {bob_id}, the peer of channel 0x{ab.hex()}, is not connected"
        assert await why_not(alice, some.text) == away
        assert await why_not(alice, some.text, ab) == away
        assert (await why_not(alice, dear.text)).endswith("own channels can carry 5000.000001 USD")
