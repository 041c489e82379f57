"""How far the chain was read, as the journal knows it: the newest confirmed block."""

import msgpack

from channeld.adapters.chain.scanner import Checkpoint
from channeld.adapters.journal.records import Journal, Put

KIND, KEY = "chain", b"checkpoint"


def checkpoint_row(number: int, block_hash: bytes, time_s: int) -> Put:
    """The row for a confirmed block: its number, hash (32 bytes) and time (unix seconds)."""
    return Put(KIND, KEY, msgpack.packb((number, block_hash, time_s)))


def stored_checkpoint(journal: Journal) -> Checkpoint | None:
    """Where to read on; None before the first block."""
    stored = _stored(journal)
    return None if stored is None else stored[0]


def confirmed_block_s(journal: Journal) -> int:
    """The time of that block (unix seconds); 0 if it is not known: none was read, or by a version that did
    not note its time."""
    stored = _stored(journal)
    return 0 if stored is None else stored[1]


def _stored(journal: Journal) -> tuple[Checkpoint, int] | None:
    """The block and its time."""
    row = journal.get(KIND, KEY)
    if row is None:
        return None
    number, block_hash, *time_s = msgpack.unpackb(row)
    return Checkpoint(number, block_hash), time_s[0] if time_s else 0
