"""Which of several daemons of one identity may write to a PostgreSQL journal: a lease with a fencing token.

One row says who leads: a token that grows by one with each change of hands, and until when by the
database's own clock, so that no computer's clock matters. A commit proves inside its transaction that
its token is still the row's (`FENCE`) and extends the lease by the way. Whoever takes over changes that
very row: the lock on it makes the two wait for each other, so a leader that was paused or cut off for
any length of time either committed before the change of hands, and its successor reads what it wrote,
or never. The expiry only says when to take over, never who may write.
"""

import logging
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.rows import TupleRow

log = logging.getLogger(__name__)

Connection = psycopg.Connection[TupleRow]

CREATE = """
CREATE TABLE journal_lease (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  token bigint NOT NULL,
  holder text NOT NULL,
  pid integer NOT NULL,
  connected_at timestamptz,
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 10);
INSERT INTO journal_lease VALUES (true, 0, 'nobody', 0, NULL, '-infinity');
"""
"""The row is rewritten by every commit: the room beside it keeps it on its page, without index entries."""

FENCE = """
WITH held AS (
  UPDATE journal_lease SET expires_at = clock_timestamp() + %b * interval '1 second'
  WHERE token = %b RETURNING 1
) SELECT 1 / count(*) FROM held
"""
"""(lease_s, token): divides by zero when somebody else leads, which undoes the transaction around it."""

Fenced = psycopg.errors.DivisionByZero

_LOOK = """
SELECT token, holder, pid, connected_at, expires_at > clock_timestamp(), EXISTS (
  SELECT FROM pg_stat_activity a
  WHERE a.pid = l.pid AND (a.backend_start = l.connected_at OR a.backend_start IS NULL)
) FROM journal_lease l
"""
"""A leader whose connection is gone has stopped, or will at its next word: nobody needs to wait for it.
NULL is what one sees of another role's connection: then the expiry decides."""

_TAKE = """
UPDATE journal_lease SET
  token = token + 1, holder = %s, pid = pg_backend_pid(),
  connected_at = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()),
  expires_at = clock_timestamp() + %s * interval '1 second'
WHERE token = %s RETURNING token
"""

_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"

LOCK_WAIT_MS = 500
"""How long to wait for a transaction of the old leader that cannot be ended; then we look again."""


def take(connection: Connection, holder: str, lease_s: float) -> int | None:
    """The token of the lease if it could be taken now, None while somebody else holds it.

    `connection` is in autocommit. A leader that let its lease expire loses its connection first: it may
    have been stopped in the middle of a transaction, whose lock would keep everybody waiting.
    """
    row = connection.execute(_LOOK).fetchone()
    assert row is not None, "the lease has one row"
    token, old, pid, connected_at, valid, connected = row
    if valid and connected:
        return None
    if connected:
        log.warning("the lease of %s has expired: its connection is ended", old)
        with suppress(psycopg.errors.InsufficientPrivilege):  # another role's: its lock must be waited for
            connection.execute(_END, (pid, connected_at))
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
            taken = connection.execute(_TAKE, (holder, lease_s, token)).fetchone()
    except psycopg.errors.LockNotAvailable:
        return None
    return None if taken is None else int(taken[0])


def renew(connection: Connection, token: int, lease_s: float) -> None:
    """Extend the lease. Raises Fenced if somebody else has it."""
    connection.execute(FENCE, (lease_s, token), prepare=True)


def release(connection: Connection, token: int) -> None:
    """Let the next one lead at once; nothing happens if it does already."""
    connection.execute("UPDATE journal_lease SET expires_at = '-infinity' WHERE token = %s", (token,))


def holder_of(connection: Connection) -> str:
    """Who leads, or led last; for people."""
    row: tuple[Any, ...] | None = connection.execute("SELECT holder FROM journal_lease").fetchone()
    return "nobody" if row is None else str(row[0])
