"""What the file adds: it outlives the process, belongs to one node, and says when it cannot store."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channeld.adapters.journal.memory import MemoryJournal
from channeld.adapters.journal.records import Delete, Identity, Journal, JournalFailed, Put, Schema, Write
from channeld.adapters.journal.sqlite import CHECKPOINT_PAGES, PAGE_BYTES, SqliteJournal
from channeld.core.errors import OperationalError, Rejected


def test_records_and_their_order_outlive_the_process(data_dir: Path, alice: Identity) -> None:
    with closing(SqliteJournal(data_dir, alice)) as journal:
        journal.commit([Put("payment", b"tea", b"sent"), Put("payment", b"cake", b"sent")])
        journal.commit([Put("payment", b"tea", b"settled")])
    with closing(SqliteJournal(data_dir, alice)) as journal:
        assert list(journal.load("payment")) == [(b"tea", b"settled"), (b"cake", b"sent")]
        journal.commit([Put("payment", b"bread", b"sent")])
        assert [record.key for record in journal.page("payment", None, 5)] == [b"bread", b"cake", b"tea"]


writes = st.one_of(
    st.builds(Put, st.sampled_from(["a", "b"]), st.binary(min_size=1, max_size=1), st.binary(max_size=3)),
    st.builds(Delete, st.sampled_from(["a", "b"]), st.binary(min_size=1, max_size=1)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commits=st.lists(st.lists(writes, max_size=12), max_size=8), reopen_at=st.integers(0, 8))
def test_the_file_and_the_memory_agree(
    tmp_path_factory: pytest.TempPathFactory, commits: list[list[Write]], reopen_at: int
) -> None:
    directory = tmp_path_factory.mktemp("agree")
    identity = Identity(1, b"a")
    memory, file = MemoryJournal(), SqliteJournal(directory, identity)
    try:
        for index, commit in enumerate(commits):
            if index == reopen_at:
                file.close()
                file = SqliteJournal(directory, identity)
            memory.commit(commit)
            file.commit(commit)
        for kind in ("a", "b"):
            assert file.page(kind, None, 100) == memory.page(kind, None, 100)
            assert list(file.load(kind)) == list(memory.load(kind))
            assert file.count(kind) == memory.count(kind)
        file.check()
        memory.check()
    finally:
        file.close()


def test_nobody_else_can_read_the_files(data_dir: Path, alice: Identity) -> None:
    data_dir.mkdir(mode=0o755)
    with closing(SqliteJournal(data_dir, alice)) as journal:
        journal.commit([Put("secret", b"hash", b"preimage")])
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data_dir.iterdir()}
        assert modes == {"journal.sqlite": 0o600, "journal.sqlite-wal": 0o600, "lock": 0o600}
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


def test_a_second_daemon_is_told_who_has_the_directory(data_dir: Path, alice: Identity) -> None:
    with closing(SqliteJournal(data_dir, alice)):
        with pytest.raises(Rejected, match=f"{data_dir} is in use by process {os.getpid()}"):
            SqliteJournal(data_dir, alice)
        second = "import sys, pathlib\n" + (
            "from channeld.adapters.journal.sqlite import SqliteJournal\n"
            "from channeld.adapters.journal.records import Identity\n"
            "SqliteJournal(pathlib.Path(sys.argv[1]), Identity(1, b'\\x02' + b'a' * 32))\n"
        )
        ended = subprocess.run([sys.executable, "-c", second, str(data_dir)], capture_output=True, text=True)
        assert ended.returncode == 1 and f"in use by process {os.getpid()}" in ended.stderr
    SqliteJournal(data_dir, alice).close()


def test_a_tool_that_has_the_file_open_is_an_operational_error(data_dir: Path, alice: Identity) -> None:
    SqliteJournal(data_dir, alice).close()
    with closing(sqlite3.connect(data_dir / "journal.sqlite", isolation_level=None)) as tool:
        tool.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JournalFailed, match="locked"):
            SqliteJournal(data_dir, alice)
    SqliteJournal(data_dir, alice).close()


def test_another_node_or_another_chain_may_not_continue_it(
    data_dir: Path, alice: Identity, mallory: Identity
) -> None:
    SqliteJournal(data_dir, alice).close()
    with pytest.raises(Rejected, match=f"got that of node {alice.node_id.hex()} on chain 1"):
        SqliteJournal(data_dir, mallory)
    with pytest.raises(Rejected, match=r"on chain 5, got that of node .* on chain 1"):
        SqliteJournal(data_dir, replace(alice, chain_id=5))
    SqliteJournal(data_dir, alice).close()  # and a refusal leaves no lock behind


def test_other_files_are_not_taken_for_a_journal(data_dir: Path, alice: Identity) -> None:
    data_dir.mkdir()
    path = data_dir / "journal.sqlite"
    path.write_bytes(b"not a database, but long enough to look like one" * 100)
    with pytest.raises(JournalFailed, match="not a database"):
        SqliteJournal(data_dir, alice)
    path.unlink()
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE somebody_elses (x)")
    with pytest.raises(Rejected, match="expected channeld's journal, got application id 0x0"):
        SqliteJournal(data_dir, alice)


def test_a_newer_journal_is_refused(data_dir: Path, alice: Identity) -> None:
    SqliteJournal(data_dir, alice, Schema(version=3)).close()
    with pytest.raises(Rejected, match="expected schema up to 2, got 3: a newer channeld wrote it"):
        SqliteJournal(data_dir, alice, Schema(version=2, migrations={1: lambda _: ()}))
    with closing(sqlite3.connect(data_dir / "journal.sqlite")) as newer:
        newer.execute("PRAGMA user_version = 2")
    with pytest.raises(Rejected, match="expected layout up to 1, got 2"):
        SqliteJournal(data_dir, alice, Schema(version=3))


def test_an_older_journal_is_migrated_step_by_step(data_dir: Path, alice: Identity) -> None:
    with closing(SqliteJournal(data_dir, alice)) as journal:
        journal.commit([Put("channel", b"alice-bob", b"one"), Put("obsolete", b"x", b"")])

    def to_2(journal: Journal) -> Iterable[Write]:
        yield from (Put("channel", key, value + b" two") for key, value in journal.load("channel"))
        yield from (Delete("obsolete", key) for key, _ in journal.load("obsolete"))

    def to_3(journal: Journal) -> Iterable[Write]:
        return [Put("lane", key, value + b" three") for key, value in journal.load("channel")]

    schema = Schema(version=3, migrations={1: to_2, 2: to_3})
    for _ in range(2):  # the second time there is nothing left to do
        with closing(SqliteJournal(data_dir, alice, schema)) as journal:
            assert journal.get("channel", b"alice-bob") == b"one two"
            assert journal.get("lane", b"alice-bob") == b"one two three"
            assert journal.count("obsolete") == 0


def test_a_migration_that_breaks_changes_nothing(data_dir: Path, alice: Identity) -> None:
    with closing(SqliteJournal(data_dir, alice)) as journal:
        journal.commit([Put("channel", b"alice-bob", b"one")])

    def broken(journal: Journal) -> Iterable[Write]:
        yield Put("channel", b"alice-bob", b"half done")
        raise OperationalError("expected a channel of version 1")

    with pytest.raises(OperationalError, match="of version 1"):
        SqliteJournal(data_dir, alice, Schema(version=2, migrations={1: broken}))
    with closing(SqliteJournal(data_dir, alice)) as journal:
        assert journal.get("channel", b"alice-bob") == b"one"


def test_each_durable_commit_is_announced(data_dir: Path, alice: Identity) -> None:
    announced: list[tuple[int, int]] = []
    journal = SqliteJournal(data_dir, alice, on_commit=lambda n: announced.append((n, journal.count("a"))))
    with closing(journal):
        journal.commit([Put("a", b"1", b"")])
        journal.commit([])
        journal.commit([Put("a", b"2", b""), Put("a", b"3", b"")])
    assert announced == [(1, 1), (2, 3)]


def test_a_closed_journal_takes_nothing(data_dir: Path, alice: Identity) -> None:
    journal = SqliteJournal(data_dir, alice)
    journal.commit([Put("a", b"1", b"")])
    journal.close()
    journal.close()
    with pytest.raises(JournalFailed, match="closed"):
        journal.commit([Put("a", b"2", b"")])
    with pytest.raises(JournalFailed, match="closed"):
        journal.get("a", b"1")


def test_a_reader_in_another_thread_never_sees_half_a_commit(data_dir: Path, alice: Identity) -> None:
    seen = set()
    done = threading.Event()
    with closing(SqliteJournal(data_dir, alice)) as journal:

        def read() -> None:
            while not done.is_set():
                seen.add(tuple(record.value for record in journal.page("pair", None, 2)))

        reader = threading.Thread(target=read)
        reader.start()
        for n in range(200):
            value = n.to_bytes(2, "big")
            journal.commit([Put("pair", b"a", value), Put("pair", b"b", value)])
        done.set()
        reader.join()
    assert seen and all(len(set(pair)) <= 1 for pair in seen)


def test_the_write_ahead_log_does_not_grow_for_ever(data_dir: Path, alice: Identity) -> None:
    with closing(SqliteJournal(data_dir, alice)) as journal:
        for n in range(600):
            journal.commit([Put("channel", b"alice-bob", bytes([n % 256]) * 70_000)])
        wal_bytes = (data_dir / "journal.sqlite-wal").stat().st_size
        assert wal_bytes < 2 * CHECKPOINT_PAGES * PAGE_BYTES < 600 * 70_000


def test_damage_is_found(data_dir: Path, alice: Identity) -> None:
    with closing(SqliteJournal(data_dir, alice)) as journal:
        for n in range(200):
            journal.commit([Put("payment", n.to_bytes(32, "big"), bytes(300))])
    path = data_dir / "journal.sqlite"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // PAGE_BYTES * PAGE_BYTES
    content[middle : middle + 64] = os.urandom(64)
    path.write_bytes(content)
    with closing(SqliteJournal(data_dir, alice)) as journal:
        with pytest.raises(JournalFailed, match="expected a journal without damage"):
            journal.check()
        with pytest.raises(JournalFailed, match="accepts nothing more"):
            journal.commit([Put("payment", b"after", b"")])
