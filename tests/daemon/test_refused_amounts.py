"""Amounts in refusals are for people: in the asset's unit, as everywhere else."""

from datetime import UTC, datetime

import pytest

from channeld.core.errors import ChanneldError
from channeld.core.messages import QuoteRequest
from channeld.core.records import OptionLeg
from channeld.market.instruments import claim_size, parse_instrument
from tests.daemon.cluster import USD, cluster
from tests.daemon.town import PURSE, STAKE

DAY_S = 86_400


async def test_alice_hears_of_amounts_in_dollars(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "USD", STAKE, 0)
        alice, bob = net["alice"], net["bob"]

        with pytest.raises(ChanneldError) as refused:
            await alice.deposit(ab, PURSE, 10.0)
        assert str(refused.value).endswith("holds 995000 USD, the deposit needs 1000000 USD")

        (invoice,) = await bob.create_invoice("USD", 3 * USD, "", None, 1)
        with pytest.raises(ChanneldError) as refused:
            await alice.pay(invoice.text, 25 * USD // 10, None, 10.0)
        assert str(refused.value) == "the invoice asks for 3 USD, got 2.5 USD"

        (dear,) = await bob.create_invoice("USD", STAKE + USD // 2, "", None, 1)
        with pytest.raises(ChanneldError) as refused:
            await alice.pay(dear.text, None, None, 10.0)
        assert str(refused.value).endswith("none of the source's own channels can carry 5000.5 USD")

        expiry = datetime.fromtimestamp(alice.engine.clock.now_s + DAY_S, UTC)
        call = parse_instrument(f"ETH-{expiry.strftime('%d%b%yT%H%M%S').upper()}-4000-C:5000")
        (feed,) = alice.config.feed
        leg = OptionLeg(call.terms(feed.feed().feed_id, coin=False), claim_size(1_001 * 10**8, 6))
        reply = await bob.desk._reply(QuoteRequest(bytes(16), leg, net.token), net.node_id("alice"))
        assert reply.refusal == "this node locks at most 1000000 USD for one option, this needs 1001000 USD"
