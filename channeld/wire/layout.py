"""How plain data becomes an array of plain values and back: field codecs, and layouts made of them.

A codec packs a value into what msgpack carries and reads it back, both ways with the same checks, so that
nothing is ever written that could not be read. A layout is the codec of a whole record: the table of its
fields, in the order of its class. What is read wrong is a MalformedMessage; what is packed wrong is our
own mistake, and whoever packs turns it into an assertion (`packed`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from inspect import signature
from typing import Any, Generic, TypeVar

from channeld.core.claims import MAX_AMOUNT
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

T = TypeVar("T")
E = TypeVar("E", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """A field's two directions; `name` is where it stands, for the error."""

    pack: Callable[[T, str], object]
    read: Callable[[object, str], T]


class Layout(Generic[T]):
    """The codec of a record: an array with one item for each argument of its class, in their order."""

    __slots__ = ("_build", "_fields", "name", "size")

    def __init__(self, cls: Callable[..., T], name: str, **codecs: Codec[Any]) -> None:
        expected = tuple(signature(cls).parameters)
        assert tuple(codecs) == expected, f"{name}: expected the fields {expected}, got {tuple(codecs)}"
        self.name = name
        self.size = len(codecs)
        self._build = cls
        self._fields = tuple(
            (attribute, f"{name}.{attribute}", codec.pack, codec.read) for attribute, codec in codecs.items()
        )

    def pack(self, record: T, _name: str = "") -> tuple[object, ...]:
        """The array of the record's packed fields."""
        return tuple([pack(getattr(record, attribute), name) for attribute, name, pack, _ in self._fields])

    def read(self, value: object, name: str) -> T:
        """The record in an array that stands at `name`."""
        return self.read_items(read_record(value, name, self.size))

    def read_items(self, items: tuple[Any, ...]) -> T:
        """The record in exactly `size` items."""
        return self._build(
            *[read(item, name) for item, (_, name, _, read) in zip(items, self._fields, strict=True)]
        )

    @property
    def codec(self) -> Codec[T]:
        """This layout as a field of another."""
        return Codec(self.pack, self.read)


def packed(pack: Callable[[T], tuple[object, ...]], value: T) -> tuple[object, ...]:
    """What `pack` makes of `value`; a value that no reader would take is a bug of ours."""
    try:
        return pack(value)
    except MalformedMessage as error:
        raise AssertionError(f"cannot encode {error}") from error


def uint(bits: int) -> Codec[int]:
    """An unsigned integer below 2**bits, bits <= 64."""

    def read(value: object, name: str) -> int:
        return read_uint(value, name, bits)

    return Codec(read, read)


def wide_uint(bits: int, most: int) -> Codec[int]:
    """An unsigned integer up to `most` < 2**bits, as a bin."""

    def pack(value: int, name: str) -> bytes:
        if type(value) is not int or not 0 <= value <= most:
            raise MalformedMessage(name, f"0 to {most}", "another value")
        return encode_uint(value)

    def read(value: object, name: str) -> int:
        number = decode_uint(value, name, bits)
        if number > most:
            raise MalformedMessage(name, f"at most {most}", f"{number.bit_length()} bits")
        return number

    return Codec(pack, read)


def wide_int(bits: int) -> Codec[int]:
    """A signed integer of `bits` bits, as a bin."""

    def pack(value: int, name: str) -> bytes:
        if type(value) is not int or not -1 << bits - 1 <= value < 1 << bits - 1:
            raise MalformedMessage(name, f"int{bits}", "another value")
        return encode_int(value)

    def read(value: object, name: str) -> int:
        return decode_int(value, name, bits)

    return Codec(pack, read)


def fixed(length: int) -> Codec[bytes]:
    """Exactly `length` bytes."""

    def read(value: object, name: str) -> bytes:
        return read_bytes(value, name, length)

    return Codec(read, read)


def fixed_or_empty(length: int) -> Codec[bytes]:
    """`length` bytes, or none where the value is not known yet."""

    def read(value: object, name: str) -> bytes:
        if type(value) is bytes and not value:
            return value
        return read_bytes(value, name, length)

    return Codec(read, read)


def blob(most: int) -> Codec[bytes]:
    """Up to `most` bytes."""

    def read(value: object, name: str) -> bytes:
        return read_blob(value, name, most)

    return Codec(read, read)


def text(most: int) -> Codec[str]:
    """Up to `most` bytes of UTF-8."""

    def read(value: object, name: str) -> str:
        try:
            return read_text(value, name, most)
        except UnicodeEncodeError:
            # Only a string of our own can hold half of a surrogate pair; a decoded one cannot.
            raise MalformedMessage(name, "text that UTF-8 can carry", "a lone surrogate") from None

    return Codec(read, read)


def choice(kinds: type[E]) -> Codec[E]:
    """A member of an enumeration, as its number."""
    members = {int(member): member for member in kinds}

    def pack(value: E, _name: str) -> int:
        return int(value)

    def read(value: object, name: str) -> E:
        if type(value) is int and value in members:
            return members[value]
        raise MalformedMessage(name, f"one of {sorted(members)}", "something else")

    return Codec(pack, read)


def optional(codec: Codec[T]) -> Codec[T | None]:
    """The value, or nil."""

    def pack(value: T | None, name: str) -> object:
        return None if value is None else codec.pack(value, name)

    def read(value: object, name: str) -> T | None:
        return None if value is None else codec.read(value, name)

    return Codec(pack, read)


def list_of(codec: Codec[T], most: int) -> Codec[tuple[T, ...]]:
    """An array of up to `most` values."""

    def pack(values: tuple[T, ...], name: str) -> tuple[object, ...]:
        if len(values) > most:
            raise MalformedMessage(name, f"at most {most} items", f"{len(values)}")
        return tuple([codec.pack(value, name) for value in values])

    def read(value: object, name: str) -> tuple[T, ...]:
        return tuple([codec.read(item, name) for item in read_list(value, name, most)])

    return Codec(pack, read)


def _read_node_id(value: object, name: str) -> bytes:
    node = read_bytes(value, name, 33)
    if node[0] not in (2, 3):
        raise MalformedMessage(name, "a compressed key that begins with 2 or 3", f"a first byte of {node[0]}")
    return node


def _read_node_id_or_empty(value: object, name: str) -> bytes:
    if type(value) is bytes and not value:
        return value
    return _read_node_id(value, name)


BOOL: Codec[bool] = Codec(read_bool, read_bool)
HASH = fixed(32)
"""A channel id, a hashlock, a secret, a feed."""
ADDRESS = fixed(20)
NODE_ID: Codec[bytes] = Codec(_read_node_id, _read_node_id)
"""A node's compressed public key: 33 bytes, the first one 2 or 3."""
NODE_ID_OR_EMPTY: Codec[bytes] = Codec(_read_node_id_or_empty, _read_node_id_or_empty)
"""Empty while only an address is known: the chain shows a channel before its peer connects."""
SIGNATURE = fixed(64)
"""(r, vs) of [EIP-2098]."""
SHORT_ID = fixed(16)
"""Of requests and quotes: random, so 128 bits never meet."""
TIME_S = uint(40)
"""Unix seconds, as the contract's words hold them."""
VERSION = uint(64)
CLAIM_ID = uint(63)
"""One bit less than a word of msgpack: whatever id a peer uses, the next one (2 higher) still fits."""
PPM = uint(32)
AMOUNT = wide_uint(96, MAX_AMOUNT)
PRICE = wide_uint(128, 2**128 - 1)
NET = wide_int(128)
DEPOSIT = wide_int(96)
"""Deposited less withdrawn, so it can be negative: an int96 of the contract's slot."""
