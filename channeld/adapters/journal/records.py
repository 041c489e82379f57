"""What a journal is: records (kind, key) -> value, changed by commits that are whole and durable.

The daemon steps, commits, and only then acts: nothing leaves before it is durable. A commit that fails
means that it must stop, because it may not sign or send what it has not stored.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import NamedTuple, Protocol

from channeld.core.errors import Rejected, StorageFailed

MAX_KEY_BYTES = 128
"""Two hashes and two counters: a longer key means that a value has slipped into the key."""

MAX_VALUE_BYTES = 16 * 2**20
"""200 times the largest channel state (460 claims, 67 kB); more would stall the loop for its write."""

MAX_PAGE = 1_000
"""Most records of one page: with the usual 200 bytes each, what one API answer can sensibly carry."""

KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""A kind is a constant in our code and becomes part of a table's name."""


@dataclass(frozen=True, slots=True)
class Put:
    """Store `value` under (kind, key), whether or not something stands there already."""

    kind: str
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove (kind, key); nothing happens if it is not there."""

    kind: str
    key: bytes


Write = Put | Delete


class Record(NamedTuple):
    """`sequence` grows with each first insertion of a key within its kind, and stays when it is rewritten."""

    sequence: int
    key: bytes
    value: bytes


class JournalFailed(StorageFailed):
    """The journal could not store something, and accepts nothing more: the daemon must stop.

    Whether the commit that failed will be there after a restart is unknown, exactly as after a crash
    between the commit and what follows it; all earlier ones will.
    """


class Journal(Protocol):
    """Safe to call from any thread; calls are served one after the other."""

    def load(self, kind: str) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, value) of a kind, by first insertion. For the start: not a snapshot across commits."""

    def get(self, kind: str, key: bytes) -> bytes | None:
        """The value, or None."""

    def get_many(self, kind: str, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """The values of those keys that are there; with a server, in one trip."""
        found = ((key, self.get(kind, key)) for key in keys)
        return {key: value for key, value in found if value is not None}

    def since(self, kind: str, after: int, limit: int) -> list[Record]:
        """Up to `limit` records (1 to MAX_PAGE), oldest first, with sequences above `after` (0: all).

        Costs as `page` does, and raises the same.
        """

    def page(self, kind: str, before: int | None, limit: int) -> list[Record]:
        """Up to `limit` records (1 to MAX_PAGE), newest first, with sequences below `before`.

        The cost does not depend on how many records there are. Raises Rejected for a limit out of range.
        """

    def count(self, kind: str) -> int:
        """How many records of a kind there are."""

    def kinds(self) -> list[str]:
        """Every kind that was ever written, in the order of the alphabet."""

    def commit(self, writes: Sequence[Write]) -> None:
        """All writes in one transaction with one fsync, in the order given; nothing for no writes.

        Raises JournalFailed, once and then for ever, when they cannot be stored.
        """

    def check(self) -> None:
        """Read everything and compare it with its indexes; raises JournalFailed on damage. Takes seconds."""

    def size_bytes(self) -> int:
        """What it takes on the disk."""

    def reclaim(self) -> None:
        """Make what deleted records have left usable: by new records, or by others on the disk.

        For a journal that nobody uses meanwhile: it takes as long as reading what is left, and as much
        disk again for that time. Raises JournalFailed.
        """

    def close(self) -> None:
        """Release files and locks. Calling it twice does no harm."""


OnCommit = Callable[[int], None]
"""Called after each durable commit with its ordinal, from 1 since the journal was opened."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose journal it is. Another node's states, or another chain's, must never be continued."""

    chain_id: int
    node_id: bytes


Migration = Callable[[Journal], Iterable[Write]]
"""Reads records of version n and says which writes make them version n + 1."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The version of what the values mean, and how to get there: `migrations[n]` leads from n to n + 1."""

    version: int = 1
    migrations: Mapping[int, Migration] = field(default_factory=lambda: MappingProxyType({}))


def require_legal_writes(writes: Sequence[Write]) -> None:
    """A write out of bounds is a bug in the daemon, found before anything is stored."""
    for write in writes:
        require_legal_kind(write.kind)
        assert 0 < len(write.key) <= MAX_KEY_BYTES, f"{write.kind}: key of {len(write.key)} bytes"
        if isinstance(write, Put):
            assert len(write.value) <= MAX_VALUE_BYTES, f"{write.kind}: value of {len(write.value)} bytes"


@cache
def require_legal_kind(kind: str) -> None:
    """Looks at each kind once: there are some twenty, and a hundred writes a millisecond."""
    assert KIND.fullmatch(kind), f"expected a kind like 'channel', got {kind!r}"


def require_legal_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_PAGE:
        raise Rejected(f"expected a limit of 1 to {MAX_PAGE} records a page, got {limit}")
