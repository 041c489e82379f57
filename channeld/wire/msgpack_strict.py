"""One value, one encoding: the canonical subset of msgpack that peers exchange.

Allowed: nil, bool, integers of up to 64 bits, bin, str (UTF-8) and arrays, each in its shortest
encoding. There are no floats (money is integers), no maps (fields are positional, so a key can be
neither doubled nor reordered), no extensions and no timestamps. Two encodings of one value would let
a relay alter what others hash or sign; `decode` therefore re-encodes and compares.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any

import msgpack

from channeld.wire.limits import MAX_MESSAGE_BYTES
from channeld.wire.malformed import MalformedMessage

# What `decode` returns and `encode` takes: exactly these types, no subclasses. (A recursive alias
# would make every reader narrow it again; the readers in `fields` are what gives values their types.)
type_names = {type(None): "nil", bool: "bool", int: "int", bytes: "bin", str: "str", tuple: "array"}
_ALLOWED = frozenset(type_names)

# Message, list, operation, claim, terms: five levels are in use; three are left to grow into. Without
# a limit the recursion of every reader would be the peer's to choose.
MAX_DEPTH = 8
# The largest list is the claims of one state (several hundred); the decoder reserves 8 bytes for each
# item that a header promises before it sees one, at every level, hence not simply the message's size.
MAX_ARRAY_ITEMS = 4096
# The longest single field is a sealed blob (an onion, an encrypted backup); 64 KiB is 40 onions.
MAX_BIN_BYTES = 1 << 16
# Text is for people: a memo, an alias, a reason.
MAX_STR_BYTES = 1024


pack: Callable[[tuple[Any, ...]], bytes] = msgpack.Packer(use_bin_type=True).pack
"""The canonical bytes of anything that the subset allows, unchecked: made once, it packs at half the cost."""


def encode(message: tuple[Any, ...]) -> bytes:
    """The canonical bytes of a message. A value that `decode` would refuse is a bug of ours."""
    problem = _find_forbidden(message)
    assert problem is None, f"cannot encode {problem}"
    data = pack(message)
    assert len(data) <= MAX_MESSAGE_BYTES, f"message of {len(data)} bytes, limit {MAX_MESSAGE_BYTES}"
    return data


def decode(data: bytes) -> tuple[Any, ...]:
    """The array that `data` encodes; nested arrays are tuples.

    Raises MalformedMessage for anything but the canonical encoding of an allowed value: it stops a
    peer from hiding bytes behind the message, from sending one message under two hashes, and from
    making a few bytes cost much memory.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise MalformedMessage("message", f"at most {MAX_MESSAGE_BYTES} bytes", f"{len(data)} bytes")
    message = _unpack(data)
    if type(message) is not tuple:
        raise MalformedMessage("message", "an array", _name_of(type(message)))
    problem = _find_forbidden(message)
    if problem is not None:
        raise MalformedMessage("message", "nil, bool, int, bin, str and arrays", problem)
    canonical = pack(message)
    if canonical != data:
        at = _first_difference(canonical, data)
        raise MalformedMessage(f"byte {at}", "the shortest encoding", "a longer one")
    return message


def _unpack(data: bytes) -> object:
    """What the library makes of `data` under our limits; its many errors become one."""
    try:
        return msgpack.unpackb(
            data,
            raw=False,
            use_list=False,
            max_array_len=MAX_ARRAY_ITEMS,
            max_bin_len=MAX_BIN_BYTES,
            max_str_len=MAX_STR_BYTES,
            max_map_len=0,
            max_ext_len=0,
        )
    except msgpack.ExtraData as error:
        end = len(data) - len(error.extra)
        raise MalformedMessage(
            f"byte {end}", "the end of the message", f"{len(error.extra)} more bytes"
        ) from None
    except msgpack.StackError:
        raise MalformedMessage("message", f"at most {MAX_DEPTH} levels", "hundreds of levels") from None
    except msgpack.FormatError:
        raise MalformedMessage("message", "msgpack", "the reserved byte 0xc1") from None
    except UnicodeDecodeError as error:
        raise MalformedMessage("a string", "UTF-8", f"a bad byte at its position {error.start}") from None
    except ValueError as error:
        # "incomplete input", or "N exceeds max_..._len(M)": numbers and names, never content.
        raise MalformedMessage(f"{len(data)} bytes", "one msgpack array", str(error)) from None


def _find_forbidden(message: tuple[Any, ...]) -> str | None:
    """The first thing in `message` that is outside the subset, described without its content.

    It walks level by level, because that leaves the loop over the items to the interpreter's C code:
    20 µs for a batch of 100 operations instead of 60.
    """
    arrays = [message]
    for _ in range(MAX_DEPTH):
        if max(map(len, arrays)) > MAX_ARRAY_ITEMS:
            return f"an array of {max(map(len, arrays))} items, limit {MAX_ARRAY_ITEMS}"
        types = set(map(type, chain.from_iterable(arrays)))
        if not types <= _ALLOWED:
            return f"{', '.join(sorted(_name_of(kind) for kind in types - _ALLOWED))}"
        if tuple not in types:
            return None
        arrays = [item for item in chain.from_iterable(arrays) if type(item) is tuple]
    return f"more than {MAX_DEPTH} levels of arrays"


def _name_of(kind: type) -> str:
    return type_names.get(kind, kind.__name__)


def _first_difference(canonical: bytes, data: bytes) -> int:
    """Where two encodings part; halving, since the peer chose how long they agree."""
    low, high = 0, min(len(canonical), len(data))
    while low < high:
        middle = (low + high + 1) // 2
        if canonical[:middle] == data[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
