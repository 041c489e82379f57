"""Pushes a second between two daemons in separate processes, everything durable on both sides.

Each push is asked for by a caller of its own, is an operation of its own on the wire, and has an answer of
its own when the peer has signed it; `--in-flight` callers are in the payer's process. The same load through
the public API (`POST /v1/pushes/stream`, from a third process that shares the cores) is printed beside it.
"""

import argparse
import asyncio
import os
import platform
import sqlite3
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from importlib.metadata import version
from typing import Any

from bench.options import at_least_one, seconds_of_load
from bench.payment_cluster import Cluster, fsync_p50_us, running_cluster
from bench.payment_nodes import AMOUNT, PAYMENT_TIMEOUT_S, Loaded, Spent
from channeld.api.client import ApiClient
from channeld.api.requests import MAX_PUSHES, PushMany

MARK_PER_S = 15_000
MOST_A_SECOND = 60_000
"""Pushes prepared for each second of the run: more than are made."""
API_STREAM = b"\xff" * 16
WARM_UP = 2_000
"""Pushes before the measured ones."""


def run(options: list[str]) -> dict[str, Any]:
    chosen = _parse(options)
    print(
        f"conditions: {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version} synchronous=FULL, uvloop {version('uvloop')}, {sys.platform}; "
        f"{chosen.in_flight} callers, {chosen.streams} streams, {chosen.seconds:g} s"
    )
    figures = asyncio.run(_measure(chosen))
    for name, value in figures.items():
        print(f"  {name:34} {value:14,.4f}")
    return figures


def _parse(options: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench pushes", description=__doc__)
    parser.add_argument("--in-flight", type=at_least_one, default=1_000, help="callers at once (%(default)s)")
    parser.add_argument("--streams", type=at_least_one, default=1, help="streams they share (%(default)s)")
    parser.add_argument("--seconds", type=seconds_of_load, default=4.0, help="of each load (%(default)s)")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    return parser.parse_args(options)


async def _measure(chosen: argparse.Namespace) -> dict[str, float]:
    async with running_cluster(1, 1, chosen.database) as cluster:
        peer, _ = cluster.ids["payee"]
        names = [f"{peer.hex()} {number:032x}" for number in range(1, chosen.streams + 1)]

        async def load(count: int, seconds: float) -> Loaded:
            given = names * -(-count // len(names))
            loaded: Loaded = await cluster.ask(
                "payer", "load", "pushes", given, chosen.in_flight, [], seconds
            )
            return loaded

        await load(WARM_UP, PAYMENT_TIMEOUT_S)
        before = await cluster.spent()
        loaded = await load(int(chosen.seconds * MOST_A_SECOND), chosen.seconds)
        after = await cluster.spent()
        spent = {name: after[name].since(before[name]) for name in after}
        through_api = await _through_api(cluster, chosen)
        books = await _books(cluster, names)
    return {**_figures(loaded, spent), "pushes_per_s_through_api": through_api, "pushes_in_books": books}


async def _through_api(cluster: Cluster, chosen: argparse.Namespace) -> float:
    """Pushes a second as a client of the API counts them, all in one stream."""
    client = ApiClient(*await cluster.ask("payer", "api"))
    peer, _ = cluster.ids["payee"]
    end_s = time.perf_counter() + chosen.seconds

    def amounts() -> Iterator[int]:
        while time.perf_counter() < end_s:
            yield AMOUNT

    sent = 0
    begin_s = time.perf_counter()
    to = PushMany(peer, "ETH", API_STREAM, min(chosen.in_flight, MAX_PUSHES))
    async with aclosing(client.push_many(amounts(), to)) as answers:
        async for answer in answers:
            assert answer.push is not None, answer.error
            sent += answer.push.sent
    return sent / (time.perf_counter() - begin_s)


async def _books(cluster: Cluster, names: list[str]) -> float:
    """All pushes, by the payee's totals, once they equal the payer's."""
    streams = {bytes.fromhex(name.split()[1]) for name in names} | {API_STREAM}
    clients = {name: ApiClient(*await cluster.ask(name, "api")) for name in cluster.names}
    (channel_id,) = cluster.channels
    total = 0
    for stream in sorted(streams):
        sent = await clients["payer"].stream(channel_id, "sent", stream)
        received = await clients["payee"].stream(channel_id, "received", stream)
        assert (sent.count, sent.total) == (received.count, received.total), (sent, received)
        total += received.count
    return float(total)


def _figures(loaded: Loaded, spent: dict[str, Spent]) -> dict[str, float]:
    count = len(loaded.latencies_s)
    cuts = statistics.quantiles(loaded.latencies_s, n=100)
    figures = {
        "pushes_per_s": count / loaded.took_s,
        "mark_per_s": float(MARK_PER_S),
        "pushes": float(count),
        "latency_p50_ms": cuts[49] * 1e3,
        "latency_p95_ms": cuts[94] * 1e3,
        "latency_p99_ms": cuts[98] * 1e3,
        "fsync_p50_us": fsync_p50_us(),
    }
    for name, used in spent.items():
        figures |= {
            f"cpu_us_per_push_{name}": used.cpu_s / count * 1e6,
            f"pushes_per_fsync_{name}": count / max(1, used.commits),
            f"fsyncs_per_push_{name}": used.commits / count,
            f"signatures_per_push_{name}": used.signatures / count,
            f"wire_bytes_per_push_{name}": used.wire_bytes / count,
            f"written_bytes_per_push_{name}": used.written_bytes / count,
            f"kept_bytes_per_push_{name}": used.kept_bytes / count,
        }
    return figures
