"""How many durable commits the journal makes, alone and in groups, and what one fsync costs here.

`python -m bench journal [--seconds=S] [--dir=PATH] [--history=N]`: seconds of each load, where the files
go (a temporary directory beside the current one, not a RAM disk), and how many records the history that
is paged holds.
"""

import os
import platform
import random
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path

from channeld.adapters.journal.records import Identity, Put, Write
from channeld.adapters.journal.sqlite import SqliteJournal

SEED = 20260203
VALUE_BYTES = 100
"""A claim with its hashlock and two ids; a channel state beside it is 144 bytes a claim."""

STATE_BYTES = 70_000
"""A channel with 460 claims, the largest record there is."""

GROUP = 50
FSYNCS = 300


def run(options: list[str]) -> dict[str, object]:
    """Commits/s and items/s; figures to beat: 5.5k commits/s alone, 122k items/s in groups of 50."""
    given = dict(option.lstrip("-").partition("=")[::2] for option in options)
    seconds = float(given.get("seconds", 2))
    history = int(given.get("history", 200_000))
    parent = Path(given.get("dir", ".")).resolve()
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix=".bench-journal-", dir=parent) as directory:
        root = Path(directory)
        figures["fsync_p50_us"] = round(_fsync_p50_s(root / "fsync") * 1e6)
        figures["commits_alone"] = _load(root / "alone", _alone, seconds)
        figures["groups_of_50"] = _load(root / "group", _group, seconds)
        figures["groups_of_50_random_keys"] = _load(root / "random", _random_group, seconds)
        figures["states_of_70_kb"] = _load(root / "states", _states, seconds)
        figures["history"] = _history(root / "history", history)
        figures["filesystem"] = _filesystem(root)
    figures |= {
        "value_bytes": VALUE_BYTES,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    for name, value in figures.items():
        print(f"{name:26} {value}")
    return figures


def _numbers() -> Callable[[], bytes]:
    """Keys as the daemon makes them for claims: a channel's id and a counter."""
    counter, channel = count(), bytes(range(24))
    return lambda: channel + next(counter).to_bytes(8, "big")


def _alone() -> Callable[[], list[Write]]:
    key, value = _numbers(), bytes(VALUE_BYTES)
    return lambda: [Put("claim", key(), value)]


def _group() -> Callable[[], list[Write]]:
    key, value = _numbers(), bytes(VALUE_BYTES)
    return lambda: [Put("claim", key(), value) for _ in range(GROUP)]


def _random_group() -> Callable[[], list[Write]]:
    """Keys that are hashes: the worst case for an index."""
    draw, value = random.Random(SEED), bytes(VALUE_BYTES)
    return lambda: [Put("payment", draw.randbytes(32), value) for _ in range(GROUP)]


def _states() -> Callable[[], list[Write]]:
    """A busy hub's turn: two full channels rewritten, twenty small records added."""
    draw, key, value = random.Random(SEED), _numbers(), bytes(VALUE_BYTES)
    content = draw.randbytes(STATE_BYTES + 2_000)

    def turn() -> list[Write]:
        states = [content[start : start + STATE_BYTES - start] for start in draw.sample(range(2_000), 2)]
        channels: list[Write] = [Put("channel", bytes([n]) * 32, state) for n, state in enumerate(states)]
        return channels + [Put("claim", key(), value) for _ in range(20)]

    return turn


def _load(directory: Path, make: Callable[[], Callable[[], list[Write]]], seconds: float) -> dict[str, float]:
    """Rates over the time spent in commits, checkpoints included, and the spread of one commit's time."""
    turn = make()
    times_s = []
    items = 0
    with closing(SqliteJournal(directory, Identity(1, b"bench"))) as journal:
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds:
            writes = turn()
            start = time.perf_counter()
            journal.commit(writes)
            times_s.append(time.perf_counter() - start)
            items += len(writes)
    times_s.sort()
    elapsed_s = sum(times_s)
    return {
        "commits_per_s": round(len(times_s) / elapsed_s),
        "items_per_s": round(items / elapsed_s),
        "p50_ms": round(statistics.median(times_s) * 1e3, 3),
        "p99_ms": round(times_s[len(times_s) * 99 // 100] * 1e3, 2),
        "max_ms": round(times_s[-1] * 1e3, 1),
    }


def _history(directory: Path, records: int) -> dict[str, float]:
    """What a page of 50 costs at the end and in the middle, and a count and a full load."""
    key, value = _numbers(), bytes(VALUE_BYTES)
    with closing(SqliteJournal(directory, Identity(1, b"bench"))) as journal:
        for _ in range(0, records, 1_000):
            journal.commit([Put("payment", key(), value) for _ in range(1_000)])
        total = journal.count("payment")
        return {
            "records": total,
            "newest_page_us": _median_us(lambda: journal.page("payment", None, 50)),
            "middle_page_us": _median_us(lambda: journal.page("payment", total // 2, 50)),
            "count_us": _median_us(lambda: journal.count("payment"), 5),
            "load_us_per_record": round(_median_us(lambda: list(journal.load("payment")), 1) / total, 2),
        }


def _median_us(action: Callable[[], object], times: int = 100) -> float:
    taken_s = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        taken_s.append(time.perf_counter() - start)
    return round(statistics.median(taken_s) * 1e6, 1)


def _fsync_p50_s(path: Path) -> float:
    """What the disk asks for 4 kB appended and synced, without a database: the floor of a commit."""
    taken_s = []
    with path.open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            start = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            taken_s.append(time.perf_counter() - start)
    return statistics.median(taken_s)


def _filesystem(path: Path) -> str:
    """The type of the file system that holds `path`, where the kernel says so."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return f"unknown ({shutil.disk_usage(path).total >> 30} GiB)"
    rows = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    holding = [(mount, kind) for mount, kind in rows if path.is_relative_to(mount)]
    return max(holding, key=lambda row: len(row[0]))[1]
