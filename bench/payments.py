"""Payments a second between daemons in separate processes, everything durable on every side.

The load comes from a generator in the payer's process with invoices fetched beforehand; the path is
the real one: invoice, route, claim, journal, Noise, signatures, and back. The same load through the
public API (`POST /v1/payments/stream`, from a third process that shares the cores) is printed beside it.

`--channels C` is a hub with C channels, `--in-flight` payments on each. All C are between the same two
processes: the hub's is the same daemon, messages, signatures and disk as with C clients, while the
other one stands for all C of them. C daemons in one process would measure their C event loops and C
databases on the core that the hub is to share; a client with a computer of its own costs the hub nothing.

Without options: every mark of the project, reached or not.
"""

import argparse
import asyncio
import os
import platform
import sqlite3
import statistics
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from typing import Any

from bench.options import at_least_one, seconds_of_load
from bench.payment_cluster import MAX_HOPS, Cluster, fsync_p50_us, running_cluster
from bench.payment_nodes import BULK, PAYMENT_TIMEOUT_S, Loaded, Spent
from channeld.api.client import ApiClient
from channeld.api.requests import MAX_IN_FLIGHT, Pay
from channeld.config.neighbours import FlightSettings

DATABASES = ("sqlite", "postgres")
MOST_A_SECOND = 6_000
"""Invoices fetched for each second of a run: more than are paid."""
MOST_IN_A_ROW = 1_500
"""The same for payments one after the other."""
WARM_UP = 200
"""Payments before the measured ones: caches fill, and the disk's files are there."""
SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Case:
    """A load, and what it shall reach at least (None: nothing was promised). `load`: see `LOADS`."""

    name: str
    hops: int
    in_flight: int
    channels: int = 1
    load: str = "payments"
    per_s: float | None = None
    p50_ms: float | None = None


CARRIED = FlightSettings().max_claims_per_peer
"""What a hub has in flight for one neighbour, of which the payer is one."""

MARKS = (
    Case("one channel, 200 in flight", 1, 200, per_s=4_000),
    Case("one channel, one in flight", 1, 1, per_s=500, p50_ms=2.0),
    Case("three daemons, 200 in flight through the hub", 2, 200, per_s=1_500),
    Case("200 channels at one hub, one in flight each", 1, 1, channels=200, per_s=1_500),
)


def run(options: list[str]) -> dict[str, Any]:
    """The figures of one load, or of the first mark with all marks under `marks`."""
    chosen = _parse(options)
    print(
        f"conditions: {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version} synchronous=FULL, uvloop {version('uvloop')}, "
        f"coincurve {version('coincurve')}, aiohttp {version('aiohttp')}, {sys.platform}; "
        f"{chosen.seconds:g} s each, {chosen.database}"
    )
    if chosen.hops or chosen.in_flight or chosen.channels:
        channels, hops = chosen.channels or 1, chosen.hops or 1
        each = chosen.in_flight or (200 if hops == 1 else max(1, CARRIED // channels))
        if hops > 1 and channels * each > CARRIED:
            raise SystemExit(
                f"payments: a hub carries at most {CARRIED} claims of one neighbour at once, "
                f"got {channels} channels with {each} in flight each"
            )
        case = Case("payments", hops, each, channels)
        figures = asyncio.run(_measure(case, chosen.seconds, chosen.database))
        _show(case, figures)
        return figures
    rows = []
    for case in MARKS:
        figures = asyncio.run(_measure(case, chosen.seconds, chosen.database))
        _show(case, figures)
        rows.append({"name": case.name, "mark_per_s": case.per_s, "mark_p50_ms": case.p50_ms, **figures})
    _show_marks(rows)
    return {**{name: value for name, value in rows[0].items() if name != "name"}, "marks": rows}


def _parse(options: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench payments", description=__doc__)
    parser.add_argument("--in-flight", type=at_least_one, help="payments at once, on each channel (200)")
    parser.add_argument("--hops", type=int, choices=range(1, MAX_HOPS + 1), help="channels on the path (1)")
    parser.add_argument("--channels", type=at_least_one, help="channels of the payer (1)")
    parser.add_argument("--seconds", type=seconds_of_load, default=SECONDS, help="of each load (%(default)s)")
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    return parser.parse_args(options)


async def _measure(case: Case, seconds: float, database: str) -> dict[str, Any]:
    async with running_cluster(case.hops, case.channels, database) as cluster:
        lanes = cluster.channels if case.channels > 1 else []
        most = int(seconds * min(MOST_A_SECOND, MOST_IN_A_ROW * case.in_flight * case.channels))
        wanted = -(-(WARM_UP + 2 * most) // BULK) * BULK
        given = iter(await cluster.ask("payee", "invoices", wanted))
        await _load(cluster, case, list(islice(given, WARM_UP)), lanes, PAYMENT_TIMEOUT_S)
        before = await cluster.spent()
        inside = await _load(cluster, case, list(islice(given, most)), lanes, seconds)
        after = await cluster.spent()
        through_api = await _through_api(cluster, case, list(islice(given, most)), lanes, seconds)
        spent = {name: after[name].since(before[name]) for name in after}
    return _figures(inside, spent, through_api, fsync_p50_us())


async def _load(cluster: Cluster, case: Case, given: list[str], lanes: list[bytes], seconds: float) -> Loaded:
    loaded: Loaded = await cluster.ask("payer", "load", case.load, given, case.in_flight, lanes, seconds)
    return loaded


async def _through_api(
    cluster: Cluster, case: Case, given: list[str], lanes: list[bytes], seconds: float
) -> float:
    """Payments a second as a client of the API counts them, one stream for all channels."""
    url, token = await cluster.ask("payer", "api")
    channels: list[bytes | None] = [*lanes] or [None]
    begin_s = time.perf_counter()
    end_s = begin_s + seconds
    asked = (
        Pay(text, timeout_s=PAYMENT_TIMEOUT_S, channel_id=channels[place % len(channels)])
        for place, text in enumerate(given)
        if time.perf_counter() < end_s
    )
    paid = 0
    in_flight = min(MAX_IN_FLIGHT, case.in_flight * case.channels)
    async for result in ApiClient(url, token).pay_many(asked, in_flight):
        assert result.payment is not None and result.payment.status == "succeeded", result
        paid += 1
    return paid / (time.perf_counter() - begin_s)


def _figures(inside: Loaded, spent: dict[str, Spent], api_per_s: float, fsync_us: float) -> dict[str, Any]:
    count = len(inside.latencies_s)
    cuts = statistics.quantiles(inside.latencies_s, n=100)
    each = {name: {} for name in spent}  # type: dict[str, dict[str, float]]
    for name, used in spent.items():
        each[name] = {
            "cpu_us": used.cpu_s / count * 1e6,
            "fsyncs": used.commits / count,
            "signatures": used.signatures / count,
            "wire_bytes": used.wire_bytes / count,
            "disk_written_bytes": used.written_bytes / count,
            "disk_kept_bytes": used.kept_bytes / count,
        }
    totals = {
        f"{what}_per_payment": sum(row[what] for row in each.values())
        for what in ("fsyncs", "signatures", "wire_bytes", "disk_written_bytes", "disk_kept_bytes", "cpu_us")
    }
    return {
        "payments": count,
        "payments_per_s": count / inside.took_s,
        "api_payments_per_s": api_per_s,
        "latency_p50_ms": cuts[49] * 1e3,
        "latency_p95_ms": cuts[94] * 1e3,
        "latency_p99_ms": cuts[98] * 1e3,
        "fsync_p50_us": fsync_us,
        **totals,
        "per_payment_by_process": each,
    }


def _show(case: Case, figures: dict[str, Any]) -> None:
    print(f"{case.name}: channels: {case.hops} on the path, {case.channels} at the payer")
    for name, value in figures.items():
        if name != "per_payment_by_process":
            print(f"  {name:32} {value:12,.2f}")
    rows: dict[str, dict[str, float]] = figures["per_payment_by_process"]
    columns = list(next(iter(rows.values())))
    print(f"  {'a payment, by process':24}" + "".join(f"{column:>20}" for column in columns))
    for name, row in rows.items():
        print(f"  {name:24}" + "".join(f"{row[column]:20,.2f}" for column in columns), flush=True)


def _show_marks(rows: list[dict[str, Any]]) -> None:
    print(f"\n{'':46}{'mark':>8}{'reached':>9}{'':>7}{'p50 ms':>9}{'API':>9}")
    for row in rows:
        share = row["payments_per_s"] / row["mark_per_s"]
        late = row["mark_p50_ms"] is not None and row["latency_p50_ms"] > row["mark_p50_ms"]
        print(
            f"{row['name']:46}{row['mark_per_s']:>8,.0f}{row['payments_per_s']:>9,.0f}{share:>7.0%}"
            f"{row['latency_p50_ms']:>9.2f}{row['api_payments_per_s']:>9,.0f}"
            f"{'  reached' if share >= 1 and not late else '  not reached'}"
        )
