"""Operations in a batch: read fast, and refused as exactly as everything else."""

from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channeld.core.channel import Ack, Update
from channeld.core.claims import MAX_AMOUNT, MAX_TIME_S, Claim, PayoffKind
from channeld.core.operations import (
    MAX_CLAIMS_PER_SIDE,
    MAX_OPERATIONS,
    MAX_PACKET_BYTES,
    MAX_REASON_BYTES,
    Add,
    Expire,
    Fail,
    Fulfil,
    Operation,
    Push,
    Settle,
)
from channeld.wire.limits import MAX_MESSAGE_BYTES
from channeld.wire.malformed import MalformedMessage
from channeld.wire.messages import decode, encode
from channeld.wire.operations import _LAYOUTS as OPERATION_LAYOUTS
from channeld.wire.operations import read_operation
from tests.wire.wire_arrays import (
    ADD,
    CALL,
    FEED,
    HASHLOCK,
    ID,
    SIGNATURE,
    STREAM,
    TERMS,
    uint,
    update,
    values,
    with_item,
)
from tests.wire.wire_cast import full_update, updates


@given(updates, st.data())
def test_the_fast_path_and_the_table_agree(update: Update, draws: st.DataObject) -> None:
    """Adds, fulfils and pushes are read by hand-written checks; the table of fields must say the same."""
    items = list(msgpack.unpackb(encode(update), raw=False, use_list=False)[4])
    operation = list(draws.draw(st.sampled_from(items)))
    if draws.draw(st.booleans()):
        operation[draws.draw(st.integers(1, len(operation) - 1))] = draws.draw(values)

    def outcome(read: Any, value: Any) -> object:
        try:
            return read(value)
        except MalformedMessage as error:
            return str(error)

    fast = outcome(lambda value: read_operation(value, "operation"), tuple(operation))
    assert fast == outcome(OPERATION_LAYOUTS[operation[0]].read_items, tuple(operation[1:]))


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        (update(), "update.operations: expected 1 to 480 operations, got none"),
        (update(*[[4, 2]] * (MAX_OPERATIONS + 1)), "update.operations: expected an array of at most 480"),
        (update(7), "update.operations: expected an array that begins with a tag"),
        (update([]), "update.operations: expected an array that begins with a tag"),
        (update([0, 6]), "expected a tag of [1, 2, 3, 4, 5, 6]"),
        (update([7, 6]), "expected a tag of"),
        (update([True, *ADD[1:]]), "expected a tag of"),
        (update(ADD[:6]), "add: expected an array of 7, got 6 items"),
        (update([*ADD, b""]), "add: expected an array of 7, got 8 items"),
        (update(with_item(ADD, 1, 2**63)), "add.claim_id: expected uint63, got 64 bits"),
        (update(with_item(ADD, 1, -2)), "add.claim_id: expected uint63, got a negative number"),
        (update(with_item(ADD, 1, True)), "add.claim_id: expected uint63, got bool"),
        (update(with_item(ADD, 2, 5)), "add.amount: expected uint96 as a bin, got int"),
        (update(with_item(ADD, 2, b"\x00\x05")), "add.amount: expected uint96 without a leading zero"),
        (update(with_item(ADD, 2, uint(MAX_AMOUNT + 1))), f"add.amount: expected at most {MAX_AMOUNT}"),
        (update(with_item(ADD, 2, uint(2**96))), "add.amount: expected uint96 in 12 bytes, got 13 bytes"),
        (update(with_item(ADD, 3, None)), "add.hashlock: expected 32 bytes, got nil"),
        (update(with_item(ADD, 3, HASHLOCK[:31])), "add.hashlock: expected 32 bytes, got 31"),
        (update(with_item(ADD, 4, MAX_TIME_S + 1)), "add.deadline_s: expected uint40"),
        (update(with_item(ADD, 4, False)), "add.deadline_s: expected uint40, got bool"),
        (update(with_item(ADD, 5, False)), "add.terms: expected an array of 5, got bool"),
        (update(with_item(ADD, 5, TERMS[:4])), "add.terms: expected an array of 5, got 4 items"),
        (update(with_item(ADD, 5, with_item(TERMS, 0, 0))), "terms.kind: expected the kind of an option"),
        (update(with_item(ADD, 5, with_item(TERMS, 0, 7))), "terms.kind: expected one of"),
        (update(with_item(ADD, 5, with_item(TERMS, 0, True))), "terms.kind: expected one of"),
        (update(with_item(ADD, 5, with_item(TERMS, 1, FEED[1:]))), "terms.feed: expected 32 bytes"),
        (update(with_item(ADD, 5, with_item(TERMS, 2, 2**40))), "terms.expiry_s: expected uint40"),
        (update(with_item(ADD, 5, with_item(TERMS, 3, uint(2**128)))), "terms.strike: expected uint128"),
        (
            update(with_item(ADD, 5, with_item(TERMS, 3, b"\x00\x01"))),
            "terms.strike: expected uint128 without",
        ),
        (update(with_item(ADD, 5, with_item(TERMS, 4, b"\x00"))), "terms.bound: expected uint128 without"),
        (update(with_item(ADD, 6, bytes(MAX_PACKET_BYTES + 1))), "add.packet: expected at most 2048 bytes"),
        (update(with_item(ADD, 6, "packet")), "add.packet: expected at most 2048 bytes, got str"),
        (update([2, 6, HASHLOCK[:31]]), "fulfil.preimage: expected 32 bytes, got 31"),
        (update([2, False, HASHLOCK]), "fulfil.claim_id: expected uint63, got bool"),
        (update([2, 6]), "fulfil: expected an array of 3, got 2 items"),
        (update([3, 6, bytes(MAX_REASON_BYTES + 1)]), "fail.reason: expected at most 512 bytes"),
        (update([4, 6, 6]), "expire: expected an array of 2"),
        (update([5, FEED, 1, uint(2**128)]), "settle.price: expected uint128"),
        (update([5, FEED, 1, 0]), "settle.price: expected uint128 as a bin, got int"),
        (update([6, STREAM]), "push: expected an array of 3, got 2 items"),
        (update([6, STREAM, uint(5), 0]), "push: expected an array of 3, got 4 items"),
        (update([6, STREAM[1:], uint(5)]), "push.stream: expected 16 bytes, got 15"),
        (update([6, 1, uint(5)]), "push.stream: expected 16 bytes, got int"),
        (update([6, STREAM, 5]), "push.amount: expected uint96 as a bin, got int"),
        (update([6, STREAM, b"\x00\x05"]), "push.amount: expected uint96 without a leading zero"),
        (update([6, STREAM, uint(MAX_AMOUNT + 1)]), f"push.amount: expected at most {MAX_AMOUNT}"),
        (update([6, STREAM, uint(2**96)]), "push.amount: expected uint96 in 12 bytes, got 13 bytes"),
    ],
)
def test_mallory_sends_a_batch(items: list[Any], reason: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode(msgpack.packb(items))
    assert reason in str(caught.value)


GOOD_CLAIM = Claim(6, 5, HASHLOCK, 9)


@pytest.mark.parametrize(
    "operation",
    [
        Add(replace(GOOD_CLAIM, claim_id=2**63), b""),
        Add(replace(GOOD_CLAIM, claim_id=-2), b""),
        Add(replace(GOOD_CLAIM, amount=-5), b""),
        Add(replace(GOOD_CLAIM, amount=MAX_AMOUNT + 1), b""),
        Add(replace(GOOD_CLAIM, hashlock=None), b""),
        Add(replace(GOOD_CLAIM, hashlock=HASHLOCK[1:]), b""),
        Add(replace(GOOD_CLAIM, deadline_s=MAX_TIME_S + 1), b""),
        Add(GOOD_CLAIM, bytes(MAX_PACKET_BYTES + 1)),
        Add(replace(GOOD_CLAIM, terms=replace(CALL, kind=PayoffKind.FIXED)), b""),
        Add(replace(GOOD_CLAIM, terms=replace(CALL, feed=b"")), b""),
        Add(replace(GOOD_CLAIM, terms=replace(CALL, strike=2**128)), b""),
        Add(replace(GOOD_CLAIM, terms=replace(CALL, bound=-1)), b""),
        Fulfil(6, b""),
        Fulfil(-1, HASHLOCK),
        Fail(6, bytes(MAX_REASON_BYTES + 1)),
        Expire(2**63),
        Settle(FEED, 1, 2**128),
        Push(STREAM[1:], 5),
        Push(STREAM, -1),
        Push(STREAM, MAX_AMOUNT + 1),
    ],
)
def test_an_operation_that_nobody_could_read_is_never_sent(operation: Operation) -> None:
    with pytest.raises(AssertionError, match="cannot encode"):
        encode(Update(ID, 8, 7, (operation,), SIGNATURE))


def test_the_limits_fit_each_other() -> None:
    """The most that R9 lets one side put into a batch, with the longest packets, is one message."""
    added = full_update(MAX_CLAIMS_PER_SIDE, MAX_PACKET_BYTES).operations
    option = Claim(2**63 - 2, MAX_AMOUNT, HASHLOCK, MAX_TIME_S, replace(CALL, strike=2**128 - 1))
    added = tuple(Add(replace(option, claim_id=option.claim_id - i), op.packet) for i, op in enumerate(added))
    failed = tuple(Fail(2**63 - 1, bytes(MAX_REASON_BYTES)) for _ in range(MAX_CLAIMS_PER_SIDE))
    batch = Update(ID, 2**64 - 1, 2**64 - 2, added + failed, SIGNATURE)
    data = encode(batch)
    assert len(data) <= MAX_MESSAGE_BYTES
    assert decode(data) == batch


def test_what_a_payment_costs_on_the_wire() -> None:
    """In bytes: a claim without its packet, and the frame of a batch."""
    empty = len(encode(full_update(1)))
    assert len(encode(full_update(2))) - empty == 55
    assert empty <= 160
    assert len(encode(Update(ID, 8, 7, (Fulfil(6, HASHLOCK),), SIGNATURE))) <= 150
    assert len(encode(Ack(ID, 8, SIGNATURE))) == 103
    pushes = [Update(ID, 8, 7, (Push(STREAM, 1_000),) * count, SIGNATURE) for count in (2, 3)]
    assert len(encode(pushes[1])) - len(encode(pushes[0])) == 24
