"""What misbehaving peers cost a hub: its memory and CPU, and the payments of an honest peer meanwhile.

alice pays bob over a channel, one payment after the other, from a process of her own; bob is the hub, in
another. mallory has a channel with him too, and a real daemon, here, of which an attack takes the mouth.
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
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.rpc import RpcClient, RpcSettings
from channeld.adapters.chain.transactions import TransactionSettings, deploy, open_transactor
from channeld.adapters.signer import Signer
from channeld.adapters.transport.connection import Connection as Line
from channeld.config.settings import (
    ApiSettings,
    ChainSettings,
    ChannelSettings,
    Config,
    NodeSettings,
    PeerSettings,
)
from channeld.core.channel import Ack, Channel, Reestablish, Update, child_version
from channeld.core.claims import Claim
from channeld.core.errors import ChanneldError
from channeld.core.events import Event, MessageReceived, PaymentRequested
from channeld.core.identity import ETH
from channeld.core.messages import ForwardTo
from channeld.core.operations import MAX_CLAIMS_PER_SIDE, Add, apply_operations
from channeld.daemon.app import running
from channeld.daemon.commands import Daemon
from channeld.services.devchain.accounts import development_account
from channeld.services.devchain.server import serve
from channeld.services.devchain.settings import DevChainSettings
from channeld.wire.eip712 import state_digest
from channeld.wire.messages import encode
from channeld.wire.packet import encode_instruction
from contracts.artifacts import adjudicator

ETHER = 10**18
AMOUNT = 10**9
INVOICES = 1_000
SECONDS = 4.0
FULL_MESSAGES = 1_000
"""mallory's own daemon drops a connection with 8,192 messages unsent: she stays far below."""
PACKET_BYTES = 1_900


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


# --- mallory ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Mallory:
    """A daemon whose connection to bob an attack uses as it likes. `said` counts messages."""

    daemon: Daemon
    bob: Person
    channel_id: bytes
    said: int = 0
    dropped: int = 0

    @property
    def channel(self) -> Channel:
        record = self.daemon.engine.tables.records[Channel][self.channel_id]
        assert isinstance(record, Channel)
        return record

    def be_deaf(self) -> None:
        """Her own daemon hears bob no more: it would object to what she does."""
        engine = self.daemon.engine
        hear = engine.post

        def post(event: Event | Any) -> None:
            if not isinstance(event, MessageReceived):
                hear(event)

        engine.post = post  # type: ignore[method-assign]

    async def line(self) -> Line:
        """Her connection, made again whenever bob has ended it."""
        transport = self.daemon.peering.transport
        while True:
            line = transport.connection(self.bob.node_id)
            if line is not None and not line.ended.is_set():
                return line
            self.dropped += 1
            try:
                return await transport.connect(self.bob.node_id, f"ws://127.0.0.1:{self.bob.port}/")
            except ChanneldError:
                await asyncio.sleep(0.05)

    async def say(self, line: Line, words: list[bytes]) -> None:
        """As much as the line takes."""
        while line.unsent < FULL_MESSAGES and line.send(words[self.said % len(words)]):
            self.said += 1
        await asyncio.sleep(0)


async def reads_nothing(mallory: Mallory) -> None:
    """Asks again and again for the newest state, which is larger than the question, and reads no answer."""
    mallory.be_deaf()
    question = encode(Reestablish(mallory.channel_id, 0, 0, 0, 0))
    while True:
        line = await mallory.line()
        line._socket._transport.pause_reading()
        await mallory.say(line, [question])


async def floods(mallory: Mallory) -> None:
    """Answers to nothing, as fast as the wire takes them."""
    mallory.be_deaf()
    while True:
        await mallory.say(await mallory.line(), [encode(Ack(mallory.channel_id, 10**6, bytes(64)))])


async def half_a_frame(mallory: Mallory) -> None:
    """The head of a frame of 60 kB, and then a byte now and then."""
    mallory.be_deaf()
    line = await mallory.line()
    socket = line._socket._transport
    socket.write(b"\x82\xfe\xea\x60" + bytes(4))
    while not line.ended.is_set():
        socket.write(b"\x00")
        mallory.said += 1
        await asyncio.sleep(0.01)
    await asyncio.Event().wait()


async def conflicts(mallory: Mallory) -> None:
    """Two states of one version, by turns, both signed."""
    mallory.be_deaf()
    channel = mallory.channel
    version = child_version(channel.theirs.version, channel.me)
    words = []
    for amount in (AMOUNT, 2 * AMOUNT):
        claim_id = channel.theirs.last_ids[channel.me] + 2
        deadline_s = mallory.daemon.engine.tables.now_s + 600
        claim = Claim(claim_id, amount, sha256(bytes([amount % 7])).digest(), deadline_s)
        add = Add(claim, b"\x00")
        state = apply_operations(
            channel.theirs, version, channel.me, [add], mallory.daemon.engine.tables, ours=True
        )
        signature = mallory.daemon.signer.sign_digest(
            state_digest(mallory.daemon.domain, mallory.channel_id, state)
        )
        update = Update(mallory.channel_id, version, channel.theirs.version, (add,), signature)
        words.append(encode(update))
    while True:
        await mallory.say(await mallory.line(), words)


async def most_claims(mallory: Mallory) -> None:
    """All the claims that a side may have, each with a large packet for nobody; again when they are back."""
    engine = mallory.daemon.engine
    deadline_s = engine.tables.now_s + 600
    packet = encode_instruction(ForwardTo(bytes(32), 1, deadline_s, bytes(PACKET_BYTES), None))
    while True:
        for _ in range(MAX_CLAIMS_PER_SIDE):
            mallory.said += 1
            hashlock = sha256(mallory.said.to_bytes(8, "big")).digest()
            request = PaymentRequested(
                hashlock, mallory.bob.node_id, ETH, AMOUNT, 0, mallory.channel_id, deadline_s, packet, "", 0
            )
            engine.post_for(request, asyncio.get_running_loop().create_future())
        await engine.caught_up()
        while mallory.channel.theirs.claims or mallory.channel.waiting or not mallory.channel.answered:
            await asyncio.sleep(0.001)


ATTACKS = {
    "reads nothing": reads_nothing,
    "floods": floods,
    "half a frame": half_a_frame,
    "conflicting versions": conflicts,
    "240 claims at once": most_claims,
}


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
    for name, attack in ATTACKS.items():
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
        mallory = Mallory(daemon, bob, await _open(daemon, bob.node_id, bob.port))
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
