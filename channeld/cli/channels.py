"""Channels: list, open, deposit, close."""

import click

from channeld.api import endpoints as api
from channeld.api import requests as asks
from channeld.api.commands import ChannelInfo, Commands
from channeld.cli import tables
from channeld.cli.amounts import WrittenAmount, choose_asset, read_positive
from channeld.cli.names import channel_named, check_channel, check_peer, peer_named
from channeld.cli.reading import check_asset, checks, reads, require_one_asset, units_of
from channeld.cli.session import Command, Session, page_options, pass_session
from channeld.core.identity import MAX_CHALLENGE_PERIOD_S, MIN_CHALLENGE_PERIOD_S

chain_timeout = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.01, 3_600),
    default=asks.CHAIN_TIMEOUT_S,
    show_default=True,
    help="Seconds to wait for the chain; what was begun goes on after it.",
)
asset_option = click.option(
    "--asset", default="", metavar="SYMBOL", callback=checks(check_asset), help="If not behind the amount."
)


@click.command(cls=Command)
@click.argument("channel", required=False, callback=checks(check_channel))
@click.option("--all", "closed", is_flag=True, help="Closed ones too.")
@page_options
@pass_session
def channels(session: Session, channel: str | None, closed: bool, limit: int, before: int | None) -> None:
    """List channels, newest first, or show CHANNEL."""
    if channel is not None:
        name = channel
        _show(session, session.ask(lambda client: channel_named(client, name)))
        return
    page = session.ask(lambda client: client.channels(closed, "", before, limit))
    session.show(api.CHANNELS.answer.encode(page), tables.channels(page[0]), *tables.more(page[1]))


@click.command("open", cls=Command)
@click.argument("peer", callback=checks(check_peer))
@click.argument("amount", callback=reads(read_positive))
@asset_option
@click.option(
    "--challenge-period",
    "challenge_period_s",
    type=click.IntRange(MIN_CHALLENGE_PERIOD_S, MAX_CHALLENGE_PERIOD_S),
    metavar="SECONDS",
    help="How long the other side of a dispute has to answer.  [default: as configured]",
)
@chain_timeout
@pass_session
def open_channel(
    session: Session,
    peer: str,
    amount: WrittenAmount,
    asset: str,
    challenge_period_s: int | None,
    timeout_s: float,
) -> None:
    """Open a channel with PEER, deposit AMOUNT, wait until it can be used."""
    require_one_asset(amount, asset)

    async def begin(client: Commands) -> ChannelInfo:
        chosen = choose_asset((await client.info()).assets, amount.symbol, asset)
        units = units_of(amount, chosen.symbol, chosen.decimals)
        node_id = await peer_named(client, peer)
        named = f"0x{chosen.address.hex()}"
        return await client.open_channel(node_id, named, units, challenge_period_s, timeout_s)

    _show(session, session.ask(begin, "opening the channel: the chain must confirm the deposit"))


@click.command(cls=Command)
@click.argument("channel", callback=checks(check_channel))
@click.argument("amount", callback=reads(read_positive))
@chain_timeout
@pass_session
def deposit(session: Session, channel: str, amount: WrittenAmount, timeout_s: float) -> None:
    """Deposit AMOUNT more into CHANNEL, wait until it counts."""

    async def add(client: Commands) -> ChannelInfo:
        found = await channel_named(client, channel)
        units = units_of(amount, found.symbol, found.decimals)
        return await client.deposit(found.channel_id, units, timeout_s)

    _show(session, session.ask(add, "depositing: the chain must confirm it"))


@click.command(cls=Command)
@click.argument("channel", callback=checks(check_channel))
@click.option("--unilateral", is_flag=True, help="Without the peer: challenge, then wait for the window.")
@chain_timeout
@pass_session
def close(session: Session, channel: str, unilateral: bool, timeout_s: float) -> None:
    """Close CHANNEL and take the money home.

    With the peer it is over at once. Alone, the money is held for the challenge period first; the daemon
    settles by itself after it.
    """

    async def leave(client: Commands) -> ChannelInfo:
        found = await channel_named(client, channel)
        return await client.close_channel(found.channel_id, unilateral, timeout_s)

    _show(session, session.ask(leave, "closing the channel"))


def _show(session: Session, channel: ChannelInfo) -> None:
    session.show(api.CHANNEL.answer.encode(channel), tables.channel(channel))
