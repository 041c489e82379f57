"""Every route of the HTTP API: where it is, what it takes, which command it calls, what it answers.

Server, client and documentation read this one table. A request's fields come from the path where it
names them, else from the query (GET, DELETE) or from the JSON body (POST).
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from channeld.api.commands import (
    ChannelInfo,
    Commands,
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
from channeld.api.failures import Failure
from channeld.api.json_forms import from_json, to_json
from channeld.api.requests import (
    BuyOption,
    ClaimCredit,
    CloseChannel,
    Connect,
    CreateInvoice,
    DecodeInvoice,
    Deposit,
    Disconnect,
    GetByHash,
    GetChannel,
    GetStream,
    ListChannels,
    ListInvoices,
    ListPage,
    ListPayments,
    ListPeers,
    Nothing,
    OpenChannel,
    Pay,
    Push,
    QuoteOption,
    SettleOptions,
)

Q = TypeVar("Q")
T = TypeVar("T")
A = TypeVar("A")
P = TypeVar("P", Page, PeerPage)

# Answers -------------------------------------------------------------------------------------------


class Answer(Protocol[A]):
    """The JSON object of a command's result, both ways."""

    def encode(self, result: A) -> dict[str, Any]: ...

    def decode(self, document: object) -> A: ...


@dataclass(frozen=True, slots=True)
class StreamedPayment:
    """One line of the stream's answer: what became of line `index` of the request, counted from 0.

    One of `payment` and `error` is None.
    """

    index: int
    payment: PaymentInfo | None
    error: Failure | None


@dataclass(frozen=True, slots=True)
class StreamedPushes:
    """One line of the push stream's answer: what became of `lines` lines from `index` on, counted from 0.

    One of `push` and `error` is None.
    """

    index: int
    lines: int
    push: PushInfo | None
    error: Failure | None


@dataclass(frozen=True, slots=True)
class One(Generic[T]):
    """The fields of one dataclass."""

    kind: type[T]

    def encode(self, result: T) -> dict[str, Any]:
        return to_json(result)

    def decode(self, document: object) -> T:
        return from_json(self.kind, document, "the answer", lenient=True)


@dataclass(frozen=True, slots=True)
class Many(Generic[T]):
    """A list under one name."""

    name: str
    kind: type[T]

    def encode(self, result: list[T]) -> dict[str, Any]:
        return {self.name: [to_json(item) for item in result]}

    def decode(self, document: object) -> list[T]:
        items = document.get(self.name) if isinstance(document, dict) else None
        return [
            from_json(self.kind, item, self.name, lenient=True)
            for item in (items if isinstance(items, list) else [None])  # None: refused by name
        ]


@dataclass(frozen=True, slots=True)
class Paged(Generic[T, P]):
    """A list under one name, and where to go on."""

    name: str
    kind: type[T]
    page: type[P]

    def encode(self, result: tuple[list[T], P]) -> dict[str, Any]:
        items, page = result
        return {self.name: [to_json(item) for item in items], **to_json(page)}

    def decode(self, document: object) -> tuple[list[T], P]:
        items = Many(self.name, self.kind).decode(document)
        return items, from_json(self.page, document, "the answer", lenient=True)


@dataclass(frozen=True, slots=True)
class Done:
    """An empty object."""

    def encode(self, result: None) -> dict[str, Any]:
        return {}

    def decode(self, document: object) -> None:
        return None


# The table -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[Q, A]):
    """`absent_is_404`: the only thing such a command rejects is a name that nothing has."""

    method: str
    path: str
    request: type[Q]
    call: Callable[[Commands, Q], Awaitable[A]]
    answer: Answer[A]
    absent_is_404: bool = False

    @property
    def path_fields(self) -> tuple[str, ...]:
        return tuple(re.findall(r"\{(\w+)\}", self.path))


INFO = Endpoint("GET", "/v1/info", Nothing, lambda c, _: c.info(), One(NodeInfo))
STOP = Endpoint("POST", "/v1/stop", Nothing, lambda c, _: c.stop(), Done())

PEERS = Endpoint(
    "GET",
    "/v1/peers",
    ListPeers,
    lambda c, q: c.peers(q.named, q.after, q.limit),
    Paged("peers", PeerInfo, PeerPage),
)
CONNECT = Endpoint("POST", "/v1/peers", Connect, lambda c, q: c.connect(q.address), One(PeerInfo))
DISCONNECT = Endpoint(
    "DELETE", "/v1/peers/{node_id}", Disconnect, lambda c, q: c.disconnect(q.node_id), Done(), True
)

CHANNELS = Endpoint(
    "GET",
    "/v1/channels",
    ListChannels,
    lambda c, q: c.channels(q.closed, q.begins, q.before, q.limit),
    Paged("channels", ChannelInfo, Page),
)
CHANNEL = Endpoint(
    "GET",
    "/v1/channels/{channel_id}",
    GetChannel,
    lambda c, q: c.channel(q.channel_id),
    One(ChannelInfo),
    True,
)
OPEN_CHANNEL = Endpoint(
    "POST",
    "/v1/channels",
    OpenChannel,
    lambda c, q: c.open_channel(q.peer, q.asset, q.amount, q.challenge_period_s, q.timeout_s),
    One(ChannelInfo),
)
DEPOSIT = Endpoint(
    "POST",
    "/v1/channels/{channel_id}/deposit",
    Deposit,
    lambda c, q: c.deposit(q.channel_id, q.amount, q.timeout_s),
    One(ChannelInfo),
)
CLOSE_CHANNEL = Endpoint(
    "POST",
    "/v1/channels/{channel_id}/close",
    CloseChannel,
    lambda c, q: c.close_channel(q.channel_id, q.unilateral, q.timeout_s),
    One(ChannelInfo),
)

CREDITS = Endpoint("GET", "/v1/credits", Nothing, lambda c, _: c.credits(), Many("credits", CreditInfo))
CLAIM_CREDIT = Endpoint(
    "POST",
    "/v1/credits/claim",
    ClaimCredit,
    lambda c, q: c.claim_credit(q.asset, q.to, q.timeout_s),
    One(CreditInfo),
)

INVOICES = Endpoint(
    "GET",
    "/v1/invoices",
    ListInvoices,
    lambda c, q: c.invoices(q.before, q.limit),
    Paged("invoices", InvoiceInfo, Page),
)
CREATE_INVOICE = Endpoint(
    "POST",
    "/v1/invoices",
    CreateInvoice,
    lambda c, q: c.create_invoice(q.asset, q.amount, q.description, q.expiry_s, q.count),
    Many("invoices", InvoiceInfo),
)
INVOICE = Endpoint(
    "GET", "/v1/invoices/{hashlock}", GetByHash, lambda c, q: c.invoice(q.hashlock), One(InvoiceInfo), True
)
DECODE_INVOICE = Endpoint(
    "POST",
    "/v1/invoices/decode",
    DecodeInvoice,
    lambda c, q: c.decode_invoice(q.text),
    One(DecodedInvoice),
)

PAYMENTS = Endpoint(
    "GET",
    "/v1/payments",
    ListPayments,
    lambda c, q: c.payments(q.before, q.limit, q.status),
    Paged("payments", PaymentInfo, Page),
)
PAY = Endpoint(
    "POST",
    "/v1/payments",
    Pay,
    lambda c, q: c.pay(q.invoice, q.amount, q.max_fee, q.timeout_s, q.channel_id),
    One(PaymentInfo),
)
PAYMENT_STREAM_PATH = "/v1/payments/stream"
"""POST lines of JSON (each as the body of PAY), get lines of JSON (StreamedPayment) as they complete."""
MAX_LINE_BYTES = 16_384
"""The longest line of a stream: an invoice of 4,096 characters, escaped, and the rest."""
PAYMENT = Endpoint(
    "GET", "/v1/payments/{hashlock}", GetByHash, lambda c, q: c.payment(q.hashlock), One(PaymentInfo), True
)

PUSH = Endpoint(
    "POST",
    "/v1/pushes",
    Push,
    lambda c, q: c.push(q.peer, q.asset, q.stream, (q.amount,) * q.count, q.timeout_s),
    One(PushInfo),
)
PUSH_STREAM_PATH = "/v1/pushes/stream"
"""POST lines of amounts, get lines of JSON (StreamedPushes) as they are answered."""
MAX_PUSH_LINE_BYTES = 64
"""The longest line of a push stream: 29 digits, quotes and some space."""
RECEIVED_PATH = "/v1/pushes/received"
"""GET lines of JSON (StreamInfo), whenever pushes come in."""
STREAMS = Endpoint(
    "GET",
    "/v1/streams",
    ListPage,
    lambda c, q: c.streams(q.before, q.limit),
    Paged("streams", StreamInfo, Page),
)
STREAM = Endpoint(
    "GET",
    "/v1/streams/{channel_id}/{direction}/{stream}",
    GetStream,
    lambda c, q: c.stream(q.channel_id, q.direction, q.stream),
    One(StreamInfo),
    True,
)

QUOTE_OPTION = Endpoint(
    "POST",
    "/v1/options/quote",
    QuoteOption,
    lambda c, q: c.quote_option(q.name, q.size_e8, q.asset, q.writer, q.timeout_s),
    One(QuoteInfo),
)
BUY_OPTION = Endpoint(
    "POST",
    "/v1/options/buy",
    BuyOption,
    lambda c, q: c.buy_option(q.quote_id, q.max_premium, q.timeout_s),
    One(TradeInfo),
)
TRADES = Endpoint(
    "GET",
    "/v1/options/trades",
    ListPage,
    lambda c, q: c.trades(q.before, q.limit),
    Paged("trades", TradeInfo, Page),
)
POSITIONS = Endpoint(
    "GET",
    "/v1/options/positions",
    ListPage,
    lambda c, q: c.positions(q.before, q.limit),
    Paged("positions", PositionInfo, Page),
)
SETTLE_OPTIONS = Endpoint(
    "POST",
    "/v1/options/settle",
    SettleOptions,
    lambda c, q: c.settle_options(q.channel_id, q.timeout_s),
    Many("settled", PositionInfo),
)

ENDPOINTS: tuple[Endpoint[Any, Any], ...] = (
    INFO,
    STOP,
    PEERS,
    CONNECT,
    DISCONNECT,
    CHANNELS,
    CHANNEL,
    OPEN_CHANNEL,
    DEPOSIT,
    CLOSE_CHANNEL,
    CREDITS,
    CLAIM_CREDIT,
    INVOICES,
    CREATE_INVOICE,
    INVOICE,
    DECODE_INVOICE,
    PAYMENTS,
    PAY,
    PAYMENT,
    PUSH,
    STREAMS,
    STREAM,
    QUOTE_OPTION,
    BUY_OPTION,
    TRADES,
    POSITIONS,
    SETTLE_OPTIONS,
)
