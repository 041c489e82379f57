"""Amounts in refusals are for people: in the asset's unit, as everywhere else."""

import pytest

from channeld.core.errors import ChanneldError
from tests.daemon.cluster import USD, cluster
from tests.daemon.town import PURSE, STAKE


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
