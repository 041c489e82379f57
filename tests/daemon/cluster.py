"""Whole daemons on a real chain, with real sockets and disks, in one process."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from channeld.adapters.chain import calls
from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.reads import TokenReader
from channeld.adapters.chain.rpc import RpcClient, RpcSettings
from channeld.adapters.chain.transactions import TransactionSettings, deploy, open_transactor
from channeld.adapters.signer import Signer
from channeld.config.settings import (
    ApiSettings,
    AssetSettings,
    ChainSettings,
    ChannelSettings,
    Config,
    FeedSettings,
    NodeSettings,
    OptionSettings,
    PeerSettings,
)
from channeld.core.channel import Ack, Channel, Update
from channeld.core.effects import Effect
from channeld.core.events import MessageReceived
from channeld.core.identity import ETH
from channeld.core.records import Dispute
from channeld.daemon import app
from channeld.daemon.commands import Daemon
from channeld.services.audit import audit
from channeld.services.devchain.accounts import development_account
from channeld.services.devchain.server import DevChainServer, serve
from channeld.services.devchain.settings import DevChainSettings
from channeld.services.oracle import Oracle, OracleServer, OracleSettings, PriceBook, chain_clock
from channeld.services.oracle import serve as serve_oracle
from contracts.artifacts import adjudicator, erc20_test_token

ETHER = 10**18
USD = 10**6
ORACLE_TOKEN = "a token for the tests only"


@dataclass
class Cluster:
    """A chain, an oracle and daemons by name. Amounts in smallest units."""

    chain: DevChainServer
    rpc: RpcClient
    oracle: OracleServer
    rules: Oracle
    adjudicator: bytes
    token: bytes
    feed: FeedSettings
    directory: Path
    stack: AsyncExitStack
    names: tuple[str, ...]
    daemons: dict[str, Daemon] = field(default_factory=dict)
    lives: dict[str, AsyncExitStack] = field(default_factory=dict)
    clock_skew_limit_s: int = 3_600
    beginning: dict[bytes, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Daemon:
        return self.daemons[name]

    def node_id(self, name: str) -> bytes:
        return Signer(development_account(name).key).public_key

    def state(self, name: str, channel_id: bytes) -> Channel:
        """A channel as a daemon holds it."""
        record = self[name].engine.tables.records[Channel][channel_id]
        assert isinstance(record, Channel)
        return record

    def config(self, name: str) -> Config:
        usd = AssetSettings(self.token, "USD", 6, max_size_units=10**12)
        eth = AssetSettings(bytes(20), "ETH", 18, max_size_units=10**20)
        return Config(
            node=NodeSettings(alias=name, data_dir=self.directory / name),
            chain=ChainSettings(
                rpc_url=f"http://127.0.0.1:{self.chain.port}",
                chain_id=self.chain.chain.settings.chain_id,
                adjudicator=self.adjudicator,
                confirmations=1,
                poll_interval_s=0.05,
                clock_skew_limit_s=self.clock_skew_limit_s,
            ),
            peer=PeerSettings(listen_host="127.0.0.1", listen_port=0),
            api=ApiSettings(port=0),
            channel=ChannelSettings(challenge_period_s=600, min_challenge_period_s=600),
            option=OptionSettings(quoting=True, quote_lifetime_s=30, underlyings=("ETH/USD",)),
            asset=(eth, usd),
            feed=(replace(self.feed, urls=(self.oracle.url,)),),
        )

    async def chain_goes_away(self) -> None:
        """The Ethereum node answers nobody any more."""
        await self.chain.close()

    async def chain_returns(self) -> None:
        """The same chain, at the same address."""
        settings = replace(self.chain.chain.settings, port=self.chain.port)
        self.chain = await serve(settings)

    async def start(self, name: str) -> Daemon:
        """Start a daemon (again) on its own directory."""
        life = AsyncExitStack()
        signer = Signer(development_account(name).key)
        daemon = await life.enter_async_context(app.running(self.config(name), signer))
        self.daemons[name], self.lives[name] = daemon, life
        return daemon

    async def stop(self, name: str) -> None:
        await self.lives.pop(name).aclose()
        del self.daemons[name]

    def dispute(self, name: str, channel_id: bytes) -> Dispute | None:
        """What a daemon knows of a channel's dispute."""
        record = self[name].engine.tables.records[Dispute].get(channel_id)
        assert record is None or isinstance(record, Dispute)
        return record

    async def dollars(self, name: str) -> int:
        """What somebody has on chain, whether his daemon runs or not."""
        return await TokenReader(self.rpc, self.token).balance(development_account(name).address)

    async def totals(self) -> dict[bytes, int]:
        """Everything that everybody has, on chain and in channels, with the gas that was paid."""
        owners = [development_account(name).address for name in self.names]
        return {
            asset: (await audit(self.rpc, self.adjudicator, asset, owners)).total
            for asset in (ETH, self.token)
        }

    def keep_copy(self, name: str) -> None:
        """Copy the data directory of a daemon that is stopped."""
        assert name not in self.daemons
        shutil.copytree(self.directory / name, self.directory / f"{name}.old")

    def bring_back_copy(self, name: str) -> None:
        """Give a daemon that is stopped its old data directory again."""
        assert name not in self.daemons
        shutil.rmtree(self.directory / name)
        shutil.copytree(self.directory / f"{name}.old", self.directory / name)

    def mute(self, name: str) -> None:
        """Nothing that a daemon says reaches its peers until it is restarted; it does not know."""
        self[name].peering.transport.send = lambda peer_id, data: True  # type: ignore[method-assign]

    def silence(self, name: str, kind: type[Effect]) -> None:
        """From now on a daemon omits one kind of effect: its owner has changed its program."""
        engine = self[name].engine
        honest = engine._act
        engine._act = lambda effect: None if isinstance(effect, kind) else honest(effect)

    def deafen(self, name: str, peer_id: bytes) -> None:
        """From now on a daemon overhears whatever a peer signs."""
        engine = self[name].engine
        hear = type(engine).post.__get__(engine)

        def post(event: object) -> None:
            heard = isinstance(event, MessageReceived) and event.peer == peer_id
            if not (heard and isinstance(event.message, Update | Ack)):
                hear(event)

        engine.post = post

    def undeafen(self, name: str) -> None:
        """Hear everything again."""
        self[name].engine.__dict__.pop("post", None)

    async def connect(self, one: str, other: str) -> None:
        target = self[other]
        await self[one].connect(f"{target.signer.public_key.hex()}@127.0.0.1:{target.listen_port}")
        # Greeted here is not yet greeted there.
        await eventually(lambda: target.peering.is_connected(self[one].signer.public_key))

    async def open(self, one: str, other: str, asset: str, amount: int, other_amount: int) -> bytes:
        """A channel funded by both; returns its id."""
        opened = await self[one].open_channel(self[other].signer.public_key, asset, amount, None, 20.0)
        if other_amount:
            await self[other].deposit(opened.channel_id, other_amount, 20.0)
        await eventually(lambda: self[one]._channel(opened.channel_id).announced.a >= 0)
        return opened.channel_id

    @property
    def now_s(self) -> int:
        """The chain's time: that of its latest block."""
        return self.chain.chain.head.timestamp_s

    def advance(self, seconds: int) -> None:
        """Move the chain's clock."""
        self.chain.chain.advance_time_s(seconds)

    def reach(self, instant_s: int) -> None:
        """Mine a block whose time is `instant_s`, unless the chain is there already."""
        if self.now_s < instant_s:
            self.chain.chain.mine(1, timestamp_s=instant_s)

    async def price(self, instant_s: int, usd: int) -> None:
        """The oracle signs a price."""
        await self.rules.publish(self.feed.feed().feed_id, instant_s, usd * 10**8)


async def eventually(check, timeout_s: float = 15.0) -> None:
    """Wait until something holds; the last look decides."""
    end = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def cluster(
    directory: Path,
    *names: str,
    running: Collection[str] | None = None,
    clock_skew_limit_s: int = 3_600,
) -> AsyncIterator[Cluster]:
    """A chain with the contracts, an oracle, funded accounts, and daemons, all of them running if not said.

    A story that ends well must have conserved all money: what everybody owned at the beginning.
    """
    async with AsyncExitStack() as stack:
        chain = await serve(DevChainSettings(port=0, state_path=directory / "chain.state"))
        rpc = await stack.enter_async_context(RpcClient(RpcSettings(f"http://127.0.0.1:{chain.port}")))
        deployer = Signer(development_account("0").key)
        fast = TransactionSettings(poll_s=0.02)
        async with open_transactor(rpc, deployer, directory / "deployer.db", fast) as transactor:
            contract = await deploy(transactor, rpc, "adjudicator", adjudicator().bytecode)
            token = await deploy(transactor, rpc, "token", erc20_test_token().bytecode)
            for name in names:
                address = development_account(name).address
                chain.chain.fund(address, 100 * ETHER)
                data = calls.SELECTORS["mint"] if "mint" in calls.SELECTORS else bytes.fromhex("40c10f19")
                data += bytes(12) + address + (1_000_000 * USD).to_bytes(32, "big")
                await transactor.execute(f"mint:{name}", Request(token, data))
        signers = [Signer(development_account(f"signer{n}").key) for n in range(3)]
        feed = FeedSettings("ETH/USD", 2, tuple(s.address for s in signers), grace_h=24)
        book = PriceBook(directory / "prices.db")
        stack.callback(book.close)
        rules = Oracle([feed.feed()], signers, book, chain_clock(rpc))
        oracle = await serve_oracle(rules, OracleSettings(ORACLE_TOKEN, port=0))
        stack.push_async_callback(oracle.close)
        made = Cluster(chain, rpc, oracle, rules, contract, token, feed, directory, stack, names)
        made.clock_skew_limit_s = clock_skew_limit_s
        stack.push_async_callback(made.chain_goes_away)
        made.beginning = await made.totals()
        try:
            for name in names if running is None else running:
                await made.start(name)
            yield made
        finally:
            for name in list(made.lives):
                await made.stop(name)
        assert await made.totals() == made.beginning, "money was made or lost"
