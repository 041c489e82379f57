"""How the API's dataclasses look as JSON, read strictly.

JSON numbers lose digits above 2^53, so integers that can grow so large (amounts, sizes, prices; by
their field's name) are decimal strings; bytes are 0x and hex digits; None is null; everything else is
what JSON has for it. Reading says where, what was expected and what came.
"""

import difflib
import json
import math
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from channeld.core.errors import Rejected
from channeld.wire import json_strict

T = TypeVar("T")

AMOUNTS = frozenset(
    {"amount", "collateral", "credit", "deposit_ours", "deposit_theirs", "fee", "in_channels", "locked"}
    | {"locked_ours", "locked_theirs", "max_fee", "max_premium", "on_chain", "ours", "premium", "price_e8"}
    | {"pending_total", "receivable", "received", "size_e8", "spendable", "stream_total", "theirs", "total"}
    | {"value"}
)
"""Fields whose integers are decimal strings."""
COUNTS = frozenset(
    {"attempts", "before", "block_number", "chain_id", "channels", "claim_id", "count", "decimals", "hops"}
    | {"in_flight", "index", "limit", "listen_port", "next_before", "open_claims", "peers", "version"}
    | {"asked", "dropped", "lines", "pending", "pending_count", "sent", "stream_count"}
)
"""Fields whose integers are JSON numbers, as are all whose name ends in _s (seconds)."""

MAX_SAFE = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly."""
MAX_SHOWN = 60
"""Characters of a wrong value that an error repeats."""

UNIONS = (types.UnionType, Union)
"""X | None of a class, and of an Annotated one."""

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,77})")
"""78 digits hold any integer of 256 bits."""
_HEX = re.compile(r"0x([0-9a-fA-F]{2})*")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Limit:
    """Bounds of a number, of a text's characters, or of a byte string's length; both included."""

    low: float
    high: float


# Whole documents -----------------------------------------------------------------------------------


def parse_json(raw: bytes) -> Any:
    """Strict JSON: UTF-8, no doubled names, no NaN, of bounded depth. Raises Rejected for anything else."""
    try:
        if raw.count(b"[") + raw.count(b"{") > json_strict.MAX_DEPTH:
            json_strict.parse_json(raw)  # refuses what is too deep before it is decoded
        return json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise Rejected(f"expected JSON in UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise Rejected(f"expected JSON: {error.msg} at character {error.pos}") from None
    except ValueError as error:  # too deep, or integers of thousands of digits
        raise Rejected(f"expected JSON: {error}") from None


def dump_json(value: object) -> bytes:
    """Compact JSON in UTF-8. Half surrogate pairs, which UTF-8 has not, become question marks."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode(errors="replace")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers may take different ones of two values with one name: refused."""
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise Rejected(f"expected each field once, got {doubled[:MAX_SHOWN]!r} twice")
    return table


def _refuse_constant(name: str) -> NoReturn:
    raise Rejected(f"expected JSON, got {name}")


# Dataclasses ---------------------------------------------------------------------------------------


def to_json(value: Any) -> dict[str, Any]:
    """A dataclass as what json.dumps takes."""
    kind: Any = type(value)
    return {name: write(getattr(value, name)) for name, write in _writers(kind)}


def from_json(kind: type[T], value: object, where: str = "", *, lenient: bool = False) -> T:
    """A JSON object as a dataclass; Rejected names the field, what was expected and what came.

    `where` stands before the names of fields in errors. A lenient reader (the client: its daemon may
    be newer) passes over fields that it does not know.
    """
    if not isinstance(value, dict):
        raise Rejected(f"{where or 'the request'}: expected an object, got {described(value)}")
    hashable: Any = kind
    readers = _readers(hashable)
    if not lenient:
        for name in value:
            if name not in readers:
                raise Rejected(_unknown(where, name, readers))
    given = {}
    for name, (read, required) in readers.items():
        if name in value:
            given[name] = read(value[name], f"{where}.{name}" if where else name, lenient)
        elif required:
            raise Rejected(f"{where}.{name}: missing" if where else f"{name}: expected a value, got nothing")
    return kind(**given)


def _unknown(where: str, name: str, known: Mapping[str, object]) -> str:
    shown = f"{where}.{name[:MAX_SHOWN]}" if where else name[:MAX_SHOWN]
    close = difflib.get_close_matches(name[:MAX_SHOWN], list(known), n=1, cutoff=0.6)
    if close:
        return f"{shown}: unknown field; did you mean {close[0]}?"
    return f"{shown}: unknown field; expected {', '.join(known) if known else 'none'}"


def described(value: object) -> str:
    """A JSON value in an error."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {str(value)[:MAX_SHOWN]}" if abs(value) < 10**60 else "a huge number"
        case str():
            return f"the text {value[:MAX_SHOWN]!r}"
        case list():
            return f"a list of {len(value)}"
        case _:
            return "an object"


Write = Callable[[Any], Any]
Read = Callable[[Any, str, bool], Any]


@cache
def _writers(kind: type) -> tuple[tuple[str, Write], ...]:
    hints = get_type_hints(kind)
    return tuple((field.name, _writer(hints[field.name], field.name)) for field in fields(kind))


@cache
def _readers(kind: type) -> dict[str, tuple[Read, bool]]:
    hints = get_type_hints(kind, include_extras=True)
    return {
        field.name: (
            _reader(hints[field.name], field.name, None),
            field.default is MISSING and field.default_factory is MISSING,
        )
        for field in fields(kind)
    }


def is_amount(name: str) -> bool:
    """Whether an integer field is a decimal string. A name must be listed, one way or the other."""
    assert name in AMOUNTS or name in COUNTS or name.endswith("_s"), f"is {name} an amount or a count?"
    return name in AMOUNTS


def whole_number_fields(kind: type) -> frozenset[str]:
    """Fields whose JSON form is a whole number: a query, which is all text, must read them as such."""
    return frozenset(
        name
        for name, hint in get_type_hints(kind).items()
        if int in (hint, *get_args(hint)) and name in COUNTS
    )


def _writer(kind: Any, name: str) -> Write:
    if get_origin(kind) in UNIONS:
        write = _writer(get_args(kind)[0], name)
        return lambda value: None if value is None else write(value)
    if get_origin(kind) is tuple:
        write = _writer(get_args(kind)[0], name)
        return lambda value: [write(item) for item in value]
    if kind is bytes:
        return lambda value: f"0x{value.hex()}"
    if kind is int and is_amount(name):
        return str
    if is_dataclass(kind):
        return to_json
    assert kind in (int, float, bool, str), f"{name}: no JSON form for {kind}"
    return lambda value: value


def _reader(kind: Any, name: str, limit: Limit | None) -> Read:
    if get_origin(kind) is Annotated:
        inner, *extras = get_args(kind)
        return _reader(inner, name, next(extra for extra in extras if isinstance(extra, Limit)))
    if get_origin(kind) in UNIONS:
        read = _reader(get_args(kind)[0], name, limit)
        return lambda value, where, lenient: None if value is None else read(value, where, lenient)
    if get_origin(kind) is tuple:
        read = _reader(get_args(kind)[0], name, limit)
        return lambda value, where, lenient: tuple(
            read(item, f"{where}[{place}]", lenient) for place, item in enumerate(_list(value, where))
        )
    if is_dataclass(kind):
        assert isinstance(kind, type)
        return lambda value, where, lenient: from_json(kind, value, where, lenient=lenient)
    plain: Callable[[object, str, Limit | None], Any]
    if kind is int:
        plain = _read_amount if is_amount(name) else _read_count
    else:
        plain = {bytes: _read_bytes, str: _read_text, bool: _read_bool, float: _read_number}[kind]
    return lambda value, where, lenient: plain(value, where, limit)


def _wrong(where: str, expected: str, value: object) -> Rejected:
    return Rejected(f"{where}: expected {expected}, got {described(value)}")


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(where, "a list", value)
    return value


def _read_amount(value: object, where: str, limit: Limit | None) -> int:
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value) or value == "-0":
        raise _wrong(where, 'a whole number in quotes, as "1000"', value)
    return _within(int(value), where, limit)


def _read_count(value: object, where: str, limit: Limit | None) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(where, "a whole number", value)
    return _within(value, where, limit or Limit(-MAX_SAFE, MAX_SAFE))


def _read_number(value: object, where: str, limit: Limit | None) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong(where, "a number", value)
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong(where, "a finite number", value)
    return float(_within(value, where, limit or Limit(-MAX_SAFE, MAX_SAFE)))


N = TypeVar("N", int, float)


def _within(value: N, where: str, limit: Limit | None) -> N:
    if limit is not None and not limit.low <= value <= limit.high:
        raise _wrong(where, f"{limit.low} to {limit.high}", value)
    return value


def _read_bytes(value: object, where: str, limit: Limit | None) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise _wrong(where, "0x and hex digits", value)
    decoded = bytes.fromhex(value[2:])
    if limit is not None and not limit.low <= len(decoded) <= limit.high:
        size = f"{limit.low}" if limit.low == limit.high else f"{limit.low} to {limit.high}"
        raise Rejected(f"{where}: expected 0x and {size} bytes in hex, got {len(decoded)} bytes")
    return decoded


def _read_text(value: object, where: str, limit: Limit | None) -> str:
    if not isinstance(value, str):
        raise _wrong(where, "a text", value)
    if _SURROGATE.search(value):
        raise Rejected(f"{where}: expected a text of Unicode characters, got half a surrogate pair")
    if limit is not None and not limit.low <= len(value) <= limit.high:
        raise Rejected(f"{where}: expected {limit.low} to {limit.high} characters, got {len(value)}")
    return value


def _read_bool(value: object, where: str, limit: Limit | None) -> bool:
    if not isinstance(value, bool):
        raise _wrong(where, "true or false", value)
    return value
