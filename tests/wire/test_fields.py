"""Fields have one type, one width and one encoding."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channeld.wire.fields import (
    decode_int,
    decode_uint,
    encode_int,
    encode_uint,
    read_blob,
    read_bool,
    read_bytes,
    read_list,
    read_record,
    read_text,
    read_uint,
)
from channeld.wire.malformed import MalformedMessage


@given(st.integers(0, 2**128 - 1))
def test_an_amount_survives(amount: int) -> None:
    assert decode_uint(encode_uint(amount), "amount", 128) == amount


@given(st.integers(-(2**127), 2**127 - 1))
def test_a_net_survives(net: int) -> None:
    assert decode_int(encode_int(net), "net", 128) == net


@given(st.binary(max_size=17))
def test_no_number_has_two_encodings(data: bytes) -> None:
    for decode, encode in ((decode_uint, encode_uint), (decode_int, encode_int)):
        try:
            number = decode(data, "number", 128)
        except MalformedMessage:
            continue
        assert encode(number) == data


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (0, ""),
        (1, "01"),
        (127, "7f"),
        (128, "0080"),
        (-1, "ff"),
        (-128, "80"),
        (-129, "ff7f"),
        (2**127 - 1, "7f" + 15 * "ff"),
    ],
)
def test_signed_numbers_are_shortest_twos_complement(number: int, encoded: str) -> None:
    assert encode_int(number).hex() == encoded


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (lambda: read_uint(256, "fee_ppm", 8), "fee_ppm: expected uint8, got 9 bits"),
        (lambda: read_uint(-1, "fee_ppm", 8), "got a negative number"),
        (lambda: read_uint(True, "fee_ppm", 8), "got bool"),
        (lambda: read_uint(b"\x01", "fee_ppm", 8), "got bin"),
        (lambda: read_bool(1, "open"), "open: expected bool, got int"),
        (lambda: read_bytes(bytes(31), "hashlock", 32), "hashlock: expected 32 bytes, got 31 bytes"),
        (lambda: read_bytes("a" * 32, "hashlock", 32), "got str"),
        (lambda: read_blob(bytes(9), "onion", 8), "at most 8 bytes, got 9 bytes"),
        (lambda: read_blob(None, "onion", 8), "got nil"),
        (lambda: read_text("éé", "memo", 3), "at most 3 bytes, got 4 bytes"),
        (lambda: read_text(b"e", "memo", 3), "got bin"),
        (lambda: read_record((1, 2), "claim", 3), "claim: expected an array of 3, got 2 items"),
        (lambda: read_record(7, "claim", 3), "got int"),
        (lambda: read_list((1, 2), "claims", 1), "at most 1, got 2 items"),
        (lambda: read_list(b"", "claims", 1), "got bin"),
        (lambda: decode_uint(b"\x00\x01", "amount_wei", 128), "leading zero"),
        (lambda: decode_uint(b"\x00", "amount_wei", 128), "leading zero"),
        (lambda: decode_uint(bytes([1]) * 17, "amount_wei", 128), "16 bytes, got 17 bytes"),
        (lambda: decode_uint(5, "amount_wei", 128), "got int"),
        (lambda: decode_int(b"\x00", "net_wei", 128), "shortest"),
        (lambda: decode_int(b"\xff\xff", "net_wei", 128), "shortest"),
        (lambda: decode_int(bytes([1]) * 17, "net_wei", 128), "16 bytes, got 17 bytes"),
        (lambda: decode_int(5, "net_wei", 128), "got int"),
    ],
)
def test_mallory_bends_a_field(read: Callable[[], object], reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason):
        read()


def test_honest_fields_pass() -> None:
    assert read_uint(2**64 - 1, "version", 64) == 2**64 - 1
    assert read_bool(False, "open") is False
    assert read_bytes(bytes(32), "hashlock", 32) == bytes(32)
    assert read_blob(b"", "onion", 8) == b""
    assert read_text("éa", "memo", 3) == "éa"
    assert read_record((1, 2), "claim", 2) == (1, 2)
    assert read_list((), "claims", 1) == ()


def test_a_negative_amount_is_our_bug() -> None:
    with pytest.raises(AssertionError):
        encode_uint(-1)
