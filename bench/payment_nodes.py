"""One daemon of the payment benchmark in its own process: told what to do over a pipe, its costs counted."""

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from channeld.adapters.journal.sqlite import FILE_NAME
from channeld.adapters.signer import Signer
from channeld.api.token import read_token
from channeld.config.settings import Config
from channeld.daemon.app import running, settle_memory
from channeld.daemon.commands import Daemon
from channeld.services.devchain.accounts import development_account

BULK = 1_000
"""Invoices fetched at once: the API's limit."""
AMOUNT = 10**9
"""Of a payment: a gwei, the smallest claim that the default configuration takes."""
PAYMENT_TIMEOUT_S = 60.0
OPEN_TIMEOUT_S = 120.0
OPEN_AT_ONCE = 20
"""Deposits that wait for the chain together; 200 at once would only wait for each other's nonce."""


class CountingSigner(Signer):
    """Counts what it signs."""

    __slots__ = ("signatures",)

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self.signatures = 0

    def sign_digest(self, digest: bytes) -> bytes:
        self.signatures += 1
        return super().sign_digest(digest)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process has used so far. `written_bytes`: handed to the disk, `kept_bytes`: in the database."""

    cpu_s: float
    commits: int
    signatures: int
    wire_bytes: int
    written_bytes: int
    kept_bytes: int

    def since(self, before: "Spent") -> "Spent":
        return Spent(
            self.cpu_s - before.cpu_s,
            self.commits - before.commits,
            self.signatures - before.signatures,
            self.wire_bytes - before.wire_bytes,
            self.written_bytes - before.written_bytes,
            self.kept_bytes - before.kept_bytes,
        )


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load came to: the seconds that each payment took, and all of them together."""

    latencies_s: list[float]
    took_s: float


def serve_node(name: str, config: Config, pipe: Connection) -> None:
    """The process: a daemon as `channeld run` runs it."""
    uvloop.run(_Node(name, config, pipe).serve())


class _Node:
    """Answers orders, (name, arguments...), one after the other."""

    def __init__(self, name: str, config: Config, pipe: Connection) -> None:
        self._config = config
        self._pipe = pipe
        self._signer = CountingSigner(development_account(name).key)
        self._commits = 0
        self._daemon: Daemon

    def _committed(self, ordinal: int) -> None:
        self._commits = ordinal

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        async with running(self._config, self._signer, self._committed) as self._daemon:
            settle_memory()
            self._pipe.send((self._signer.public_key, self._daemon.listen_port))
            while True:
                order, *arguments = await loop.run_in_executor(None, self._pipe.recv)
                if order == "stop":
                    break
                self._pipe.send(await getattr(self, f"order_{order}")(*arguments))
        self._pipe.send(None)

    async def order_connect(self, address: str) -> None:
        await self._daemon.connect(address)

    async def order_open(self, peer: bytes, amount: int, count: int) -> list[bytes]:
        """`count` channels with one peer; their ids."""
        places = asyncio.Semaphore(OPEN_AT_ONCE)

        async def one() -> bytes:
            async with places:
                opened = await self._daemon.open_channel(peer, "ETH", amount, None, OPEN_TIMEOUT_S)
            return opened.channel_id

        opened = list(await asyncio.gather(*(one() for _ in range(count))))
        while not self._daemon._tables.terms.keys() >= set(opened):  # what the peer says about pushes
            await asyncio.sleep(0.01)
        return opened

    async def order_policies(self) -> int:
        """How many channel ends this node knows the policy of."""
        return len(self._daemon.peering._gossip.known())

    async def order_invoices(self, count: int) -> list[str]:
        made: list[str] = []
        while len(made) < count:
            some = await self._daemon.create_invoice("ETH", AMOUNT, "", 86_400, BULK)
            made += [invoice.text for invoice in some]
        return made

    async def order_load(
        self, kind: str, given: list[str], in_flight: int, channels: list[bytes], seconds: float
    ) -> Loaded:
        return await _keep_going(LOADS[kind](self._daemon), given, in_flight, channels, seconds)

    async def order_api(self) -> tuple[str, str]:
        return self._daemon.api_url, read_token(self._config.node.data_dir / "api.token")

    async def order_spent(self) -> Spent:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        transport = self._daemon.peering.transport
        lines = [transport.connection(peer) for peer in self._daemon.peering.connected()]
        return Spent(
            usage.ru_utime + usage.ru_stime,
            self._commits,
            self._signer.signatures,
            sum(line.sent_bytes for line in lines if line is not None),
            _written_bytes(),
            _kept_bytes(self._config.node.data_dir),
        )


PayOne = Callable[[str, bytes | None], Awaitable[None]]
"""One payment of what was fetched beforehand, over the channel with the given id (None: over any)."""


def _by_invoice(daemon: Daemon) -> PayOne:
    """The path of `channeld pay`, without HTTP."""

    async def pay(text: str, channel_id: bytes | None) -> None:
        paid = await daemon.pay(text, None, None, PAYMENT_TIMEOUT_S, channel_id)
        assert paid.status == "succeeded", paid.failure

    return pay


def _by_push(daemon: Daemon) -> PayOne:
    """A push to a neighbour, with an answer of its own. Given are its node id and the stream, in hex."""

    async def pay(text: str, _: bytes | None) -> None:
        peer, stream = map(bytes.fromhex, text.split())
        pushed = await daemon.push(peer, "ETH", stream, (AMOUNT,), PAYMENT_TIMEOUT_S)
        assert pushed.sent == 1, pushed.failure

    return pay


LOADS: dict[str, Callable[[Daemon], PayOne]] = {"payments": _by_invoice, "pushes": _by_push}
"""What can be measured, by the name that a case of `bench.payments` gives."""


async def _keep_going(
    pay: PayOne, given: list[str], in_flight: int, channels: list[bytes], seconds: float
) -> Loaded:
    """Keep `in_flight` payments going on each of the channels (none named: on any) for `seconds`."""
    latencies: list[float] = []
    waiting = iter(given)
    begin_s = time.perf_counter()
    end_s = begin_s + seconds

    async def worker(channel_id: bytes | None) -> None:
        for text in waiting:
            start_s = time.perf_counter()
            if start_s > end_s and len(latencies) > 1:
                return  # quantiles need two
            await pay(text, channel_id)
            latencies.append(time.perf_counter() - start_s)

    lanes: list[bytes | None] = [*channels] or [None]
    await asyncio.gather(*(worker(lane) for lane in lanes for _ in range(in_flight)))
    return Loaded(latencies, time.perf_counter() - begin_s)


def _written_bytes() -> int:
    """What this process has caused to be written to disks (Linux; 0 elsewhere)."""
    counters = Path("/proc/self/io")
    if not counters.exists():
        return 0
    lines = dict(line.split(": ") for line in counters.read_text().splitlines())
    return int(lines["write_bytes"])


def _kept_bytes(data_dir: Path) -> int:
    """The database's own file; what waits in its log is up to 4 MB more."""
    file = data_dir / FILE_NAME
    return file.stat().st_size if file.exists() else 0
