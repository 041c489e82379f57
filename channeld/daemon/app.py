"""The wiring: one daemon from its configuration and key, and its life from start to stop."""

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from channeld.adapters.chain.reads import chain_id, code_at, first_block_of, latest_time_s
from channeld.adapters.chain.rpc import RpcClient, RpcSettings
from channeld.adapters.chain.scanner import Scanner, ScannerSettings, checkpoint_at
from channeld.adapters.chain.transactions import TransactionSettings, Transactor, transacting
from channeld.adapters.journal.records import Identity, Journal
from channeld.adapters.oracle import OracleClient
from channeld.adapters.signer import Signer, recover
from channeld.adapters.transport.limits import TransportLimits
from channeld.adapters.transport.peers import PeerTransport
from channeld.api.server import serve_api
from channeld.api.token import load_or_create_token
from channeld.config.settings import AssetSettings, Config
from channeld.core.draft import HubPolicy, PushPolicy, Tables, Toolbox
from channeld.core.effects import Effect
from channeld.core.errors import OperationalError, Rejected
from channeld.core.identity import ChannelParams
from channeld.core.in_flight import FlightLimits
from channeld.core.messages import Hello
from channeld.core.world import Margins
from channeld.daemon.acting import Actor, toolbox
from channeld.daemon.block_times import block_time_s, short_margin
from channeld.daemon.census import Census
from channeld.daemon.clock import ChainClock
from channeld.daemon.commands import Daemon
from channeld.daemon.engine import Engine, LookUp
from channeld.daemon.feeds import Feeds, PriceWatch
from channeld.daemon.funding import Funding
from channeld.daemon.gossip import Gossip
from channeld.daemon.history import PaymentsMade
from channeld.daemon.housekeeping import Housekeeping
from channeld.daemon.invoicing import Invoicing
from channeld.daemon.listing import ChannelPages
from channeld.daemon.paying import Payer
from channeld.daemon.peering import PROTOCOL, Peering
from channeld.daemon.pushing import PushDesk, StreamTotals
from channeld.daemon.quotes import QuoteDesk
from channeld.daemon.registries import PublishedPrices, RegisteredSecrets
from channeld.daemon.routes import Routes
from channeld.daemon.storage import open_storage
from channeld.daemon.submitting import Submitter
from channeld.daemon.views import Catalogue
from channeld.daemon.waiting import Waiters
from channeld.daemon.watching import ChainWatch
from channeld.wire.eip712 import domain_separator

log = logging.getLogger(__name__)

GC_NEW_OBJECTS = 20_000
"""Containers made and not yet freed between two searches of the young ones: some hundred payments in flight
hold fewer, and the search for them takes a few milliseconds."""

STILL_READING_S = 10.0
"""How often a daemon that waits for the chain says so; a week of blocks takes a few seconds."""

OnCommit = Callable[[int], None]
OnReady = Callable[[str, int], None]


def run(
    config: Config,
    signer: Signer,
    on_commit: OnCommit | None = None,
    *,
    offline: bool = False,
    on_ready: OnReady | None = None,
) -> None:
    """Run a daemon in the foreground until it is stopped (SIGINT, SIGTERM, API).

    Raises Rejected for a configuration that cannot work, OperationalError if chain, disk or network
    end it. `on_commit` is called after each durable commit; tests kill the process there. `offline`:
    talk to the chain alone and to no peer, to leave from wherever one is. `on_ready` is told the API's
    URL and the peers' port.
    """
    _log_to(config.node.log_file, config.node.log_level)
    uvloop.run(_main(config, signer, on_commit, offline, on_ready))


def settle_memory() -> None:
    """Tell the garbage collector, once a process is its daemon's alone, what a daemon's memory is like.

    What was restored stays, so it is not searched again; nearly all else is freed by counting, because
    records and states hold no cycles. The default would look for some after every 700 new objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_NEW_OBJECTS, 10, 10)


def _log_to(path: Path | None, level: str) -> None:
    logging.basicConfig(
        filename=path,
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


async def _main(
    config: Config,
    signer: Signer,
    on_commit: OnCommit | None,
    offline: bool,
    on_ready: OnReady | None,
) -> None:
    async with running(config, signer, on_commit, offline=offline) as daemon:
        settle_memory()
        if on_ready is not None:
            on_ready(daemon.api_url, daemon.listen_port)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, daemon.stopping.set)
        bugs: list[BaseException] = []

        def broken(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            """A callback failed in a way that nobody expected: stop before it costs money."""
            loop.default_exception_handler(context)
            bugs.append(context.get("exception") or RuntimeError(str(context.get("message"))))
            daemon.stopping.set()

        loop.set_exception_handler(broken)
        await daemon.stopping.wait()
        log.info("stopping")
        if bugs:
            raise bugs[0]


@asynccontextmanager
async def running(
    config: Config, signer: Signer, on_commit: OnCommit | None = None, *, offline: bool = False
) -> AsyncIterator[Daemon]:
    """A daemon that works while the block runs. Leaving ends connections and tasks, in order."""
    if config.chain.adjudicator is None:
        raise Rejected("expected [chain] adjudicator to name the contract that holds the channels")
    async with AsyncExitStack() as stack:
        rpc = await stack.enter_async_context(RpcClient(RpcSettings(config.chain.rpc_url)))
        await _require_chain(rpc, config)
        if short := short_margin(config, await block_time_s(rpc)):
            log.warning("%s", short)
        identity = Identity(config.chain.chain_id, signer.public_key)
        storage = await stack.enter_async_context(open_storage(config, identity, on_commit))
        transactor = await stack.enter_async_context(
            transacting(rpc, signer, storage.open_outbox, _fees(config))
        )
        oracles = await stack.enter_async_context(OracleClient(recover))
        builder = _Builder(config, signer, rpc, storage.journal)
        daemon, submitter = builder.build(transactor, oracles)
        stack.push_async_callback(submitter.close)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(storage.watch(), name="database")]
            tasks += await _start(config, signer, daemon, rpc, group, stack, offline)
            try:
                yield daemon
            finally:
                daemon.engine.fail_waiting(OperationalError("the daemon stops"))
                for task in tasks:
                    task.cancel()
                await daemon.peering.transport.close()


async def _start(
    config: Config,
    signer: Signer,
    daemon: Daemon,
    rpc: RpcClient,
    group: asyncio.TaskGroup,
    stack: AsyncExitStack,
    offline: bool,
) -> list[asyncio.Task[None]]:
    """Restore, read the chain, and only then listen, dial and serve the API. Any task that fails ends all."""
    prices = PriceWatch(daemon.engine, daemon.feeds)
    # At time 0 what an honest peer says too late or too early looks like a violation.
    daemon.engine.clock.head_seen(await latest_time_s(rpc))
    daemon.engine.restore()
    assert config.chain.adjudicator is not None
    first = await first_block_of(rpc, config.chain.adjudicator)
    start = await checkpoint_at(rpc, max(0, first - 1))
    tasks = [
        group.create_task(daemon.engine.run(), name="engine"),
        group.create_task(daemon.watch.run(start), name="chain"),
        group.create_task(prices.run(), name="prices"),
        group.create_task(daemon.peering.patience.run(daemon.peering.transport), name="patience"),
        group.create_task(Housekeeping(daemon.engine, config.database.keep_days).run(), name="housekeeping"),
    ]
    await _catch_up(daemon)
    if not offline:
        transport = daemon.peering.transport
        daemon.listen_port = await transport.listen(config.peer.listen_host, config.peer.listen_port)
        daemon.peering.restore()
    token = load_or_create_token(config.node.data_dir / "api.token")
    api = await serve_api(daemon, config.api.host, config.api.port, token, config.api.max_body_bytes)
    stack.push_async_callback(api.close)
    daemon.api_url = f"http://{config.api.host}:{api.port}"
    log.info(
        "node %s (0x%s): peers on port %d, API on %s",
        signer.public_key.hex(),
        signer.address.hex(),
        daemon.listen_port,
        daemon.api_url,
    )
    return tasks


async def _catch_up(daemon: Daemon) -> None:
    """Wait until everything that the chain has confirmed is known to the core, and durable.

    Attack stopped: a peer that closed a channel while we were away, and goes on paying in it.
    """
    while not daemon.watch.caught_up.is_set():
        try:
            async with asyncio.timeout(STILL_READING_S):
                await daemon.watch.caught_up.wait()
        except TimeoutError:
            read_s = daemon.engine.tables.confirmed_s
            why = f"it is up to {read_s} (unix seconds)" if read_s else "its node shows nothing new to us yet"
            log.warning("no peers and no API before the chain is read: %s", daemon.watch.lost or why)
    await daemon.engine.caught_up()


async def _require_chain(rpc: RpcClient, config: Config) -> None:
    """Money sent on the wrong chain is lost: check before anything is signed."""
    found = await chain_id(rpc)
    if found != config.chain.chain_id:
        raise Rejected(f"expected chain {config.chain.chain_id} behind the RPC URL, got chain {found}")
    assert config.chain.adjudicator is not None
    if not await code_at(rpc, config.chain.adjudicator):
        raise Rejected(f"expected a contract at 0x{config.chain.adjudicator.hex()}, there is none")


def _fees(config: Config) -> TransactionSettings:
    return TransactionSettings(
        confirmations=config.chain.confirmations,
        poll_s=min(1.0, config.chain.poll_interval_s),
        resubmit_after_s=float(config.chain.resubmit_after_s),
        max_fee_wei=config.chain.max_fee_wei,
        tip_wei=config.chain.tip_wei,
    )


class _Builder:
    """Puts the parts together; every part is made once and knows only what it is given."""

    def __init__(self, config: Config, signer: Signer, rpc: RpcClient, journal: Journal) -> None:
        self._config = config
        self._signer = signer
        self._rpc = rpc
        self._journal = journal
        self._policies = {asset.address: self._policy(asset) for asset in config.asset}
        self._no_policy = self._policy(None)

    def build(self, transactor: Transactor, oracles: OracleClient) -> tuple[Daemon, Submitter]:
        config, signer = self._config, self._signer
        adjudicator = config.chain.adjudicator
        assert adjudicator is not None
        domain = domain_separator(config.chain.chain_id, adjudicator)
        secrets, prices = RegisteredSecrets(self._journal), PublishedPrices(self._journal)
        made, totals = PaymentsMade(self._journal), StreamTotals(self._journal)
        payment = config.payment
        tables = Tables(
            margins=Margins(
                payment.secret_margin_s, payment.reorg_margin_s, longest_s=payment.max_deadline_s
            ),
            registered_s=secrets,
            published=prices,
            paid=made,
            streams=totals,
        )
        waiters = Waiters()
        acting: list[Callable[[Effect], None]] = []
        engine = Engine(
            tables,
            self._journal,
            self._tools(tables, domain),
            ChainClock(config.chain.clock_skew_limit_s),
            lambda effect: acting[0](effect),
        )
        engine.on_look_up = _looking_up(made, secrets, totals)
        engine.was_history = made.failed_before
        gossip = Gossip(self._journal, tables, signer, domain, config.chain.chain_id, self._policy_of)
        gossip.restore()
        feeds = Feeds(config.feed, oracles)
        desk = QuoteDesk(config, engine, feeds, signer.public_key)
        hello = Hello(PROTOCOL, config.chain.chain_id, adjudicator, config.node.alias)
        peering = Peering(engine, gossip, hello, waiters, lambda relay: desk.heard(relay, peering))
        peering.start(PeerTransport(signer, peering, self._limits()), signer.public_key)
        submitter = Submitter(transactor, adjudicator, tables, feeds.by_id)
        actor = Actor(self._journal, tables, signer, domain, peering, gossip, submitter, waiters)
        acting.append(actor.act)
        catalogue = Catalogue(config.asset)
        pushes = PushDesk(engine, catalogue)
        actor.on_pushes, actor.on_news = pushes.answered, pushes.heard
        engine.supply = pushes.supply
        scanner = Scanner(
            self._rpc,
            adjudicator,
            ScannerSettings(config.chain.confirmations, config.chain.poll_interval_s),
        )
        watch = ChainWatch(
            engine, scanner, gossip, secrets, prices, signer.address, self._refusal, peering.node_of
        )
        daemon = Daemon(
            config=config,
            signer=signer,
            domain=domain,
            engine=engine,
            watch=watch,
            peering=peering,
            payer=Payer(config, engine, Routes(config, tables, gossip.graph, signer.public_key), waiters),
            desk=desk,
            feeds=feeds,
            funding=Funding(self._rpc, transactor, adjudicator, signer.address, catalogue),
            waiters=waiters,
            invoicing=Invoicing(config, signer, engine, catalogue),
            pushes=pushes,
            catalogue=catalogue,
            census=Census(tables),
            pages=ChannelPages(tables),
            stopping=asyncio.Event(),
        )
        return daemon, submitter

    def _tools(self, tables: Tables, domain: bytes) -> Toolbox:
        return toolbox(
            tables,
            domain,
            self._signer.address,
            self._policy_of,
            self._config.watch.close_valid_s,
            self._push_policy_of,
        )

    def _push_policy_of(self, asset: bytes) -> PushPolicy:
        push = self._config.push
        least = {each.address: each.min_push_units for each in self._config.asset}
        return PushPolicy(push.accept, least.get(asset, 1), push.max_streams)

    def _policy_of(self, asset: bytes) -> HubPolicy:
        return self._policies.get(asset, self._no_policy)

    def _policy(self, asset: AssetSettings | None) -> HubPolicy:
        fee_ppm, per_day = self._config.payment.fee_ppm, self._config.option.collateral_fee_ppm_per_day
        flight = self._config.flight
        limits = FlightLimits(
            claims=flight.max_claims,
            claims_per_peer=flight.max_claims_per_peer,
            locked_percent=flight.max_locked_percent,
            locked_per_peer_percent=flight.max_locked_per_peer_percent,
            option_percent=flight.max_option_percent,
        )
        if asset is None:
            return HubPolicy(0, fee_ppm, per_day, limits=limits)
        return HubPolicy(asset.fee_base_units, fee_ppm, per_day, asset.min_claim_units, limits)

    def _limits(self) -> TransportLimits:
        peer = self._config.peer
        return replace(
            TransportLimits(),
            handshake_timeout_s=peer.handshake_timeout_s,
            max_strangers=peer.max_strangers,
            ping_interval_s=peer.ping_interval_s,
        )

    def _refusal(self, params: ChannelParams) -> str | None:
        """Why a channel that somebody else opened to us is ignored; None if it is taken."""
        settings = self._config.channel
        if all(asset.address != params.asset for asset in self._config.asset):
            return f"its asset 0x{params.asset.hex()} is not configured"
        low, high = settings.min_challenge_period_s, settings.max_challenge_period_s
        if not low <= params.challenge_period_s <= high:
            return f"its challenge period of {params.challenge_period_s} s is not within {low} to {high}"
        return None


def _looking_up(
    made: PaymentsMade, secrets: RegisteredSecrets, totals: StreamTotals
) -> Callable[[LookUp], None]:
    """What the core will ask of the disk in a turn."""

    def look_up(asked: LookUp) -> None:
        made.look_up(asked.new)
        secrets.look_up([*asked.new, *asked.offered])
        totals.look_up(asked.streams)

    return look_up
