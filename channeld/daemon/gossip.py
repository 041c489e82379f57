"""The network as this node knows it: channels from the chain, policies from their ends.

A channel counts for routing only when both of its ends have signed a policy for it, because anyone
can open a channel to a stranger. Policies are passed on to every peer, newer ones only. Two nodes that
meet compare digests of what they know, and send each other only the parts that differ.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from hashlib import sha256

import msgpack

from channeld.adapters.chain.events import ChannelOpened
from channeld.adapters.journal.records import Delete, Journal, Put, Write
from channeld.adapters.signer import Signer, address_of, verify_node
from channeld.core.channel import Channel, Phase
from channeld.core.draft import HubPolicy, Tables
from channeld.core.messages import DIGEST_BYTES, POLICY_BUCKETS, PoliciesKnown, PolicyAnnouncement
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
        # (channel, node) -> the policy's bytes, as they travel and as they are stored.
        self._policies: dict[tuple[bytes, bytes], bytes] = {}
        self._buckets: list[set[tuple[bytes, bytes]]] = [set() for _ in range(POLICY_BUCKETS)]
        self._digests = [0] * POLICY_BUCKETS
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
            self._take(_read(row), row)

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
        try:
            known = self.graph.channel(channel_id)
        except RoutingError:
            return []
        self.graph.channel_closed(channel_id)
        for side in (known.a, known.b):
            if side.node is not None and (channel_id, side.node) in self._policies:
                self._drop((channel_id, side.node))
                rows.append(Delete("graph_policy", channel_id + side.node))
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
        if not is_signed(announcement, self._domain, verify_node):
            log.debug("a policy of %s with a wrong signature", announcement.node.hex())
            return []
        rows = self._store(announcement)
        if rows:
            self._heard_s[key] = self._tables.now_s
        return rows

    def _store(self, announcement: PolicyAnnouncement) -> list[Write]:
        encoded = encode(announcement)
        if not self._take(announcement, encoded):
            return []
        self.on_news(announcement)
        return [Put("graph_policy", announcement.channel_id + announcement.node, encoded)]

    def _take(self, announcement: PolicyAnnouncement, encoded: bytes) -> bool:
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
            if key in self._policies:
                self._drop(key)
            self._policies[key] = encoded
            bucket = bucket_of(key[0])
            self._buckets[bucket].add(key)
            self._digests[bucket] ^= _fingerprint(encoded)
        return news

    def _drop(self, key: tuple[bytes, bytes]) -> None:
        bucket = bucket_of(key[0])
        self._buckets[bucket].remove(key)
        self._digests[bucket] ^= _fingerprint(self._policies.pop(key))
        self._heard_s.pop(key, None)

    def known(self) -> list[tuple[bytes, bytes]]:
        """(channel, node) of every policy that counts."""
        return list(self._policies)

    def digests(self) -> PoliciesKnown:
        """What we know in short: the same for two nodes that know the same."""
        return PoliciesKnown(b"".join(digest.to_bytes(DIGEST_BYTES, "big") for digest in self._digests))

    def unlike(self, theirs: PoliciesKnown) -> Iterator[bytes]:
        """The policies, encoded, of every bucket in which we know others than a peer does."""
        ours = self.digests().digests
        for bucket in range(POLICY_BUCKETS):
            place = slice(bucket * DIGEST_BYTES, (bucket + 1) * DIGEST_BYTES)
            if ours[place] == theirs.digests[place]:
                continue
            for key in sorted(self._buckets[bucket]):  # a set has another order in every process
                encoded = self._policies.get(key)
                if encoded is not None:  # not gone meanwhile
                    yield encoded

    def own(self, channel: Channel) -> PolicyAnnouncement | None:
        """Our policy for our end of a channel if it is not announced yet or has changed."""
        if channel.phase is not Phase.OPEN:
            return None
        policy = self._policy_of(channel.params.asset)
        row = self._policies.get((channel.channel_id, self._signer.public_key))
        previous = None if row is None else _read(row)
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


def bucket_of(channel_id: bytes) -> int:
    """Ids are hashes, so buckets fill evenly."""
    return channel_id[0]


def _fingerprint(encoded: bytes) -> int:
    return int.from_bytes(sha256(encoded).digest()[:DIGEST_BYTES], "big")


def _read(row: bytes) -> PolicyAnnouncement:
    announcement = decode(row)
    assert isinstance(announcement, PolicyAnnouncement)
    return announcement
