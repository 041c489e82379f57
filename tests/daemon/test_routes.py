"""Which of carol's channels a payment takes: the one she names, and none that no longer carries it."""

import asyncio

import pytest

from channeld.core.errors import Rejected
from channeld.daemon.paying import Payer
from tests.daemon.cluster import USD, Cluster, cluster, eventually
from tests.daemon.town import STAKE

MOST = 3 * STAKE // 4
"""Fits into a channel once."""


async def _two_channels(net: Cluster) -> tuple[bytes, bytes]:
    await net.connect("carol", "bob")
    one = await net.open("carol", "bob", "USD", STAKE, STAKE)
    other = await net.open("carol", "bob", "USD", STAKE, STAKE)
    await eventually(lambda: len(net["carol"].peering._gossip.known()) == 4)
    return one, other


async def _pay(net: Cluster, amount: int, channel_id: bytes | None) -> str:
    (invoice,) = await net["bob"].create_invoice("USD", amount, "", None, 1)
    return (await net["carol"].pay(invoice.text, None, None, 10.0, channel_id)).status


async def _paid(net: Cluster, channel_id: bytes) -> int:
    return STAKE - (await net["carol"].channel(channel_id)).ours


async def test_carol_pays_over_the_channel_that_she_names(tmp_path):
    async with cluster(tmp_path, "bob", "carol") as net:
        one, other = await _two_channels(net)
        for channel, amount in ((other, 5 * USD), (one, 7 * USD), (other, 11 * USD)):
            assert await _pay(net, amount, channel) == "succeeded"
        assert (await _paid(net, one), await _paid(net, other)) == (7 * USD, 16 * USD)


async def test_the_channel_that_carol_names_is_empty(tmp_path):
    """What she named is what she gets: the other channel could have carried it."""
    async with cluster(tmp_path, "bob", "carol") as net:
        one, other = await _two_channels(net)
        assert await _pay(net, MOST, one) == "succeeded"
        with pytest.raises(Rejected, match="own channels can carry"):
            await _pay(net, MOST, one)
        assert await _paid(net, other) == 0


async def test_the_way_of_the_last_payment_no_longer_carries_the_next(tmp_path):
    """The same payee and the same amount: what was found for the first is no way for the second."""
    async with cluster(tmp_path, "bob", "carol") as net:
        one, other = await _two_channels(net)
        assert await _pay(net, MOST, None) == "succeeded"
        assert await _pay(net, MOST, None) == "succeeded"
        assert (await _paid(net, one), await _paid(net, other)) == (MOST, MOST)
        with pytest.raises(Rejected, match="own channels can carry"):
            await _pay(net, MOST, None)


async def test_all_routes_of_a_payment_share_its_time(tmp_path, monkeypatch):
    """bob has sent all that he had to carol, over either channel, and alice cannot know."""
    given_s: list[float] = []
    slow_s = [0.0]
    attempt = Payer._attempt

    async def noted(payer, invoice, amount, route, number, timeout_s):
        given_s.append(timeout_s)
        payment = await attempt(payer, invoice, amount, route, number, 30.0)
        await asyncio.sleep(slow_s[0])
        return payment

    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        one, other = await _two_channels(net)
        await net.connect("alice", "bob")
        await net.open("alice", "bob", "USD", STAKE, STAKE)
        await eventually(lambda: len(net["alice"].peering._gossip.known()) == 6)
        for channel in (one, other):
            (invoice,) = await net["carol"].create_invoice("USD", MOST, "", None, 1)
            assert (await net["bob"].pay(invoice.text, None, None, 10.0, channel)).status == "succeeded"
        monkeypatch.setattr(Payer, "_attempt", noted)
        for timeout_s, slow, attempts in ((20.0, 0.0, 2), (0.2, 0.3, 1)):
            (invoice,) = await net["carol"].create_invoice("USD", MOST, "", None, 1)
            given_s.clear()
            slow_s[0] = slow
            payment = await net["alice"].pay(invoice.text, None, None, timeout_s)
            assert (payment.status, payment.attempts, len(given_s)) == ("failed", attempts, attempts)
            assert given_s == sorted(set(given_s), reverse=True) and given_s[0] <= timeout_s
