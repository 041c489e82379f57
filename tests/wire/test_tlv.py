"""Streams that can grow: one encoding for every stream, and the vectors of [BOLT-1] for numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channeld.wire.tlv import BadStream, encode_big_size, encode_stream, read_stream

streams = st.dictionaries(st.integers(0, 2**64 - 1), st.binary(max_size=300), max_size=6).map(
    lambda items: sorted(items.items())
)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (0, "00"),
        (252, "fc"),
        (253, "fd00fd"),
        (65_535, "fdffff"),
        (65_536, "fe00010000"),
        (2**32 - 1, "feffffffff"),
        (2**32, "ff0000000100000000"),
        (2**64 - 1, "ffffffffffffffffff"),
    ],
)
def test_numbers_are_as_short_as_they_can_be(value: int, data: str) -> None:
    assert encode_big_size(value).hex() == data
    assert list(read_stream(bytes.fromhex(data + "00"))) == [(value, b"")]


@given(streams)
def test_a_stream_survives(items: list[tuple[int, bytes]]) -> None:
    assert list(read_stream(encode_stream(items))) == items


@given(st.binary(max_size=60))
def test_no_stream_has_two_encodings(data: bytes) -> None:
    try:
        items = list(read_stream(data))
    except BadStream:
        return
    assert encode_stream(items) == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("fd00fc00", "expected 252 in its shortest form"),
        ("fe0000ffff00", "in its shortest form"),
        ("ff00000000ffffffff00", "in its shortest form"),
        ("fd00", "expected a number of 2 bytes, got 1"),
        ("01", "got the end of the data"),
        ("0102aa", "expected 2 bytes in field 1, got 1"),
        ("01000100", "expected a field with a number above 1, got 1"),
        ("02000100", "expected a field with a number above 2, got 1"),
        ("01ffffffffffffffffff", "expected 18446744073709551615 bytes in field 1, got 0"),
    ],
)
def test_bad_streams(data: str, reason: str) -> None:
    with pytest.raises(BadStream, match=reason):
        list(read_stream(bytes.fromhex(data)))


def test_our_own_mistakes_stop_us() -> None:
    with pytest.raises(AssertionError, match="type 1 after 1"):
        encode_stream([(1, b""), (1, b"")])
    with pytest.raises(AssertionError, match="65 bits"):
        encode_big_size(2**64)
