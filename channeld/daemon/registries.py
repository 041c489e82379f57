"""What the contract's registries hold, as far as the chain was scanned: on disk, looked up when needed.

Anyone can fill the registries, so they are not held in memory; each look-up that misses the small
cache reads one row.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from typing import TypeVar

from channeld.adapters.journal.records import Journal, Put
from channeld.core.world import PublishedPrice
from channeld.wire.eip712 import keccak

CACHE_ENTRIES = 10_000
"""More than all claims that one node's busy channels wait for; each takes about 200 bytes."""

V = TypeVar("V")

TIME_BYTES = 5
PRICE_BYTES = 16


class RegisteredSecrets(Mapping[bytes, int]):
    """sha256 of a secret -> block time of its first registration (unix seconds)."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._cache: OrderedDict[bytes, int | None] = OrderedDict()

    def __getitem__(self, hashlock: bytes) -> int:
        if hashlock not in self._cache:
            row = self._journal.get("chain_secret", hashlock)
            _remember(self._cache, hashlock, None if row is None else int.from_bytes(row[:TIME_BYTES], "big"))
        seen_s = self._cache[hashlock]
        if seen_s is None:
            raise KeyError(hashlock)
        return seen_s

    def look_up(self, hashlocks: Collection[bytes]) -> None:
        """Read what will be asked for."""
        missing = [hashlock for hashlock in hashlocks if hashlock not in self._cache]
        rows = self._journal.get_many("chain_secret", missing)
        for hashlock in missing:
            row = rows.get(hashlock)
            _remember(self._cache, hashlock, None if row is None else int.from_bytes(row[:TIME_BYTES], "big"))

    def add(self, hashlock: bytes, preimage: bytes, seen_s: int) -> Put | None:
        """Note a registration; the row to journal, or None if it was known (the first time counts)."""
        if hashlock in self:
            return None
        self._cache[hashlock] = seen_s
        return Put("chain_secret", hashlock, seen_s.to_bytes(TIME_BYTES, "big") + preimage)

    def preimage(self, hashlock: bytes) -> bytes | None:
        """The secret itself, if it was registered."""
        row = self._journal.get("chain_secret", hashlock)
        return None if row is None else row[TIME_BYTES:]

    def __iter__(self) -> Iterator[bytes]:
        return (key for key, _ in self._journal.load("chain_secret"))

    def __len__(self) -> int:
        return self._journal.count("chain_secret")


class PublishedPrices(Mapping[tuple[bytes, int], PublishedPrice]):
    """(feed, expiry) -> the price in the contract's registry and when it came there."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._cache: OrderedDict[bytes, PublishedPrice | None] = OrderedDict()

    def __getitem__(self, instant: tuple[bytes, int]) -> PublishedPrice:
        feed, expiry_s = instant
        key = keccak(feed + expiry_s.to_bytes(32, "big"))
        if key not in self._cache:
            _remember(self._cache, key, self._stored(key))
        published = self._cache[key]
        if published is None:
            raise KeyError(instant)
        return published

    def _stored(self, key: bytes) -> PublishedPrice | None:
        row = self._journal.get("chain_price", key)
        if row is None:
            return None
        return PublishedPrice(
            int.from_bytes(row[TIME_BYTES:], "big"), int.from_bytes(row[:TIME_BYTES], "big")
        )

    def add(self, key: bytes, price: int, published_s: int) -> Put | None:
        """Note a publication under its registry key; the row to journal, or None if it was known."""
        if self._cache.get(key) is not None or self._stored(key) is not None:
            return None
        self._cache[key] = PublishedPrice(price, published_s)
        row = published_s.to_bytes(TIME_BYTES, "big") + price.to_bytes(PRICE_BYTES, "big")
        return Put("chain_price", key, row)

    def __iter__(self) -> Iterator[tuple[bytes, int]]:
        raise TypeError("the registry is keyed by hashes; ask for one (feed, expiry)")

    def __len__(self) -> int:
        return self._journal.count("chain_price")


def _remember(cache: OrderedDict[bytes, V], key: bytes, value: V) -> None:
    if len(cache) >= CACHE_ENTRIES:
        cache.popitem(last=False)  # a plain dict would look for its oldest entry among those deleted before
    cache[key] = value
