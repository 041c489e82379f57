"""What a daemon costs with a long past and many idle channels: start, memory, listings, one of everything.

`python -m bench scale [--channels 100,1000,10000] [--payments 10000,100000,1000000] [--full] [--dir=PATH]`:
one run for each pair, from both lists side by side. --full: to 10 million payments; it takes a quarter of
an hour and 4 GB of disk. Databases are written by the daemon's own packing code; everything measured is a
real daemon (`bob`) in a process of its own, with its chain, its HTTP API, and one living peer (`alice`)
whose channel works while all others are idle.
"""

import argparse
import asyncio
import multiprocessing
import os
import platform
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from bench.past import Past, share_network, write_past
from channeld.adapters.chain import calls
from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.rpc import RpcClient, RpcSettings
from channeld.adapters.chain.transactions import TransactionSettings, Transactor, deploy, open_transactor
from channeld.adapters.journal.sqlite import FILE_NAME
from channeld.adapters.signer import Signer
from channeld.api.token import read_token
from channeld.config.settings import (
    ApiSettings,
    AssetSettings,
    ChainSettings,
    ChannelSettings,
    Config,
    NodeSettings,
    PeerSettings,
)
from channeld.core.identity import ETH
from channeld.daemon.app import running
from channeld.daemon.commands import Daemon
from channeld.services.devchain.accounts import development_account
from channeld.services.devchain.server import DevChainServer, serve
from channeld.services.devchain.settings import DevChainSettings
from channeld.wire.eip712 import domain_separator
from contracts.artifacts import adjudicator

ETHER = 10**18
PAYMENTS = 300
BLOCKS = 20
RECONNECTS = 3
TICKS = 2_000
IDLE_S = 3.0
ASKED = 9
"""How often each listing is asked for; the median counts."""


# The daemon's own process --------------------------------------------------------------------------


def _process(name: str, config: Config, pipe: Connection) -> None:
    uvloop.run(_serve(name, config, pipe))


async def _serve(name: str, config: Config, pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    begin, cpu = time.perf_counter(), time.process_time()
    async with running(config, Signer(development_account(name).key)) as daemon:
        pipe.send(
            {
                "address": f"{daemon.signer.public_key.hex()}@127.0.0.1:{daemon.listen_port}",
                "node_id": daemon.signer.public_key,
                "api": daemon.api_url,
                "start_s": time.perf_counter() - begin,
                "start_cpu_s": time.process_time() - cpu,
            }
        )
        while True:
            order, *arguments = await loop.run_in_executor(None, pipe.recv)
            if order == "stop":
                pipe.send(None)
                return
            pipe.send(await _ORDERS[order](daemon, *arguments))


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


async def _cost(_: Daemon) -> dict[str, float]:
    """What this process has used so far, and what it holds: CPU s, resident MB."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu_s": used.ru_utime + used.ru_stime, "rss_mb": _resident_mb()}


async def _synced(daemon: Daemon) -> None:
    while daemon.watch.head is None:
        await asyncio.sleep(0.01)


async def _open(daemon: Daemon, address: str, node_id: bytes) -> bytes:
    await daemon.connect(address)
    return (await daemon.open_channel(node_id, "ETH", ETHER, None, 60.0)).channel_id


async def _usable(daemon: Daemon, channel_id: bytes) -> None:
    """Until both ends' policies are known here, so that the channel can be paid over."""
    while sum(known == channel_id for known, _ in daemon.peering._gossip.known()) < 2:
        await asyncio.sleep(0.02)


async def _invoices(daemon: Daemon, count: int) -> list[str]:
    return [made.text for made in await daemon.create_invoice("ETH", 1_000, "", 86_400, count)]


async def _pay(daemon: Daemon, texts: list[str]) -> list[float]:
    """One after the other; the seconds each took."""
    taken_s = []
    for text in texts:
        begin = time.perf_counter()
        paid = await daemon.pay(text, None, None, 30.0)
        assert paid.status == "succeeded", paid.failure
        taken_s.append(time.perf_counter() - begin)
    return taken_s


async def _tick(daemon: Daemon) -> float:
    """CPU seconds of a turn of the loop in which nothing has happened."""
    begin = time.process_time()
    for _ in range(TICKS):
        daemon.engine.turn()
    return (time.process_time() - begin) / TICKS


async def _reconnect(daemon: Daemon, address: str, node_id: bytes, channel_id: bytes) -> float:
    """Part and dial again; seconds until the channel works."""
    begin = time.perf_counter()
    await daemon.peering.transport.disconnect(node_id, "the benchmark")
    while channel_id in daemon.engine.tables.online:
        await asyncio.sleep(0.001)
    await daemon.connect(address)
    while channel_id not in daemon.engine.tables.online:
        await asyncio.sleep(0.001)
    return time.perf_counter() - begin


_ORDERS: dict[str, Callable[..., Awaitable[Any]]] = {
    "cost": _cost,
    "synced": _synced,
    "open": _open,
    "usable": _usable,
    "invoices": _invoices,
    "pay": _pay,
    "tick": _tick,
    "reconnect": _reconnect,
}


def _config(name: str, directory: Path, rpc_url: str, contract: bytes) -> Config:
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
        asset=(AssetSettings(ETH, "ETH", 18),),
    )


# One run -------------------------------------------------------------------------------------------


class _Child:
    """A daemon in a process of its own, told what to do over a pipe."""

    def __init__(self, name: str, config: Config) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_process, args=(name, config, theirs))
        self._process.start()
        self.data_dir = config.node.data_dir
        self.about: dict[str, Any] = {}

    async def ready(self) -> None:
        self.about = await asyncio.get_running_loop().run_in_executor(None, self._pipe.recv)

    async def ask(self, *order: Any) -> Any:
        self._pipe.send(order)
        return await asyncio.get_running_loop().run_in_executor(None, self._pipe.recv)

    async def cpu_s(self) -> float:
        return float((await self.ask("cost"))["cpu_s"])

    async def stop(self) -> None:
        await self.ask("stop")
        self._process.join(30)


Figures = dict[str, float]


async def _run(past: Past, directory: Path) -> Figures:
    figures: Figures = {"channels": past.channels, "payments": past.payments}
    async with AsyncExitStack() as stack:
        chain = await serve(DevChainSettings(port=0))
        stack.push_async_callback(chain.close)
        rpc = await stack.enter_async_context(RpcClient(RpcSettings(chain.url)))
        transactor = await stack.enter_async_context(
            open_transactor(
                rpc,
                Signer(development_account("0").key),
                directory / "deployer.db",
                TransactionSettings(poll_s=0.02),
            )
        )
        contract = await deploy(transactor, rpc, "adjudicator", adjudicator().bytecode)
        configs = {name: _config(name, directory, chain.url, contract) for name in ("alice", "bob")}
        chain_id = DevChainSettings().chain_id
        signers = {name: Signer(development_account(name).key) for name in configs}
        for signer in signers.values():
            chain.chain.fund(signer.address, 10 * ETHER)
        domain, now_s = domain_separator(chain_id, contract), chain.chain.head.timestamp_s
        figures["disk B/payment"] = await asyncio.to_thread(
            write_past, directory / "bob", signers["bob"], chain_id, domain, past, now_s
        )
        share_network(directory / "bob", directory / "alice", signers["alice"], chain_id)
        figures["disk MB"] = (directory / "bob" / FILE_NAME).stat().st_size / 1e6
        children = {name: _Child(name, config) for name, config in configs.items()}
        for child in children.values():
            await child.ready()
            stack.push_async_callback(child.stop)
        await _measure(figures, children["alice"], children["bob"], chain, transactor, contract)
    return figures


async def _measure(
    figures: Figures, alice: _Child, bob: _Child, chain: DevChainServer, transactor: Transactor, to: bytes
) -> None:
    figures["start s"] = bob.about["start_s"]
    figures["start CPU s"] = bob.about["start_cpu_s"]
    await bob.ask("synced")
    figures["memory MB"] = (await bob.ask("cost"))["rss_mb"]
    figures |= await _listings(bob, int(figures["payments"]))
    where = (bob.about["address"], bob.about["node_id"])
    channel_id = await alice.ask("open", *where)
    other = await bob.ask("open", alice.about["address"], alice.about["node_id"])
    for child in (alice, bob):
        await child.ask("usable", other)
    figures["tick us"] = await bob.ask("tick") * 1e6

    async def used(action: Callable[[], Awaitable[Any]], times: int) -> float:
        """CPU milliseconds that one of `times` costs bob, what it uses when idle taken off."""
        before, begin = await bob.cpu_s(), time.perf_counter()
        await action()
        elapsed_s = time.perf_counter() - begin
        return (await bob.cpu_s() - before - idle * elapsed_s) * 1e3 / times

    before = await bob.cpu_s()
    await asyncio.sleep(IDLE_S)
    idle = (await bob.cpu_s() - before) / IDLE_S
    figures["idle CPU %"] = idle * 100
    texts = await alice.ask("invoices", 2 * PAYMENTS)
    await bob.ask("pay", texts[:PAYMENTS])  # what is asked for the first time is slower
    taken: list[float] = []

    async def pay() -> None:
        taken.extend(await bob.ask("pay", texts[PAYMENTS:]))

    figures["payment CPU ms"] = await used(pay, PAYMENTS)
    figures["payment p50 ms"] = statistics.median(taken) * 1e3

    async def blocks() -> None:
        for _ in range(BLOCKS):
            chain.chain.mine(1)
            await asyncio.sleep(0.25)  # longer than a poll: each is seen on its own

    async def secrets() -> None:
        for n in range(BLOCKS):
            data = calls.register_secret(n.to_bytes(32, "big"))
            await transactor.execute(f"secret:{n}", Request(to, data))
            await asyncio.sleep(0.25)

    async def reconnect() -> None:
        for _ in range(RECONNECTS):
            await alice.ask("reconnect", *where, channel_id)

    figures["empty block CPU ms"] = await used(blocks, BLOCKS)
    figures["block with a secret CPU ms"] = await used(secrets, BLOCKS)
    figures["reconnect CPU ms"] = await used(reconnect, RECONNECTS)


def _targets(payments: int) -> dict[str, str]:
    middle = payments // 2
    return {
        "info": "/v1/info",
        "peers": "/v1/peers",
        "peers, 1,000": "/v1/peers?limit=1000",
        "channels": "/v1/channels",
        "channels, 1,000": "/v1/channels?limit=1000",
        "channels, last page": "/v1/channels?before=100",
        "payments, newest": "/v1/payments",
        "payments, 1,000": "/v1/payments?limit=1000",
        "payments, middle": f"/v1/payments?before={2 * middle}",
        "payments, last page": "/v1/payments?before=202",
        "payments, the failed": "/v1/payments?status=failed",
        "payments, none is pending": "/v1/payments?status=pending",
        "invoices, newest": "/v1/invoices",
        "invoices, 500": "/v1/invoices?limit=500",
        "invoices, middle": f"/v1/invoices?before={2 * (middle // 10) or 2}",
        "trades, newest": "/v1/options/trades",
        "positions": "/v1/options/positions",
    }


async def _listings(bob: _Child, payments: int) -> Figures:
    """Of each listing call: the milliseconds it takes, HTTP and JSON of both ends included, and bob's CPU."""
    found: Figures = {}
    headers = {"Authorization": f"Bearer {read_token(bob.data_dir / 'api.token')}"}
    async with aiohttp.ClientSession(bob.about["api"], headers=headers) as session:
        for name, target in _targets(payments).items():
            taken_s = []
            before = await bob.cpu_s()
            for _ in range(ASKED):
                begin = time.perf_counter()
                async with session.get(target) as answer:
                    assert answer.status == 200, (target, await answer.text())
                    await answer.json()
                taken_s.append(time.perf_counter() - begin)
            found[f"{name} ms"] = statistics.median(taken_s) * 1e3
            found[f"{name} CPU ms"] = (await bob.cpu_s() - before) / ASKED * 1e3
    return found


# The table -----------------------------------------------------------------------------------------


def _numbers(text: str) -> list[int]:
    return [int(number.replace("_", "")) for number in text.split(",")]


def run(options: list[str]) -> dict[str, Any]:
    """A row for each figure, a column for each size. Raises SystemExit for options that make no sense."""
    parser = argparse.ArgumentParser("bench scale")
    parser.add_argument("--channels", type=_numbers, default=[100, 1_000, 10_000])
    parser.add_argument("--payments", type=_numbers, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--full", action="store_true", help="100,000 to 10,000,000 payments")
    parser.add_argument("--dir", type=Path, default=None, help="where the databases go")
    chosen = parser.parse_args(options)
    payments = [100_000, 1_000_000, 10_000_000] if chosen.full else chosen.payments
    if len(chosen.channels) != len(payments):
        parser.error("expected as many numbers of channels as of payments")
    print(
        f"conditions: {os.cpu_count()} cores, Python {platform.python_version()}, SQLite "
        f"{sqlite3.sqlite_version} synchronous=FULL, the medians of "
        f"{ASKED} HTTP requests, means of {PAYMENTS} payments, {BLOCKS} blocks, {RECONNECTS} reconnects"
    )
    columns = []
    for past in map(Past, chosen.channels, payments):
        with tempfile.TemporaryDirectory(dir=chosen.dir) as name:
            columns.append(asyncio.run(_run(past, Path(name))))
    _print(columns)
    return {"columns": columns}


def _print(columns: list[Figures]) -> None:
    for name in columns[0]:
        digits = 0 if name in ("channels", "payments", "disk B/payment") else 2
        print(f"  {name:34}" + "".join(f"{column[name]:16,.{digits}f}" for column in columns))
