"""Scenes that many stories begin with: channels through bob, options, payments that nobody answers."""

import asyncio
from datetime import UTC, datetime

from channeld.api.commands import ChannelInfo, PaymentInfo, TradeInfo
from channeld.core.channel import Channel, Phase
from tests.daemon.cluster import USD, Cluster, eventually

STAKE = 5_000 * USD
PURSE = 1_000_000 * USD
"""What each of the cast owns at the beginning (see `cluster`)."""


async def channels_through_bob(net: Cluster, asset: str = "USD", stake: int = STAKE) -> tuple[bytes, bytes]:
    """alice and carol dial bob, and each of them has a channel with him that both have funded."""
    await net.connect("alice", "bob")
    await net.connect("carol", "bob")
    ab = await net.open("alice", "bob", asset, stake, stake)
    bc = await net.open("bob", "carol", asset, stake, stake)
    for name in ("alice", "bob", "carol"):
        await eventually(lambda name=name: len(net[name].peering._gossip.known()) == 4)
    return ab, bc


async def buy(net: Cluster, buyer: str, writer: str, tail: str, expiry_s: int) -> TradeInfo:
    """One option on one ETH, such as 4000-C:5000, bound at every hop when this returns."""
    when = datetime.fromtimestamp(expiry_s, UTC).strftime("%d%b%yT%H%M%S").upper()
    seller = net[writer].signer.public_key
    quote = await net[buyer].quote_option(f"ETH-{when}-{tail}", 10**8, "USD", seller, 10.0)
    trade = await net[buyer].buy_option(quote.quote_id, None, 10.0)
    assert (trade.status, trade.failure) == ("bound", "")
    await eventually(lambda: all(is_quiet(c) for d in net.daemons.values() for c in channels(d)))
    return trade


def channels(daemon) -> list[Channel]:
    return list(daemon.engine.tables.channels())


def is_quiet(channel: Channel) -> bool:
    """Nothing is unanswered and nothing hash-locked is open."""
    agreed = channel.mine.version == channel.theirs.version and not channel.waiting
    return agreed and all(claim.hashlock is None for claim in channel.theirs.claims.values())


def locked(channel: Channel) -> list[int]:
    """Ids of the hash-locked claims in the newest state that the peer signed."""
    return [c.claim_id for c in channel.theirs.claims.values() if c.hashlock is not None]


def books(channel: Channel) -> tuple[object, ...]:
    """What both ends must agree upon."""
    state = channel.theirs
    return channel.deposits, state.version, state.net, dict(state.claims), channel.mine.version


def assert_same_books(net: Cluster, one: str, other: str, channel_id: bytes) -> None:
    assert books(net.state(one, channel_id)) == books(net.state(other, channel_id))


async def unanswered_payment(
    net: Cluster, payer: str, payee: str, channel_id: bytes, amount: int
) -> tuple[bytes, "asyncio.Task[PaymentInfo]"]:
    """A payment that the payee has accepted and cannot answer: its link has gone dead one way.

    `channel_id` is the payee's. The hashlock, and the payer's waiting.
    """
    (invoice,) = await net[payee].create_invoice("USD", amount, "", None, 1)
    net.mute(payee)
    paying = asyncio.create_task(net[payer].pay(invoice.text, None, None, 120.0))
    await eventually(lambda: locked(net.state(payee, channel_id)))
    return invoice.hashlock, paying


async def leave_alone(net: Cluster, name: str, channel_id: bytes) -> ChannelInfo:
    """Challenge, and wait until it is seen."""
    left = await net[name].close_channel(channel_id, True, 15.0)
    assert left.phase == "disputed"
    return left


async def closed(net: Cluster, name: str, channel_id: bytes) -> None:
    await eventually(lambda: net.state(name, channel_id).phase is Phase.CLOSED)


def window_end_s(net: Cluster, name: str, channel_id: bytes) -> int:
    """When the window of a channel in dispute ends, as its daemon knows it."""
    dispute = net.dispute(name, channel_id)
    assert dispute is not None and dispute.known
    return dispute.expires_s
