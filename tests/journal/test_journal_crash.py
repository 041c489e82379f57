"""What no accident may do: keep half a commit, or lose one that was reported stored."""

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import journal_writer as writer
import pytest

from channeld.adapters.journal.records import Identity, JournalFailed, Put
from channeld.adapters.journal.sqlite import SqliteJournal

WRITER = Path(writer.__file__)
"""A script beside this file: the processes below run it."""


def test_a_writer_killed_at_any_moment_leaves_whole_commits(data_dir: Path) -> None:
    rnd = random.Random(2)
    total = 0
    for _ in range(12):
        with subprocess.Popen(
            [sys.executable, WRITER, data_dir, "run"], stdout=subprocess.PIPE, bufsize=0
        ) as process:
            assert process.stdout is not None
            said = bytearray()
            while len(said) < 4 * rnd.randint(1, 120):
                said += process.stdout.read(4)
            process.send_signal(signal.SIGKILL)
            said += process.stdout.read()
        reported = int.from_bytes(said[len(said) // 4 * 4 - 4 :][:4], "big")
        with closing(SqliteJournal(data_dir, writer.IDENTITY)) as journal:
            stored = writer.stored(journal)
            journal.check()
        assert reported <= stored <= reported + 1, "only the commit under way may go either way"
        assert stored > total, "each life went on from the one before"
        total = stored


def test_power_lost_at_any_byte_leaves_a_prefix_of_whole_commits(data_dir: Path, tmp_path: Path) -> None:
    with closing(SqliteJournal(data_dir, writer.IDENTITY)) as journal:
        for n in range(1, 9):
            journal.commit(writer.generation(n))
        frozen = tmp_path / "frozen"
        shutil.copytree(data_dir, frozen)
    wal = (frozen / "journal.sqlite-wal").read_bytes()
    rnd = random.Random(3)
    generations = []
    for cut in [0, *sorted(rnd.sample(range(len(wal)), 40)), len(wal)]:
        torn = tmp_path / f"torn-{cut}"
        shutil.copytree(frozen, torn)
        (torn / "journal.sqlite-wal").write_bytes(wal[:cut] + rnd.randbytes(min(4096, len(wal) - cut)))
        try:
            with closing(SqliteJournal(torn, writer.IDENTITY)) as journal:
                generations.append(writer.stored(journal))
                journal.check()
        finally:
            shutil.rmtree(torn)
    assert generations == sorted(generations)
    assert generations[0] == 0 and generations[-1] == 8 and len(set(generations)) > 5


def test_a_full_disk_stops_the_journal_and_loses_nothing(data_dir: Path) -> None:
    ended = subprocess.run(
        [sys.executable, WRITER, data_dir, "limit", "2000000"], capture_output=True, text=True, check=True
    )
    failed, refused, count = ended.stdout.splitlines()
    assert "expected to store 13 records: " in failed
    assert "the journal accepts nothing more: " in refused, "not even what would fit"
    with closing(SqliteJournal(data_dir, writer.IDENTITY)) as journal:
        assert writer.stored(journal) == int(count) > 5
        assert journal.get("lane", b"small") is None
        journal.commit(writer.generation(int(count) + 1))  # once there is room, life goes on


def test_a_commit_that_fails_in_the_middle_is_rolled_back(data_dir: Path, alice: Identity) -> None:
    with closing(SqliteJournal(data_dir, alice)) as journal:
        journal.commit([Put("channel", b"alice-bob", b"version 1")])
        journal._connection.execute("PRAGMA max_page_count = 20")
        with pytest.raises(JournalFailed, match="full"):
            journal.commit([Put("channel", b"alice-bob", b"version 2"), Put("big", b"k", bytes(200_000))])
        assert journal.get("channel", b"alice-bob") == b"version 1", "reading still works, to see why"
        with pytest.raises(JournalFailed, match="accepts nothing more"):
            journal.commit([Put("channel", b"alice-bob", b"version 3")])
    with closing(SqliteJournal(data_dir, alice)) as journal:
        assert journal.get("channel", b"alice-bob") == b"version 1"
        assert journal.count("big") == 0


def test_a_read_only_journal_fails_at_once(data_dir: Path, alice: Identity) -> None:
    with closing(SqliteJournal(data_dir, alice)) as journal:
        journal._connection.execute("PRAGMA query_only = 1")
        with pytest.raises(JournalFailed, match="readonly"):
            journal.commit([Put("channel", b"alice-bob", b"version 1")])


def test_a_commit_is_in_the_file_when_it_returns(data_dir: Path, alice: Identity, tmp_path: Path) -> None:
    with closing(SqliteJournal(data_dir, alice)) as journal:
        for n in range(1, 4):
            journal.commit([Put("channel", b"alice-bob", bytes([n]))])
            copy = tmp_path / f"copy-{n}"
            shutil.copytree(data_dir, copy)
            with closing(sqlite3.connect(copy / "journal.sqlite")) as seen:
                assert seen.execute("SELECT value FROM records_channel").fetchone() == (bytes([n]),)
        (synchronous,) = journal._connection.execute("PRAGMA synchronous").fetchone()
        assert synchronous == 2, "FULL: every commit syncs the log"
