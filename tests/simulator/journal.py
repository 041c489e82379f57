"""A journal in memory whose node may die before or after any write."""

import copy
from collections.abc import Sequence

from channeld.adapters.journal.memory import MemoryJournal
from channeld.adapters.journal.records import Put, Write
from channeld.core.draft import Record
from channeld.core.records import is_kept
from channeld.wire.records import RECORD_KINDS, decode_record

DONE = "_done"


class Died(BaseException):
    """The process is gone at this very instruction."""


class MortalJournal(MemoryJournal):
    """Outlives its node. `history` holds what is archived, as the judge reads it; `fresh_history` also what
    has ended and is not kept."""

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[tuple[type[Record], bytes], Record] = {}
        self.fresh_history: list[Record] = []
        self.writes = 0
        self._writes_left = 0
        self._before = False

    def die(self, writes: int, *, before: bool) -> None:
        """At the write with this number from now on (1: the next); 0: at none."""
        self._writes_left, self._before = writes, before

    @property
    def is_doomed(self) -> bool:
        return self._writes_left > 0

    def commit(self, writes: Sequence[Write]) -> None:
        if not writes:
            return
        last = self._writes_left == 1
        self._writes_left = max(0, self._writes_left - 1)
        if last and self._before:
            raise Died("before a write")
        super().commit(writes)
        self.writes += 1
        for write in writes:
            if isinstance(write, Put) and write.kind.endswith(DONE):
                kind = write.kind.removesuffix(DONE)
                if kind in RECORD_KINDS:
                    record = decode_record(kind, write.value)
                    self.history[type(record), record.key] = record
                    self.fresh_history.append(record)
        if last:
            raise Died("after a write")

    def heard(self, archived: list[Record]) -> None:
        """These have become history."""
        self.fresh_history += [record for record in archived if not is_kept(record)]

    def backup(self) -> "MortalJournal":
        """A copy of what is there now, for somebody who does not know that it is of no use."""
        self.die(0, before=False)
        return copy.deepcopy(self)
