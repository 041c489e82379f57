"""The journal in a PostgreSQL database, for operators who run replication and backups there.

Tables as in SQLite: one a kind, (sequence, key, value), all in the schema that the connection's search
path names first; one node to a schema. A commit is one transaction, sent as one pipeline: one trip to
the server and one wait for its log, on the replicas too if `synchronous_standby_names` says so.

Several daemons of one identity may open it; the one that holds the lease (`try_lead`) may commit, and
every commit proves that it still does (lease.py). Readers need no lease.
"""

import os
import socket
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import Any

import psycopg

from channeld.adapters.journal import lease
from channeld.adapters.journal.postgres_layout import TABLE_PREFIX, create_or_verify, described, kind_ddl
from channeld.adapters.journal.postgres_layout import connect as connect_to
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

LOAD_ROWS = 256
"""Rows fetched at a time by `load`: at 70 kB each, 18 MB."""

RENEWALS = 4
"""Renewals in the time of a lease: two may be late and one lost before anybody else takes over."""


class PostgresJournal(Journal):
    """Opens the database at `url` (libpq's form; what it leaves out comes from PG* variables, ~/.pgpass).

    Raises Rejected if the journal belongs to another identity, a newer channeld wrote it, or the server
    is set not to keep what it has confirmed; JournalFailed if the server cannot be reached. Whoever
    wants to commit calls `try_lead` until it says True.
    """

    def __init__(
        self,
        url: str,
        identity: Identity,
        schema: Schema | None = None,
        on_commit: OnCommit | None = None,
        *,
        lease_s: float = 6.0,
    ) -> None:
        self._schema = schema or Schema()
        self._url = url
        self._identity = identity
        self._on_commit = on_commit
        self._lease_s = lease_s
        self._thread_lock = threading.Lock()
        self._ordinal = 0
        self._failure: str | None = None
        self._token: int | None = None
        self._warnings: list[str] = []
        self._closing = threading.Event()
        self._renewer: threading.Thread | None = None
        self._connection = connect_to(url, lease_s)
        self.where = described(self._connection)
        self._connection.add_notice_handler(self._noticed)
        self._answered_s = self._extended_s = time.monotonic()
        try:
            with self._explained("expected a journal"):
                create_or_verify(self._connection, self.where, identity, self._schema)
                self._kinds = self._stored_kinds()
        except BaseException:
            self._connection.close()
            raise

    # Leading ---------------------------------------------------------------------------------------

    def try_lead(self) -> bool:
        """Take the lease if it is free, expired, or its holder's connection is gone.

        Then brings an older schema up to date. Raises Rejected if the last leader has left a newer one.
        """
        assert self._token is None, "it leads already"
        holder = f"{socket.gethostname()} process {os.getpid()}"
        with self._exclusive("to take the lease"):
            self._token = lease.take(self._connection, holder, self._lease_s)
            if self._token is None:
                return False
            found = create_or_verify(self._connection, self.where, self._identity, self._schema)
            self._kinds = self._stored_kinds()
        self._renewer = threading.Thread(target=self._renew_for_ever, name="lease", daemon=True)
        self._renewer.start()
        self._migrate(found)
        return True

    def holder(self) -> str:
        """Who leads at present, for people."""
        with self._exclusive("to read the lease"):
            return lease.holder_of(self._connection)

    def require_lease(self) -> None:
        """Raise JournalFailed if the lease is lost or the database has been silent for too long.

        Never waits: for a loop that must find out though it has nothing to write.
        """
        self._require_alive()
        silent_s = time.monotonic() - self._answered_s
        if silent_s > 2 * self._lease_s:
            raise self._cut(f"expected an answer to renewing the lease, none came for {silent_s:.1f} s")

    def _renew_for_ever(self) -> None:
        """In its own thread, so that a long start or a long turn of the loop does not cost the lease."""
        assert self._token is not None
        while not self._closing.wait(self._lease_s / RENEWALS):
            try:
                with self._exclusive("to renew the lease"):
                    if time.monotonic() - self._extended_s >= self._lease_s / RENEWALS:
                        lease.renew(self._connection, self._token, self._lease_s)
                        self._extended_s = time.monotonic()
            except JournalFailed:
                return  # remembered: the next commit and `require_lease` say so

    # The interface ---------------------------------------------------------------------------------

    def load(self, kind: str) -> Iterator[tuple[bytes, bytes]]:
        last = 0
        while rows := self.since(kind, last, LOAD_ROWS):
            yield from ((row.key, row.value) for row in rows)
            last = rows[-1].sequence

    def get(self, kind: str, key: bytes) -> bytes | None:
        rows = self._records(kind, "WHERE key = %b", (key,))
        return rows[0].value if rows else None

    def since(self, kind: str, after: int, limit: int) -> list[Record]:
        require_legal_limit(limit)
        return self._records(kind, "WHERE sequence > %s ORDER BY sequence LIMIT %s", (after, limit))

    def get_many(self, kind: str, keys: Collection[bytes]) -> dict[bytes, bytes]:
        query = "SELECT key, value FROM {table} WHERE key = ANY(%s::bytea[])"
        return dict(self._select(kind, query, (list(keys),))) if keys else {}

    def page(self, kind: str, before: int | None, limit: int) -> list[Record]:
        require_legal_limit(limit)
        if before is None:
            return self._records(kind, "ORDER BY sequence DESC LIMIT %s", (limit,))
        return self._records(kind, "WHERE sequence < %s ORDER BY sequence DESC LIMIT %s", (before, limit))

    def count(self, kind: str) -> int:
        """Counts rows: some 50 ms for a million."""
        rows = self._select(kind, "SELECT count(*) FROM {table}", ())
        return int(rows[0][0]) if rows else 0

    def kinds(self) -> list[str]:
        return sorted(self._kinds)

    def commit(self, writes: Sequence[Write]) -> None:
        if not writes:
            return
        require_legal_writes(writes)
        with self._exclusive(f"to store {len(writes)} records"):
            self._transact(writes)
            self._ordinal += 1
            ordinal = self._ordinal
        if self._on_commit is not None:
            self._on_commit(ordinal)

    def check(self) -> None:
        """Compares each index with its table, and each sequence with what it has given out."""
        with self._exclusive("a journal without damage"):
            for kind in self.kinds():
                table = TABLE_PREFIX + kind
                found = [self._sums(table, way) for way in ("seqscan", "indexscan")]
                if found[0] != found[1]:
                    raise self._fail(f"{table}: expected its index to hold its rows: {found[0]}, {found[1]}")

    def size_bytes(self) -> int:
        rows = [
            self._select(kind, "SELECT pg_total_relation_size('{table}'::regclass)", ())
            for kind in self.kinds()
        ]
        return sum(int(row[0][0]) for row in rows)

    def reclaim(self) -> None:
        """On a connection of its own, because it may take longer than a lease lasts between renewals.

        New records take the room of the deleted ones; VACUUM FULL, which gives it back to the disk, is the
        administrator's.
        """
        with connect_to(self._url, self._lease_s) as connection, self._explained("to make room"):
            for kind in self.kinds():
                connection.execute(f"VACUUM (ANALYZE) {TABLE_PREFIX}{kind}")

    def close(self) -> None:
        self._closing.set()
        if self._renewer is not None:
            self._renewer.join(self._lease_s)
            if self._renewer.is_alive():
                self._cut("expected an answer to renewing the lease before the end")
                self._renewer.join()
        with self._thread_lock:
            if self._failure is None and self._token is not None:
                with suppress(psycopg.Error):
                    lease.release(self._connection, self._token)
            self._failure = self._failure or f"{self.where} is closed"
            self._connection.close()

    # Reading and writing; the thread lock is held by whoever uses the connection ------------------------

    def _records(self, kind: str, clause: str, arguments: tuple[object, ...]) -> list[Record]:
        rows = self._select(kind, "SELECT sequence, key, value FROM {table} " + clause, arguments)
        return [Record(*row) for row in rows]

    def _select(self, kind: str, query: str, arguments: tuple[object, ...]) -> list[Any]:
        require_legal_kind(kind)
        if kind not in self._kinds:
            self._require_alive()
            return []
        with self._exclusive(f"to read {kind}"):
            text = query.format(table=TABLE_PREFIX + kind)
            return self._connection.execute(text, arguments, prepare=True, binary=True).fetchall()

    def _sums(self, table: str, way: str) -> tuple[Any, ...] | None:
        """How many rows there are and a sum over their keys, as one way of reading finds them."""
        with self._connection.transaction():
            for other in {"seqscan", "indexscan", "indexonlyscan", "bitmapscan"} - {way}:
                self._connection.execute(f"SET LOCAL enable_{other} = off")
            order = "ORDER BY key" if way == "indexscan" else ""
            return self._connection.execute(
                f"SELECT count(*), sum(hashtextextended(encode(key, 'hex'), 0)::numeric), "
                f"sum(length(value)) FROM (SELECT key, value FROM {table} {order}) AS read"
            ).fetchone()

    def _stored_kinds(self) -> set[str]:
        rows = self._connection.execute(
            "SELECT tablename FROM pg_tables "
            "WHERE schemaname = current_schema() AND starts_with(tablename, %s)",
            (TABLE_PREFIX,),
        ).fetchall()
        return {name.removeprefix(TABLE_PREFIX) for (name,) in rows}

    def _migrate(self, found: int) -> None:
        """Step by step to the schema's version; each step is one transaction with the new version in it."""
        for version in range(found, self._schema.version):
            assert version in self._schema.migrations, f"no migration from schema {version} to {version + 1}"
            writes = list(self._schema.migrations[version](self))
            require_legal_writes(writes)
            with self._exclusive(f"to migrate to schema {version + 1}"):
                self._transact(writes, schema_version=version + 1)

    def _transact(self, writes: Sequence[Write], schema_version: int | None = None) -> None:
        """BEGIN to COMMIT without waiting for a word in between: what fails undoes all of it."""
        assert self._token is not None, "only the leader writes"
        self._make_tables({write.kind for write in writes} - self._kinds)
        self._warnings.clear()
        cursor = self._connection.cursor()
        with self._connection.pipeline():
            cursor.execute("BEGIN")
            cursor.execute(lease.FENCE, (self._lease_s, self._token), prepare=True)
            for statement, arguments in _statements(writes):
                cursor.execute(statement, arguments, prepare=True)
            if schema_version is not None:
                cursor.execute(
                    "UPDATE journal_meta SET value = %s WHERE name = 'schema'", (str(schema_version),)
                )
            ended = self._connection.execute("COMMIT")
        if ended.statusmessage != "COMMIT":
            raise self._fail(f"{self.where}: expected COMMIT to be done, got {ended.statusmessage}")
        self._extended_s = time.monotonic()
        if self._warnings:
            # A wait for the replicas that an administrator cut short is a warning, and a success [syncrep.c].
            raise self._fail(f"{self.where}: expected a commit without warnings: {'; '.join(self._warnings)}")

    def _make_tables(self, kinds: set[str]) -> None:
        """Empty ones, in a transaction before: psycopg forgets prepared statements when it sees an ALTER."""
        if not kinds:
            return
        assert self._token is not None
        with self._connection.transaction():
            lease.renew(self._connection, self._token, self._lease_s)
            for kind in sorted(kinds):
                for definition in kind_ddl(kind):
                    self._connection.execute(definition)
        self._kinds |= kinds

    # Failing ---------------------------------------------------------------------------------------

    @contextmanager
    def _exclusive(self, wanted: str) -> Iterator[None]:
        """The connection for one thread. Whoever has it may hang with it, so nobody waits for ever."""
        if not self._thread_lock.acquire(timeout=self._lease_s):
            raise self._cut(f"expected the database to answer within {self._lease_s:g} s")
        try:
            self._require_alive()
            with self._explained(f"expected {wanted}"):
                yield
            self._answered_s = time.monotonic()
        finally:
            self._thread_lock.release()

    @contextmanager
    def _explained(self, wanted: str) -> Iterator[None]:
        try:
            yield
        except lease.Fenced as error:
            raise self._fail(
                f"{self.where}: {wanted}, but another daemon of this identity has taken over"
            ) from error
        except psycopg.Error as error:
            said = " ".join(str(error).split())
            if self._connection.broken:
                said = f"the connection was lost ({said})"
            raise self._fail(f"{self.where}: {wanted}: {said}") from error

    def _require_alive(self) -> None:
        if self._failure is not None:
            raise JournalFailed(f"the journal accepts nothing more: {self._failure}")

    def _fail(self, failure: str) -> JournalFailed:
        """For good, reading included: what a deposed leader reads is another's."""
        if self._failure is not None:
            return JournalFailed(self._failure)  # the first is the cause, the others follow from it
        self._failure = failure
        return JournalFailed(failure)

    def _cut(self, failure: str) -> JournalFailed:
        """End the connection under whoever waits at it, in whatever thread."""
        failed = self._fail(f"{self.where}: {failure}")
        with (
            suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as same,
        ):
            same.shutdown(socket.SHUT_RDWR)
        return failed

    def _noticed(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(f"{notice.message_primary} {notice.message_detail or ''}".strip())


def _statements(writes: Sequence[Write]) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Kinds are independent of each other, so one statement takes a kind's writes up to a Delete."""
    by_kind: dict[str, list[Write]] = {}
    for write in writes:
        by_kind.setdefault(write.kind, []).append(write)
    for kind, batch in by_kind.items():
        table = TABLE_PREFIX + kind
        for operation, run in groupby(batch, type):
            if operation is Put:
                last = {write.key: write.value for write in run if isinstance(write, Put)}
                yield _put(table, last)
            else:
                keys = list(dict.fromkeys(write.key for write in run))
                if len(keys) == 1:
                    yield f"DELETE FROM {table} WHERE key = %b", (keys[0],)
                else:
                    yield f"DELETE FROM {table} WHERE key = ANY(%b::bytea[])", (keys,)


def _put(table: str, values: dict[bytes, bytes]) -> tuple[str, tuple[object, ...]]:
    """One statement must not touch a row twice, hence the last value of each key, in order of the first."""
    conflict = "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    if len(values) == 1:
        ((key, value),) = values.items()
        return f"INSERT INTO {table} (key, value) VALUES (%b, %b) {conflict}", (key, value)
    return (
        f"INSERT INTO {table} (key, value) SELECT key, value "
        f"FROM unnest(%b::bytea[], %b::bytea[]) WITH ORDINALITY AS given (key, value, place) "
        f"ORDER BY place {conflict}",
        (list(values), list(values.values())),
    )
