"""What a node remembers, as bytes for its journal: one table of fields for each kind of record.

A value is `crc32 (4 bytes) of all that follows and of the kind || msgpack [format, fields...]`. The
checksum finds what a disk has changed, the strict types what a bug has written; either is a
DamagedRecord, never a half-read channel. `format` is the version of that record's table: whoever changes
a table raises it and keeps a reader of the old one, so that a newer daemon can read an older database.

To add a record: a Layout with its fields, and a line in `_RECORDS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from zlib import crc32

import msgpack

from channeld.core.channel import Channel
from channeld.core.errors import OperationalError
from channeld.core.identity import ChannelParams
from channeld.core.records import (
    ClaimRef,
    Dispute,
    Failure,
    FailureCode,
    Forward,
    ForwardStatus,
    Invoice,
    InvoiceStatus,
    Payment,
    PaymentStatus,
    Secret,
    SignedPriceRecord,
    Stream,
    Trade,
    TradeRole,
    TradeStatus,
)
from channeld.wire import msgpack_strict
from channeld.wire.channel_record import PARAMS, pack_channel, read_channel
from channeld.wire.claims import LEG, MAX_CLAIMS
from channeld.wire.fields import read_record
from channeld.wire.invoice import MAX_DESCRIPTION_BYTES
from channeld.wire.layout import (
    ADDRESS,
    AMOUNT,
    BOOL,
    CLAIM_ID,
    HASH,
    NODE_ID,
    NODE_ID_OR_EMPTY,
    PRICE,
    SHORT_ID,
    SIGNATURE,
    TIME_S,
    VERSION,
    Layout,
    choice,
    fixed_or_empty,
    list_of,
    optional,
    packed,
    text,
    uint,
    wide_int,
    wide_uint,
)
from channeld.wire.malformed import MalformedMessage

Record = Channel | Forward | Invoice | Payment | Trade | Secret | SignedPriceRecord | Dispute | Stream
R = TypeVar("R")
Reader = Callable[[object, str], R]

MAX_SIGNERS = 255
"""The threshold of a feed is one byte of its id."""

_CHECKSUM_BYTES = 4


class DamagedRecord(OperationalError):
    """The database holds something else than this program wrote."""


_CLAIM_REF = Layout(ClaimRef, "claim ref", channel_id=HASH, claim_id=CLAIM_ID)
_FAILURE = Layout(Failure, "failure", code=choice(FailureCode), channel_id=HASH)
_PREIMAGE = fixed_or_empty(32)

_FORWARD = Layout(
    Forward,
    "forward",
    incoming=_CLAIM_REF.codec,
    outgoing=_CLAIM_REF.codec,
    hashlock=HASH,
    deadline_s=TIME_S,
    fee=AMOUNT,
    status=choice(ForwardStatus),
    leg=optional(LEG.codec),
)
_INVOICE = Layout(
    Invoice,
    "invoice",
    hashlock=HASH,
    preimage=HASH,
    payment_secret=HASH,
    asset=ADDRESS,
    amount=AMOUNT,
    description=text(MAX_DESCRIPTION_BYTES),
    created_s=TIME_S,
    expires_s=TIME_S,
    status=choice(InvoiceStatus),
    received=AMOUNT,
    paid_s=TIME_S,
)
_PAYMENT = Layout(
    Payment,
    "payment",
    hashlock=HASH,
    destination=NODE_ID,
    asset=ADDRESS,
    amount=AMOUNT,
    fee=AMOUNT,
    created_s=TIME_S,
    description=text(MAX_DESCRIPTION_BYTES),
    status=choice(PaymentStatus),
    claim=optional(_CLAIM_REF.codec),
    preimage=_PREIMAGE,
    failure=optional(_FAILURE.codec),
    attempts=uint(16),
    hops=uint(16),
)


def _read_payment_1(value: object, name: str) -> Payment:
    """As the first format was, without attempts and hops."""
    items = read_record(value, name, _PAYMENT.size - 2)
    return _PAYMENT.read_items((*items, 1, 0))


_TRADE = Layout(
    Trade,
    "trade",
    hashlock=HASH,
    role=choice(TradeRole),
    leg=LEG.codec,
    asset=ADDRESS,
    premium=AMOUNT,
    fee=AMOUNT,
    deadline_s=TIME_S,
    counterparty=NODE_ID_OR_EMPTY,
    created_s=TIME_S,
    status=choice(TradeStatus),
    preimage=_PREIMAGE,
    premium_claim=optional(_CLAIM_REF.codec),
    option_claim=optional(_CLAIM_REF.codec),
    failure=optional(_FAILURE.codec),
)
_SECRET = Layout(Secret, "secret", hashlock=HASH, preimage=HASH)
_PRICE = Layout(
    SignedPriceRecord,
    "price",
    feed=HASH,
    expiry_s=TIME_S,
    price=PRICE,
    signatures=list_of(SIGNATURE, MAX_SIGNERS),
)
_DISPUTE = Layout(
    Dispute,
    "dispute",
    channel_id=HASH,
    known=BOOL,
    version=VERSION,
    net=wide_int(256),
    claims_hash=HASH,
    salt=HASH,
    expires_s=TIME_S,
    remaining=optional(list_of(CLAIM_ID, MAX_CLAIMS)),
)
_STREAM = Layout(
    Stream,
    "stream",
    channel_id=HASH,
    outgoing=BOOL,
    stream=SHORT_ID,
    count=uint(64),
    total=wide_uint(160, 2**160 - 1),  # as many of the largest amounts as can be counted
    first_s=TIME_S,
    last_s=TIME_S,
    named=uint(64),
)


@dataclass(frozen=True, slots=True)
class RecordFormat(Generic[R]):
    """How one kind of record is written today, and how each older version of its format is read."""

    kind: str
    version: int
    pack: Callable[[R], tuple[object, ...]]
    read: Reader[R]
    older: Mapping[int, Reader[R]] = field(default_factory=dict)


def _table(layout: Layout[R]) -> RecordFormat[R]:
    return RecordFormat(layout.name, 1, layout.pack, layout.read)


_RECORDS: dict[type[Record], RecordFormat[Any]] = {
    Channel: RecordFormat("channel", 1, pack_channel, read_channel),
    Forward: _table(_FORWARD),
    Invoice: _table(_INVOICE),
    Payment: RecordFormat("payment", 2, _PAYMENT.pack, _PAYMENT.read, {1: _read_payment_1}),
    Trade: _table(_TRADE),
    Secret: _table(_SECRET),
    SignedPriceRecord: _table(_PRICE),
    Dispute: _table(_DISPUTE),
    Stream: _table(_STREAM),
}
_KINDS = {form.kind: form for form in _RECORDS.values()}
_PARAMS = _table(PARAMS)

RECORD_KINDS = tuple(_KINDS)
"""Every kind that a journal may hold, in the order in which they are read at the start."""


def kind_of(table: type[Record]) -> str:
    """The kind under which records of this class are journaled."""
    return _RECORDS[table].kind


def encode_record(record: Record) -> tuple[str, bytes, bytes]:
    """(kind, key, value) for the journal. A record that could not be read back is a bug: AssertionError."""
    form = _RECORDS[type(record)]
    return form.kind, record.key, _encode(form, record)


def decode_record(kind: str, value: bytes) -> Record:
    """The record in a journal's value. Raises DamagedRecord."""
    form = _KINDS.get(kind)
    if form is None:
        raise DamagedRecord(f"expected a record of {list(RECORD_KINDS)}, got one of the kind {kind!r}")
    record: Record = _decode(form, value)
    return record


def encode_params(params: ChannelParams) -> bytes:
    """A channel's parameters alone, for whoever only watches it."""
    return _encode(_PARAMS, params)


def decode_params(value: bytes) -> ChannelParams:
    """What `encode_params` wrote. Raises DamagedRecord."""
    return _decode(_PARAMS, value)


def _encode(form: RecordFormat[R], record: R) -> bytes:
    body = msgpack_strict.pack((form.version, *packed(form.pack, record)))
    return _checksum(form.kind, body) + body


def _checksum(kind: str, body: bytes) -> bytes:
    return crc32(body, crc32(kind.encode())).to_bytes(_CHECKSUM_BYTES, "big")


def _decode(form: RecordFormat[R], value: bytes) -> R:
    what = f"the database's {form.kind} record of {len(value)} bytes is damaged"
    body = value[_CHECKSUM_BYTES:]
    if _checksum(form.kind, body) != value[:_CHECKSUM_BYTES]:
        raise DamagedRecord(f"{what}: expected the checksum of its content, got another; restore a backup")
    items = _unpack(what, body)
    if not items or type(items[0]) is not int:
        raise DamagedRecord(f"{what}: expected the number of its format first")
    version = items[0]
    reader = form.read if version == form.version else form.older.get(version)
    if reader is None:
        known = sorted([form.version, *form.older])
        raise DamagedRecord(
            f"the database's {form.kind} record has the format {version}, expected one of {known}: "
            "was it written by a newer program?"
        )
    try:
        return reader(items[1:], form.kind)
    except MalformedMessage as error:
        raise DamagedRecord(f"{what}: {error}") from error


def _unpack(what: str, body: bytes) -> tuple[Any, ...]:
    """The array in a body. Lengths need no limit but the body's: the checksum proved that we wrote it."""
    size = len(body)
    try:
        items = msgpack.unpackb(
            body, raw=False, use_list=False, max_array_len=size, max_bin_len=size, max_str_len=size
        )
    except ValueError as error:
        raise DamagedRecord(f"{what}: expected msgpack, got {error}") from error
    if type(items) is not tuple:
        raise DamagedRecord(f"{what}: expected an array, got {type(items).__name__}")
    return items
