"""The network as this node knows it: channels from the chain, policies from their ends.

A channel counts for routing only when both of its ends have signed a policy for it, because anyone
can open a channel to a stranger. Policies are passed on to every peer, newer ones only.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable

import msgpack

from channeld.adapters.chain.events import ChannelOpened
from channeld.adapters.journal.records import Delete, Journal, Put, Write
from channeld.adapters.signer import Signer, address_of, verify
from channeld.core.channel import Channel, Phase
from channeld.core.draft import HubPolicy, Tables
from channeld.core.messages import PolicyAnnouncement
from channeld.wire.messages import decode, encode
from channeld.wire.policies import is_signed, sign_policy
from routing.errors import RoutingError
from routing.graph import ChannelGraph
from routing.policy import MAX_AMOUNT, Policy

log = logging.getLogger(__name__)

POLICY_INTERVAL_S = 10
"""Between two policies of one end of a channel; the next one is taken when it is said again."""

MAX_EARLY_POLICIES = 1_000
"""Policies of channels that the chain has not shown us yet (one is a few hundred bytes); the oldest go
first. A peer that sends more of them only pushes out its own."""


class Gossip:
    """Keeps the routing graph in line with chain and peers, and the rows from which it is restored.

    `on_news` is told every policy that counts from now on, also one that came before its channel did.
    """

    def __init__(
        self,
        journal: Journal,
        tables: Tables,
        signer: Signer,
        domain: bytes,
        chain_id: int,
        policy_of: Callable[[bytes], HubPolicy],
    ) -> None:
        self.graph = ChannelGraph(address_of)
        self._journal = journal
        self._tables = tables
        self._signer = signer
        self._domain = domain
        self._chain_id = chain_id
        self._policy_of = policy_of
        self._policies: dict[tuple[bytes, bytes], PolicyAnnouncement] = {}
        self.on_news: Callable[[PolicyAnnouncement], None] = lambda announcement: None
        self._heard_s: dict[tuple[bytes, bytes], int] = {}
        self._early: OrderedDict[tuple[bytes, bytes], PolicyAnnouncement] = OrderedDict()

    def restore(self) -> None:
        """Read channels and policies back from the journal."""
        for channel_id, row in self._journal.load("graph_channel"):
            a, b, asset, capacity = msgpack.unpackb(row)
            self.graph.channel_opened(
                channel_id, a, b, asset, int.from_bytes(capacity, "big"), self._chain_id
            )
        for _, row in self._journal.load("graph_policy"):
            announcement = decode(row)
            assert isinstance(announcement, PolicyAnnouncement)
            self._take(announcement)

    def opened(self, event: ChannelOpened) -> list[Write]:
        """The chain shows a new channel; policies that came before it count now."""
        params = event.params
        self.graph.channel_opened(
            event.channel, params.a, params.b, params.asset, event.amount, self._chain_id
        )
        rows: list[Write] = [self._channel_row(event.channel)]
        for key in [key for key in self._early if key[0] == event.channel]:
            rows += self._store(self._early.pop(key))
        return rows

    def capacity_changed(self, channel_id: bytes, capacity: int) -> list[Write]:
        try:
            self.graph.capacity_changed(channel_id, capacity)
        except RoutingError:
            return []  # in dispute: it carries nothing any more
        return [self._channel_row(channel_id)]

    def closed(self, channel_id: bytes) -> list[Write]:
        """The channel carries nothing any more: closed, or in dispute."""
        rows: list[Write] = [Delete("graph_channel", channel_id)]
        for key in [key for key in self._policies if key[0] == channel_id]:
            del self._policies[key]
            self._heard_s.pop(key, None)
            rows.append(Delete("graph_policy", key[0] + key[1]))
        try:
            self.graph.channel_closed(channel_id)
        except RoutingError:
            return []
        return rows

    def _channel_row(self, channel_id: bytes) -> Put:
        known = self.graph.channel(channel_id)
        capacity = known.capacity.to_bytes(16, "big")
        row = msgpack.packb((known.a.address, known.b.address, known.asset.address, capacity))
        return Put("graph_channel", channel_id, row)

    def heard(self, announcement: PolicyAnnouncement) -> list[Write]:
        """A peer passed on a policy: the rows to keep if it is news, else nothing. Never raises."""
        key = (announcement.channel_id, announcement.node)
        last_s = self._heard_s.get(key, -POLICY_INTERVAL_S)
        foreign = announcement.node != self._signer.public_key
        if foreign and self._tables.now_s - last_s < POLICY_INTERVAL_S:
            return []  # its owner could sign one a millisecond, and each is stored and told to everybody
        if not is_signed(announcement, self._domain, _verify_node):
            log.debug("a policy of %s with a wrong signature", announcement.node.hex())
            return []
        rows = self._store(announcement)
        if rows:
            self._heard_s[key] = self._tables.now_s
        return rows

    def _store(self, announcement: PolicyAnnouncement) -> list[Write]:
        if not self._take(announcement):
            return []
        self.on_news(announcement)
        key = announcement.channel_id + announcement.node
        return [Put("graph_policy", key, encode(announcement))]

    def _take(self, announcement: PolicyAnnouncement) -> bool:
        key = (announcement.channel_id, announcement.node)
        policy = Policy(
            announcement.base_fee,
            announcement.fee_ppm,
            announcement.collateral_ppm_per_day,
            announcement.min_amount,
            announcement.max_amount,
            announcement.deadline_delta_s,
            announcement.enabled,
            announcement.timestamp_s,
        )
        try:
            news = self.graph.policy_set(announcement.channel_id, announcement.node, policy)
        except RoutingError as error:
            log.debug("a policy that does not fit: %s", error)
            self._early[key] = announcement
            if len(self._early) > MAX_EARLY_POLICIES:
                self._early.popitem(last=False)
            return False
        if news:
            self._policies[key] = announcement
        return news

    def known(self) -> list[PolicyAnnouncement]:
        """Everything to tell a new peer."""
        return list(self._policies.values())

    def own(self, channel: Channel) -> PolicyAnnouncement | None:
        """Our policy for our end of a channel if it is not announced yet or has changed."""
        if channel.phase is not Phase.OPEN:
            return None
        policy = self._policy_of(channel.params.asset)
        previous = self._policies.get((channel.channel_id, self._signer.public_key))
        terms = (policy.base_fee, policy.fee_ppm, policy.collateral_ppm_per_day, policy.min_amount)
        if previous is not None and terms == (
            previous.base_fee,
            previous.fee_ppm,
            previous.collateral_ppm_per_day,
            previous.min_amount,
        ):
            return None
        timestamp_s = max(self._tables.now_s, previous.timestamp_s + 1 if previous else 0)
        announcement = PolicyAnnouncement(
            channel.channel_id, self._signer.public_key, timestamp_s, *terms, MAX_AMOUNT >> 1, 0, True
        )
        return sign_policy(announcement, self._domain, self._signer.sign_digest)


def _verify_node(node: bytes, digest: bytes, signature: bytes) -> bool:
    return verify(digest, signature, address_of(node))
