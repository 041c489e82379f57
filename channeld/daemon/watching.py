"""The chain, as events of the core: what concerns our channels, the registries and the network."""

import asyncio
import logging
from collections.abc import Callable
from hashlib import sha256

from channeld.adapters.chain import events as chain
from channeld.adapters.chain.scanner import (
    Checkpoint,
    ConfirmedEvents,
    HeadSeen,
    NodeLost,
    Reorganised,
    Scanner,
)
from channeld.adapters.journal.records import Write
from channeld.core.channel import Deposits
from channeld.core.claims import Side
from channeld.core.events import (
    ChallengeSeen,
    ChannelDue,
    ChannelOpened,
    CloseSeen,
    DepositsConfirmed,
    Event,
    PartialSettlementSeen,
    SecretSeen,
)
from channeld.core.identity import ChannelParams
from channeld.core.records import Dispute
from channeld.daemon.checkpoints import checkpoint_row, stored_checkpoint
from channeld.daemon.engine import Chained, Engine
from channeld.daemon.gossip import Gossip
from channeld.daemon.registries import PublishedPrices, RegisteredSecrets

log = logging.getLogger(__name__)


class ChainWatch:
    """Follows the scanner and feeds the engine, one confirmed block at a time."""

    def __init__(
        self,
        engine: Engine,
        scanner: Scanner,
        gossip: Gossip,
        secrets: RegisteredSecrets,
        prices: PublishedPrices,
        address: bytes,
        accepts: Callable[[ChannelParams], str | None],
        node_of: Callable[[bytes], bytes],
    ) -> None:
        """`accepts` says why a channel that a stranger opened to us is ignored, or None; `node_of`
        gives the node id behind an address, empty if it is not known."""
        self._engine = engine
        self._scanner = scanner
        self._gossip = gossip
        self._secrets = secrets
        self._prices = prices
        self._address = address
        self._accepts = accepts
        self._node_of = node_of
        self._periods: dict[bytes, int] = {}
        self._window_ends: dict[bytes, int] = {}
        self.head: HeadSeen | None = None
        self.lost = ""
        self.caught_up = asyncio.Event()
        """Set once everything that was confirmed when the daemon started has been read and posted."""

    async def run(self, start: Checkpoint) -> None:
        """Follow from the journal's checkpoint (or `start`) for ever. Raises ReorganisedTooDeep.

        The engine's tables are restored by now. What they do not hold yet is noted here too, because
        several blocks may be read before the engine sees the first of them.
        """
        tables = self._engine.tables
        self._periods = {c.channel_id: c.params.challenge_period_s for c in tables.channels()}
        for dispute in tables.records[Dispute].values():
            assert isinstance(dispute, Dispute)
            if dispute.known:
                self._window_ends[dispute.channel_id] = dispute.expires_s
        async for item in self._scanner.follow(stored_checkpoint(self._engine.journal) or start):
            match item:
                case ConfirmedEvents():
                    self._confirmed(item)
                case HeadSeen():
                    self._engine.clock.head_seen(item.timestamp_s)
                    self.head, self.lost = item, ""
                    self.caught_up.set()
                case Reorganised(depth, ancestor):
                    log.warning("the chain replaced its last %d blocks, above %d", depth, ancestor)
                case NodeLost(reason):
                    self.lost = reason
                    log.warning("the Ethereum node does not answer: %s", reason)

    def _confirmed(self, block: ConfirmedEvents) -> None:
        self._engine.clock.head_seen(block.block_timestamp_s)
        happened: list[Event] = []
        rows: list[Write] = [checkpoint_row(block.block_number, block.block_hash, block.block_timestamp_s)]
        for event in block.events:
            self._translate(event, block.block_timestamp_s, happened, rows)
        if any(isinstance(event, chain.SecretsRegistered | chain.PricePublished) for event in block.events):
            # What a channel in dispute waits for may be there now.
            happened += [ChannelDue(channel_id) for channel_id in self._engine.tables.records[Dispute]]
        self._engine.post(Chained(tuple(happened), tuple(rows), block.block_timestamp_s))

    def _translate(
        self, event: chain.AdjudicatorEvent, at_s: int, happened: list[Event], rows: list[Write]
    ) -> None:
        match event:
            case chain.ChannelOpened():
                rows += self._gossip.opened(event)
                happened += self._opened(event)
            case chain.Deposited(channel_id, slot):
                rows += self._gossip.capacity_changed(channel_id, slot.deposit_a + slot.deposit_b)
                if channel_id in self._periods:
                    log.info(
                        "channel %s has deposits of %d and %d",
                        channel_id.hex(),
                        slot.deposit_a,
                        slot.deposit_b,
                    )
                    deposits = Deposits(slot.deposit_a, slot.deposit_b, slot.counter)
                    happened.append(DepositsConfirmed(channel_id, deposits))
            case chain.ChannelClosed(channel_id, to_a, to_b):
                rows += self._gossip.closed(channel_id)
                if channel_id in self._periods:
                    log.info("channel %s is closed, with %d and %d paid out", channel_id.hex(), to_a, to_b)
                    happened.append(CloseSeen(channel_id))
            case chain.Challenged(channel_id, version, net, claims, salt):
                rows += self._gossip.closed(channel_id)
                if channel_id in self._periods:
                    expires_s = self._window_end(channel_id, at_s)
                    log.info(
                        "channel %s is in dispute: version %d stands, to be answered before %d (unix time)",
                        channel_id.hex(),
                        version,
                        expires_s,
                    )
                    happened.append(ChallengeSeen(channel_id, version, net, claims, salt, expires_s))
            case chain.PartiallySettled(channel_id, to_a, to_b, net, claims):
                if channel_id in self._periods:
                    log.info("channel %s is settled in part: %d and %d", channel_id.hex(), to_a, to_b)
                    happened.append(PartialSettlementSeen(channel_id, net, claims, at_s))
            case chain.SecretsRegistered(preimages):
                for preimage in preimages:
                    self._secret(preimage, at_s, happened, rows)
            case chain.PricePublished(key, price):
                row = self._prices.add(key, price, at_s)
                rows += [row] if row is not None else []
            case chain.Credited(asset, to, amount) if to == self._address:
                log.warning(
                    "a payout of %d smallest units of 0x%s could not be sent to us, the contract keeps it: "
                    "fetch it with `channeld credits --claim`",
                    amount,
                    asset.hex(),
                )
            case _:
                pass  # of other people, or what the daemon reads when it is asked for

    def _secret(self, preimage: bytes, at_s: int, happened: list[Event], rows: list[Write]) -> None:
        hashlock = sha256(preimage).digest()
        row = self._secrets.add(hashlock, preimage, at_s)
        if row is not None:
            rows.append(row)
        if self._engine.tables.refs_of_hash.get(hashlock):
            happened.append(SecretSeen(preimage))

    def _window_end(self, channel_id: bytes, at_s: int) -> int:
        """The first challenge starts the one window; an answer does not move its end."""
        return self._window_ends.setdefault(channel_id, at_s + self._periods[channel_id])

    def _opened(self, event: chain.ChannelOpened) -> list[Event]:
        params = event.params
        if self._address not in (params.a, params.b):
            return []
        me = Side.A if self._address == params.a else Side.B
        # Also if the first deposit is for our side: anybody can make it, and choose the terms.
        refusal = self._accepts(params)
        if refusal is not None:
            log.info("channel %s is ignored: %s", event.channel.hex(), refusal)
            return []
        self._periods[event.channel] = params.challenge_period_s
        peer = self._node_of(params.b if me is Side.A else params.a)
        deposits = Deposits(0, event.amount) if event.to_b else Deposits(event.amount, 0)
        log.info(
            "channel %s between 0x%s and 0x%s is open in asset 0x%s, with deposits of %d and %d",
            event.channel.hex(),
            params.a.hex(),
            params.b.hex(),
            params.asset.hex(),
            deposits.a,
            deposits.b,
        )
        return [
            ChannelOpened(event.channel, params, me, peer),
            DepositsConfirmed(event.channel, deposits),
        ]
