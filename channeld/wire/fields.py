"""Typed readers for the fields of a decoded message, and integers wider than 64 bits.

Each reader returns its value with the type it promises or raises MalformedMessage that names the field.
An integer whose type is at most 64 bits wide travels as a msgpack int; a wider one (an amount of money)
as a bin: big-endian, without a leading byte that carries nothing, zero as the empty bin. So every number
has one encoding here too.
"""

from typing import Any

from channeld.wire.malformed import MalformedMessage
from channeld.wire.msgpack_strict import type_names


def read_uint(value: object, name: str, bits: int) -> int:
    """An unsigned integer below 2**bits, bits <= 64."""
    if type(value) is not int:
        raise _wrong_type(name, f"uint{bits}", value)
    if value < 0 or value >> bits:
        raise MalformedMessage(name, f"uint{bits}", _size_of(value))
    return value


def read_bool(value: object, name: str) -> bool:
    """true or false; no integer stands in for it."""
    if type(value) is not bool:
        raise _wrong_type(name, "bool", value)
    return value


def read_bytes(value: object, name: str, length: int) -> bytes:
    """A bin of exactly `length` bytes."""
    if type(value) is not bytes:
        raise _wrong_type(name, f"{length} bytes", value)
    if len(value) != length:
        raise MalformedMessage(name, f"{length} bytes", f"{len(value)} bytes")
    return value


def read_blob(value: object, name: str, max_length: int) -> bytes:
    """A bin of at most `max_length` bytes."""
    if type(value) is not bytes:
        raise _wrong_type(name, f"at most {max_length} bytes", value)
    if len(value) > max_length:
        raise MalformedMessage(name, f"at most {max_length} bytes", f"{len(value)} bytes")
    return value


def read_text(value: object, name: str, max_bytes: int) -> str:
    """A str of at most `max_bytes` bytes of UTF-8."""
    if type(value) is not str:
        raise _wrong_type(name, f"text of at most {max_bytes} bytes", value)
    length = len(value.encode())
    if length > max_bytes:
        raise MalformedMessage(name, f"text of at most {max_bytes} bytes", f"{length} bytes")
    return value


def read_record(value: object, name: str, length: int) -> tuple[Any, ...]:
    """An array of exactly `length` fields; the caller reads each of them."""
    if type(value) is not tuple:
        raise _wrong_type(name, f"an array of {length}", value)
    if len(value) != length:
        raise MalformedMessage(name, f"an array of {length}", f"{len(value)} items")
    return value


def read_list(value: object, name: str, max_length: int) -> tuple[Any, ...]:
    """An array of at most `max_length` items of one kind; the caller reads each of them."""
    if type(value) is not tuple:
        raise _wrong_type(name, f"an array of at most {max_length}", value)
    if len(value) > max_length:
        raise MalformedMessage(name, f"an array of at most {max_length}", f"{len(value)} items")
    return value


def encode_uint(value: int) -> bytes:
    """The bin of an unsigned integer of any width: b"" for 0, else no leading zero byte."""
    assert value >= 0, "an unsigned field was given a negative number"
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def decode_uint(value: object, name: str, bits: int) -> int:
    """The unsigned integer below 2**bits that `encode_uint` wrote."""
    if type(value) is not bytes:
        raise _wrong_type(name, f"uint{bits} as a bin", value)
    if len(value) > bits // 8:
        raise MalformedMessage(name, f"uint{bits} in {bits // 8} bytes", f"{len(value)} bytes")
    if value and value[0] == 0:
        raise MalformedMessage(
            name, f"uint{bits} without a leading zero byte", f"{len(value)} bytes with one"
        )
    return int.from_bytes(value, "big")


def encode_int(value: int) -> bytes:
    """The bin of a signed integer of any width: two's complement, b"" for 0, as short as it can be."""
    if value == 0:
        return b""
    magnitude = value if value > 0 else ~value
    return value.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True)


def decode_int(value: object, name: str, bits: int) -> int:
    """The signed integer in [-2**(bits-1), 2**(bits-1)) that `encode_int` wrote."""
    if type(value) is not bytes:
        raise _wrong_type(name, f"int{bits} as a bin", value)
    if len(value) > bits // 8:
        raise MalformedMessage(name, f"int{bits} in {bits // 8} bytes", f"{len(value)} bytes")
    number = int.from_bytes(value, "big", signed=True)
    if len(encode_int(number)) != len(value):
        raise MalformedMessage(name, f"int{bits} in its shortest form", f"{len(value)} bytes")
    return number


def _wrong_type(name: str, expected: str, value: object) -> MalformedMessage:
    return MalformedMessage(name, expected, type_names.get(type(value), type(value).__name__))


def _size_of(value: int) -> str:
    return "a negative number" if value < 0 else f"{value.bit_length()} bits"
