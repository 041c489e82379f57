"""A journal as JSON lines that people and scripts can read: one object a record.

Ids are in hex, amounts decimal strings (they exceed 2^53), times unix seconds. Secrets, and packets in
which they travel, are left out unless asked for: whoever has the secret of a payment under way has it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import msgpack

from channeld.adapters.journal.records import Journal
from channeld.daemon.inspection import ARCHIVE
from channeld.daemon.outbox import DONE, LIVE, decode_entry
from channeld.wire.records import RECORD_KINDS, decode_record

SECRETS = frozenset({"preimage", "payment_secret", "packet", "raw", "data"})
"""Fields that are left out. `raw`: a signed transaction that may not be sent yet; `data`: what it asks of the
contract, and that may be to register a secret. What the chain showed (`chain_secret`) is nobody's secret."""

REDACTED = "redacted"

MAX_EXACT = 2**53
"""The largest integer that every JSON reader keeps exactly; larger ones are decimal strings."""

AMOUNTS = frozenset(
    {"amount", "bound", "fee", "max_fee_wei", "net", "premium", "price", "received", "size", "strike"}
    | {"tip_wei", "total", "value_wei"}
)
"""Integers that are decimal strings however small they are; so are the deposits of a and b."""


def exported(journal: Journal, *, secrets: bool, kinds: tuple[str, ...] = ()) -> Iterator[dict[str, Any]]:
    """Every record, kind by kind, oldest first. Raises DamagedRecord and other OperationalErrors."""
    for kind in kinds or journal.kinds():
        for key, value in journal.load(kind):
            yield {"kind": kind, "key": f"0x{key.hex()}", "value": _value(kind, value, secrets)}


def _value(kind: str, value: bytes, secrets: bool) -> object:
    base = kind.removesuffix(ARCHIVE)
    if base in RECORD_KINDS:
        return _plain(decode_record(base, value), "", secrets)
    if kind in (LIVE, DONE):
        return _plain(decode_entry(value), "", secrets)
    try:
        return _plain(msgpack.unpackb(value, strict_map_key=False), "", secrets)
    except ValueError:
        return f"0x{value.hex()}"


def _plain(value: Any, name: str, secrets: bool) -> object:
    """As JSON; `name` is the field that holds it."""
    if name in SECRETS and value and not secrets:
        return REDACTED
    if is_dataclass(value) and not isinstance(value, type):
        plain = {f.name: _plain(getattr(value, f.name), f.name, secrets) for f in fields(value)}
        return plain if not name else plain | ({"kind": type(value).__name__.lower()} if name == "[]" else {})
    match value:
        case Enum():
            return value.name.lower()
        case bool() | None | str() | float():
            return value
        case int():
            return str(value) if name in AMOUNTS or name in ("a", "b") or abs(value) > MAX_EXACT else value
        case bytes():
            return f"0x{value.hex()}"
        case Mapping():
            return {str(key): _plain(item, "[]", secrets) for key, item in value.items()}
        case tuple() if hasattr(value, "_asdict"):
            return {key: _plain(item, key, secrets) for key, item in value._asdict().items()}
        case list() | tuple():
            return [_plain(item, "[]", secrets) for item in value]
    raise AssertionError(f"{name}: no JSON for {type(value).__name__}")
