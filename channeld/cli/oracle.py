"""`channeld oracle run|publish`: an oracle in this process, and the order to sign a price."""

import asyncio
import json
import signal
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from channeld.adapters.chain.rpc import RpcClient, RpcSettings
from channeld.adapters.journal.lock import private_directory
from channeld.adapters.oracle import OracleClient
from channeld.adapters.signer import Signer, recover
from channeld.api.http1 import exchange, parse_base_url
from channeld.api.json_forms import parse_json
from channeld.api.token import load_or_create_token, read_token
from channeld.cli import tables
from channeld.cli.amounts import read_written, to_units
from channeld.cli.chain_rpc import check_rpc_url
from channeld.cli.keys import make_key, open_key, password_option
from channeld.cli.reading import checks, reads
from channeld.cli.rows import read_rows
from channeld.cli.session import KEYSTORE_NAME, Command, Session, pass_session
from channeld.config.settings import FeedSettings
from channeld.core.claims import MAX_PRICE, MAX_TIME_S, PRICE_SCALE
from channeld.core.errors import OperationalError, Rejected
from channeld.market.instruments import parse_instrument
from channeld.services.devchain.accounts import development_account
from channeld.services.oracle import Clock, Oracle, OracleSettings, PriceBook, chain_clock, serve, wall_clock
from channeld.wire.address import checksummed
from channeld.wire.decimals import from_units
from channeld.wire.eip712 import Feed
from channeld.wire.prices import feed_json

TOKEN_NAME = "oracle.token"
BOOK_NAME = "prices.db"
PRICE_DECIMALS = len(str(PRICE_SCALE)) - 1
DEFAULT_PORT = 9750
DEFAULT_GRACE_H = 24
NOBODY = bytes(19) + b"\1"
"""Signs for the feeds that are only looked at."""


# Running -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Post:
    """Where an oracle listens, and whose clock it goes by."""

    host: str
    port: int
    chain_rpc: str | None


@click.command(cls=Command)
@click.option(
    "--pair", "pairs", multiple=True, metavar="PAIR", callback=checks(lambda text: _alone(text, NOBODY)),
    help="Sign this pair alone, as ETH/USD.",
)  # fmt: skip
@click.option(
    "--grace-h", type=click.IntRange(1, 255), default=DEFAULT_GRACE_H, show_default=True, help="Of --pair."
)
@click.option(
    "--feed", "feeds", multiple=True, metavar="KEY=VALUE,...", callback=reads(lambda text: _feed_of(text)),
    help="Sign as one of several.",
)  # fmt: skip
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="0.0.0.0: all; nodes are told this machine's name."
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=DEFAULT_PORT, show_default=True,
    help="0: any free one.",
)  # fmt: skip
@click.option(
    "--chain-rpc", metavar="URL", callback=checks(check_rpc_url),
    help="Go by this chain's clock instead of the wall's.",
)  # fmt: skip
@click.option("--dev-account", metavar="LABEL", help="Sign with a development key: play money only.")
@click.option("--light-kdf", is_flag=True, help="A weakly encrypted key, for play money.")
@password_option
@pass_session
def run(
    session: Session,
    pairs: tuple[str, ...],
    grace_h: int,
    feeds: tuple[FeedSettings, ...],
    host: str,
    port: int,
    chain_rpc: str | None,
    dev_account: str | None,
    light_kdf: bool,
    password_file: Path | None,
) -> None:
    """Run an oracle in the foreground, until Ctrl-C.

    Its key, token and price book are in --data-dir, which must be an oracle's own; a new key is made if
    there is none. Feeds are --pair (this key alone), --feed (as in `channeld init`), and the [[feed]]
    tables of a config.toml there. Prints what nodes need in their `--feed`.
    """
    named = (*feeds, *(session.config.feed if session.has_config else ()))
    if not named and not pairs:
        raise click.UsageError("expected something to sign: name it with --pair or --feed")
    private_directory(session.data_dir)
    if dev_account is not None:
        signer = Signer(development_account(dev_account).key)
    elif (session.data_dir / KEYSTORE_NAME).exists():
        signer = open_key(session.data_dir / KEYSTORE_NAME, password_file)
    else:
        signer = make_key(session.data_dir / KEYSTORE_NAME, password_file, light=light_kdf)
    alone = [replace(_alone(pair, signer.address), grace_h=grace_h) for pair in pairs]
    signed = [each.feed() for each in (*alone, *named)]
    asyncio.run(_run(session, signer, signed, _Post(host, port, chain_rpc)))


def _feed_of(row: str) -> FeedSettings:
    """One --feed. Raises Rejected."""
    (feed,) = read_rows("feed", [row]).feed
    return feed


def _alone(pair: str, signer: bytes) -> FeedSettings:
    """The feed of a pair that one key signs. Raises Rejected if nothing can be called so."""
    return _feed_of(f"pair={pair},threshold=1,signers=0x{signer.hex()}")


async def _run(session: Session, signer: Signer, feeds: list[Feed], post: _Post) -> None:
    async with AsyncExitStack() as stack:
        clock: Clock = wall_clock
        if post.chain_rpc is not None:
            clock = chain_clock(await stack.enter_async_context(RpcClient(RpcSettings(post.chain_rpc))))
        book = PriceBook(session.data_dir / BOOK_NAME)
        stack.callback(book.close)
        token = load_or_create_token(session.data_dir / TOKEN_NAME)
        server = await serve(
            Oracle(feeds, [signer], book, clock), OracleSettings(token, post.host, post.port)
        )
        stack.push_async_callback(server.close)
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        _announce(session, feeds, signer, _reached_at(server.url, post.host))
        await stopped.wait()


def _reached_at(server_url: str, host: str) -> str:
    """Where others fetch prices: who listens on every interface is reached by this machine's name."""
    if host not in ("0.0.0.0", "::", ""):
        return server_url
    return f"http://{socket.gethostname()}:{server_url.rpartition(':')[2]}"


def _announce(session: Session, feeds: list[Feed], signer: Signer, url: str) -> None:
    """What nodes need to know; on one line as JSON, because more does not follow until the end."""
    if session.json:
        document = {"url": url, "signer": f"0x{signer.address.hex()}", "feeds": [*map(feed_json, feeds)]}
        click.echo(json.dumps(document))
        return
    click.echo(f"signs as {checksummed(signer.address)}")
    for feed in feeds:
        signers = ",".join(f"signers={checksummed(address)}" for address in feed.signers)
        click.echo(
            f"--feed pair={feed.pair},threshold={feed.threshold},{signers},grace_h={feed.grace_h},urls={url}"
        )
    click.echo(f"oracle ready on {url}")


# Publishing ----------------------------------------------------------------------------------------


@click.command(cls=Command)
@click.argument("price_e8", metavar="PRICE", callback=reads(lambda text: read_price(text)))
@click.option("--pair", help="Of the oracle's feeds.  [default: the only one]")
@click.option(
    "--at", "at_s", type=click.IntRange(0, MAX_TIME_S), metavar="UNIX_TIME",
    help="The instant that the price is of.",
)  # fmt: skip
@click.option(
    "--option", "expiry_s", metavar="NAME", callback=reads(lambda name: parse_instrument(name).expiry_s),
    help="The instant at which this option expires.",
)  # fmt: skip
@click.option(
    "--url", default=f"http://127.0.0.1:{DEFAULT_PORT}", show_default=True, callback=checks(parse_base_url)
)
@pass_session
def publish(
    session: Session, price_e8: int, pair: str | None, at_s: int | None, expiry_s: int | None, url: str
) -> None:
    """Have the oracle sign PRICE, once and for ever, for an instant that has come.

    --data-dir is the oracle's: its token is needed.
    """
    if (at_s is None) == (expiry_s is None):
        raise click.UsageError("expected --at UNIX_TIME or --option NAME")
    instant_s = expiry_s if at_s is None else at_s
    assert instant_s is not None
    token = read_token(session.data_dir / TOKEN_NAME)

    async def order() -> dict[str, Any]:
        feed = await _feed(url, pair)
        async with OracleClient(recover) as client:
            signed = await client.publish(url, token, bytes.fromhex(feed["feed"][2:]), instant_s, price_e8)
        return {
            "feed": feed["feed"],
            "pair": feed["pair"],
            "timestamp_s": signed.expiry_s,
            "price_e8": str(signed.price),
            "signatures": [f"0x{signature.hex()}" for signature in signed.signatures],
        }

    document = asyncio.run(order())
    session.show(
        document,
        f"signed {document['pair']} {from_units(price_e8, PRICE_DECIMALS)} at {tables.when(instant_s)}",
    )


def read_price(text: str) -> int:
    """A price with 8 decimals. Raises Rejected."""
    written = read_written(text)
    if written.symbol:
        raise Rejected(f"expected a price such as 4000.5, got {text!r}")
    price_e8 = to_units(written.number, PRICE_DECIMALS, "a price")
    if not 0 < price_e8 <= MAX_PRICE:
        raise Rejected(f"expected a price above 0 and up to {MAX_PRICE // PRICE_SCALE}, got {text!r}")
    return price_e8


async def _feed(url: str, pair: str | None) -> dict[str, Any]:
    """The feed of a pair, as the oracle lists it. Raises Rejected, OperationalError."""
    async with exchange(parse_base_url(url), "GET", "/feeds", {}, b"") as connection:
        reply = await connection.reply()
        body = b"".join([part async for part in connection.body(reply)])
    try:
        feeds: list[dict[str, Any]] = list(parse_json(body))
        found = [feed for feed in feeds if pair in (None, feed["pair"])]
        pairs = ", ".join(str(feed["pair"]) for feed in feeds)
    except (Rejected, KeyError, TypeError) as error:
        raise OperationalError(f"expected an oracle at {url}, got something else") from error
    if len(found) != 1:
        raise Rejected(
            f"expected the pair of one feed, one of {pairs}, got {pair or 'none'}: name it with --pair"
        )
    return found[0]
