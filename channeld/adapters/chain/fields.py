"""What a node answers, read strictly: JSON values into integers and bytes ([Ethereum JSON-RPC]).

A node is software of somebody else behind a network. Whatever it answers becomes a value of the
expected shape or a MalformedAnswer that says what was expected and what came.
"""

import re
from collections.abc import Mapping
from typing import Any

from channeld.core.errors import OperationalError

QUANTITY = re.compile(r"0x(?:0|[1-9a-fA-F][0-9a-fA-F]{0,63})\Z")
"""A quantity has no leading zeros and at most 256 bits."""
HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*\Z")
SHOWN_CHARACTERS = 80
"""How much of a wrong answer an error shows: enough to recognise it, too little to fill a log."""


class MalformedAnswer(OperationalError):
    """The node answered something that no node should answer."""

    def __init__(self, what: str, expected: str, actual: object) -> None:
        shown = repr(actual)
        if len(shown) > SHOWN_CHARACTERS:
            shown = shown[:SHOWN_CHARACTERS] + "…"
        super().__init__(f"node: expected {expected} as {what}, got {shown}")


def quantity(value: object, what: str, *, bits: int = 256) -> int:
    """A hex quantity as an integer of at most `bits` bits."""
    if not isinstance(value, str) or QUANTITY.match(value) is None:
        raise MalformedAnswer(what, "a hex quantity without leading zeros", value)
    number = int(value, 16)
    if number >> bits:
        raise MalformedAnswer(what, f"a quantity of at most {bits} bits", value)
    return number


def data(value: object, what: str, *, length: int | None = None) -> bytes:
    """Hex data as bytes, exactly `length` of them unless None."""
    if not isinstance(value, str) or HEX.match(value) is None:
        raise MalformedAnswer(what, "0x-prefixed hex bytes", value)
    content = bytes.fromhex(value[2:])
    if length is not None and len(content) != length:
        raise MalformedAnswer(what, f"{length} bytes", value)
    return content


def mapping(value: object, what: str) -> Mapping[str, Any]:
    """A JSON object; the caller reads its members by `member`."""
    if not isinstance(value, dict):
        raise MalformedAnswer(what, "an object", value)
    return value


def member(container: Mapping[str, Any], name: str, what: str) -> Any:
    """A member that must be there; null counts as absent."""
    value = container.get(name)
    if value is None:
        raise MalformedAnswer(what, f"a member {name!r}", sorted(container))
    return value


def sequence(value: object, what: str, *, limit: int) -> list[Any]:
    """A JSON array of at most `limit` items."""
    if not isinstance(value, list):
        raise MalformedAnswer(what, "an array", value)
    if len(value) > limit:
        raise MalformedAnswer(what, f"an array of at most {limit} items", f"{len(value)} items")
    return value


def hex_quantity(number: int) -> str:
    """An integer of 0 or more as nodes read it."""
    return hex(number)


def hex_data(content: bytes) -> str:
    """Bytes as nodes read them."""
    return "0x" + content.hex()
