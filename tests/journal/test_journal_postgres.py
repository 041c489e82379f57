"""What a database adds: it belongs to one node, several daemons may open it, and one of them writes."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channeld.adapters.journal.memory import MemoryJournal
from channeld.adapters.journal.postgres import PostgresJournal
from channeld.adapters.journal.records import Delete, Identity, Journal, JournalFailed, Put, Schema, Write
from channeld.core.errors import OperationalError, Rejected
from tests.postgres_server import PostgresServer, serving

LONG_S = 60.0
"""A lease that does not expire in a test."""


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_schema()


@pytest.fixture
def tool(url: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """An administrator's own connection."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def leading(
    url: str, identity: Identity, schema: Schema | None = None, lease_s: float = LONG_S
) -> PostgresJournal:
    """Leads at once, or as soon as the server has noticed that the connection of the last one is closed."""
    journal = PostgresJournal(url, identity, schema, lease_s=lease_s)
    try:
        eventually(journal.try_lead)
    except BaseException:
        journal.close()
        raise
    return journal


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:topsecret%ZZ@127.0.0.1/d",
        "postgresql://u:topsecret@[::1",
        "postgresql://u:topsecret@[::1/d",
        "postgresql://u:top@topsecret@127.0.0.1/d",
        "postgresql://u:topsecret/x@127.0.0.1/d",
        "postgresql://u:topsecret?x@127.0.0.1/d",
        "postgresql://u:topsecret@127.0.0.1/d?password=topsecret%ZZ",
        "postgresql://127.0.0.1/d?topsecret=1",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url: str, alice: Identity) -> None:
    with pytest.raises(Rejected, match="expected postgresql://user@host/database") as refused:
        PostgresJournal(url, alice)
    assert "topsecret" not in str(refused.value)
    assert refused.value.__suppress_context__, "no traceback shows the driver's words"


def test_a_server_that_is_not_there_is_named_without_the_password(alice: Identity) -> None:
    with pytest.raises(JournalFailed, match="expected to reach PostgreSQL") as failed:
        PostgresJournal("postgresql://u:topsecret%25@127.0.0.1:1/d", alice)
    assert "topsecret" not in str(failed.value)


def eventually(happens: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(500):
        if happens():
            return
        pause.wait(0.02)
    raise AssertionError("it never happened")


def test_records_and_their_order_outlive_the_process(url: str, alice: Identity) -> None:
    with closing(leading(url, alice)) as journal:
        journal.commit([Put("payment", b"tea", b"sent"), Put("payment", b"cake", b"sent")])
        journal.commit([Put("payment", b"tea", b"settled")])
    with closing(leading(url, alice)) as journal:
        assert list(journal.load("payment")) == [(b"tea", b"settled"), (b"cake", b"sent")]
        journal.commit([Put("payment", b"bread", b"sent")])
        assert [record.key for record in journal.page("payment", None, 5)] == [b"bread", b"cake", b"tea"]


writes = st.one_of(
    st.builds(Put, st.sampled_from(["a", "b"]), st.binary(min_size=1, max_size=1), st.binary(max_size=3)),
    st.builds(Delete, st.sampled_from(["a", "b"]), st.binary(min_size=1, max_size=1)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commits=st.lists(st.lists(writes, max_size=12), max_size=6))
def test_the_database_and_the_memory_agree(postgres: PostgresServer, commits: list[list[Write]]) -> None:
    memory = MemoryJournal()
    with closing(leading(postgres.new_schema(), Identity(1, b"a"))) as database:
        for commit in commits:
            memory.commit(commit)
            database.commit(commit)
        for kind in ("a", "b"):
            assert list(database.load(kind)) == list(memory.load(kind))
            assert [r[1:] for r in database.page(kind, None, 100)] == [
                r[1:] for r in memory.page(kind, None, 100)
            ]
            assert database.count(kind) == memory.count(kind)
        database.check()


def test_another_node_or_another_chain_may_not_continue_it(
    url: str, alice: Identity, mallory: Identity
) -> None:
    PostgresJournal(url, alice).close()
    with pytest.raises(Rejected, match=f"got that of node {alice.node_id.hex()} on chain 1"):
        PostgresJournal(url, mallory)
    with pytest.raises(Rejected, match=r"on chain 5, got that of node .* on chain 1"):
        PostgresJournal(url, replace(alice, chain_id=5))


def test_other_tables_are_not_taken_for_a_journal(
    url: str, tool: "psycopg.Connection[tuple[object, ...]]", alice: Identity
) -> None:
    tool.execute("CREATE TABLE journal_meta (somebody_elses text)")
    with pytest.raises(Rejected, match="expected channeld's journal, got other tables"):
        PostgresJournal(url, alice)


def test_a_server_that_forgets_what_it_confirmed_is_refused(alice: Identity, url: str) -> None:
    with pytest.raises(JournalFailed, match="expected to reach PostgreSQL"):
        PostgresJournal("postgresql:///x?host=/nowhere", alice)
    with closing(leading(f"{url}%20-csynchronous_commit%3Doff", alice)) as journal:
        row = journal._connection.execute("SHOW synchronous_commit").fetchone()
        assert row == ("on",), "whatever the role's default is"


def test_a_newer_journal_is_refused(
    url: str, tool: "psycopg.Connection[tuple[object, ...]]", alice: Identity
) -> None:
    PostgresJournal(url, alice, Schema(version=3)).close()
    with pytest.raises(Rejected, match="expected schema up to 2, got 3: a newer channeld wrote it"):
        PostgresJournal(url, alice, Schema(version=2, migrations={1: lambda _: ()}))
    tool.execute("UPDATE journal_meta SET value = '2' WHERE name = 'layout'")
    with pytest.raises(Rejected, match="expected layout up to 1, got 2"):
        PostgresJournal(url, alice, Schema(version=3))


def test_an_older_journal_is_migrated_by_whoever_leads(url: str, alice: Identity) -> None:
    with closing(leading(url, alice)) as journal:
        journal.commit([Put("channel", b"alice-bob", b"one")])

    def to_2(journal: Journal) -> Iterable[Write]:
        yield from [Put("channel", key, value + b" two") for key, value in journal.load("channel")]

    newer = Schema(version=2, migrations={1: to_2})
    with closing(PostgresJournal(url, alice, newer)) as reader:
        assert reader.get("channel", b"alice-bob") == b"one", "a reader changes nothing"
    old_standby = PostgresJournal(url, alice)
    for _ in range(2):  # the second time there is nothing left to do
        with closing(leading(url, alice, newer)) as journal:
            assert journal.get("channel", b"alice-bob") == b"one two"
    with closing(old_standby), pytest.raises(Rejected, match="expected schema up to 1, got 2"):
        old_standby.try_lead()


def test_a_migration_that_breaks_changes_nothing(url: str, alice: Identity) -> None:
    with closing(leading(url, alice)) as journal:
        journal.commit([Put("channel", b"alice-bob", b"one")])

    def broken(journal: Journal) -> Iterable[Write]:
        yield Put("channel", b"alice-bob", b"half done")
        raise OperationalError("expected a channel of version 1")

    with (
        closing(PostgresJournal(url, alice, Schema(version=2, migrations={1: broken}))) as journal,
        pytest.raises(OperationalError, match="of version 1"),
    ):
        journal.try_lead()
    with closing(leading(url, alice)) as journal:
        assert journal.get("channel", b"alice-bob") == b"one"


def test_a_second_daemon_waits_until_the_first_has_ended(url: str, alice: Identity) -> None:
    with closing(leading(url, alice)) as first, closing(PostgresJournal(url, alice)) as second:
        assert not second.try_lead()
        with pytest.raises(AssertionError, match="only the leader writes"):
            second.commit([Put("channel", b"alice-bob", b"stolen")])
        first.commit([Put("channel", b"alice-bob", b"version 1")])
        assert second.holder().endswith(f"process {os.getpid()}")
        first.close()
        assert second.try_lead()
        assert second.get("channel", b"alice-bob") == b"version 1"
        second.commit([Put("channel", b"alice-bob", b"version 2")])


def test_a_leader_whose_lease_expired_can_never_write_again(url: str, alice: Identity) -> None:
    first, second = leading(url, alice, lease_s=2.0), PostgresJournal(url, alice)
    with closing(first), closing(second):
        first.commit([Put("channel", b"alice-bob", b"version 1")])
        first._closing.set()  # it is paused: nothing renews
        eventually(second.try_lead)
        with pytest.raises(JournalFailed):
            first.commit([Put("channel", b"alice-bob", b"another version 1")])
        with pytest.raises(JournalFailed, match="accepts nothing more"):
            first.get("channel", b"alice-bob")
        assert second.get("channel", b"alice-bob") == b"version 1"


def test_the_token_alone_keeps_an_old_leader_out(
    url: str, tool: "psycopg.Connection[tuple[object, ...]]", alice: Identity
) -> None:
    with closing(leading(url, alice)) as journal:
        journal.commit([Put("channel", b"alice-bob", b"version 1")])
        tool.execute("UPDATE journal_lease SET token = token + 1")  # and its connection lives on
        with pytest.raises(JournalFailed, match="another daemon of this identity has taken over"):
            journal.commit([Put("channel", b"alice-bob", b"version 2"), Put("payment", b"tea", b"sent")])
    assert tool.execute("SELECT value FROM records_channel").fetchall() == [(b"version 1",)]


def test_a_leader_stopped_inside_a_transaction_keeps_nobody_waiting(url: str, alice: Identity) -> None:
    first, second = leading(url, alice, lease_s=2.0), PostgresJournal(url, alice)
    with closing(first), closing(second):
        first._closing.set()
        first._connection.execute("BEGIN")
        first._connection.execute("UPDATE journal_lease SET expires_at = clock_timestamp()")  # has its lock
        eventually(second.try_lead)
        second.commit([Put("channel", b"alice-bob", b"version 1")])


def test_a_lost_connection_is_taken_over_at_once_and_noticed(
    url: str, tool: "psycopg.Connection[tuple[object, ...]]", alice: Identity
) -> None:
    with closing(leading(url, alice, lease_s=2.0)) as first, closing(PostgresJournal(url, alice)) as second:
        pid = first._connection.info.backend_pid
        tool.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        assert second.try_lead(), "nobody waits for a leader whose connection is gone"

        def notices() -> bool:
            try:
                first.require_lease()
            except JournalFailed:
                return True
            return False

        eventually(notices)  # though it has nothing to write


def test_a_leader_renews_while_it_has_nothing_to_write(url: str, alice: Identity) -> None:
    with closing(leading(url, alice, lease_s=2.0)) as first, closing(PostgresJournal(url, alice)) as second:
        pause = threading.Event()
        for _ in range(15):
            assert not second.try_lead()
            first.require_lease()
            pause.wait(0.2)


def test_a_leader_renews_while_it_only_reads(url: str, alice: Identity) -> None:
    """An answer to a question does not extend the lease: only a commit does, and renewing it."""
    with closing(leading(url, alice, lease_s=2.0)) as first, closing(PostgresJournal(url, alice)) as second:
        first.commit([Put("channel", b"alice-bob", b"version 1")])
        pause = threading.Event()
        for look in range(150):
            assert first.get("channel", b"alice-bob") == b"version 1"
            if look % 10 == 0:
                assert not second.try_lead()
            pause.wait(0.02)


def test_a_database_that_no_longer_answers_stops_the_leader(
    url: str, tool: "psycopg.Connection[tuple[object, ...]]", alice: Identity
) -> None:
    with closing(leading(url, alice, lease_s=2.0)) as journal:
        journal.commit([Put("channel", b"alice-bob", b"version 1")])
        with tool.transaction():
            tool.execute("LOCK TABLE records_channel")  # nothing comes back, and no connection ends
            with pytest.raises(JournalFailed, match=r"within 2 s|expected to store"):
                journal.commit([Put("channel", b"alice-bob", b"version 2")])
        with pytest.raises(JournalFailed, match="accepts nothing more"):
            journal.commit([Put("channel", b"alice-bob", b"version 3")])


def test_damage_is_found(url: str, tool: "psycopg.Connection[tuple[object, ...]]", alice: Identity) -> None:
    with closing(leading(url, alice)) as journal:
        journal.commit([Put("payment", n.to_bytes(32, "big"), bytes(300)) for n in range(200)])
        journal.check()
        tool.execute("UPDATE pg_index SET indisready = false WHERE indrelid = 'records_payment'::regclass")
        tool.execute("INSERT INTO records_payment (key, value) VALUES ('not in the index', '')")
        tool.execute("UPDATE pg_index SET indisready = true WHERE indrelid = 'records_payment'::regclass")
        with pytest.raises(JournalFailed, match="expected its index to hold its rows"):
            journal.check()


def test_a_database_that_turned_read_only_stops_the_leader(url: str, alice: Identity) -> None:
    with closing(leading(url, alice)) as journal:
        journal.commit([Put("channel", b"alice-bob", b"version 1")])
        journal._connection.execute("SET default_transaction_read_only = on")
        with pytest.raises(JournalFailed, match="read-only transaction"):
            journal.commit([Put("channel", b"alice-bob", b"version 2")])
    with closing(leading(url, alice)) as journal:
        assert journal.get("channel", b"alice-bob") == b"version 1"


def test_a_server_that_lost_its_power_has_every_commit_that_was_confirmed(alice: Identity) -> None:
    with serving() as server:
        url = server.new_schema()
        with closing(leading(url, alice)) as journal:
            for n in range(1, 60):
                journal.commit(
                    [Put("channel", b"alice-bob", bytes([n])), Put("payment", bytes([n]), b"sent")]
                )
            server.stop()
            with pytest.raises(JournalFailed, match="the connection was lost"):
                journal.commit([Put("channel", b"alice-bob", b"never stored")])
        with pytest.raises(JournalFailed, match="expected to reach PostgreSQL"):
            PostgresJournal(url, alice)
        server.start()
        with closing(leading(url, alice)) as journal:
            assert journal.get("channel", b"alice-bob") == bytes([59])
            assert journal.count("payment") == 59
            journal.check()


def test_a_commit_whose_wait_for_the_replicas_was_cut_short_is_none(
    url: str, tool: "psycopg.Connection[tuple[object, ...]]", alice: Identity
) -> None:
    with closing(leading(url, alice)) as journal:
        journal.commit([Put("channel", b"alice-bob", b"version 1")])
        pid = journal._connection.info.backend_pid
        tool.execute("ALTER SYSTEM SET synchronous_standby_names = 'away'")
        tool.execute("SELECT pg_reload_conf()")
        try:
            waits = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event = 'SyncRep'"
            impatient = threading.Thread(
                target=lambda: (
                    eventually(lambda: tool.execute(waits, (pid,)).fetchone() == (1,)),
                    tool.execute("SELECT pg_cancel_backend(%s)", (pid,)),
                )
            )
            impatient.start()
            with pytest.raises(JournalFailed, match="canceling wait for synchronous replication"):
                for n in range(2, 250):  # the server takes a moment to learn of its replica
                    journal.commit([Put("channel", b"alice-bob", bytes([n]))])
            impatient.join()
        finally:
            tool.execute("ALTER SYSTEM RESET synchronous_standby_names")
            tool.execute("SELECT pg_reload_conf()")
