"""A daemon somewhere else, as the same Commands: what the command line and programs talk to."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from channeld.api import endpoints as api
from channeld.api import requests as asks
from channeld.api.commands import (
    ChannelInfo,
    CreditInfo,
    DecodedInvoice,
    InvoiceInfo,
    NodeInfo,
    Page,
    PaymentInfo,
    PeerInfo,
    PeerPage,
    PositionInfo,
    PushInfo,
    QuoteInfo,
    StreamInfo,
    TradeInfo,
)
from channeld.api.failures import OPERATIONAL, UNAUTHORIZED, Failure, error_of
from channeld.api.http1 import MAX_BODY_BYTES, Exchange, Reply, exchange, parse_base_url
from channeld.api.json_forms import dump_json, from_json, parse_json, to_json
from channeld.api.places import Places
from channeld.core.errors import OperationalError, Rejected

Q = TypeVar("Q")
A = TypeVar("A")

GRACE_S = 30.0
"""A daemon answers within the time it was given; so long may a busy one take besides."""

LINES_A_CHUNK = 500
"""Amounts sent at once: a batch of the fastest channel."""


class ApiClient:
    """Implements Commands. Raises Rejected and OperationalError as the daemon did, and OperationalError
    if it is not there."""

    def __init__(self, url: str, token: str) -> None:
        """`url` as in http://127.0.0.1:9741. Raises Rejected if it is none."""
        self.base = parse_base_url(url)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    # the node and its peers

    async def info(self) -> NodeInfo:
        return await self._ask(api.INFO, asks.Nothing())

    async def stop(self) -> None:
        await self._ask(api.STOP, asks.Nothing())

    async def peers(
        self, named: str = "", after: bytes | None = None, limit: int = 100
    ) -> tuple[list[PeerInfo], PeerPage]:
        return await self._ask(api.PEERS, asks.ListPeers(named, after, limit))

    async def connect(self, address: str) -> PeerInfo:
        return await self._ask(api.CONNECT, asks.Connect(address))

    async def disconnect(self, node_id: bytes) -> None:
        await self._ask(api.DISCONNECT, asks.Disconnect(node_id))

    # channels

    async def channels(
        self, closed: bool, begins: str = "", before: int | None = None, limit: int = 100
    ) -> tuple[list[ChannelInfo], Page]:
        return await self._ask(api.CHANNELS, asks.ListChannels(closed, begins, before, limit))

    async def channel(self, channel_id: bytes) -> ChannelInfo:
        return await self._ask(api.CHANNEL, asks.GetChannel(channel_id))

    async def open_channel(
        self, peer: bytes, asset: str, amount: int, challenge_period_s: int | None, timeout_s: float
    ) -> ChannelInfo:
        ask = asks.OpenChannel(peer, asset, amount, challenge_period_s, timeout_s)
        return await self._ask(api.OPEN_CHANNEL, ask)

    async def deposit(self, channel_id: bytes, amount: int, timeout_s: float) -> ChannelInfo:
        return await self._ask(api.DEPOSIT, asks.Deposit(channel_id, amount, timeout_s))

    async def close_channel(self, channel_id: bytes, unilateral: bool, timeout_s: float) -> ChannelInfo:
        return await self._ask(api.CLOSE_CHANNEL, asks.CloseChannel(channel_id, unilateral, timeout_s))

    # credits

    async def credits(self) -> list[CreditInfo]:
        return await self._ask(api.CREDITS, asks.Nothing())

    async def claim_credit(self, asset: str, to: bytes | None, timeout_s: float) -> CreditInfo:
        return await self._ask(api.CLAIM_CREDIT, asks.ClaimCredit(asset, to, timeout_s))

    # invoices and payments

    async def create_invoice(
        self, asset: str, amount: int, description: str, expiry_s: int | None, count: int
    ) -> list[InvoiceInfo]:
        ask = asks.CreateInvoice(asset, amount, description, expiry_s, count)
        return await self._ask(api.CREATE_INVOICE, ask)

    async def invoices(self, before: int | None, limit: int) -> tuple[list[InvoiceInfo], Page]:
        return await self._ask(api.INVOICES, asks.ListInvoices(before, limit))

    async def invoice(self, hashlock: bytes) -> InvoiceInfo:
        return await self._ask(api.INVOICE, asks.GetByHash(hashlock))

    async def decode_invoice(self, text: str) -> DecodedInvoice:
        return await self._ask(api.DECODE_INVOICE, asks.DecodeInvoice(text))

    async def pay(
        self,
        invoice: str,
        amount: int | None,
        max_fee: int | None,
        timeout_s: float,
        channel_id: bytes | None = None,
    ) -> PaymentInfo:
        return await self._ask(api.PAY, asks.Pay(invoice, amount, max_fee, timeout_s, channel_id))

    async def payments(
        self, before: int | None, limit: int, status: str = ""
    ) -> tuple[list[PaymentInfo], Page]:
        return await self._ask(api.PAYMENTS, asks.ListPayments(before, limit, status))

    async def payment(self, hashlock: bytes) -> PaymentInfo:
        return await self._ask(api.PAYMENT, asks.GetByHash(hashlock))

    async def pay_many(
        self, payments: Iterable[asks.Pay], in_flight: int = asks.PayMany().in_flight
    ) -> AsyncGenerator[api.StreamedPayment, None]:
        """Pay all, `in_flight` at a time; yields each as it ends, in that order. Close it if left early."""
        target = f"{api.PAYMENT_STREAM_PATH}?in_flight={in_flight}"
        async with exchange(self.base, "POST", target, self._headers, None) as connection:
            sending = asyncio.create_task(_send_lines(connection, payments))
            try:
                async for line in _answered(connection):
                    yield from_json(api.StreamedPayment, parse_json(line), "the answer", lenient=True)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def push(
        self, peer: bytes, asset: str, stream: bytes, amounts: Sequence[int], timeout_s: float
    ) -> PushInfo:
        """The API pushes equal amounts only: anything else is a stream's business (`push_many`)."""
        amount, *others = amounts
        assert all(other == amount for other in others), "expected equal amounts"
        ask = asks.Push(peer, asset, amount, stream, len(amounts), timeout_s)
        return await self._ask(api.PUSH, ask)

    async def push_many(
        self, amounts: Iterable[int] | AsyncIterable[int], to: asks.PushMany
    ) -> AsyncGenerator[api.StreamedPushes, None]:
        """Push all; yields what became of some of them at a time. Close it if left early."""
        query = urlencode(to_json(to))
        async with exchange(
            self.base, "POST", f"{api.PUSH_STREAM_PATH}?{query}", self._headers, None
        ) as ours:
            places = Places(to.in_flight)  # here too: the kernel's buffers hold half a million lines
            sending = asyncio.create_task(_send_amounts(ours, amounts, places))
            try:
                async for line in _answered(ours):
                    answer = from_json(api.StreamedPushes, parse_json(line), "the answer", lenient=True)
                    places.release(answer.lines)
                    yield answer
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def streams(self, before: int | None, limit: int) -> tuple[list[StreamInfo], Page]:
        return await self._ask(api.STREAMS, asks.ListPage(before, limit))

    async def stream(self, channel_id: bytes, direction: str, stream: bytes) -> StreamInfo:
        return await self._ask(api.STREAM, asks.GetStream(channel_id, direction, stream))

    async def received(self) -> AsyncGenerator[StreamInfo, None]:
        """Close it if left early."""
        async with exchange(self.base, "GET", api.RECEIVED_PATH, self._headers, b"") as ours:
            async for line in _answered(ours):
                yield from_json(StreamInfo, parse_json(line), "the answer", lenient=True)

    # options

    async def quote_option(
        self, name: str, size_e8: int, asset: str, writer: bytes, timeout_s: float
    ) -> QuoteInfo:
        ask = asks.QuoteOption(name, size_e8, asset, writer, timeout_s)
        return await self._ask(api.QUOTE_OPTION, ask)

    async def buy_option(self, quote_id: bytes, max_premium: int | None, timeout_s: float) -> TradeInfo:
        return await self._ask(api.BUY_OPTION, asks.BuyOption(quote_id, max_premium, timeout_s))

    async def trades(self, before: int | None, limit: int) -> tuple[list[TradeInfo], Page]:
        return await self._ask(api.TRADES, asks.ListPage(before, limit))

    async def positions(self, before: int | None = None, limit: int = 100) -> tuple[list[PositionInfo], Page]:
        return await self._ask(api.POSITIONS, asks.ListPage(before, limit))

    async def settle_options(self, channel_id: bytes | None, timeout_s: float) -> list[PositionInfo]:
        return await self._ask(api.SETTLE_OPTIONS, asks.SettleOptions(channel_id, timeout_s))

    # one question

    async def _ask(self, endpoint: api.Endpoint[Q, A], ask: Q) -> A:
        path, body = _request(endpoint, ask)
        limit_s = getattr(ask, "timeout_s", 0.0) + GRACE_S
        try:
            async with (
                asyncio.timeout(limit_s),
                exchange(self.base, endpoint.method, path, self._headers, body) as connection,
            ):
                reply = await connection.reply()
                received = await _whole(connection, reply)
        except TimeoutError:
            raise OperationalError(f"{self.base} did not answer within {limit_s:g} s") from None
        if reply.status != 200:
            raise error_of(_failure(reply, received))
        try:
            return endpoint.answer.decode(parse_json(received))
        except Rejected as error:
            raise OperationalError(f"{self.base} is no daemon of this version: {error}") from error


def _request(endpoint: api.Endpoint[Q, Any], ask: Q) -> tuple[str, bytes]:
    """The path with its query, and the body."""
    path, given = endpoint.path, to_json(ask)
    for name in endpoint.path_fields:
        path = path.replace(f"{{{name}}}", quote(str(given.pop(name)), safe=""))
    given = {name: value for name, value in given.items() if value is not None}
    if endpoint.method == "POST":
        return path, dump_json(given)
    plain = {name: str(value).lower() if isinstance(value, bool) else value for name, value in given.items()}
    return (f"{path}?{urlencode(plain)}" if plain else path), b""


async def _whole(connection: Exchange, reply: Reply) -> bytes:
    received = bytearray()
    async for part in connection.body(reply):
        received += part
        if len(received) > MAX_BODY_BYTES:
            raise OperationalError(f"expected an answer of at most {MAX_BODY_BYTES} bytes")
    return bytes(received)


def _failure(reply: Reply, body: bytes) -> Failure:
    """What an answer other than 200 says, whoever gave it."""
    try:
        document = parse_json(body)
        failure = from_json(Failure, document["error"], "error", lenient=True)
    except (Rejected, KeyError, TypeError):
        return Failure(OPERATIONAL, f"expected an answer of the API, got HTTP status {reply.status}")
    if failure.kind == UNAUTHORIZED:
        return Failure(
            UNAUTHORIZED, "the daemon does not accept the token: is --data-dir that of this daemon?"
        )
    return failure


async def _send_lines(connection: Exchange, payments: Iterable[asks.Pay]) -> None:
    for ask in payments:
        given = {name: value for name, value in to_json(ask).items() if value is not None}
        await connection.send_chunk(dump_json(given) + b"\n")
    await connection.end_chunks()


async def _send_amounts(
    connection: Exchange, amounts: Iterable[int] | AsyncIterable[int], places: Places
) -> None:
    """Amounts that are there by the hundred, those that come one by one as they come."""
    if isinstance(amounts, AsyncIterable):
        async for amount in amounts:
            await places.take(1)
            await connection.send_chunk(b'"%d"\n' % amount)
    else:
        rest = iter(amounts)
        while some := list(islice(rest, await places.take(LINES_A_CHUNK))):
            await connection.send_chunk(b"".join(b'"%d"\n' % amount for amount in some))
    await connection.end_chunks()


async def _answered(connection: Exchange) -> AsyncIterator[bytes]:
    """The lines of an answer. Raises what the daemon says if it refuses."""
    reply = await connection.reply()
    if reply.status != 200:
        raise error_of(_failure(reply, await _whole(connection, reply)))
    async for line in _lines(connection.body(reply)):
        yield line


async def _lines(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > MAX_BODY_BYTES:
            raise OperationalError(f"expected lines of at most {MAX_BODY_BYTES} bytes")
