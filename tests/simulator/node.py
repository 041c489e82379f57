"""One node of the simulation: the daemon's real parts over a simulated outside.

Real are the core, the engine, its timers and clock, the registries, the codec and the packing of
records, signatures, greeting and gossip, the chain's watcher and the submitter of transactions.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from channeld.adapters.chain.scanner import Checkpoint, Scanner
from channeld.adapters.chain.transactions import Transactor
from channeld.adapters.signer import Signer
from channeld.adapters.transport.connection import Connection
from channeld.adapters.transport.peers import PeerTransport
from channeld.core.channel import Channel, Update
from channeld.core.claims import State, canonical_order
from channeld.core.draft import HubPolicy, Tables
from channeld.core.effects import (
    Disconnect,
    Effect,
    SendClose,
    SendCopy,
    SendSigned,
    WakeChannel,
    WakeClaim,
)
from channeld.core.errors import Rejected
from channeld.core.events import Event, MessageReceived
from channeld.core.messages import CloseOffer, Hello, Relay
from channeld.core.operations import Settle
from channeld.daemon.acting import Actor, toolbox
from channeld.daemon.app import _looking_up
from channeld.daemon.clock import ChainClock
from channeld.daemon.engine import Engine
from channeld.daemon.feeds import Feeds, PriceWatch
from channeld.daemon.gossip import Gossip
from channeld.daemon.history import PaymentsMade
from channeld.daemon.peering import PROTOCOL, Peering
from channeld.daemon.pushing import StreamTotals
from channeld.daemon.registries import PublishedPrices, RegisteredSecrets
from channeld.daemon.submitting import Submitter
from channeld.daemon.waiting import Waiters
from channeld.daemon.watching import ChainWatch
from channeld.wire.eip712 import claims_hash, close_digest, keccak
from channeld.wire.messages import decode
from tests.simulator.chain import CHAIN_ID, COURT, DOMAIN
from tests.simulator.journal import Died, MortalJournal
from tests.simulator.market import FEED, FEED_ID
from tests.simulator.network import Wires
from tests.simulator.scanner import ChainScanner
from tests.simulator.wallet import Wallet

if TYPE_CHECKING:
    from tests.simulator.life import Life

SKEW_LIMIT_S = 120
_SIGNERS: dict[str, Signer] = {}


def signer_of(name: str) -> Signer:
    return _SIGNERS.setdefault(name, Signer(keccak(b"simulated " + name.encode())))


class SimulatedNode:
    """`signed`, `closes` and `settled_at` are all that it ever put its name to, for the judge.

    `slept`: it was away for so long that it may have missed a deadline. `forgetful`: it came back from an
    old backup. Neither can be promised as much as the others.
    """

    engine: Engine
    peering: Peering
    scanner: ChainScanner

    def __init__(self, life: "Life", name: str, *, honest: bool) -> None:
        self.life = life
        self.name = name
        self.honest = honest
        self.signer = signer_of(name)
        self.address, self.node_id = self.signer.address, self.signer.public_key
        self.journal = MortalJournal()
        self.wallet = Wallet(life.chain, life.dice, self.address, lambda: life.now_ms)
        self.wallet.dies = self._dies_at_a_transaction
        self.policy = HubPolicy()
        self.confirmations = 6
        self.wall_offset_s = 0.0
        self.alive = False
        self.stuck = False
        self.slept = False
        self.forgetful = False
        self.signed: list[tuple[bytes, State]] = []
        self.closes: list[CloseOffer] = []
        self.settled_at: set[int] = set()
        self.effects_left = 0
        self.transactions_left = 0
        self.doomed = False
        self.vanished = False
        self.bewildered = False
        self.next_journal: MortalJournal | None = None
        self._task: asyncio.Task[None] | None = None
        self._fetching: list[asyncio.Task[None]] = []
        self._submitter: Submitter | None = None

    # --- life and death -------------------------------------------------------------------------------

    def start(self) -> None:
        """As `daemon.app` puts the parts together."""
        life, journal, signer = self.life, self.journal, self.signer
        secrets, prices = RegisteredSecrets(journal), PublishedPrices(journal)
        made, totals = PaymentsMade(journal), StreamTotals(journal)
        tables = Tables(registered_s=secrets, published=prices, paid=made, streams=totals)
        clock = ChainClock(
            SKEW_LIMIT_S,
            monotonic=lambda: life.now_ms / 1000,
            wall=lambda: life.now_ms / 1000 + self.wall_offset_s,
        )
        policy_of: Callable[[bytes], HubPolicy] = lambda asset: self.policy  # noqa: E731
        waiters, acting = Waiters(), cast(list[Actor], [])
        self.engine = Engine(
            tables,
            journal,
            toolbox(tables, DOMAIN, self.address, policy_of, life.close_validity_s),
            clock,
            lambda effect: self._act(acting[0], effect),
        )
        self.engine.on_look_up = _looking_up(made, secrets, totals)
        self.engine.was_history = made.failed_before
        self.engine.on_archived = journal.heard
        gossip = Gossip(journal, tables, signer, DOMAIN, CHAIN_ID, policy_of)
        gossip.restore()
        hello = Hello(PROTOCOL, CHAIN_ID, COURT, self.name)
        self.peering = Peering(self.engine, gossip, hello, waiters, self._relayed)
        wires = Wires(life.network, self, self._dropped)
        self.peering.start(cast(PeerTransport, wires), self.node_id)
        transactor = cast(Transactor, self.wallet)
        self._submitter = Submitter(transactor, COURT, tables, {FEED_ID: FEED})
        acting.append(Actor(journal, tables, signer, DOMAIN, self.peering, gossip, self._submitter, waiters))
        self.prices = PriceWatch(self.engine, cast(Feeds, life.market))
        self.scanner = ChainScanner(life.chain, self.confirmations)
        watch = ChainWatch(
            self.engine,
            cast(Scanner, self.scanner),
            gossip,
            secrets,
            prices,
            self.address,
            lambda params: None,
            self.peering.node_of,
        )
        self.alive = True
        self.doomed = False
        self.engine.restore()
        self.peering.restore()
        for other in life.neighbours(self):
            self.peering.welcome(other.node_id)
        genesis = life.chain.blocks[0]
        self._task = asyncio.create_task(watch.run(Checkpoint(0, genesis.hash)))
        self._task.add_done_callback(life.watcher_ended)
        self.wallet.restart()
        self.look()

    async def crash(self) -> None:
        """The process dies: what is not in the journal is gone, and its peers notice."""
        if not self.alive:
            return
        self.alive = False
        self.effects_left = self.transactions_left = 0
        self.journal.die(0, before=False)
        assert self._task is not None and self._submitter is not None
        tasks = [self._task, *self._fetching]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._submitter.close()
        for link in self.life.network.links_of(self.node_id):
            self.life.network.disconnect(link, f"{self.name} is gone")

    def _dies_at_a_transaction(self) -> bool:
        if self.transactions_left:
            self.transactions_left -= 1
            self.doomed |= self.transactions_left == 0
        return self.doomed

    # --- what happens to it ---------------------------------------------------------------------------

    @property
    def tables(self) -> Tables:
        return self.engine.tables

    @property
    def history(self) -> dict[Any, Any]:
        return self.journal.history

    def channel(self, channel_id: bytes) -> Channel:
        record = self.tables.records[Channel][channel_id]
        assert isinstance(record, Channel)
        return record

    def channels(self) -> list[Channel]:
        return list(self.tables.channels())

    def look(self) -> None:
        """See the newest block, if its Ethereum node is not stuck."""
        if self.alive:
            self.scanner.look(lost=self.stuck)
            if not self.stuck:
                self.wallet.watch(self.confirmations)
            self.life.stir(self)

    def fetch_prices(self) -> None:
        """Ask the oracles, as the price watch does every second."""
        self._fetching = [
            asyncio.create_task(self.prices._fetch(*instant)) for instant in list(self.prices._wanted)
        ]
        if self._fetching:
            self.life.stir(self)

    def hang_up(self) -> None:
        """On those who leave it waiting for an answer, as the daemon does every few seconds."""
        for peer_id, reason in self.peering.patience.look().items():
            link = self.life.network.link(self.node_id, peer_id)
            assert link is not None
            self.life.note("hangs up", f"{self.name}: {link.other(self.node_id).name} {reason}")
            self.life.network.disconnect(link, reason)

    def ask(self, event: Event) -> bool:
        """What its owner wants; False if it says no. Done and durable when this returns."""
        if not self.alive:
            return False
        asking = self.engine.ask(event)
        done: asyncio.Future[None] = asking.send(None)
        self.turn()
        asking.close()
        if not self.alive or self.doomed or not done.done():
            return False
        failure = done.exception()
        if failure is None:
            return True
        assert isinstance(failure, Rejected)
        return False

    def turn(self) -> None:
        """One turn of the loop; it may be its last."""
        if not self.alive or self.doomed:
            return
        try:
            self.engine.turn()
        except Died as death:
            self._die(death)
        except Exception as error:
            if self.honest:
                raise
            self.life.note("bewildered", f"{self.name}: {type(error).__name__} {error}")
            self.bewildered = self.doomed = self.vanished = True
        self.life.turned(self)

    def _die(self, death: Died) -> None:
        self.doomed = True
        self.life.note("died", f"{self.name} {death}")

    # --- the network's side ---------------------------------------------------------------------------

    def connected(self, peer_id: bytes) -> None:
        self._survive(lambda: self.peering.on_connected(peer_id, cast(Connection, None)))

    def heard(self, peer_id: bytes, data: bytes) -> None:
        if self.doomed:
            return
        self.life.delivered(self, peer_id, data)
        if not self.honest and self.life.mischief.overheard(self, peer_id, data):
            return
        self._survive(lambda: self.peering.on_message(peer_id, data))

    def lost(self, peer_id: bytes, reason: str) -> None:
        self._survive(lambda: self.peering.on_disconnected(peer_id, reason))

    def _survive(self, happens: Callable[[], object]) -> None:
        if self.doomed:
            return
        try:
            happens()
        except Died as death:
            self._die(death)
        self.life.stir(self)

    def says(self, peer_id: bytes, data: bytes) -> list[bytes]:
        """What really leaves: all of it, from honest nodes."""
        if self.honest:
            return [data]
        return self.life.mischief.spoken(self, peer_id, data)

    def _dropped(self, peer_id: bytes, reason: str) -> None:
        link = self.life.network.link(self.node_id, peer_id)
        assert link is not None
        self.life.accuse(self, link.other(self.node_id), reason)
        self.life.network.disconnect(link, reason)

    def _relayed(self, relay: Relay) -> None:
        self.life.relayed(self, relay)

    # --- what it does ---------------------------------------------------------------------------------

    def _act(self, actor: Actor, effect: Effect) -> None:
        if self.effects_left:
            self.effects_left -= 1
            if self.effects_left == 0:
                raise Died("between two effects")
        self.life.effect(self, effect)
        match effect:
            case SendSigned(_, message, state):
                self._note_signature(message.channel_id, state)
                if isinstance(message, Update):
                    self.settled_at |= {op.price for op in message.operations if isinstance(op, Settle)}
            case SendCopy(_, copy):
                self._note_signature(copy.channel_id, copy.state)
            case SendClose(_, offer):
                self.closes.append(replace(offer, signature=b""))
            case WakeClaim() | WakeChannel():
                raise AssertionError("timers belong to the engine")
            case Disconnect():
                pass
            case _:
                pass
        actor.act(effect)

    def _note_signature(self, channel_id: bytes, state: State) -> None:
        self.signed.append((channel_id, state))
        hashed = claims_hash(state.claims.values())
        self.life.chain.lists[hashed] = tuple(canonical_order(state.claims.values()))

    def sign_close(self, offer: CloseOffer) -> bytes:
        """The signature that it gave on a close."""
        digest = close_digest(DOMAIN, offer.channel_id, offer.counter, offer.net, offer.until_s)
        return self.signer.sign_digest(digest)

    def post(self, *events: Event) -> None:
        for event in events:
            assert not isinstance(event, MessageReceived)
            self.engine.post(event)
        self.life.stir(self)


def operations_in(data: bytes) -> list[str]:
    """The kinds of operations in a message."""
    message = decode(data)
    return [type(op).__name__ for op in message.operations] if isinstance(message, Update) else []
