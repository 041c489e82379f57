"""Options: quote, buy, positions, trades, settle."""

import click

from channeld.api import endpoints as api
from channeld.api import requests as asks
from channeld.api.commands import Commands, PositionInfo, QuoteInfo
from channeld.cli import tables
from channeld.cli.amounts import WrittenAmount, choose_asset, read_size, read_written
from channeld.cli.names import channel_named, check_channel, check_peer, peer_named
from channeld.cli.outcome import TransferFailed
from channeld.cli.reading import check_asset, checks, reads, require_one_asset, units_of
from channeld.cli.session import Command, Decorated, Session, page_options, pass_session
from channeld.core.errors import OperationalError, Rejected
from channeld.market.instruments import parse_instrument

NAMES_HELP = """
    NAME is as in ETH-27DEC26-4000-P or ETH-27DEC26-4000-C:5000. After the colon stands the price up to which
    a call pays, twice the strike if left out; a put's lowest, 0 if left out (a tenth of the strike if it is
    settled in the coin itself). The writer locks the most that it can pay, so a lower cap is cheaper.
    """
"""Of commands that take an option's name."""


def what_to_trade(function: Decorated) -> Decorated:
    """NAME CONTRACTS --writer --asset, and what a NAME is."""
    for decorate in (
        click.option(
            "--asset",
            default="",
            metavar="SYMBOL",
            callback=checks(check_asset),
            help="What premium and payoff are paid in.",
        ),
        click.option(
            "--writer",
            metavar="PEER",
            required=True,
            callback=checks(check_peer),
            help="Who writes it, any hops away.",
        ),
        click.argument("size_e8", metavar="CONTRACTS", callback=reads(read_size)),
        click.argument("name", callback=checks(parse_instrument)),
    ):
        function = decorate(function)
    function.__doc__ = f"{function.__doc__}\n{NAMES_HELP}"
    return function


option_timeout = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.01, 3_600),
    default=asks.PAYMENT_TIMEOUT_S,
    show_default=True,
    help="Seconds to wait.",
)


async def _quoted(
    client: Commands,
    name: str,
    size_e8: int,
    writer: str,
    asset: str,
    timeout_s: float,
    limit: WrittenAmount | None = None,
) -> QuoteInfo:
    """The writer's quote. It is not asked if `limit` is no amount of the asset."""
    chosen = choose_asset((await client.info()).assets, asset)
    if limit is not None:
        units_of(limit, chosen.symbol, chosen.decimals)
    node_id = await peer_named(client, writer)
    return await client.quote_option(name, size_e8, f"0x{chosen.address.hex()}", node_id, timeout_s)


@click.command(cls=Command)
@what_to_trade
@option_timeout
@pass_session
def quote(session: Session, name: str, size_e8: int, writer: str, asset: str, timeout_s: float) -> None:
    """Ask a writer for the premium of CONTRACTS of NAME."""
    expires_s = parse_instrument(name).expiry_s
    found = session.ask(lambda client: _quoted(client, name, size_e8, writer, asset, timeout_s), "asking")
    session.show(api.QUOTE_OPTION.answer.encode(found), tables.quote(found, expires_s))


@click.command(cls=Command)
@what_to_trade
@click.option("--max-premium", metavar="AMOUNT", callback=reads(read_written), help="Do not buy for more.")
@click.option("--yes", is_flag=True, help="Buy without asking.")
@option_timeout
@pass_session
def buy(
    session: Session,
    name: str,
    size_e8: int,
    writer: str,
    asset: str,
    max_premium: WrittenAmount | None,
    yes: bool,
    timeout_s: float,
) -> None:
    """Buy CONTRACTS of NAME from a writer: premium out, option back, both or neither.

    Shows the writer's quote and asks before anything is paid. Exit code 4: the trade failed, nothing was
    spent. 3: it is not decided yet, see `channeld option trades`.
    """
    expires_s = parse_instrument(name).expiry_s
    if not yes and session.json:
        raise click.UsageError("expected --yes with --json: there is nobody to ask")
    if max_premium is not None:
        require_one_asset(max_premium, asset)
    offer = session.ask(
        lambda client: _quoted(client, name, size_e8, writer, asset, timeout_s, max_premium), "asking"
    )
    if not session.json:
        session.show({}, tables.quote(offer, expires_s))
    if max_premium is not None and offer.premium > units_of(max_premium, offer.symbol, offer.decimals):
        raise Rejected(f"the writer asks for more than {max_premium}: nothing was bought")
    if not yes and not click.confirm("Buy?", err=True):
        raise Rejected("nothing was bought")
    trade = session.ask(lambda client: client.buy_option(offer.quote_id, offer.premium, timeout_s), "buying")
    document = {**api.BUY_OPTION.answer.encode(trade), "quote": api.QUOTE_OPTION.answer.encode(offer)}
    session.show(document, "", tables.trade(trade))
    if trade.status == "failed":
        raise TransferFailed(f"the trade did not go through: {trade.failure}")
    if trade.status != "bound":
        raise OperationalError(f"the trade is {trade.status}, not bound yet: see `channeld option trades`")


@click.command(cls=Command)
@page_options
@pass_session
def positions(session: Session, limit: int, before: int | None) -> None:
    """List open positions: what they are worth is shown once their price is signed."""
    page = session.ask(lambda client: client.positions(before, limit))
    session.show(
        api.POSITIONS.answer.encode(page),
        tables.positions(page[0], "no open positions"),
        *tables.more(page[1]),
    )


@click.command(cls=Command)
@page_options
@pass_session
def trades(session: Session, limit: int, before: int | None) -> None:
    """List trades, newest first."""
    page = session.ask(lambda client: client.trades(before, limit))
    session.show(api.TRADES.answer.encode(page), tables.trades(page[0]), *tables.more(page[1]))


@click.command(cls=Command)
@click.argument("channel", required=False, callback=checks(check_channel))
@option_timeout
@pass_session
def settle(session: Session, channel: str | None, timeout_s: float) -> None:
    """Settle expired options whose price is signed, in CHANNEL or in all: with the peers, off-chain."""

    async def settling(client: Commands) -> list[PositionInfo]:
        channel_id = None
        if channel is not None:
            channel_id = (await channel_named(client, channel)).channel_id
        return await client.settle_options(channel_id, timeout_s)

    settled = session.ask(settling, "settling")
    session.show(api.SETTLE_OPTIONS.answer.encode(settled), tables.positions(settled, "nothing to settle"))
