"""A journal without a disk, for tests and simulation: it outlives a simulated crash as an object."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from channeld.adapters.journal.records import (
    Journal,
    JournalFailed,
    OnCommit,
    Put,
    Record,
    Write,
    require_legal_kind,
    require_legal_limit,
    require_legal_writes,
)


@dataclass(slots=True)
class _Kind:
    """`sequences` and `keys` run in parallel, ascending by sequence."""

    values: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    sequences: list[int] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)

    def put(self, key: bytes, value: bytes) -> None:
        known = self.values.get(key)
        if known is None:
            sequence = self.sequences[-1] + 1 if self.sequences else 1
            self.sequences.append(sequence)
            self.keys.append(key)
        else:
            sequence = known[0]
        self.values[key] = (sequence, value)

    def delete(self, key: bytes) -> None:
        known = self.values.pop(key, None)
        if known is not None:
            index = bisect_left(self.sequences, known[0])
            del self.sequences[index], self.keys[index]


class MemoryJournal(Journal):
    """`fail_at` is the ordinal of the commit that fails, as a full disk would make it."""

    def __init__(self, on_commit: OnCommit | None = None, fail_at: int | None = None) -> None:
        self._kinds: dict[str, _Kind] = {}
        self._on_commit = on_commit
        self._fail_at = fail_at
        self._failed = False
        self._ordinal = 0

    def load(self, kind: str) -> Iterator[tuple[bytes, bytes]]:
        table = self._table(kind)
        return iter([(key, table.values[key][1]) for key in table.keys])

    def get(self, kind: str, key: bytes) -> bytes | None:
        known = self._table(kind).values.get(key)
        return None if known is None else known[1]

    def since(self, kind: str, after: int, limit: int) -> list[Record]:
        require_legal_limit(limit)
        table = self._table(kind)
        begin = bisect_right(table.sequences, after)
        keys = table.keys[begin : begin + limit]
        return [Record(table.values[key][0], key, table.values[key][1]) for key in keys]

    def page(self, kind: str, before: int | None, limit: int) -> list[Record]:
        require_legal_limit(limit)
        table = self._table(kind)
        end = len(table.keys) if before is None else bisect_left(table.sequences, before)
        keys = table.keys[max(0, end - limit) : end]
        return [Record(table.values[key][0], key, table.values[key][1]) for key in reversed(keys)]

    def count(self, kind: str) -> int:
        return len(self._table(kind).keys)

    def kinds(self) -> list[str]:
        return sorted(self._kinds)

    def commit(self, writes: Sequence[Write]) -> None:
        if not writes:
            return
        require_legal_writes(writes)
        if self._failed or self._ordinal + 1 == self._fail_at:
            self._failed = True
            raise JournalFailed(f"the journal in memory was told to fail at commit {self._fail_at}")
        for write in writes:
            table = self._kinds.setdefault(write.kind, _Kind())
            if isinstance(write, Put):
                table.put(write.key, write.value)
            else:
                table.delete(write.key)
        self._ordinal += 1
        if self._on_commit is not None:
            self._on_commit(self._ordinal)

    def check(self) -> None:
        for kind, table in self._kinds.items():
            expected = sorted((sequence, key) for key, (sequence, _) in table.values.items())
            if expected != list(zip(table.sequences, table.keys, strict=True)):
                raise JournalFailed(f"{kind}: expected every record in its place")

    def size_bytes(self) -> int:
        tables = self._kinds.values()
        return sum(len(key) + len(value) for table in tables for key, (_, value) in table.values.items())

    def reclaim(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to release."""

    def _table(self, kind: str) -> _Kind:
        require_legal_kind(kind)
        return self._kinds.get(kind) or _Kind()
