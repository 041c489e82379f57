"""Calldata of the adjudicator read back [ABI]: what the daemon really submits reaches the model."""

from typing import Any

from eth_abi.abi import decode

from tests.contracts.model.books import Params
from tests.contracts.model.calls import TYPES, Blob, Call, canonical, selector

SETTLE_CLAIMS_BYTES = 4 + 32 * 6
"""What trails behind its static arguments is the list of claims."""

_NAMES = {
    selector(name): name
    for name in (
        "deposit",
        "close",
        "challenge",
        "respond",
        "settle",
        "settle_claims",
        "register_secret",
        "publish_price",
    )
}


def read_call(data: bytes) -> Call:
    """Raises KeyError for a call that no daemon makes."""
    name = _NAMES[data[:4]]
    kinds = TYPES[name]
    values = decode([canonical(kind) for kind in kinds], data[4:])
    args = [_as_model(kind, value) for kind, value in zip(kinds, values, strict=True)]
    if name != "register_secret" and name != "publish_price":
        args[0] = Params(*args[0])
    tail = data[SETTLE_CLAIMS_BYTES:] if name == "settle_claims" else b""
    return Call(name, tuple(args), tail)


def _as_model(kind: Any, value: Any) -> Any:
    match kind:
        case "address":
            return bytes.fromhex(value[2:])
        case str():
            return value
        case tuple():
            return tuple(_as_model(part, item) for part, item in zip(kind, value, strict=True))
        case _ if isinstance(value, bytes):
            return Blob(value)
        case _:
            return [_as_model(kind.of, item) for item in value]
