"""Every transaction that was ever signed, durable before it is sent (R11), one row an intention.

An intention is a caller's name for something that must happen once, such as "deposit:<id>:1". A
daemon that is killed between sending and hearing the answer finds here what it sent, and sends the
same bytes again: the same nonce can be mined only once. Its own small file, because a transaction
belongs to a key and a chain, not to a channel.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from channeld.adapters.chain.fees import Fees
from channeld.adapters.private_file import make_private
from channeld.core.errors import OperationalError, Rejected, StorageFailed

SCHEMA = """
CREATE TABLE IF NOT EXISTS chain (id INTEGER PRIMARY KEY CHECK (id = 0), identity BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS entry (
  intention TEXT PRIMARY KEY,
  stage TEXT NOT NULL,
  nonce INTEGER NOT NULL,
  recipient BLOB,
  value_wei TEXT NOT NULL,
  data BLOB NOT NULL,
  gas_limit INTEGER NOT NULL,
  mined_hash BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS version (
  intention TEXT NOT NULL REFERENCES entry ON DELETE CASCADE,
  number INTEGER NOT NULL,
  hash BLOB NOT NULL,
  raw BLOB NOT NULL,
  tip_wei TEXT NOT NULL,
  max_fee_wei TEXT NOT NULL,
  PRIMARY KEY (intention, number)
) WITHOUT ROWID;
"""


class OutboxFailed(StorageFailed):
    """The file of transactions could not be written or read, and is not touched again: what a failed sync
    has left of it is not known before it is opened anew."""


class Stage(StrEnum):
    """How far a transaction has come."""

    SENT = "sent"  #            signed and perhaps sent; not seen in a block
    MINED = "mined"  #          in a block that may still be reorganised away
    FINAL = "final"  #          in a confirmed block
    DISPLACED = "displaced"  #  its nonce was used by a transaction that is not ours


@dataclass(frozen=True, slots=True)
class Request:
    """What a transaction should do. `to` is 20 bytes, None to create a contract."""

    to: bytes | None
    data: bytes
    value_wei: int = 0


@dataclass(frozen=True, slots=True)
class Version:
    """One signed form; replacements differ in the fees only."""

    hash: bytes
    raw: bytes
    fees: Fees


@dataclass(frozen=True, slots=True)
class Entry:
    """One intention. `versions` are in order of signing; any of them may be the one that is mined."""

    intention: str
    stage: Stage
    nonce: int
    request: Request
    gas_limit: int
    versions: tuple[Version, ...]
    mined_hash: bytes | None = None


class Store(Protocol):
    """Where entries are kept. What changes one returns when it is durable, or raises StorageFailed.

    Whoever opened the store then stops the daemon, which could not answer a challenge.
    """

    def put(self, entry: Entry) -> None:
        """Insert or replace an entry."""

    def rename(self, intention: str, entry: Entry) -> None:
        """Replace the entry of `intention` by one of another name, at once."""

    def get(self, intention: str) -> Entry | None:
        """The entry of an intention, or None."""

    def unfinished(self) -> list[Entry]:
        """Entries that are sent or mined but not final, by nonce."""

    def forget(self, intention: str) -> None:
        """Delete an entry; its intention may then be submitted anew."""

    def close(self) -> None:
        """Release what it holds."""


class Outbox(Store):
    """A SQLite file of entries, synchronous: `put` returns when the disk has it.

    Raises OutboxFailed, once and then for ever, when it has not.
    """

    def __init__(self, path: Path, identity: bytes) -> None:
        """`identity` names chain and key. Raises Rejected if the file belongs to another one, because
        the nonces of another chain would leave a gap that nothing fills."""
        self._path = path
        self._failure: str | None = None
        try:
            make_private(path)
            self._database = sqlite3.connect(path, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise OperationalError(f"outbox {path}: {error}") from error
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute("PRAGMA foreign_keys = ON")
            self._database.executescript(SCHEMA)
            self._database.execute("INSERT OR IGNORE INTO chain VALUES (0, ?)", (identity,))
            (found,) = self._database.execute("SELECT identity FROM chain").fetchone()
        except sqlite3.Error as error:
            self._database.close()
            raise OperationalError(f"outbox {path}: {error}") from error
        if found != identity:
            self._database.close()
            raise Rejected(
                f"expected the outbox {path} to belong to this key and chain; it belongs to others"
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def put(self, entry: Entry) -> None:
        """Insert or replace an entry, durably."""
        with self._transaction(entry.intention) as database:
            _replace(database, entry.intention, entry)

    def rename(self, intention: str, entry: Entry) -> None:
        """Replace the entry of `intention` by one of another name, durably and at once."""
        with self._transaction(intention) as database:
            _replace(database, intention, entry)

    def get(self, intention: str) -> Entry | None:
        """The entry of an intention, or None."""
        found = self._select("WHERE intention = ?", (intention,))
        return found[0] if found else None

    def unfinished(self) -> list[Entry]:
        """Entries that are sent or mined but not final, by nonce."""
        return self._select("WHERE stage IN ('sent', 'mined') ORDER BY nonce", ())

    def forget(self, intention: str) -> None:
        """Delete an entry; its intention may then be submitted anew."""
        with self._transaction(intention) as database:
            database.execute("DELETE FROM entry WHERE intention = ?", (intention,))

    def require_alive(self) -> None:
        """Raises OutboxFailed if it accepts nothing more."""
        if self._failure is not None:
            raise OutboxFailed(self._failure)

    def _fail(self, what: str, error: sqlite3.Error) -> OutboxFailed:
        self._failure = f"{self._path}: expected to {what}: {error}"
        return OutboxFailed(self._failure)

    @contextmanager
    def _transaction(self, intention: str) -> Iterator[sqlite3.Connection]:
        self.require_alive()
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # a full disk has rolled back by itself
                    self._database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._fail(f"store the transaction {intention}", error) from error

    def _select(self, where: str, values: tuple[str, ...]) -> list[Entry]:
        self.require_alive()
        try:
            rows = self._database.execute(
                f"SELECT intention, stage, nonce, recipient, value_wei, data, gas_limit, mined_hash "
                f"FROM entry {where}",
                values,
            ).fetchall()
            return [self._entry(row) for row in rows]
        except sqlite3.Error as error:
            raise self._fail("read transactions", error) from error

    def _entry(self, row: tuple[str, str, int, bytes | None, str, bytes, int, bytes | None]) -> Entry:
        intention, stage, nonce, to, value_wei, data, gas_limit, mined_hash = row
        versions = self._database.execute(
            "SELECT hash, raw, tip_wei, max_fee_wei FROM version WHERE intention = ? ORDER BY number",
            (intention,),
        ).fetchall()
        return Entry(
            intention,
            Stage(stage),
            nonce,
            Request(to, data, int(value_wei)),
            gas_limit,
            tuple(Version(digest, raw, Fees(int(tip), int(most))) for digest, raw, tip, most in versions),
            mined_hash,
        )


def _replace(database: sqlite3.Connection, old: str, entry: Entry) -> None:
    request = entry.request
    row = (
        entry.intention,
        entry.stage.value,
        entry.nonce,
        request.to,
        str(request.value_wei),
        request.data,
        entry.gas_limit,
        entry.mined_hash,
    )
    versions = [
        (entry.intention, number, v.hash, v.raw, str(v.fees.tip_wei), str(v.fees.max_fee_wei))
        for number, v in enumerate(entry.versions)
    ]
    database.execute("DELETE FROM entry WHERE intention = ?", (old,))
    database.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    database.executemany("INSERT INTO version VALUES (?, ?, ?, ?, ?, ?)", versions)
