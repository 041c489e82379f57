"""JSON from outside: bounded in depth, without the constants that are no JSON ([RFC-8259]).

Python's decoder recurses in C. A library that raises the recursion limit (py-evm sets 100,000) turns
100,000 brackets from anybody into a segmentation fault of the whole process.
"""

import json
import re
from typing import NoReturn

MAX_DEPTH = 200
"""Nodes and our own services nest less than ten deep."""

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""A string is skipped as the decoder reads it, or brackets in strings would hide the true depth. An open
one reaches to the end. Possessive, so that no input makes it backtrack."""
_BRACKETS = b"[]{}"
_OTHER_BYTES = bytes(byte for byte in range(256) if byte not in _BRACKETS)


def parse_json(content: bytes) -> object:
    """The decoded value. Raises ValueError for anything but one JSON text in UTF-8, of bounded depth.

    The decoder alone would guess UTF-16 and UTF-32 too, in which brackets and quotes look otherwise.
    """
    if content.count(b"[") + content.count(b"{") > MAX_DEPTH:
        _require_shallow(content)
    return json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)


def _require_shallow(content: bytes) -> None:
    depth = 0
    for bracket in _STRINGS.sub(b"", content).translate(None, _OTHER_BYTES):
        if bracket in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"expected JSON of at most {MAX_DEPTH} levels")
        elif depth > 0:
            depth -= 1


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"expected JSON, got {name}")
