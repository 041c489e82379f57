"""Payments a second between daemons in separate processes, everything durable on every side.

The load comes from a generator in the payer's process with invoices fetched beforehand; the path is
the real one: invoice, route, claim, journal, Noise, signatures, and back.
"""

import argparse
import asyncio
import multiprocessing
import os
import platform
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.rpc import RpcClient, RpcSettings
from channeld.adapters.chain.transactions import TransactionSettings, deploy, open_transactor
from channeld.adapters.signer import Signer
from channeld.config.settings import (
    ApiSettings,
    AssetSettings,
    ChainSettings,
    ChannelSettings,
    Config,
    NodeSettings,
    PeerSettings,
)
from channeld.daemon.app import running
from channeld.services.devchain.accounts import development_account
from channeld.services.devchain.server import serve
from channeld.services.devchain.settings import DevChainSettings
from contracts.artifacts import adjudicator

ETHER = 10**18
NAMES = ("payer", "hub1", "hub2", "hub3", "payee")
BULK = 1_000
"""Invoices fetched at once."""
MOST_A_SECOND = 4_500
"""Invoices fetched for each second of the run: more than are paid."""


def fsync_p50_us(directory: Path, rounds: int = 200) -> float:
    """Median time of a 4 kB write with fdatasync in `directory`."""
    times = []
    with (directory / "fsync").open("wb") as file:
        for _ in range(rounds):
            begin = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begin) * 1e6)
    return statistics.median(times)


def bytes_in(directory: Path) -> int:
    """Size of every file below a directory."""
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def config_of(name: str, directory: Path, rpc_url: str, contract: bytes) -> Config:
    return Config(
        node=NodeSettings(alias=name, data_dir=directory / name, log_level="error"),
        chain=ChainSettings(
            rpc_url=rpc_url,
            chain_id=DevChainSettings().chain_id,
            adjudicator=contract,
            confirmations=1,
            poll_interval_s=0.2,
            clock_skew_limit_s=3_600,
        ),
        peer=PeerSettings(listen_host="127.0.0.1", listen_port=0),
        api=ApiSettings(port=0),
        channel=ChannelSettings(challenge_period_s=3_600),
        asset=(AssetSettings(bytes(20), "ETH", 18),),
    )


def process(name: str, config: Config, pipe: Connection) -> None:
    """A daemon in its own process, told what to do over a pipe."""
    uvloop.run(_serve(name, config, pipe))


async def _serve(name: str, config: Config, pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    async with running(config, Signer(development_account(name).key)) as daemon:
        pipe.send((daemon.signer.public_key, daemon.listen_port))
        while True:
            order, *arguments = await loop.run_in_executor(None, pipe.recv)
            answer: Any = None
            if order == "connect":
                await daemon.connect(arguments[0])
            elif order == "open":
                await daemon.open_channel(arguments[0], "ETH", arguments[1], None, 30.0)
            elif order == "policies":
                answer = len(daemon.payer._gossip.known())
            elif order == "invoices":
                answer = []
                for _ in range(arguments[0] // BULK):
                    made = await daemon.create_invoice("ETH", 1_000, "", 86_400, BULK)
                    answer += [invoice.text for invoice in made]
            elif order == "pay":
                answer = await _load(daemon, *arguments)
            elif order == "cpu":
                usage = resource.getrusage(resource.RUSAGE_SELF)
                answer = usage.ru_utime + usage.ru_stime
            elif order == "stop":
                pipe.send(None)
                return
            pipe.send(answer)


async def _load(daemon: Any, invoices: list[str], in_flight: int, seconds: float) -> list[float]:
    """Keep `in_flight` payments going for `seconds`; the latency of each that succeeded."""
    latencies: list[float] = []
    waiting = iter(invoices)
    end = time.perf_counter() + seconds

    async def worker() -> None:
        for text in waiting:
            begin = time.perf_counter()
            if begin > end:
                return
            paid = await daemon.pay(text, None, None, 30.0)
            assert paid.status == "succeeded", paid.failure
            latencies.append(time.perf_counter() - begin)

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return latencies


class Cluster:
    """The processes of one run, in a line from payer to payee."""

    def __init__(self, directory: Path, hops: int) -> None:
        self.names = ("payer", *NAMES[1:hops], "payee")
        self.directory = directory
        self.pipes: dict[str, Connection] = {}
        self.ids: dict[str, tuple[bytes, int]] = {}

    async def ask(self, name: str, *order: Any) -> Any:
        self.pipes[name].send(order)
        return await asyncio.get_running_loop().run_in_executor(None, self.pipes[name].recv)

    async def start(self, rpc_url: str, contract: bytes) -> list[Any]:
        context = multiprocessing.get_context("spawn")
        running_processes = []
        for name in self.names:
            ours, theirs = context.Pipe()
            child = context.Process(
                target=process, args=(name, config_of(name, self.directory, rpc_url, contract), theirs)
            )
            child.start()
            running_processes.append(child)
            self.pipes[name] = ours
        for name in self.names:
            self.ids[name] = await asyncio.get_running_loop().run_in_executor(None, self.pipes[name].recv)
        for one, other in zip(self.names, self.names[1:], strict=False):
            node_id, port = self.ids[other]
            await self.ask(one, "connect", f"{node_id.hex()}@127.0.0.1:{port}")
            await self.ask(one, "open", node_id, ETHER)
        while await self.ask("payer", "policies") < 2 * (len(self.names) - 1):
            await asyncio.sleep(0.05)
        return running_processes


async def _measure(hops: int, in_flight: int, seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with AsyncExitStack() as stack:
            chain = await serve(DevChainSettings(port=0))
            stack.push_async_callback(chain.close)
            rpc = await stack.enter_async_context(RpcClient(RpcSettings(chain.url)))
            deployer = Signer(development_account("0").key)
            async with open_transactor(
                rpc, deployer, directory / "deployer.db", TransactionSettings(poll_s=0.02)
            ) as transactor:
                contract = await deploy(transactor, rpc, "adjudicator", adjudicator().bytecode)
                for each in NAMES:
                    to = development_account(each).address
                    await transactor.execute(f"fund:{each}", Request(to, b"", 10 * ETHER))
            cluster = Cluster(directory, hops)
            children = await cluster.start(chain.url, contract)
            invoices = await cluster.ask(
                "payee", "invoices", int(12_000 * min(1.0, seconds / 3)) // BULK * BULK
            )
            before = {each: await cluster.ask(each, "cpu") for each in cluster.names}
            begin = time.perf_counter()
            latencies = await cluster.ask("payer", "pay", invoices, in_flight, seconds)
            took_s = time.perf_counter() - begin
            cpu = {each: await cluster.ask(each, "cpu") - before[each] for each in cluster.names}
            disk = bytes_in(directory)
            fsync_us = fsync_p50_us(directory)
            for each in cluster.names:
                await cluster.ask(each, "stop")
            for child in children:
                child.join(10)
    return _figures(latencies, took_s, cpu, disk, fsync_us)


def _figures(
    latencies: list[float], took_s: float, cpu: dict[str, float], disk: int, fsync_us: float
) -> dict[str, float]:
    count = len(latencies)
    cuts = statistics.quantiles(latencies, n=100)
    figures = {
        "payments": float(count),
        "payments_per_s": count / took_s,
        "latency_p50_ms": cuts[49] * 1e3,
        "latency_p95_ms": cuts[94] * 1e3,
        "latency_p99_ms": cuts[98] * 1e3,
        "fsync_p50_us": fsync_us,
        "disk_bytes_per_payment_all_nodes": disk / count,
    }
    figures |= {f"cpu_us_per_payment_{name}": used / count * 1e6 for name, used in cpu.items()}
    return figures


def run(options: list[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser("bench payments")
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--hops", type=int, default=1, choices=(1, 2, 3, 4))
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args(options)
    print(
        f"conditions: {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version} synchronous=FULL, uvloop {version('uvloop')}, {sys.platform}; "
        f"{chosen.hops} channel(s) on the path, {chosen.in_flight} in flight, {chosen.seconds:g} s"
    )
    figures = asyncio.run(_measure(chosen.hops, chosen.in_flight, chosen.seconds))
    for name, value in figures.items():
        print(f"  {name:38} {value:12,.1f}")
    return figures
