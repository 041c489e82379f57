"""A daemon reduced to its journal: writes generations until somebody stops it.

Each commit sets the same generation in every record, so that half a commit would show. Modes: `run`
says every generation it has stored on stdout; `limit BYTES` may not grow a file beyond that, as if the
disk were full, and says how the commits failed.
"""

import os
import resource
import sys
from pathlib import Path

from channeld.adapters.journal.records import Identity, JournalFailed, Put, Write
from channeld.adapters.journal.sqlite import SqliteJournal

LANES = 12
IDENTITY = Identity(1, b"writer")


def generation(n: int) -> list[Write]:
    """Small and large records, of two kinds, one of them new each time."""
    stamp = n.to_bytes(4, "big")
    lanes: list[Write] = [Put("lane", bytes([lane]), stamp * (1 + lane * 400)) for lane in range(LANES)]
    return [*lanes, Put("history", stamp, stamp)]


def stored(journal: SqliteJournal) -> int:
    """The one generation that all records agree on; 0 if there is none yet."""
    found = {value[:4] for _, value in journal.load("lane")}
    assert len(found) <= 1, f"half a commit: {found}"
    n = int.from_bytes(found.pop(), "big") if found else 0
    assert [value for _, value in journal.load("history")] == [i.to_bytes(4, "big") for i in range(1, n + 1)]
    assert dict(journal.load("lane")) == {
        w.key: w.value for w in generation(n)[:-1] if isinstance(w, Put) and n
    }
    return n


def run(journal: SqliteJournal) -> None:
    n = stored(journal)
    while True:
        n += 1
        journal.commit(generation(n))
        os.write(1, n.to_bytes(4, "big"))


def limited(journal: SqliteJournal, limit_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    n = stored(journal)
    try:
        while True:
            journal.commit(generation(n + 1))
            n += 1
    except JournalFailed as error:
        print(error)
    try:
        journal.commit([Put("lane", b"small", b"small enough to fit")])
    except JournalFailed as error:
        print(error)
    print(n)


if __name__ == "__main__":
    opened = SqliteJournal(Path(sys.argv[1]), IDENTITY)
    if sys.argv[2] == "run":
        run(opened)
    else:
        limited(opened, int(sys.argv[3]))
