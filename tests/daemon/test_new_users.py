"""What newcomers do: an option that expires in a minute, a second address for a peer that is there."""

import re
from datetime import UTC, datetime

import pytest

from channeld.core.errors import OperationalError, Rejected
from tests.daemon.cluster import USD, cluster
from tests.daemon.town import closed


def name(expiry_s: int) -> str:
    return f"ETH-{datetime.fromtimestamp(expiry_s, UTC).strftime('%d%b%yT%H%M%S').upper()}-4000-C:5000"


async def test_an_option_that_expires_before_it_could_be_bought_is_not_quoted(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        await net.open("alice", "bob", "USD", 2_000 * USD, 2_000 * USD)
        await net.price(net.now_s, 4_000)
        config, bob = net.config("bob"), net.node_id("bob")
        shortest_s = config.option.quote_lifetime_s + 2 * config.payment.secret_margin_s
        with pytest.raises(Rejected, match=f"expires too soon: the trade needs {shortest_s} s"):
            await net["alice"].quote_option(name(net.now_s + shortest_s - 5), 10**8, "USD", bob, 10.0)
        quote = await net["alice"].quote_option(name(net.now_s + shortest_s + 5), 10**8, "USD", bob, 10.0)
        trade = await net["alice"].buy_option(quote.quote_id, None, 10.0)
        assert (trade.status, trade.failure) == ("bound", "")


async def test_a_wrong_address_does_not_replace_the_one_that_works(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        (before,), _ = await net["alice"].peers()
        wrong = f"{net.node_id('bob').hex()}@127.0.0.1:1"
        with pytest.raises(Rejected, match=re.escape(before.url)):
            await net["alice"].connect(wrong)
        assert (await net["alice"].peers())[0] == [before]
        await net.connect("alice", "bob")  # the same address again is no other one


async def test_a_close_that_must_wait_for_an_option_is_not_reported_as_done(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        ab = await net.open("alice", "bob", "USD", 2_000 * USD, 2_000 * USD)
        await net.price(net.now_s, 4_000)
        expiry_s = net.now_s + 3_600
        quote = await net["alice"].quote_option(name(expiry_s), 10**8, "USD", net.node_id("bob"), 10.0)
        await net["alice"].buy_option(quote.quote_id, None, 10.0)
        with pytest.raises(OperationalError, match="shutting: its close was begun and goes on"):
            await net["alice"].close_channel(ab, False, 0.1)
        net.reach(expiry_s)
        await net.price(expiry_s, 4_500)
        await closed(net, "alice", ab)
