"""A PostgreSQL journal's connection and tables: made once, and refused when they are another's."""

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from channeld.adapters.journal import lease
from channeld.adapters.journal.lease import Connection
from channeld.adapters.journal.records import Identity, JournalFailed, Schema
from channeld.core.errors import Rejected

APPLICATION = "channeld journal"
LAYOUT_VERSION = 1
"""Of the tables. What the values mean has its own version (Schema)."""

TABLE_PREFIX = "records_"

OPENING_LOCK = 0x6368616E
"""'chan': two daemons that start on an empty database make its tables one after the other."""

CONNECT_TIMEOUT_S = 5
KEEPALIVE_S = 2
"""A server that vanished without a word is noticed after three of them: within the shortest lease."""

STATEMENTS = 1_000
"""Prepared ones that are kept: a handful for each kind."""


def connect(url: str, lease_s: float) -> Connection:
    """An autocommit connection set up for a journal. Raises JournalFailed or Rejected."""
    _require_readable(url)
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            keepalives_idle=KEEPALIVE_S,
            keepalives_interval=KEEPALIVE_S,
            keepalives_count=2,
            tcp_user_timeout=int(lease_s * 1_000),
            application_name="channeld",
        )
    except psycopg.Error as error:
        # libpq names host and database, never the password
        raise JournalFailed(f"expected to reach PostgreSQL: {' '.join(str(error).split())}") from error
    connection.prepared_max = STATEMENTS
    try:
        _configure(connection, lease_s)
    except psycopg.Error as error:
        connection.close()
        raise JournalFailed(f"{described(connection)}: expected to set it up: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _require_readable(url: str) -> None:
    """Raises Rejected, and shows nothing of the URL.

    libpq quotes what it cannot read. Of a password with an @, a / or a ? it takes a part for the host or the
    port, and names that.
    """
    before, at, rest = url.partition("@")
    authority = before.removeprefix("postgresql://").removeprefix("postgres://")
    readable = not at or not ("@" in rest or "/" in authority or "?" in authority)
    if readable:
        try:
            conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            readable = False
    if not readable:
        raise Rejected(
            "[database] url: expected postgresql://user@host/database, with %40 %2F %3F %25 for @ / ? % in a "
            "name or password, and [ ] around an IPv6 address; got another (not shown: it may hold one)"
        ) from None


def described(connection: Connection) -> str:
    """Where it leads, for people: without a password."""
    info = connection.info
    return f"PostgreSQL database {info.dbname} at {info.host}:{info.port}"


def _configure(connection: Connection, lease_s: float) -> None:
    settings = {
        # Bounds would end a wait for replicas with a success that is none, or a long load; the lease ends
        # what must be ended.
        "statement_timeout": "0",
        "idle_session_timeout": "0",
        "default_transaction_isolation": "'read committed'",
        "idle_in_transaction_session_timeout": f"{int(lease_s * 1_000)}",
        "client_encoding": "'UTF8'",
    }
    if connection.info.server_version < 140_000:
        del settings["idle_session_timeout"]
    if _show(connection, "synchronous_commit") != "remote_apply":
        settings["synchronous_commit"] = "on"  # never less than the disk, and the replicas if there are any
    for name, value in settings.items():
        connection.execute(f"SET {name} = {value}")
    for name in ("fsync", "full_page_writes"):
        if _show(connection, name) != "on":
            raise Rejected(
                f"{described(connection)}: expected {name} = on, got off: "
                "a signed state could be lost with the power, and the money in it"
            )


def _show(connection: Connection, name: str) -> str:
    row = connection.execute(f"SHOW {name}").fetchone()
    assert row is not None
    return str(row[0])


def stored_identity(url: str, lease_s: float) -> Identity:
    """Whose journal is there. Raises Rejected if there is none, JournalFailed."""
    with connect(url, lease_s) as connection:
        meta = stored_meta(connection, described(connection))
    return Identity(int(meta["chain_id"]), bytes.fromhex(meta["node_id"]))


def create_or_verify(connection: Connection, where: str, identity: Identity, schema: Schema) -> int:
    """Make the tables in an empty schema, or require them to be this node's; the stored schema version."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (OPENING_LOCK,))
        if not _exists(connection):
            _create(connection, identity, schema)
            return schema.version
        meta = stored_meta(connection, where)
    layout, version = int(meta["layout"]), int(meta["schema"])
    if layout > LAYOUT_VERSION:
        raise Rejected(_newer(where, "layout", LAYOUT_VERSION, layout))
    if version > schema.version:
        raise Rejected(_newer(where, "schema", schema.version, version))
    found = Identity(int(meta["chain_id"]), bytes.fromhex(meta["node_id"]))
    if found != identity:
        raise Rejected(
            f"{where}: expected the journal of node {identity.node_id.hex()} on chain {identity.chain_id}, "
            f"got that of node {found.node_id.hex()} on chain {found.chain_id}"
        )
    return version


def stored_meta(connection: Connection, where: str) -> dict[str, str]:
    """The journal's own table. Raises Rejected if it is not channeld's."""
    try:
        with connection.transaction():
            rows: list[tuple[Any, ...]] = connection.execute(
                "SELECT name, value FROM journal_meta"
            ).fetchall()
    except psycopg.errors.UndefinedTable as error:
        raise Rejected(f"{where}: expected channeld's journal, there is none") from error
    except psycopg.errors.UndefinedColumn as error:
        raise Rejected(f"{where}: expected channeld's journal, got other tables") from error
    meta = dict(rows)
    if meta.get("application") != APPLICATION:
        raise Rejected(f"{where}: expected channeld's journal, got {meta.get('application')!r}")
    return meta


def _exists(connection: Connection) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_tables "
        "WHERE schemaname = current_schema() AND tablename = 'journal_meta')"
    ).fetchone()
    return row is not None and bool(row[0])


def _create(connection: Connection, identity: Identity, schema: Schema) -> None:
    connection.execute("CREATE TABLE journal_meta (name text PRIMARY KEY, value text NOT NULL)")
    meta = {
        "application": APPLICATION,
        "layout": str(LAYOUT_VERSION),
        "schema": str(schema.version),
        "chain_id": str(identity.chain_id),
        "node_id": identity.node_id.hex(),
    }
    for name, value in meta.items():
        connection.execute("INSERT INTO journal_meta VALUES (%s, %s)", (name, value))
    connection.execute(lease.CREATE)


def kind_ddl(kind: str) -> tuple[str, ...]:
    """A kind's table. Values are hashes and signatures: to compress the large ones costs time for nothing."""
    table = TABLE_PREFIX + kind
    return (
        f"CREATE TABLE {table} (sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
        f"key bytea NOT NULL UNIQUE, value bytea NOT NULL)",
        f"ALTER TABLE {table} ALTER COLUMN value SET STORAGE EXTERNAL",
    )


def _newer(where: str, what: str, known: int, found: int) -> str:
    return f"{where}: expected {what} up to {known}, got {found}: a newer channeld wrote it; upgrade this one"
