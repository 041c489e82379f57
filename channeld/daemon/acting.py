"""The effects of the core, carried out: messages signed and sent, transactions begun, waiters woken.

Everything here happens after the commit; each effect may happen again after a crash.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from channeld.adapters.journal.records import Journal
from channeld.adapters.signer import Signer, verify
from channeld.core.channel import Channel, Phase, Update
from channeld.core.claims import State
from channeld.core.draft import HubPolicy, PushPolicy, Tables, Toolbox
from channeld.core.effects import (
    AnswerPushes,
    Disconnect,
    Effect,
    Notify,
    PublishPrice,
    RegisterSecret,
    Send,
    SendClose,
    SendCopy,
    SendSigned,
    SubmitChallenge,
    SubmitClose,
    SubmitResponse,
    SubmitSettlement,
    WakeChannel,
    WakeClaim,
)
from channeld.daemon.gossip import Gossip
from channeld.daemon.peering import Peering
from channeld.daemon.submitting import Submitter
from channeld.daemon.waiting import Waiters
from channeld.wire.eip712 import claims_hash, close_digest, state_digest
from channeld.wire.packet import read_instruction

log = logging.getLogger(__name__)


def toolbox(
    tables: Tables,
    domain: bytes,
    own_address: bytes,
    policy_of: Callable[[bytes], HubPolicy],
    close_validity_s: int,
    push_policy_of: Callable[[bytes], PushPolicy] = lambda asset: PushPolicy(),
) -> Toolbox:
    """The pure functions that the core needs, over this adjudicator's domain."""

    def counterparty(channel_id: bytes) -> bytes:
        channel = tables.records[Channel][channel_id]
        assert isinstance(channel, Channel)
        return channel.counterparty

    def verify_state(channel_id: bytes, state: State, signature: bytes) -> bool:
        return verify(state_digest(domain, channel_id, state), signature, counterparty(channel_id))

    def verify_own(channel_id: bytes, state: State, signature: bytes) -> bool:
        return verify(state_digest(domain, channel_id, state), signature, own_address)

    def verify_close(channel_id: bytes, counter: int, net: int, until_s: int, signature: bytes) -> bool:
        digest = close_digest(domain, channel_id, counter, net, until_s)
        return verify(digest, signature, counterparty(channel_id))

    return Toolbox(
        verify_state,
        verify_close,
        verify_own,
        claims_hash,
        read_instruction,
        policy_of,
        close_validity_s,
        push_policy_of,
    )


class Actor:
    """Runs effects, in their order."""

    def __init__(
        self,
        journal: Journal,
        tables: Tables,
        signer: Signer,
        domain: bytes,
        peering: Peering,
        gossip: Gossip,
        submitter: Submitter,
        waiters: Waiters,
    ) -> None:
        self._journal = journal
        self._tables = tables
        self._signer = signer
        self._domain = domain
        self._peering = peering
        self._gossip = gossip
        self._submitter = submitter
        self._waiters = waiters
        self.on_pushes: Callable[[AnswerPushes], None] = lambda answer: None
        """Told what became of pushes that somebody here asked for."""
        self.on_news: Callable[[str, bytes], None] = lambda topic, key: None
        """Told the table and key of each record of which the core says that it has changed."""
        self._closing: set[asyncio.Task[None]] = set()
        # Channels whose policy is out; what it says is fixed until the next start.
        self._announced: set[bytes] = set()

    def act(self, effect: Effect) -> None:
        match effect:
            case Send(peer, message):
                self._peering.send(peer, message)
            case SendSigned(peer, message, state):
                digest = state_digest(self._domain, message.channel_id, state)
                self._peering.send(peer, replace(message, signature=self._signer.sign_digest(digest)))
                if isinstance(message, Update):
                    self._peering.patience.proposed(message.channel_id)
            case SendClose(peer, offer):
                digest = close_digest(self._domain, offer.channel_id, offer.counter, offer.net, offer.until_s)
                self._peering.send(peer, replace(offer, signature=self._signer.sign_digest(digest)))
            case SendCopy(peer, copy):
                digest = state_digest(self._domain, copy.channel_id, copy.state)
                self._peering.send(peer, replace(copy, my_signature=self._signer.sign_digest(digest)))
            case Disconnect(peer, reason):
                self._disconnect(peer, reason)
            case Notify(topic, key):
                self._notify(topic, key)
            case AnswerPushes():
                self.on_pushes(effect)
            case (
                RegisterSecret()
                | PublishPrice()
                | SubmitClose()
                | SubmitChallenge()
                | SubmitResponse()
                | SubmitSettlement()
            ):
                self._submitter.submit(effect)
            case WakeClaim() | WakeChannel():
                raise AssertionError("timers belong to the engine")

    def _disconnect(self, peer: bytes, reason: str) -> None:
        log.warning("peer %s broke the protocol: %s", peer.hex()[:16], reason)
        task = asyncio.create_task(self._peering.transport.disconnect(peer, reason[:100]))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _notify(self, topic: str, key: bytes) -> None:
        if topic == "channel" and key not in self._announced:
            self._announce(key)
        self.on_news(topic, key)
        self._waiters.notify(topic, key)

    def _announce(self, channel_id: bytes) -> None:
        """Sign and spread our policy for a channel that has just opened."""
        channel = self._tables.records[Channel].get(channel_id)
        if not isinstance(channel, Channel):
            return
        if channel.peer:
            self._peering.welcome(channel.peer)
        announcement = self._gossip.own(channel)
        if announcement is None:
            if channel.phase is Phase.OPEN:
                self._announced.add(channel_id)
            return
        rows = self._gossip.heard(announcement)
        if rows:
            self._journal.commit(rows)
