"""The processes of one run of the payment benchmark: a chain here, daemons in a line from payer to payee."""

import asyncio
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psycopg

from bench.payment_nodes import Spent, serve_node
from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.rpc import RpcClient, RpcSettings
from channeld.adapters.chain.transactions import TransactionSettings, deploy, open_transactor
from channeld.adapters.signer import Signer
from channeld.config.settings import (
    ApiSettings,
    ChainSettings,
    ChannelSettings,
    Config,
    DatabaseSettings,
    NodeSettings,
    PeerSettings,
)
from channeld.services.devchain.accounts import development_account
from channeld.services.devchain.server import serve
from channeld.services.devchain.settings import DevChainSettings
from contracts.artifacts import adjudicator
from tests.postgres_server import PostgresServer, serving

ETHER = 10**18
HUBS = ("hub1", "hub2", "hub3")
MAX_HOPS = len(HUBS) + 1
STOP_S = 15.0
CLOCK_TICKS_A_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Cluster:
    """Running daemons by name, payer first, payee last. `channels`: ids of the payer's."""

    names: tuple[str, ...]
    directory: Path
    database: PostgresServer | None
    pipes: dict[str, Connection] = field(default_factory=dict)
    ids: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    channels: list[bytes] = field(default_factory=list)

    async def ask(self, name: str, *order: Any) -> Any:
        self.pipes[name].send(order)
        return await self._answer(name)

    async def _answer(self, name: str) -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, self.pipes[name].recv)

    async def greeted(self) -> None:
        """Wait until every daemon has said who it is and where it listens."""
        for name in self.names:
            self.ids[name] = await self._answer(name)

    async def open(self, channels: int) -> None:
        """Channels from each to the next, `channels` of them from the payer; until the payer knows all."""
        total = 0
        for one, other in zip(self.names, self.names[1:], strict=False):
            node_id, port = self.ids[other]
            await self.ask(one, "connect", f"{node_id.hex()}@127.0.0.1:{port}")
            count = channels if one == "payer" else 1
            opened = await self.ask(one, "open", node_id, ETHER, count)
            total += count
            if one == "payer":
                self.channels = opened
        while await self.ask("payer", "policies") < 2 * total:
            await asyncio.sleep(0.05)

    async def spent(self) -> dict[str, Spent]:
        """By process; the database server's is the `postgres` row."""
        spent: dict[str, Spent] = {name: await self.ask(name, "spent") for name in self.names}
        if self.database is not None:
            spent["postgres"] = _server_spent(self.database)
        return spent

    async def stop(self) -> None:
        for name in self.names:
            await self.ask(name, "stop")


def _config(name: str, directory: Path, database_url: str, rpc_url: str, contract: bytes) -> Config:
    """The default configuration on a private chain; a block counts at once, because nothing is measured
    there, and the chain's clock may lag behind, because it stands still while no block is made."""
    return Config(
        node=NodeSettings(alias=name, data_dir=directory / name, log_level="error"),
        database=DatabaseSettings(url=database_url),
        chain=ChainSettings(
            rpc_url=rpc_url,
            chain_id=DevChainSettings().chain_id,
            adjudicator=contract,
            confirmations=1,
            poll_interval_s=0.5,
            clock_skew_limit_s=3_600,
        ),
        peer=PeerSettings(listen_host="127.0.0.1", listen_port=0),
        api=ApiSettings(port=0),
        channel=ChannelSettings(challenge_period_s=3_600),
    )


@asynccontextmanager
async def running_cluster(hops: int, channels: int, database: str) -> AsyncIterator[Cluster]:
    """Daemons with open channels; `hops` channels on the path, `channels` from the payer to the next."""
    names = ("payer", *HUBS[: hops - 1], "payee")
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="channeld-bench-")))
        server = stack.enter_context(serving()) if database == "postgres" else None
        chain = await serve(DevChainSettings(port=0))
        stack.push_async_callback(chain.close)
        contract = await _prepare(chain.url, directory, names)
        cluster = Cluster(names, directory, server)
        context = multiprocessing.get_context("spawn")
        for name in names:
            url = server.new_schema() if server is not None else ""
            config = _config(name, directory, url, chain.url, contract)
            cluster.pipes[name], theirs = context.Pipe()
            child = context.Process(target=serve_node, args=(name, config, theirs), name=name)
            child.start()
            stack.callback(_end, child)
        await cluster.greeted()
        await cluster.open(channels)
        yield cluster
        await cluster.stop()


def _end(child: multiprocessing.process.BaseProcess) -> None:
    child.join(STOP_S)
    if child.is_alive():
        child.kill()


async def _prepare(rpc_url: str, directory: Path, names: tuple[str, ...]) -> bytes:
    """Deploy the contract and give every node money; the contract's address."""
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
        for name in names:
            to = development_account(name).address
            await transactor.execute(f"fund:{name}", Request(to, b"", 1_000 * ETHER))
        return contract


def _server_spent(server: PostgresServer) -> Spent:
    """CPU of the server's processes, its log (written) and its database (kept)."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'), pg_database_size(current_database())"
        ).fetchone()
    assert row is not None and server.process is not None
    return Spent(_cpu_below_s(server.process.pid), 0, 0, 0, int(row[0]), int(row[1]))


def _cpu_below_s(parent: int) -> float:
    """CPU seconds of a process and its children, those that have ended included (Linux)."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(entry.parent.name) == parent:
            total += sum(int(ticks) for ticks in fields[11:15])
        elif int(fields[1]) == parent:
            total += int(fields[11]) + int(fields[12])
    return total / CLOCK_TICKS_A_S


def fsync_p50_us(rounds: int = 200) -> float:
    """Median time of a 4 kB write with fdatasync, where the daemons have their databases."""
    times: list[float] = []
    with tempfile.TemporaryFile(prefix="channeld-bench-") as file:
        for _ in range(rounds):
            begin_s = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begin_s) * 1e6)
    return statistics.median(times)
