"""Calls of the adjudicator: their types as docs/protocol.md lists them, and their bytes [ABI]."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from channeld.wire.eip712 import keccak
from tests.contracts.model.signing import word


@dataclass(frozen=True, slots=True)
class Many:
    """An array of at most so many."""

    of: Any
    most: int


@dataclass(frozen=True, slots=True)
class Text:
    """Bytes of any length up to so many."""

    most: int


class Blob(bytes):
    """An argument of type Text."""


PARAMS = ("address", "address", "address", "uint256")
SIGNATURE = ("bytes32", "bytes32")
EXIT = ("address", "uint256", "int256", "bytes32")
STATE = (PARAMS, "uint64", "int128", "bytes32", SIGNATURE, SIGNATURE)
FEED = Text(32 * 18)

TYPES: dict[str, tuple[Any, ...]] = {
    "deposit": (PARAMS, "bool", "uint256"),
    "deposit_with_permit": (PARAMS, "bool", "uint256", "uint256", "uint8", "bytes32", "bytes32"),
    "close": (PARAMS, "int128", "uint40", SIGNATURE, SIGNATURE),
    "withdraw": (PARAMS, "uint96", "uint96", "uint40", SIGNATURE, SIGNATURE),
    "challenge": STATE,
    "challenge_for": (*STATE, "uint64", "uint40", SIGNATURE),
    "respond": STATE,
    "settle": (PARAMS, "int256", "bytes32"),
    "settle_claims": (PARAMS, "int256", "bytes32"),
    "settle_batch": ("address", "address", Many(EXIT, 128)),
    "register_secret": ("bytes32",),
    "register_secrets": (Many("bytes32", 64),),
    "publish_price": (FEED, "uint40", "uint128", Many(SIGNATURE, 16)),
    "publish_redstone": (FEED, "uint40", Many("uint256", 16), Many(SIGNATURE, 16)),
    "claim_credit": ("address", "address"),
    "claim_credits": (Many("address", 32), "address"),
    # of tokens and wallets
    "behave": ("bool", "bool", "uint256", "bool", "bool"),
    "ban": ("address", "bool"),
    "call_back": ("address", Text(4096)),
    "permit": ("address", "address", "uint256", "uint256", "uint8", "bytes32", "bytes32"),
    "transfer": ("address", "uint256"),
    "mint": ("address", "uint256"),
    "approve": ("address", "uint256"),
    "run": ("address", Text(32_768), "uint256"),
    "behave_wallet": ("bool", "bool"),
}
ONLY_NAME = {"behave_wallet": "behave"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call: name, arguments, what trails behind them, ETH sent along (wei)."""

    name: str
    args: tuple[Any, ...]
    tail: bytes = b""
    value_wei: int = 0

    @property
    def data(self) -> bytes:
        return selector(self.name) + encode(self.args) + self.tail


def canonical(kind: Any) -> str:
    match kind:
        case tuple():
            return f"({','.join(map(canonical, kind))})"
        case Many(of, _):
            return canonical(of) + "[]"
        case Text():
            return "bytes"
        case _:
            return str(kind)


@cache
def selector(name: str) -> bytes:
    return keccak((ONLY_NAME.get(name, name) + canonical(TYPES[name])).encode())[:4]


def encode(args: tuple[Any, ...]) -> bytes:
    """Values that are too large for their type are encoded all the same."""
    heads: list[bytes | None] = []
    tails: list[bytes] = []
    size = 0
    for value in args:
        dynamic = isinstance(value, list | Blob)
        head = None if dynamic else _static(value)
        heads.append(head)
        tails.append(_dynamic(value) if dynamic else b"")
        size += 32 if head is None else len(head)
    out = b""
    for head, tail in zip(heads, tails, strict=True):
        out += word(size) if head is None else head
        size += len(tail)
    return out + b"".join(tails)


def _static(value: Any) -> bytes:
    return b"".join(map(_static, value)) if isinstance(value, tuple) else word(value)


def _dynamic(value: Any) -> bytes:
    if isinstance(value, Blob):
        return word(len(value)) + value + bytes(-len(value) % 32)
    return word(len(value)) + b"".join(map(_static, value))


def misfit(name: str, args: tuple[Any, ...]) -> str | None:
    """The type that an argument is too large for, if any."""
    for kind, value in zip(TYPES[name], args, strict=True):
        found = _misfit(kind, value)
        if found:
            return found
    return None


@cache
def _bounds(kind: str) -> tuple[int, int]:
    if kind.startswith("uint"):
        return 0, 2 ** int(kind[4:])
    if kind.startswith("int"):
        return -(2 ** (int(kind[3:]) - 1)), 2 ** (int(kind[3:]) - 1)
    return 0, {"bool": 2, "address": 2**160, "bytes32": 2**256}[kind]


def _misfit(kind: Any, value: Any) -> str | None:
    if isinstance(kind, str):
        if isinstance(value, int):
            low, high = _bounds(kind)
            return None if low <= value < high else kind
        return None
    match kind:
        case Many(of, most):
            if len(value) > most:
                return "array"
            return next(filter(None, (_misfit(of, item) for item in value)), None)
        case Text(most):
            return "array" if len(value) > most else None
        case _:
            return next(filter(None, map(_misfit, kind, value)), None)
