"""Pushes to neighbours, and the streams that they add up to."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from itertools import repeat

import click
from rich.table import Table
from rich.text import Text

from channeld.api import endpoints as api
from channeld.api.client import ApiClient
from channeld.api.commands import PushInfo, StreamInfo
from channeld.api.failures import Failure, error_of
from channeld.api.json_forms import dump_json, to_json
from channeld.api.requests import MAX_PUSHES, PAYMENT_TIMEOUT_S, PushMany
from channeld.cli.amounts import WrittenAmount, choose_asset, read_positive
from channeld.cli.channels import asset_option
from channeld.cli.names import check_peer, clean, hex_digits, peer_named, short, short_node
from channeld.cli.outcome import TransferFailed
from channeld.cli.reading import checks, reads, require_one_asset, units_of
from channeld.cli.session import Command, Session, page_options, pass_session
from channeld.cli.tables import facts, listing, when
from channeld.core.errors import OperationalError, Rejected
from channeld.core.operations import NO_STREAM, STREAM_BYTES
from channeld.wire.decimals import from_units, shown

MAX_COUNT = 10**9


def read_stream(text: str) -> bytes:
    """Up to 32 hex digits, dashes between them ignored; fewer stand for a small number. Raises Rejected."""
    digits = hex_digits(text.replace("-", ""))
    if not 0 < len(digits) <= 2 * STREAM_BYTES:
        raise Rejected(f"expected a stream of up to {2 * STREAM_BYTES} hex digits, got {text[:80]!r}")
    return bytes.fromhex(digits.rjust(2 * STREAM_BYTES, "0"))


@click.command(cls=Command)
@click.argument("peer", callback=checks(check_peer))
@click.argument("amount", callback=reads(read_positive))
@asset_option
@click.option(
    "--stream", "named", metavar="ID", callback=reads(read_stream),
    help="What it is for: up to 32 hex digits, or a UUID.",
)  # fmt: skip
@click.option(
    "--count", type=click.IntRange(1, MAX_COUNT), default=1, show_default=True, help="So many pushes."
)
@click.option("--rate", type=click.FloatRange(0.001, 100_000), metavar="N", help="At most N a second.")
@click.option(
    "--in-flight", type=click.IntRange(1, MAX_PUSHES), default=1_000, show_default=True,
    help="Most at once, of many.",
)  # fmt: skip
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0.01, 3_600), default=PAYMENT_TIMEOUT_S,
    show_default=True, help="Seconds to wait for a single one; a push in flight goes on.",
)  # fmt: skip
@pass_session
def push(
    session: Session,
    peer: str,
    amount: WrittenAmount,
    asset: str,
    named: bytes | None,
    count: int,
    rate: float | None,
    in_flight: int,
    timeout_s: float,
) -> None:
    """Pay AMOUNT to a neighbour at once, without an invoice: one push, or a stream of them.

    What Lightning calls keysend or streaming. PEER must have a channel with this node and take pushes; the
    amounts add up under the stream's id, see `channeld streams`. Exit code 4: some were not made, they cost
    nothing. 3: some are not decided yet.
    """
    require_one_asset(amount, asset)
    stream = NO_STREAM if named is None else named

    async def pushing(client: ApiClient) -> PushInfo:
        chosen = choose_asset((await client.info()).assets, amount.symbol, asset)
        units = units_of(amount, chosen.symbol, chosen.decimals)
        node_id = await peer_named(client, peer)
        address = f"0x{chosen.address.hex()}"
        if count == 1:
            return await client.push(node_id, address, stream, [units], timeout_s)
        amounts = repeat(units, count) if rate is None else _paced(units, count, rate)
        return await _push_all(client, amounts, PushMany(node_id, address, stream, in_flight))

    begin_s = time.perf_counter()
    pushed = session.ask(pushing, "pushing")
    elapsed_s = time.perf_counter() - begin_s
    session.show(
        {**api.PUSH.answer.encode(pushed), "elapsed_s": round(elapsed_s, 3)}, _table(pushed, elapsed_s)
    )
    if pushed.pending:
        raise OperationalError(
            f"{pushed.pending} of {pushed.asked} are not decided yet: see `channeld streams`"
        )
    if pushed.dropped:
        raise TransferFailed(
            f"{len(pushed.dropped)} of {pushed.asked} were not made: {clean(pushed.failure)}"
        )


async def _paced(units: int, count: int, rate: float) -> AsyncIterator[int]:
    """One after the other on a fixed beat, so that a slow one is followed by quick ones."""
    begin_s = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, begin_s + number / rate - time.perf_counter()))
        yield units


async def _push_all(client: ApiClient, amounts: Iterable[int] | AsyncIterator[int], to: PushMany) -> PushInfo:
    """All of a stream, as one answer; it ends at the first part of which nothing could be made."""
    last: PushInfo | None = None
    asked = sent = pending = 0
    dropped: list[int] = []
    failure: Failure | None = None
    async with aclosing(client.push_many(amounts, to)) as answers:
        async for line in answers:
            asked += line.lines
            if line.push is None:
                failure = line.error
                dropped += range(line.index, line.index + line.lines)
                break
            sent, pending = sent + line.push.sent, pending + line.push.pending
            dropped += [line.index + place for place in line.push.dropped]
            if last is None or line.push.stream_count >= last.stream_count:
                last = line.push
    if last is None:
        assert failure is not None
        raise error_of(failure)
    why = last.failure if failure is None else failure.message
    return PushInfo(
        last.channel_id,
        last.peer,
        last.peer_alias,
        last.symbol,
        last.decimals,
        last.stream,
        asked,
        sent,
        pending,
        tuple(sorted(dropped)),
        why,
        last.stream_count,
        last.stream_total,
    )


def _table(pushed: PushInfo, elapsed_s: float) -> Text:
    rate = f" in {elapsed_s:.2f} s, {pushed.sent / elapsed_s:.0f}/s" if pushed.asked > 1 else ""
    return facts(
        ("sent", f"{pushed.sent} of {pushed.asked}{rate}"),
        ("to", short_node(pushed.peer, pushed.peer_alias)),
        ("channel", short(pushed.channel_id)),
        ("stream", _stream(pushed.stream)),
        ("its total", shown(pushed.stream_total, pushed.decimals, pushed.symbol)),
        ("its pushes", str(pushed.stream_count)),
    )


def _stream(stream: bytes) -> str:
    return "unnamed" if stream == NO_STREAM else stream.hex()


@click.command(cls=Command)
@click.option("--follow", is_flag=True, help="Print a line whenever pushes come in, until interrupted.")
@page_options
@pass_session
def streams(session: Session, follow: bool, limit: int, before: int | None) -> None:
    """List what was pushed, by channel and stream: newest streams first."""
    if follow:
        session.ask(lambda client: _follow(client, session.json))
        return
    page = session.ask(lambda client: client.streams(before, limit))
    session.show(api.STREAMS.answer.encode(page), streams_table(page[0]))


async def _follow(client: ApiClient, as_json: bool) -> None:
    async for info in client.received():
        total = shown(info.total, info.decimals, info.symbol)
        who = short_node(info.peer, info.peer_alias)
        line = f"{when(info.last_s)}  {who}  {_stream(info.stream)}  {info.count}  {total}"
        click.echo(dump_json(to_json(info)) if as_json else line)


def streams_table(items: list[StreamInfo]) -> Table | str:
    rows = [
        (
            info.direction,
            short_node(info.peer, info.peer_alias),
            short(info.channel_id),
            _stream(info.stream),
            str(info.count),
            f"{from_units(info.total, info.decimals)} {info.symbol}",
            str(info.pending_count or ""),
            when(info.last_s),
        )
        for info in items
    ]
    columns = ("", "peer", "channel", "stream", ">pushes", ">total", ">pending", "last")
    return listing(*columns, empty="nothing was pushed yet", rows=rows)
