"""What misbehaving peers cost a hub: its memory and CPU, and the payments of an honest peer meanwhile.

alice pays bob over a channel, one payment after the other, from a process of her own; bob is the hub, in
another. mallory has a channel with him too, and a real daemon, here, of which an attack takes the mouth;
sixteen strangers without a channel are here as well.
For each attack: alice's latency before and during it, bob's resident memory and CPU.
"""

import argparse
import asyncio
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

from bench.mallory import ATTACKS, Mallory
from bench.strangers import FLOODS
from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.rpc import RpcClient, RpcSettings
from channeld.adapters.chain.transactions import TransactionSettings, deploy, open_transactor
from channeld.adapters.signer import Signer
from channeld.config.settings import (
    ApiSettings,
    ChainSettings,
    ChannelSettings,
    Config,
    NodeSettings,
    PeerSettings,
)
from channeld.daemon.app import running
from channeld.daemon.commands import Daemon
from channeld.services.devchain.accounts import development_account
from channeld.services.devchain.server import serve
from channeld.services.devchain.settings import DevChainSettings
from contracts.artifacts import adjudicator

ETHER = 10**18
AMOUNT = 10**9
INVOICES = 1_000
SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Seen:
    """Of bob's process: resident memory and CPU used so far."""

    memory_mb: float
    cpu_s: float


# --- the honest ones, each in a process ---------------------------------------------------------------------


def _process(name: str, config: Config, pipe: Connection) -> None:
    uvloop.run(_serve(name, config, pipe))


async def _serve(name: str, config: Config, pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    async with running(config, Signer(development_account(name).key)) as daemon:
        pipe.send((daemon.signer.public_key, daemon.listen_port))
        while True:
            order, *arguments = await loop.run_in_executor(None, pipe.recv)
            if order == "stop":
                break
            pipe.send(await _ORDERS[order](daemon, *arguments))


async def _open(daemon: Daemon, node_id: bytes, port: int) -> bytes:
    await daemon.connect(f"{node_id.hex()}@127.0.0.1:{port}")
    return (await daemon.open_channel(node_id, "ETH", ETHER, None, 60.0)).channel_id


async def _invoices(daemon: Daemon) -> list[str]:
    return [made.text for made in await daemon.create_invoice("ETH", AMOUNT, "", 86_400, INVOICES)]


async def _pay(daemon: Daemon, invoices: list[str], seconds: float) -> list[float]:
    """One after the other for `seconds`; how long each took."""
    latencies: list[float] = []
    end_s = time.perf_counter() + seconds
    for text in invoices:
        start_s = time.perf_counter()
        if start_s > end_s:
            break
        paid = await daemon.pay(text, None, None, 60.0)
        assert paid.status == "succeeded", paid.failure
        latencies.append(time.perf_counter() - start_s)
    return latencies


async def _seen(_: Daemon) -> Seen:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Seen(_resident_pages() * os.sysconf("SC_PAGE_SIZE") / 2**20, usage.ru_utime + usage.ru_stime)


def _resident_pages() -> int:
    """Of this process (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1])


_ORDERS: dict[str, Callable[..., Awaitable[Any]]] = {
    "open": _open,
    "invoices": _invoices,
    "pay": _pay,
    "seen": _seen,
}


@dataclass(slots=True)
class Person:
    """An honest daemon in a process."""

    pipe: Connection
    node_id: bytes = b""
    port: int = 0

    async def answer(self) -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, self.pipe.recv)

    async def ask(self, *order: Any) -> Any:
        self.pipe.send(order)
        return await self.answer()


# --- the measurement ----------------------------------------------------------------------------------------


def run(options: list[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser("bench hostile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="before and during each attack")
    chosen = parser.parse_args(options)
    print(
        f"conditions: {os.cpu_count()} cores shared by alice, bob and mallory, Python "
        f"{platform.python_version()}, SQLite, {sys.platform}; {chosen.seconds:g} s before and during each"
    )
    return asyncio.run(_run(chosen.seconds))


async def _run(seconds: float) -> dict[str, Any]:
    attacks: dict[str, Any] = {}
    print(f"{'':24}{'p50 ms':>16}{'p99 ms':>16}{'memory MB':>18}{'CPU':>8}{'said':>9}{'dropped':>9}")
    for name, attack in (ATTACKS | FLOODS).items():
        async with _town() as (alice, bob, mallory):
            invoices = await bob.ask("invoices")
            await alice.ask("pay", invoices[:50], seconds)
            before_seen = await bob.ask("seen")
            before = await alice.ask("pay", invoices[50:], seconds / 2)
            begun_seen = await bob.ask("seen")
            attacking = asyncio.create_task(attack(mallory))
            during = await alice.ask("pay", (await bob.ask("invoices")), seconds)
            peak, ended_seen = await _watch(bob), await bob.ask("seen")
            assert not attacking.done(), attacking.exception()
            attacking.cancel()
            figures = {
                "before_p50_ms": _quantile(before, 0.5),
                "before_p99_ms": _quantile(before, 0.99),
                "during_p50_ms": _quantile(during, 0.5),
                "during_p99_ms": _quantile(during, 0.99),
                "payments": len(during),
                "memory_before_mb": round(before_seen.memory_mb, 1),
                "memory_after_mb": round(max(peak, ended_seen.memory_mb), 1),
                "cpu_cores": round((ended_seen.cpu_s - begun_seen.cpu_s) / seconds, 2),
                "said": mallory.said,
                "dropped": mallory.dropped,
            }
            attacks[name] = figures
            _show(name, figures)
    return {"attacks": attacks}


async def _watch(bob: Person) -> float:
    """The largest of some looks at bob's memory while the attack goes on."""
    most_mb = 0.0
    for _ in range(5):
        seen: Seen = await bob.ask("seen")
        most_mb = max(most_mb, seen.memory_mb)
        await asyncio.sleep(0.1)
    return most_mb


def _quantile(latencies_s: list[float], share: float) -> float:
    assert latencies_s, "alice could not pay at all"
    ordered = sorted(latencies_s)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3, 2)


def _show(name: str, f: dict[str, Any]) -> None:
    print(
        f"{name:24}{f['before_p50_ms']:7.1f} →{f['during_p50_ms']:7.1f}"
        f"{f['before_p99_ms']:7.1f} →{f['during_p99_ms']:7.1f}"
        f"{f['memory_before_mb']:8.1f} →{f['memory_after_mb']:8.1f}"
        f"{f['cpu_cores']:8.2f}{f['said']:9}{f['dropped']:9}",
        flush=True,
    )


@asynccontextmanager
async def _town() -> AsyncIterator[tuple[Person, Person, Mallory]]:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="channeld-bench-")))
        chain = await serve(DevChainSettings(port=0))
        stack.push_async_callback(chain.close)
        config = await _config(chain.url, directory)
        context = multiprocessing.get_context("spawn")
        people = []
        for name in ("bob", "alice"):
            pipe, theirs = context.Pipe()
            own = replace(config, node=replace(config.node, alias=name, data_dir=directory / name))
            child = context.Process(target=_process, args=(name, own, theirs), daemon=True)
            child.start()
            stack.callback(child.join, 15.0)
            stack.callback(pipe.send, ("stop",))
            person = Person(pipe)
            person.node_id, person.port = await person.answer()
            people.append(person)
        bob, alice = people
        own = replace(config, node=replace(config.node, alias="mallory", data_dir=directory / "mallory"))
        signer = Signer(development_account("mallory").key)
        daemon = await stack.enter_async_context(running(own, signer))
        await alice.ask("open", bob.node_id, bob.port)
        mallory = Mallory(daemon, bob.node_id, bob.port, await _open(daemon, bob.node_id, bob.port))
        first, _ = await daemon.payments(None, 1)
        assert first == []
        (text, *_) = await bob.ask("invoices")
        await _pay(daemon, [text], 10.0)  # so that there is a state to ask for
        mallory.dropped = 0
        yield alice, bob, mallory


async def _config(rpc_url: str, directory: Path) -> Config:
    """The contract, money for everybody, and a configuration that all share."""
    async with (
        RpcClient(RpcSettings(rpc_url)) as rpc,
        open_transactor(
            rpc,
            Signer(development_account("0").key),
            directory / "deployer.db",
            TransactionSettings(poll_s=0.02),
        ) as transactor,
    ):
        contract = await deploy(transactor, rpc, "adjudicator", adjudicator().bytecode)
        for name in ("alice", "bob", "mallory"):
            to = development_account(name).address
            await transactor.execute(f"fund:{name}", Request(to, b"", 1_000 * ETHER))
    return Config(
        node=NodeSettings(data_dir=directory, log_level="error"),
        chain=ChainSettings(
            rpc_url=rpc_url,
            chain_id=DevChainSettings().chain_id,
            adjudicator=contract,
            confirmations=1,
            poll_interval_s=0.1,
            clock_skew_limit_s=3_600,
        ),
        peer=PeerSettings(listen_host="127.0.0.1", listen_port=0),
        api=ApiSettings(port=0),
        channel=ChannelSettings(challenge_period_s=3_600),
    )
