"""Two nodes that meet tell each other what they do not know, and no more."""

from contextlib import closing
from dataclasses import replace

from bench.past import idle_channels
from channeld.adapters.chain.events import ChannelOpened
from channeld.adapters.journal.memory import MemoryJournal
from channeld.adapters.journal.records import Identity, Put
from channeld.adapters.journal.sqlite import SqliteJournal
from channeld.adapters.signer import Signer
from channeld.core.draft import HubPolicy, Tables
from channeld.core.identity import ETH, ChannelParams
from channeld.core.messages import PolicyAnnouncement
from channeld.daemon.gossip import Gossip, bucket_of
from channeld.daemon.peering import POLICIES_AT_ONCE
from channeld.services.devchain.accounts import development_account
from channeld.wire.eip712 import channel_id, domain_separator
from channeld.wire.messages import decode, encode
from channeld.wire.policies import sign_policy
from tests.daemon.cluster import cluster, eventually

CHAIN_ID = 1
DOMAIN = domain_separator(CHAIN_ID, b"\xad" * 20)
ALICE, BOB = (Signer(development_account(name).key) for name in ("alice", "bob"))


def gossip(signer: Signer) -> Gossip:
    return Gossip(MemoryJournal(), Tables(now_s=1_000), signer, DOMAIN, CHAIN_ID, lambda _: HubPolicy())


def opened(salt: int) -> ChannelOpened:
    a, b = sorted((ALICE.address, BOB.address))
    params = ChannelParams(a, b, ETH, 600, salt)
    return ChannelOpened(channel_id(params, DOMAIN), params, False, 10**18)


def policy(name: bytes, signer: Signer, timestamp_s: int = 900) -> PolicyAnnouncement:
    unsigned = PolicyAnnouncement(name, signer.public_key, timestamp_s, 0, 1, 0, 1, 2**94, 0, True)
    return sign_policy(unsigned, DOMAIN, signer.sign_digest)


def told(sender: Gossip, receiver: Gossip) -> list[PolicyAnnouncement]:
    """What the sender would say to the receiver after their greeting."""
    return [decode(encoded) for encoded in sender.unlike(receiver.digests())]


def test_two_who_know_the_same_have_nothing_to_tell():
    one, other = gossip(ALICE), gossip(BOB)
    events = [opened(salt) for salt in range(20)]
    policies = [policy(event.channel, signer) for event in events for signer in (ALICE, BOB)]
    for event in events:
        one.opened(event)
        other.opened(event)
    for each in policies:
        assert one.heard(each)
    for each in reversed(policies):  # whatever the order in which they heard it
        assert other.heard(each)
    assert one.digests() == other.digests() != gossip(ALICE).digests()
    assert told(one, other) == told(other, one) == []

    # One of them hears of new terms: the other is told the bucket that differs, nothing else.
    newer = policy(events[7].channel, ALICE, 950)
    one._tables.now_s += 60
    assert one.heard(newer)
    said = told(one, other)
    assert newer in said
    assert {bucket_of(each.channel_id) for each in said} == {bucket_of(newer.channel_id)}
    other._tables.now_s += 60
    for each in said:
        other.heard(each)
    assert told(one, other) == told(other, one) == []

    # A channel that is gone leaves nothing behind in the digests.
    for each in (one, other):
        rows = each.closed(events[3].channel)
        assert len(rows) == 3
    assert told(one, other) == [] and len(one.known()) == 38
    assert one.closed(events[3].channel) == []


def test_a_restart_changes_no_digest():
    alice = gossip(ALICE)
    event = opened(1)
    rows = alice.opened(event)
    for signer in (ALICE, BOB):
        rows += alice.heard(policy(event.channel, signer))
    alice._journal.commit(rows)
    again = Gossip(alice._journal, Tables(), ALICE, DOMAIN, CHAIN_ID, lambda _: HubPolicy())
    again.restore()
    assert again.digests() == alice.digests()


async def test_a_newcomer_is_told_everything_and_asks_once(tmp_path, caplog):
    async with cluster(tmp_path, "bob", "carol", running=("carol",)) as net:
        domain = net["carol"].domain
        count = POLICIES_AT_ONCE  # channels, of which each has two policies: two lots and a rest of none
        rows = idle_channels(BOB, domain, count, net.now_s)
        identity = Identity(net.chain.chain.settings.chain_id, BOB.public_key)
        with closing(SqliteJournal(net.directory / "bob", identity)) as journal:
            journal.commit([Put(kind, key, value) for kind in rows for key, value in rows[kind]])
        bob, carol = await net.start("bob"), net["carol"]
        await net.connect("carol", "bob")
        # Her chain has not shown her these channels: she keeps the policies until it does.
        early = carol.peering._gossip._early
        await eventually(lambda: len(early) == 2 * count)
        heard = {encode(announcement) for announcement in early.values()}
        assert heard == {value for _, value in rows["graph_policy"]}

        with caplog.at_level("INFO", "channeld"):
            digests = carol.peering._gossip.digests()
            carol.peering.send(BOB.public_key, replace(digests, digests=bytes(len(digests.digests))))
            await eventually(lambda: "digests of policies once" in caplog.text)
        assert bob.peering._gossip.known()
