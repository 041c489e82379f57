"""Messages as bare arrays, so that a test can put something else where a field should be."""

from typing import Any

from hypothesis import strategies as st

from channeld.core.claims import OptionTerms, PayoffKind

ID = b"\x11" * 32
NODE = b"\x02" + bytes(32)
SIGNATURE = b"\x33" * 64
HASHLOCK = b"\x44" * 32
FEED = b"\x55" * 31 + b"\x04"
STREAM = b"\x66" * 16
CALL = OptionTerms(PayoffKind.CALL, FEED, 1_800_000_000, 4_000 * 10**8, 8_000 * 10**8)


def uint(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


ADD = [1, 6, uint(10**18), HASHLOCK, 1_700_000_000, None, b"packet"]
TERMS = [1, FEED, 1_800_000_000, uint(4_000 * 10**8), uint(8_000 * 10**8)]


def with_item(array: list[Any], index: int, value: Any) -> list[Any]:
    return [*array[:index], value, *array[index + 1 :]]


def update(*operations: Any) -> list[Any]:
    return [3, ID, 8, 7, list(operations), SIGNATURE]


def state_copy(*claims: Any, next_a: Any = 8, next_b: Any = 9) -> list[Any]:
    return [8, ID, [4, b"", list(claims), next_a, next_b], SIGNATURE, SIGNATURE]


values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=70)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=20,
)
