"""Streams of (type, length, value) after [BOLT-1]: what text formats carry that must be able to grow.

Types ascend strictly, numbers are in their shortest form (BigSize), so a stream has one encoding. A reader
skips an odd type that it does not know and refuses an even one: "it's ok to be odd".
"""

from collections.abc import Iterable, Iterator


class BadStream(ValueError):
    """Bytes that are no stream; the message says what was expected and what came."""


def encode_stream(items: Iterable[tuple[int, bytes]]) -> bytes:
    """The stream of (type, value), which must ascend by type."""
    stream = b""
    last = -1
    for kind, value in items:
        assert kind > last, f"type {kind} after {last}"
        last = kind
        stream += encode_big_size(kind) + encode_big_size(len(value)) + value
    return stream


def read_stream(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each (type, value). Raises BadStream."""
    at, end = 0, len(data)
    last = -1
    while at < end:
        kind, at = (data[at], at + 1) if data[at] < 0xFD else _read_big_size(data, at)
        if kind <= last:
            raise BadStream(f"expected a field with a number above {last}, got {kind}")
        last = kind
        length, at = (data[at], at + 1) if at < end and data[at] < 0xFD else _read_big_size(data, at)
        if length > end - at:
            raise BadStream(f"expected {length} bytes in field {kind}, got {end - at}")
        yield kind, data[at : at + length]
        at += length


def encode_big_size(value: int) -> bytes:
    """[BOLT-1] BigSize: 1 byte below 0xfd, else a mark and 2, 4 or 8 bytes."""
    if value < 0xFD:
        return bytes([value])
    for mark, width in ((b"\xfd", 2), (b"\xfe", 4), (b"\xff", 8)):
        if value < 1 << 8 * width:
            return mark + value.to_bytes(width, "big")
    raise AssertionError(f"expected a number below 2**64, got {value.bit_length()} bits")


def _read_big_size(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at` and where it ends."""
    if at >= len(data):
        raise BadStream("expected another number, got the end of the data")
    width = {0xFD: 2, 0xFE: 4, 0xFF: 8}.get(data[at])
    if width is None:
        return data[at], at + 1
    end = at + 1 + width
    if end > len(data):
        raise BadStream(f"expected a number of {width} bytes, got {len(data) - at - 1}")
    value = int.from_bytes(data[at + 1 : end], "big")
    if len(encode_big_size(value)) != 1 + width:
        raise BadStream(f"expected {value} in its shortest form, got {width} bytes")
    return value, end
