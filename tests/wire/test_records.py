"""Records: what alice remembers survives as it was, or the daemon says that its database is damaged."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from zlib import crc32

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channeld.core import draft
from channeld.core.channel import Channel, Phase
from channeld.core.claims import MAX_AMOUNT, Claim, OptionTerms, PayoffKind, Side, State
from channeld.core.errors import OperationalError
from channeld.core.identity import ChannelParams
from channeld.core.operations import MAX_CLAIMS_PER_SIDE, MAX_PACKET_BYTES, Add, Fulfil
from channeld.core.records import (
    ClaimRef,
    Forward,
    Payment,
    Secret,
)
from channeld.wire.channel_record import MAX_WAITING
from channeld.wire.records import (
    _RECORDS,
    RECORD_KINDS,
    DamagedRecord,
    Record,
    _decode,
    decode_params,
    decode_record,
    encode_params,
    encode_record,
)
from tests.wire.wire_cast import channels, full_update, params, records

SECRET = Secret(b"\x01" * 32, b"\x02" * 32)
PARAMS = ChannelParams(b"\x0a" * 20, b"\x0b" * 20, bytes(20), 600, 7)
CHANNEL = Channel(b"\x01" * 32, PARAMS, Side.A, b"\x02" * 33, Phase.OPEN, 0)
MAX_VALUE_BYTES = 16 * 2**20
"""What the journal takes."""


@settings(max_examples=300)
@given(records)
def test_what_alice_writes_alice_reads(record: Record) -> None:
    kind, key, value = encode_record(record)
    read = decode_record(kind, value)
    assert read == record
    assert repr(read) == repr(record)
    assert read.key == key
    assert encode_record(read) == (kind, key, value)


@given(params)
def test_parameters_alone(value: ChannelParams) -> None:
    assert decode_params(encode_params(value)) == value


def test_every_durable_record_of_the_core_has_a_table() -> None:
    assert set(_RECORDS) == set(draft.TABLES)
    assert len(RECORD_KINDS) == len(draft.TABLES)


@settings(max_examples=300)
@given(records, st.data())
def test_whatever_the_disk_changes_is_noticed(record: Record, draws: st.DataObject) -> None:
    """Any bit, any cut, any byte more, and a value that stands under another kind."""
    kind, _, value = encode_record(record)
    place = draws.draw(st.integers(0, len(value) - 1))
    damaged = bytearray(value)
    damaged[place] ^= 1 << draws.draw(st.integers(0, 7))
    for wrong in (bytes(damaged), value[:place], value + b"\x00", b""):
        with pytest.raises(DamagedRecord, match=f"the database's {kind} record"):
            decode_record(kind, wrong)
    other = draws.draw(st.sampled_from([k for k in RECORD_KINDS if k != kind]))
    with pytest.raises(DamagedRecord, match=f"the database's {other} record"):
        decode_record(other, value)


@settings(max_examples=300)
@given(st.sampled_from(RECORD_KINDS), st.binary(max_size=100))
def test_random_bytes_are_damage(kind: str, data: bytes) -> None:
    with pytest.raises(OperationalError):
        decode_record(kind, data)


def with_checksum(kind: str, items: Any) -> bytes:
    """What a bug, not a disk, could have written."""
    body: bytes = msgpack.packb(items)
    return crc32(kind.encode() + body).to_bytes(4, "big") + body


def items_of(record: Record) -> list[Any]:
    items: list[Any] = msgpack.unpackb(encode_record(record)[2][4:])
    return items


@settings(max_examples=300)
@given(
    records,
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=40),
    st.data(),
)
def test_a_wrong_field_is_damage_even_with_a_good_checksum(
    record: Record, wrong: object, draws: st.DataObject
) -> None:
    kind, _, _ = encode_record(record)
    items = items_of(record)
    items[draws.draw(st.integers(0, len(items) - 1))] = wrong
    value = with_checksum(kind, items)
    try:
        read = decode_record(kind, value)
    except DamagedRecord:
        return
    assert decode_record(*encode_record(read)[::2]) == read


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("secret", with_checksum("secret", [1, bytes(32)]), "expected an array of 2, got 1 items"),
        ("secret", with_checksum("secret", [1, bytes(32), bytes(31)]), "secret.preimage: expected 32 bytes"),
        (
            "secret",
            with_checksum("secret", [2, bytes(32), bytes(32)]),
            "has the format 2, expected one of [1]",
        ),
        ("secret", with_checksum("secret", []), "expected the number of its format first"),
        ("secret", with_checksum("secret", [True, bytes(32), bytes(32)]), "the number of its format first"),
        ("secret", with_checksum("secret", {"a": 1}), "expected an array, got dict"),
        ("secret", with_checksum("secret", [1.5]), "expected the number of its format first"),
        ("secret", crc32(b"secret\xc1").to_bytes(4, "big") + b"\xc1", "expected msgpack"),
        ("secret", crc32(b"secret").to_bytes(4, "big"), "expected msgpack"),
        ("secret", bytes(40), "expected the checksum of its content, got another; restore a backup"),
        ("toast", b"", "expected a record of ['channel', "),
    ],
)
def test_damage_is_named(kind: str, value: bytes, reason: str) -> None:
    with pytest.raises(DamagedRecord) as caught:
        decode_record(kind, value)
    assert reason in str(caught.value)


def test_a_newer_program_reads_an_older_format() -> None:
    """Format 2 of a secret, which has only its preimage, beside a reader of format 1."""
    today = _RECORDS[Secret]

    def read_new(value: object, _name: str) -> Secret:
        assert isinstance(value, tuple)
        return Secret(b"\x03" * 32, value[0])

    newer = replace(today, version=2, read=read_new, older={1: today.read})
    assert _decode(newer, encode_record(SECRET)[2]) == SECRET
    assert _decode(newer, with_checksum("secret", [2, b"\x02" * 32])) == replace(
        SECRET, hashlock=b"\x03" * 32
    )


@given(channels)
def test_a_state_that_both_signed_is_written_once(channel: Channel) -> None:
    agreed = replace(channel, mine=replace(channel.theirs, claims=dict(channel.theirs.claims)))
    read = decode_record(*encode_record(agreed)[::2])
    assert isinstance(read, Channel)
    assert read == agreed
    assert read.mine is read.theirs
    if channel.mine != channel.theirs:
        assert len(encode_record(agreed)[2]) < len(encode_record(channel)[2])


def test_the_largest_channel_fits_the_journal() -> None:
    """Every claim an option, a full batch unanswered and as many operations waiting as may."""
    terms = OptionTerms(PayoffKind.COIN_PUT, b"\x05" * 32, 2**40 - 1, 2**128 - 1, 2**128 - 2)
    most = 2 * MAX_CLAIMS_PER_SIDE
    top = 2**63 - 2 * most
    claims = {top + i: Claim(top + i, MAX_AMOUNT, b"\x06" * 32, 2**40 - 1, terms) for i in range(most)}
    state = State(2**64 - 1, -(2**127), claims, (top + most, top + most + 1))
    add = Add(replace(claims[top], terms=terms), bytes(MAX_PACKET_BYTES))
    largest = replace(
        CHANNEL,
        mine=state,
        theirs=replace(state, version=2**64 - 2),
        unanswered=full_update(480, MAX_PACKET_BYTES).operations,
        waiting=(add,) * MAX_WAITING,
    )
    kind, _, value = encode_record(largest)
    assert len(value) <= MAX_VALUE_BYTES
    assert decode_record(kind, value) == largest


def test_sizes() -> None:
    ref = ClaimRef(b"\x01" * 32, 5)
    assert len(encode_record(SECRET)[2]) == 74
    assert len(encode_record(Forward(ref, ref, bytes(32), 1_700_000_000, 10))[2]) <= 130
    assert len(encode_record(CHANNEL)[2]) <= 250


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: replace(SECRET, preimage=b""),
        lambda: replace(CHANNEL, peer=b"\x02" * 32),
        lambda: replace(CHANNEL, their_signature=b"\x02" * 63),
        lambda: replace(CHANNEL, params=replace(PARAMS, salt=2**216)),
        lambda: replace(CHANNEL, next_id=-1),
        lambda: replace(CHANNEL, waiting=(Fulfil(1, b""),)),
        lambda: replace(CHANNEL, waiting=(Add(Claim(2, 5, b"\x01" * 32, 9), bytes(MAX_PACKET_BYTES + 1)),)),
        lambda: replace(CHANNEL, waiting=(Fulfil(1, bytes(32)),) * (MAX_WAITING + 1)),
        lambda: replace(CHANNEL, mine=State(1, 2**127)),
        lambda: Payment(bytes(32), b"", bytes(20), 1, 0, 1),
        lambda: Payment(bytes(32), b"\x02" * 33, bytes(20), 1, 0, 1, "\ud800"),
        lambda: Payment(bytes(32), b"\x02" * 33, bytes(20), MAX_AMOUNT + 1, 0, 1),
    ],
)
def test_what_could_not_be_read_back_is_never_written(mistake: Callable[[], Record]) -> None:
    with pytest.raises(AssertionError, match="cannot encode"):
        encode_record(mistake())


def test_no_secret_reaches_the_error() -> None:
    value = with_checksum("secret", [1, b"the preimage that nobody may see", b"the preimage"])
    with pytest.raises(DamagedRecord) as caught:
        decode_record("secret", value)
    assert "the preimage" not in str(caught.value)


def test_a_payment_of_the_first_format_is_read() -> None:
    """It knew nothing of attempts and hops."""
    payment = Payment(bytes(32), b"\x02" * 33, bytes(20), 1, 0, 1, attempts=3, hops=2)
    _, _, value = encode_record(payment)
    _, *fields = msgpack.unpackb(value[4:])
    old = with_checksum("payment", [1, *fields[:-2]])
    assert decode_record("payment", value) == payment
    assert decode_record("payment", old) == replace(payment, attempts=1, hops=0)
