"""The operations of a batch as arrays: what every payment costs, twice on each side.

    add     [1, claim id, amount, hashlock, deadline, terms or nil, packet]
    fulfil  [2, claim id, preimage]
    fail    [3, claim id, reason]
    expire  [4, claim id]
    settle  [5, feed, expiry, price]
    push    [6, stream, amount]

Adds, fulfils and pushes have a fast path that checks all fields of one operation in one expression; only
when it finds something wrong does the layout of fields look for what.
"""

from typing import assert_never

from channeld.core.claims import MAX_AMOUNT, MAX_TIME_S, Claim, OptionTerms
from channeld.core.operations import (
    MAX_OPERATIONS,
    MAX_PACKET_BYTES,
    MAX_REASON_BYTES,
    STREAM_BYTES,
    Add,
    Expire,
    Fail,
    Fulfil,
    Operation,
    Push,
    Settle,
)
from channeld.wire.claims import OPTIONAL_TERMS, pack_terms, read_terms
from channeld.wire.fields import encode_uint, read_list
from channeld.wire.layout import AMOUNT, CLAIM_ID, HASH, PRICE, SHORT_ID, TIME_S, Codec, Layout, blob
from channeld.wire.malformed import MalformedMessage

TAG_ADD = 1
TAG_FULFIL = 2
TAG_FAIL = 3
TAG_EXPIRE = 4
TAG_SETTLE = 5
TAG_PUSH = 6

_MAX_AMOUNT_BYTES = 12
_CLAIM_ID_LIMIT = 1 << 63


def _build_add(
    claim_id: int, amount: int, hashlock: bytes, deadline_s: int, terms: OptionTerms | None, packet: bytes
) -> Add:
    return Add(Claim(claim_id, amount, hashlock, deadline_s, terms), packet)


_ADD = Layout(
    _build_add,
    "add",
    claim_id=CLAIM_ID,
    amount=AMOUNT,
    hashlock=HASH,
    deadline_s=TIME_S,
    terms=OPTIONAL_TERMS,
    packet=blob(MAX_PACKET_BYTES),
)
_FULFIL = Layout(Fulfil, "fulfil", claim_id=CLAIM_ID, preimage=HASH)
_FAIL = Layout(Fail, "fail", claim_id=CLAIM_ID, reason=blob(MAX_REASON_BYTES))
_EXPIRE = Layout(Expire, "expire", claim_id=CLAIM_ID)
_SETTLE = Layout(Settle, "settle", feed=HASH, expiry_s=TIME_S, price=PRICE)
_PUSH = Layout(Push, "push", stream=SHORT_ID, amount=AMOUNT)

_LAYOUTS: dict[
    int,
    Layout[Add] | Layout[Fulfil] | Layout[Fail] | Layout[Expire] | Layout[Settle] | Layout[Push],
] = {
    TAG_ADD: _ADD,
    TAG_FULFIL: _FULFIL,
    TAG_FAIL: _FAIL,
    TAG_EXPIRE: _EXPIRE,
    TAG_SETTLE: _SETTLE,
    TAG_PUSH: _PUSH,
}


def pack_operation(operation: Operation) -> tuple[object, ...]:
    """An operation as its array."""
    match operation:
        case Add():
            return _pack_add(operation)
        case Fulfil(claim_id, preimage):
            if 0 <= claim_id < _CLAIM_ID_LIMIT and len(preimage) == 32:
                return (TAG_FULFIL, claim_id, preimage)
            return (TAG_FULFIL, *_FULFIL.pack(operation))
        case Fail():
            return (TAG_FAIL, *_FAIL.pack(operation))
        case Expire():
            return (TAG_EXPIRE, *_EXPIRE.pack(operation))
        case Settle():
            return (TAG_SETTLE, *_SETTLE.pack(operation))
        case Push(stream, amount):
            if len(stream) == STREAM_BYTES and 0 <= amount <= MAX_AMOUNT:
                return (TAG_PUSH, stream, encode_uint(amount))
            return (TAG_PUSH, *_PUSH.pack(operation))
        case _:
            assert_never(operation)


def _pack_add(operation: Add) -> tuple[object, ...]:
    claim, packet = operation.claim, operation.packet
    claim_id, amount, hashlock, deadline_s, terms = (
        claim.claim_id,
        claim.amount,
        claim.hashlock,
        claim.deadline_s,
        claim.terms,
    )
    if not (
        0 <= claim_id < _CLAIM_ID_LIMIT
        and 0 <= amount <= MAX_AMOUNT
        and hashlock is not None
        and len(hashlock) == 32
        and 0 <= deadline_s <= MAX_TIME_S
        and len(packet) <= MAX_PACKET_BYTES
    ):
        raise MalformedMessage(f"add {claim_id}", "fields within the limits of their widths", "others")
    packed_terms = None if terms is None else pack_terms(terms)
    return (TAG_ADD, claim_id, encode_uint(amount), hashlock, deadline_s, packed_terms, packet)


def read_operation(value: object, name: str) -> Operation:
    """An array as its operation."""
    if type(value) is not tuple or not value:
        raise MalformedMessage(name, "an array that begins with a tag", "something else")
    tag = value[0]
    if type(tag) is int:
        if tag == TAG_ADD and len(value) == 7:
            _, claim_id, amount, hashlock, deadline_s, terms, packet = value
            if (
                type(claim_id) is int
                and 0 <= claim_id < _CLAIM_ID_LIMIT
                and type(amount) is bytes
                and len(amount) <= _MAX_AMOUNT_BYTES
                and (not amount or amount[0])
                and (money := int.from_bytes(amount, "big")) <= MAX_AMOUNT
                and type(hashlock) is bytes
                and len(hashlock) == 32
                and type(deadline_s) is int
                and 0 <= deadline_s <= MAX_TIME_S
                and type(packet) is bytes
                and len(packet) <= MAX_PACKET_BYTES
            ):
                if terms is not None:
                    terms = read_terms(terms, "add.terms")
                return Add(Claim(claim_id, money, hashlock, deadline_s, terms), packet)
        elif tag == TAG_FULFIL and len(value) == 3:
            _, claim_id, preimage = value
            if (
                type(claim_id) is int
                and 0 <= claim_id < _CLAIM_ID_LIMIT
                and type(preimage) is bytes
                and len(preimage) == 32
            ):
                return Fulfil(claim_id, preimage)
        elif tag == TAG_PUSH and len(value) == 3:
            _, stream, amount = value
            if (
                type(stream) is bytes
                and len(stream) == STREAM_BYTES
                and type(amount) is bytes
                and len(amount) <= _MAX_AMOUNT_BYTES
                and (not amount or amount[0])
                and (money := int.from_bytes(amount, "big")) <= MAX_AMOUNT
            ):
                return Push(stream, money)
        layout = _LAYOUTS.get(tag)
        if layout is not None:
            if len(value) != layout.size + 1:
                raise MalformedMessage(layout.name, f"an array of {layout.size + 1}", f"{len(value)} items")
            return layout.read_items(value[1:])
    raise MalformedMessage(name, f"a tag of {sorted(_LAYOUTS)}", "another")


def _pack_one(operation: Operation, _name: str) -> tuple[object, ...]:
    return pack_operation(operation)


OPERATION: Codec[Operation] = Codec(_pack_one, read_operation)


def _pack_batch(operations: tuple[Operation, ...], name: str) -> tuple[object, ...]:
    if not 0 < len(operations) <= MAX_OPERATIONS:
        raise MalformedMessage(name, f"1 to {MAX_OPERATIONS} operations", f"{len(operations)}")
    return tuple(map(pack_operation, operations))


def _read_batch(value: object, name: str) -> tuple[Operation, ...]:
    items = read_list(value, name, MAX_OPERATIONS)
    if not items:
        raise MalformedMessage(name, f"1 to {MAX_OPERATIONS} operations", "none")
    return tuple([read_operation(item, name) for item in items])


BATCH: Codec[tuple[Operation, ...]] = Codec(_pack_batch, _read_batch)
"""The operations of one update: at least one, because an empty proposal would be a free signature."""
