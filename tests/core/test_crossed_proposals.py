"""A fulfilment that was signed in time and said again too late, and a channel that must not freeze over it.

Found by the model (docs/model.md): whoever owed the claim let it expire in a version below the one that was
on its way, and from then on each waited for ever for the other's answer.
"""

import hashlib

import pytest

from channeld.core.channel import Channel, enqueue
from channeld.core.events import (
    InvoiceCreated,
    MessageReceived,
    PaymentRequested,
    PriceLearnt,
    SettlementRequested,
)
from channeld.core.messages import Deliver, ForwardTo, Reestablish
from channeld.core.operations import NO_STREAM, Operation, Push
from channeld.core.records import Invoice, OptionLeg, SignedPriceRecord
from channeld.wire.packet import encode_instruction
from tests.core.network import T0_S, Network, Node
from tests.core.test_stories import FEED, buy_through, call

ETH = bytes(20)
SECRET = b"s" * 32
LOCK = hashlib.sha256(SECRET).digest()
DEADLINE_S = T0_S + 600


def wants(node: Node, channel_id: bytes, operation: Operation) -> None:
    """Something for the next batch of a channel."""
    node.tables.records[Channel][channel_id] = enqueue(node.channel(channel_id), operation)
    node.tables.dirty.add(channel_id)
    node.happen()


def in_time_and_never_heard(alice: str, bob: str) -> tuple[Network, bytes]:
    """Alice pays carol through bob; carol takes it, and bob's fulfilment to alice is lost on its way."""
    network = Network(alice, bob, "carol")
    ab, bc = network.open(alice, bob, 1_000, 1_000), network.open(bob, "carol", 1_000, 1_000)
    bill = Invoice(LOCK, SECRET, bytes(32), ETH, 10, "", T0_S, T0_S + 3_600)
    network["carol"].happen(InvoiceCreated(bill))
    packet = encode_instruction(ForwardTo(bc, 10, DEADLINE_S, encode_instruction(Deliver(bytes(32), 10))))
    request = PaymentRequested(LOCK, network["carol"].node_id, ETH, 10, 0, ab, DEADLINE_S, packet, "", T0_S)
    network[alice].happen(request)
    network.deliver(alice)
    network.deliver(bob)
    network.deliver(bob)
    # Bob has the last word in their channel before he learns the secret: the parity that matters.
    wants(network[bob], ab, Push(NO_STREAM, 1))
    network.deliver(bob)
    network.deliver(alice)
    network.deliver("carol")
    network.disconnect(alice, bob)
    return network, ab


@pytest.mark.parametrize(("alice", "bob"), [("alice", "bob"), ("bob", "alice")])
def test_a_fulfilment_that_is_said_again_too_late_does_not_freeze_the_channel(alice: str, bob: str):
    network, ab = in_time_and_never_heard(alice, bob)
    assert network[bob].channel(ab).unanswered, "bob has signed it"
    # Both are away until the deadline is over; bob, who had to register the secret, is not there to do so.
    for node in network.nodes.values():
        node.tables.now_s = node.tables.confirmed_s = DEADLINE_S + 100
    network[alice].ring()
    network.connect(alice, bob)
    for name in (alice, bob):
        channel = network[name].channel(ab)
        assert channel.answered and not channel.theirs.claims and not channel.waiting, name
    assert network.balances(ab) == {alice: 1_001, bob: 999}


@pytest.mark.parametrize(("alice", "bob"), [("alice", "bob"), ("bob", "alice")])
def test_an_update_that_was_on_its_way_for_minutes_is_refused_once_both_connect_anew(alice: str, bob: str):
    """It was built on a proposal that nobody acknowledged, so on the old connection it could not be refused:
    each waited for the other's answer. That is why a daemon drops a connection without answers."""
    network = Network(alice, bob)
    ab = network.open(alice, bob, 1_000, 1_000)
    payer, payee = network[alice], network[bob]
    payee.happen(InvoiceCreated(Invoice(LOCK, SECRET, bytes(32), ETH, 10, "", T0_S, T0_S + 3_600)))
    deliver = encode_instruction(Deliver(bytes(32), 10))
    payer.happen(PaymentRequested(LOCK, payee.node_id, ETH, 10, 0, ab, DEADLINE_S, deliver, "", T0_S))
    network.deliver(alice)
    assert payee.channel(ab).unanswered, "bob has fulfilled it, on top of what alice proposed"
    for node in network.nodes.values():
        node.tables.now_s = node.tables.confirmed_s = DEADLINE_S + 100
    network.run()
    for _ in range(5):
        payer.ring()
        payee.tables.now_s = payer.tables.now_s = payer.tables.now_s + 60
        network.run()
    assert ab in payer.tables.held and payer.channel(ab).waiting, "she would let it expire, and cannot"
    assert not payer.channel(ab).answered and not payee.channel(ab).answered, "frozen"
    network.disconnect(alice, bob)
    network.connect(alice, bob)
    for node in network.nodes.values():
        channel = node.channel(ab)
        assert channel.answered and not channel.theirs.claims and not channel.waiting and not node.refused
    assert network.balances(ab) == {alice: 1_000, bob: 1_000}


def test_whoever_announces_a_proposal_is_heard_first_and_whoever_lies_holds_up_nobody_else():
    network, ab = in_time_and_never_heard("alice", "bob")
    alice = network["alice"]
    network.up.add(frozenset(("alice", "bob")))
    network.hello("alice", "bob")
    alice.outbox.clear()
    network["bob"].outbox.clear()
    theirs = alice.channel(ab).mine.version
    lie = Reestablish(ab, 2**63, theirs, 1_000, 1_000)
    alice.happen(MessageReceived(network["bob"].node_id, lie))
    wants(alice, ab, Push(NO_STREAM, 1))
    assert not alice.channel(ab).unanswered, "she waits for what he says that he has signed"
    network.disconnect("alice", "bob")
    network.connect("alice", "bob")
    wants(alice, ab, Push(NO_STREAM, 1))
    network.run()
    assert alice.channel(ab).answered and not alice.channel(ab).waiting


@pytest.mark.parametrize("proposer", ["alice", "bob"])
def test_a_settlement_that_is_said_again_after_the_grace_does_not_freeze_the_channel(proposer: str):
    network = Network("alice", "bob", "carol")
    ab, bc = network.open("alice", "bob", 1_000, 1_000), network.open("bob", "carol", 1_000, 1_000)
    leg = OptionLeg(call(), 1)
    buy_through(network, leg, ab, bc)
    before = network.balances(ab)
    record = SignedPriceRecord(FEED, leg.terms.expiry_s, 4_321 * 10**8, ())
    for node in network.nodes.values():
        node.tables.now_s = node.tables.confirmed_s = leg.terms.expiry_s + 1
    # Whoever has the last word before that decides whose version is the higher one.
    wants(network[proposer], ab, Push(NO_STREAM, 1))
    network.run()
    network[proposer].happen(PriceLearnt(record), SettlementRequested(ab, FEED, leg.terms.expiry_s))
    assert network[proposer].channel(ab).unanswered
    network.disconnect("alice", "bob")
    for node in network.nodes.values():
        node.tables.now_s = node.tables.confirmed_s = leg.terms.expiry_s + leg.terms.grace_s + 1
        node.ring()
    network.connect("alice", "bob")
    for name in ("alice", "bob"):
        channel = network[name].channel(ab)
        assert channel.answered and not channel.theirs.claims and not network[name].refused, name
    pushed = {"alice": -1, "bob": 1} if proposer == "alice" else {"alice": 1, "bob": -1}
    assert network.balances(ab) == {name: before[name] + pushed[name] for name in before}, (
        "void: it pays nothing"
    )
