"""Who and what the scripted node knows: three people, two assets, ids that depend on nothing but names."""

import hashlib
from typing import TypeVar

from channeld.api.commands import Page

T = TypeVar("T")

ETH = bytes(20)
TEST = b"\x7e" * 20
DECIMALS = {"ETH": 18, "TEST": 6}
ADDRESSES = {"ETH": ETH, "TEST": TEST}
T0_S = 1_900_000_000

ALICE = b"\x02" + hashlib.sha256(b"alice").digest()
BOB = b"\x02" + hashlib.sha256(b"bob").digest()
CAROL = b"\x03" + hashlib.sha256(b"carol").digest()


def named(asset: str) -> str:
    """A symbol or an address as a symbol."""
    return next((s for s, address in ADDRESSES.items() if asset == f"0x{address.hex()}"), asset)


def digest(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def page_of(items: list[T], before: int | None, limit: int) -> tuple[list[T], Page]:
    """Newest first; a place is the number of older items."""
    end = len(items) if before is None else min(before, len(items))
    start = max(end - limit, 0)
    return items[start:end][::-1], Page(start or None)
