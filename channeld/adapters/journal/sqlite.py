"""The journal in one SQLite file: WAL, synchronous=FULL, one connection that locks everybody out.

Each kind has a table of its own, (sequence INTEGER PRIMARY KEY, key BLOB UNIQUE, value BLOB): a commit
then touches two B-trees, a page of history is a range of one of them, and rewriting a large value
leaves the index of keys alone. Measured against one table for all kinds and against WITHOUT ROWID
tables (`python -m bench journal` shows today's figures): 1.1 and 1.5 times as fast.

Keys that grow with time fill one leaf of the index after the other; random ones (hashes) touch a leaf
each, and a group of 50 then costs two to three times as much.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

from channeld.adapters.journal.lock import DirectoryLock, private_directory
from channeld.adapters.journal.records import (
    Identity,
    Journal,
    JournalFailed,
    OnCommit,
    Put,
    Record,
    Schema,
    Write,
    require_legal_kind,
    require_legal_limit,
    require_legal_writes,
)
from channeld.adapters.private_file import make_private, sync_directory, sync_file
from channeld.core.errors import Rejected

FILE_NAME = "journal.sqlite"
COMPACTED_NAME = "journal.compacted"
"""What is left of a journal that is being written anew; it then takes the journal's name."""

APPLICATION_ID = 0x6368616E
"""'chan' in the file's header, so that another program's database is not taken for ours."""

LAYOUT_VERSION = 1
"""Of the tables. What the values mean has its own version (Schema)."""

PAGE_BYTES = 4096
"""The disk's and the kernel's page; 1, 2 and 8 kB were measured and were slower for one load or another."""

CHECKPOINT_PAGES = 1_000
"""4 MB. A checkpoint stops commits while it copies pages: 3 ms here, 7 ms with random keys. Two, four and
eight times as many pages stopped them for 6, 10 and 20 ms and raised the rate by less than a tenth
(by a fifth with random keys)."""

CACHE_KIB = 65_536
"""The pages of the keys' indexes of about a million records, and all channel states."""

LOAD_ROWS = 256
"""Rows fetched at a time by `load`: at 70 kB each, 18 MB."""

TABLE_PREFIX = "records_"


class SqliteJournal(Journal):
    """`data_dir` is made (0700) if missing, the file in it (0600) too.

    Raises Rejected if another process has the directory, if the journal belongs to another identity, or
    if a newer channeld wrote it; JournalFailed if the file cannot be opened or read.
    """

    def __init__(
        self,
        data_dir: Path,
        identity: Identity,
        schema: Schema | None = None,
        on_commit: OnCommit | None = None,
    ) -> None:
        self.path = data_dir / FILE_NAME
        self._thread_lock = threading.Lock()
        self._on_commit = on_commit
        self._ordinal = 0
        self._failure: str | None = None
        private_directory(data_dir)
        self._directory_lock = DirectoryLock(data_dir)
        try:
            self._open(identity, schema or Schema())
        except BaseException:
            self._directory_lock.release()
            raise

    def load(self, kind: str) -> Iterator[tuple[bytes, bytes]]:
        last = 0
        while rows := self.since(kind, last, LOAD_ROWS):
            yield from ((row.key, row.value) for row in rows)
            last = rows[-1].sequence

    def get(self, kind: str, key: bytes) -> bytes | None:
        rows = self._select(kind, _GET, (key,))
        return rows[0][0] if rows else None

    def since(self, kind: str, after: int, limit: int) -> list[Record]:
        require_legal_limit(limit)
        return self._records(kind, "WHERE sequence > ? ORDER BY sequence LIMIT ?", (after, limit))

    def page(self, kind: str, before: int | None, limit: int) -> list[Record]:
        require_legal_limit(limit)
        if before is None:
            return self._records(kind, "ORDER BY sequence DESC LIMIT ?", (limit,))
        return self._records(kind, "WHERE sequence < ? ORDER BY sequence DESC LIMIT ?", (before, limit))

    def count(self, kind: str) -> int:
        """Counts the index: half a millisecond for a million records in the cache, some 10 ms from disk."""
        rows = self._select(kind, _COUNT, ())
        return int(rows[0][0]) if rows else 0

    def kinds(self) -> list[str]:
        return sorted(self._kinds)

    def commit(self, writes: Sequence[Write]) -> None:
        if not writes:
            return
        require_legal_writes(writes)
        with self._thread_lock:
            self._require_alive()
            try:
                if len(writes) == 1 and writes[0].kind in self._kinds:
                    self._apply(writes)  # a statement on its own is a transaction, and 2 statements fewer
                else:
                    self._transact(writes)
            except sqlite3.Error as error:
                raise self._fail(f"{self.path}: expected to store {len(writes)} records: {error}") from error
            self._ordinal += 1
            ordinal = self._ordinal
        if self._on_commit is not None:
            self._on_commit(ordinal)

    def check(self) -> None:
        with self._thread_lock:
            self._require_alive()
            try:
                found = [row[0] for row in self._connection.execute("PRAGMA integrity_check(10)")]
            except sqlite3.Error as error:
                found = [str(error)]
            if found != ["ok"]:
                raise self._fail(f"{self.path}: expected a journal without damage: {'; '.join(found)}")

    def size_bytes(self) -> int:
        log = self.path.with_name(FILE_NAME + "-wal")
        return self.path.stat().st_size + (log.stat().st_size if log.exists() else 0)

    def reclaim(self) -> None:
        """Writes what is left into a new file, which then takes the old one's place and name.

        A crash on the way leaves the old file, whole, and a file beside it that the next run overwrites.
        VACUUM without INTO would need three times the room, part of it in the system's directory for
        temporary files.
        """
        fresh = self.path.with_name(COMPACTED_NAME)
        with self._thread_lock:
            self._require_alive()
            try:
                fresh.unlink(missing_ok=True)
                make_private(fresh)
                self._connection.execute("VACUUM INTO ?", (str(fresh),))
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                self._connection.close()
                sync_file(fresh)
                fresh.replace(self.path)
                sync_directory(self.path.parent)
                self._connect()
            except (OSError, sqlite3.Error) as error:
                raise self._fail(f"{self.path}: expected to write it anew without gaps: {error}") from error

    def close(self) -> None:
        with self._thread_lock:
            self._failure = self._failure or f"{self.path} is closed"
            self._connection.close()
            self._directory_lock.release()

    # Opening ---------------------------------------------------------------------------------------

    def _open(self, identity: Identity, schema: Schema) -> None:
        try:
            make_private(self.path)
            self._connect()
        except (OSError, sqlite3.Error) as error:
            raise JournalFailed(f"{self.path}: expected to open the journal: {error}") from error
        try:
            self._kinds = self._stored_kinds()
            self._create_or_verify(identity, schema)
            self._migrate(schema)
        except BaseException as error:
            self._connection.close()
            if isinstance(error, sqlite3.Error):
                raise JournalFailed(f"{self.path}: expected a journal: {error}") from error
            raise

    def _connect(self) -> None:
        self._connection = sqlite3.connect(
            self.path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            self._configure()
        except BaseException:
            self._connection.close()
            raise

    def _configure(self) -> None:
        pragmas = {
            "page_size": PAGE_BYTES,
            "locking_mode": "EXCLUSIVE",  # before WAL: then it needs no shared memory file
            "journal_mode": "WAL",
            "synchronous": "FULL",
            "fullfsync": 1,  # macOS: an ordinary fsync there does not reach the platter
            "checkpoint_fullfsync": 1,
            "wal_autocheckpoint": CHECKPOINT_PAGES,
            "journal_size_limit": 4 * CHECKPOINT_PAGES * PAGE_BYTES,  # gives the disk back after a burst
            "cache_size": -CACHE_KIB,
            "temp_store": "MEMORY",
            "trusted_schema": 0,
        }
        for name, value in pragmas.items():
            self._connection.execute(f"PRAGMA {name} = {value}").fetchall()
        for name, expected in (("journal_mode", "wal"), ("locking_mode", "exclusive"), ("synchronous", 2)):
            (actual,) = self._connection.execute(f"PRAGMA {name}").fetchone()
            if actual != expected:
                raise JournalFailed(
                    f"{self.path}: expected {name} {expected}, got {actual}: "
                    "the journal needs a local file system"
                )

    def _stored_kinds(self) -> set[str]:
        names = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {name.removeprefix(TABLE_PREFIX) for (name,) in names if name.startswith(TABLE_PREFIX)}

    def _create_or_verify(self, identity: Identity, schema: Schema) -> None:
        run = self._connection.execute
        (application,) = run("PRAGMA application_id").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()
        if application == 0 and tables == 0:
            run("BEGIN IMMEDIATE")
            run("CREATE TABLE journal_meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID")
            meta = {"chain_id": identity.chain_id, "node_id": identity.node_id, "schema": schema.version}
            self._connection.executemany("INSERT INTO journal_meta VALUES (?, ?)", list(meta.items()))
            run(f"PRAGMA application_id = {APPLICATION_ID}")
            run(f"PRAGMA user_version = {LAYOUT_VERSION}")
            run("COMMIT")
            return
        (layout,) = run("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise Rejected(f"{self.path}: expected channeld's journal, got application id {application:#x}")
        if layout > LAYOUT_VERSION:
            raise Rejected(_newer(self.path, "layout", LAYOUT_VERSION, layout))
        self._require_identity(identity)

    def _meta(self) -> dict[str, Any]:
        return dict(self._connection.execute("SELECT name, value FROM journal_meta").fetchall())

    def _require_identity(self, identity: Identity) -> None:
        meta = self._meta()
        found = Identity(meta["chain_id"], meta["node_id"])
        if found != identity:
            raise Rejected(
                f"{self.path}: expected the journal of node {identity.node_id.hex()} on chain "
                f"{identity.chain_id}, got that of node {found.node_id.hex()} on chain {found.chain_id}"
            )

    def _migrate(self, schema: Schema) -> None:
        """Step by step to `schema.version`; each step is one transaction with the new version in it."""
        found = self._meta()["schema"]
        if found > schema.version:
            raise Rejected(_newer(self.path, "schema", schema.version, found))
        for version in range(found, schema.version):
            assert version in schema.migrations, f"no migration from schema {version} to {version + 1}"
            writes = list(schema.migrations[version](self))
            require_legal_writes(writes)
            self._transact(writes, schema_version=version + 1)

    # Reading and writing; the thread lock is held by whoever changes something ------------------------

    def _records(self, kind: str, clause: str, arguments: tuple[object, ...]) -> list[Record]:
        query = _Statements("SELECT sequence, key, value FROM {table} " + clause)
        return [Record(*row) for row in self._select(kind, query, arguments)]

    def _select(self, kind: str, query: "_Statements", arguments: tuple[object, ...]) -> list[Any]:
        require_legal_kind(kind)
        with self._thread_lock:
            if kind not in self._kinds:
                return []
            try:
                return self._connection.execute(query[kind], arguments).fetchall()
            except sqlite3.Error as error:
                raise self._fail(f"{self.path}: expected to read {kind}: {error}") from error

    def _transact(self, writes: Sequence[Write], schema_version: int | None = None) -> None:
        kinds = {write.kind for write in writes}
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for kind in kinds - self._kinds:
                self._connection.execute(
                    f"CREATE TABLE {TABLE_PREFIX}{kind} "
                    "(sequence INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)"
                )
            self._apply(writes)
            if schema_version is not None:
                self._connection.execute(
                    "UPDATE journal_meta SET value = ? WHERE name = 'schema'", (schema_version,)
                )
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk has rolled back by itself
                self._connection.execute("ROLLBACK")
            raise
        self._kinds |= kinds

    def _apply(self, writes: Sequence[Write]) -> None:
        """Kinds are independent of each other, so one statement takes a kind's writes up to a Delete."""
        by_kind: dict[str, list[Write]] = {}
        for write in writes:
            by_kind.setdefault(write.kind, []).append(write)
        for kind, batch in by_kind.items():
            for operation, run in groupby(batch, type):
                if operation is Put:
                    rows = [(write.key, write.value) for write in run if isinstance(write, Put)]
                    self._connection.executemany(_PUT[kind], rows)
                else:
                    self._connection.executemany(_DELETE[kind], [(write.key,) for write in run])

    def _require_alive(self) -> None:
        if self._failure is not None:
            raise JournalFailed(f"the journal accepts nothing more: {self._failure}")

    def _fail(self, failure: str) -> JournalFailed:
        self._failure = self._failure or failure
        return JournalFailed(failure)


def stored_identity(data_dir: Path) -> Identity:
    """Whose journal is in a directory that no daemon uses. Raises Rejected (none there), JournalFailed."""
    path = data_dir / FILE_NAME
    if not path.exists():
        raise Rejected(f"expected a journal at {path}, there is none")
    try:
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            meta = dict(connection.execute("SELECT name, value FROM journal_meta").fetchall())
    except sqlite3.Error as error:
        raise JournalFailed(f"{path}: expected a journal: {error}") from error
    return Identity(meta["chain_id"], meta["node_id"])


class _Statements(dict[str, str]):
    """SQL by kind, built once: the text is also what the cache of prepared statements is searched by."""

    def __init__(self, template: str) -> None:
        super().__init__()
        self._template = template

    def __missing__(self, kind: str) -> str:
        statement = self[kind] = self._template.format(table=TABLE_PREFIX + kind)
        return statement


_PUT = _Statements(
    "INSERT INTO {table} (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
_DELETE = _Statements("DELETE FROM {table} WHERE key = ?")
_GET = _Statements("SELECT value FROM {table} WHERE key = ?")
_COUNT = _Statements("SELECT count(*) FROM {table}")


def _newer(path: Path, what: str, known: int, found: int) -> str:
    return f"{path}: expected {what} up to {known}, got {found}: a newer channeld wrote it; upgrade this one"
