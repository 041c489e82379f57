"""Reading JSON-RPC parameters: strict about types, generous about nothing."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from channeld.core.errors import Rejected
from channeld.services.devchain.calls import Call
from channeld.services.devchain.chain import At, DevChain
from channeld.services.devchain.logindex import LogFilter
from channeld.services.devchain.transactions import RAW_LIMIT_BYTES, AccessList

INVALID_PARAMS = -32602
SERVER_ERROR = -32000
# A quantity longer than 256 bits is no number that the EVM knows.
QUANTITY_LIMIT_DIGITS = 64
# Filters and access lists of a real client have a handful of entries; each costs a lookup for every log.
LIST_LIMIT = 1000
TOPIC_POSITIONS = 4
# Where beacon chains finalise: one and two epochs of 32 slots behind the head.
SAFE_DEPTH = 32
FINALIZED_DEPTH = 64

Parsed = TypeVar("Parsed")


class RpcError(Rejected):
    """An error answer; `data` goes into it if not None."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


def invalid(message: str) -> RpcError:
    return RpcError(INVALID_PARAMS, message)


class Params:
    """Positional parameters; each is taken once, in order."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = list(values)
        self._taken = 0

    def need(self, parse: Callable[[Any, str], Parsed], name: str) -> Parsed:
        if self._taken >= len(self._values):
            raise invalid(f"missing value for required argument {self._taken}: {name}")
        self._taken += 1
        return parse(self._values[self._taken - 1], f"argument {self._taken - 1} ({name})")

    def may(self, parse: Callable[[Any, str], Parsed], name: str, default: Parsed) -> Parsed:
        """A missing or null parameter is the default."""
        if self._taken >= len(self._values):
            return default
        if self._values[self._taken] is None:
            self._taken += 1
            return default
        return self.need(parse, name)


def anything(value: Any, name: str) -> Any:
    return value


def boolean(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise invalid(f"invalid {name}: expected true or false, got {_shown(value)}")
    return value


def quantity(value: Any, name: str) -> int:
    """A hexadecimal number without leading zeros, as the Ethereum API encodes integers."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise invalid(f"invalid {name}: expected a hex number with 0x prefix, got {_shown(value)}")
    digits = value[2:]
    if not digits:
        raise invalid(f'invalid {name}: hex string "0x"')
    if digits[0] == "0" and len(digits) > 1:
        raise invalid(f"invalid {name}: hex number with leading zero digits")
    if len(digits) > QUANTITY_LIMIT_DIGITS:
        raise invalid(f"invalid {name}: hex number above 256 bits")
    if not all(digit in "0123456789abcdefABCDEF" for digit in digits):
        raise invalid(f"invalid {name}: invalid hex string")
    return int(digits, 16)


def number(value: Any, name: str) -> int:
    """A quantity or a plain JSON integer; the development calls take both, as other nodes' do."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < 2**256:
            raise invalid(f"invalid {name}: expected 0 to 2^256-1, got {value}")
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78:
        return int(value)
    return quantity(value, name)


def seconds(value: Any, name: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return float(quantity(value, name))


def data(value: Any, name: str, limit_bytes: int = RAW_LIMIT_BYTES) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise invalid(f"invalid {name}: expected hex bytes with 0x prefix, got {_shown(value)}")
    if len(value) % 2:
        raise invalid(f"invalid {name}: hex string of odd length")
    if len(value) > 2 + 2 * limit_bytes:
        raise invalid(f"invalid {name}: {len(value) // 2 - 1} bytes, limit {limit_bytes}")
    try:
        parsed = bytes.fromhex(value[2:])
    except ValueError as wrong:
        raise invalid(f"invalid {name}: invalid hex string") from wrong
    if 2 * len(parsed) != len(value) - 2:  # fromhex skips blanks
        raise invalid(f"invalid {name}: invalid hex string")
    return parsed


def address(value: Any, name: str) -> bytes:
    return _exactly(20, value, name)


def hash32(value: Any, name: str) -> bytes:
    return _exactly(32, value, name)


def slot(value: Any, name: str) -> int:
    """A storage slot: clients send it as a quantity or as 32 bytes."""
    if isinstance(value, str) and len(value) == 66:
        return int.from_bytes(hash32(value, name), "big")
    return quantity(value, name)


def _exactly(length: int, value: Any, name: str) -> bytes:
    parsed = data(value, name)
    if len(parsed) != length:
        raise invalid(f"invalid {name}: expected {length} bytes, got {len(parsed)}")
    return parsed


def block_number(chain: DevChain, value: Any, name: str) -> At:
    """A tag or a quantity; the number may be above the head."""
    head = chain.head.number
    tags: dict[str, At] = {
        "latest": head,
        "earliest": 0,
        "pending": "pending",
        "safe": max(0, head - SAFE_DEPTH),
        "finalized": max(0, head - FINALIZED_DEPTH),
    }
    if isinstance(value, str) and value in tags:
        return tags[value]
    return quantity(value, name)


def state_at(chain: DevChain, value: Any, name: str) -> At:
    """A block whose state is asked for: tag, number, or an object with a hash or number [EIP-1898]."""
    if isinstance(value, dict):
        if "blockHash" in value:
            block = chain.history.block_by_hash(hash32(value["blockHash"], name))
            if block is None:
                raise RpcError(SERVER_ERROR, "header for hash not found")
            return block.number
        value = value.get("blockNumber")
    at = block_number(chain, value, name)
    if at != "pending" and at > chain.head.number:
        raise RpcError(SERVER_ERROR, f"header not found: block {at} is above the head {chain.head.number}")
    return at


def call_object(value: Any, name: str) -> Call:
    if not isinstance(value, dict):
        raise invalid(f"invalid {name}: expected an object, got {_shown(value)}")

    def part(key: str, parse: Callable[[Any, str], Parsed], default: Parsed) -> Parsed:
        return default if value.get(key) is None else parse(value[key], f"{name}, {key}")

    given = part("data", data, b"")
    if value.get("input") is not None:
        if value.get("data") is not None and data(value["input"], name) != given:
            raise invalid(f'invalid {name}: both "data" and "input" are set and not equal')
        given = data(value["input"], f"{name}, input")
    price = part("gasPrice", quantity, 0)
    most, tip = part("maxFeePerGas", quantity, 0), part("maxPriorityFeePerGas", quantity, 0)
    if price and (most or tip):
        raise invalid("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")
    if tip > most:
        raise invalid(f"maxFeePerGas ({most}) < maxPriorityFeePerGas ({tip})")
    gas = part("gas", quantity, 0)
    if gas >= 2**64:
        raise invalid(f"invalid {name}, gas: above 64 bits")
    return Call(
        to=part("to", address, b""),
        data=given,
        sender=part("from", address, bytes(20)),
        value_wei=part("value", quantity, 0),
        gas=gas or None,
        max_fee_per_gas_wei=price or most,
        max_priority_fee_per_gas_wei=price or tip,
        access_list=part("accessList", _access_list, ()),
    )


def _access_list(value: Any, name: str) -> AccessList:
    entries = []
    for entry in _listed(value, name):
        if not isinstance(entry, dict):
            raise invalid(f"invalid {name}: expected objects with address and storageKeys")
        keys = _listed(entry.get("storageKeys", []), name)
        slots = tuple(int.from_bytes(hash32(key, name), "big") for key in keys)
        entries.append((address(entry.get("address"), name), slots))
    return tuple(entries)


def log_filter(chain: DevChain, value: Any, name: str) -> LogFilter:
    """The filter object of `eth_getLogs`; a block above the head holds nothing yet."""
    if not isinstance(value, dict):
        raise invalid(f"invalid {name}: expected an object, got {_shown(value)}")
    first, last = _log_range(chain, value, name)
    given = value.get("address")
    if given is None:
        addresses: frozenset[bytes] = frozenset()
    elif isinstance(given, list):
        addresses = frozenset(address(one, name) for one in _listed(given, name))
    else:
        addresses = frozenset([address(given, name)])
    topics = value.get("topics") or []
    if not isinstance(topics, list) or len(topics) > TOPIC_POSITIONS:
        raise invalid(f"invalid {name}: expected at most {TOPIC_POSITIONS} topics")
    return LogFilter(first, last, addresses, tuple(_topic(one, name) for one in topics))


def _log_range(chain: DevChain, value: dict[str, Any], name: str) -> tuple[int, int]:
    head = chain.head.number
    if value.get("blockHash") is not None:
        if value.get("fromBlock") is not None or value.get("toBlock") is not None:
            raise invalid("cannot specify both blockHash and fromBlock/toBlock, choose one or the other")
        block = chain.history.block_by_hash(hash32(value["blockHash"], name))
        if block is None:
            raise RpcError(SERVER_ERROR, "unknown block")
        return block.number, block.number
    ends = []
    for key in ("fromBlock", "toBlock"):
        given = value.get(key)
        at = head if given is None else block_number(chain, given, f"{name}, {key}")
        ends.append(head if at == "pending" else at)
    first, last = ends
    if value.get("toBlock") is None:
        last = max(first, last)
    if first > last:
        raise invalid(f"invalid block range params: from block {first} to block {last}")
    return first, min(last, head)


def _topic(value: Any, name: str) -> frozenset[bytes] | None:
    if value is None:
        return None
    if isinstance(value, list):
        # A null among alternatives admits everything.
        if any(one is None for one in value):
            return None
        return frozenset(hash32(one, name) for one in _listed(value, name)) or None
    return frozenset([hash32(value, name)])


def _listed(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > LIST_LIMIT:
        raise invalid(f"invalid {name}: expected a list of at most {LIST_LIMIT} entries")
    return value


def _shown(value: Any) -> str:
    """A short picture of what came, for the message."""
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
