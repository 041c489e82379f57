"""Payments and trades between alice, bob and carol, told with the core alone."""

import hashlib

import pytest

from channeld.core.channel import Phase
from channeld.core.claims import OptionTerms, PayoffKind
from channeld.core.draft import HubPolicy
from channeld.core.effects import SubmitClose
from channeld.core.errors import Rejected
from channeld.core.events import (
    CloseRequested,
    InvoiceCreated,
    OptionRequested,
    PaymentRequested,
    PriceLearnt,
    QuoteGiven,
    SettlementRequested,
)
from channeld.core.messages import Deliver, ForwardTo, WriteOption
from channeld.core.records import (
    Failure,
    FailureCode,
    Invoice,
    OptionLeg,
    Payment,
    Quote,
    SignedPriceRecord,
)
from channeld.wire.packet import encode_instruction
from tests.core.network import T0_S, Network, Node, open_claims

ETH = bytes(20)
FEED = bytes(31) + b"\x01"
DEADLINE_S = T0_S + 600


def invoice(payee: Node, amount: int, number: int = 0) -> Invoice:
    preimage = hashlib.sha256(f"{payee.name}{number}".encode()).digest()
    hashlock = hashlib.sha256(preimage).digest()
    made = Invoice(hashlock, preimage, bytes([7]) * 32, ETH, amount, "coffee", T0_S, T0_S + 3600)
    payee.happen(InvoiceCreated(made))
    return made


def pay_through(network: Network, bill: Invoice, first: bytes, second: bytes, fee: int = 0) -> None:
    last = encode_instruction(Deliver(bill.payment_secret, bill.amount))
    packet = encode_instruction(ForwardTo(second, bill.amount, DEADLINE_S, last))
    network["alice"].happen(
        PaymentRequested(
            bill.hashlock,
            network["carol"].node_id,
            ETH,
            bill.amount,
            fee,
            first,
            DEADLINE_S,
            packet,
            "",
            T0_S,
        )
    )
    network.run()


def test_alice_pays_carol_through_bob():
    network = Network("alice", "bob", "carol", bob=HubPolicy(base_fee=1, fee_ppm=10_000))
    ab = network.open("alice", "bob", 1_000, 1_000)
    bc = network.open("bob", "carol", 1_000, 1_000)
    bill = invoice(network["carol"], 100)
    pay_through(network, bill, ab, bc, fee=2)
    assert network.balances(ab) == {"alice": 898, "bob": 1_102}
    assert network.balances(bc) == {"bob": 900, "carol": 1_100}
    assert open_claims(network, ab) == open_claims(network, bc) == []
    assert all(not node.refused for node in network.nodes.values())
    assert all(not node.tables.refs_of_hash for node in network.nodes.values())


def test_bob_refuses_a_fee_that_is_too_low_and_alice_has_her_money_back():
    network = Network("alice", "bob", "carol", bob=HubPolicy(base_fee=3))
    ab = network.open("alice", "bob", 1_000, 1_000)
    bc = network.open("bob", "carol", 1_000, 1_000)
    pay_through(network, invoice(network["carol"], 100), ab, bc, fee=2)
    assert network.balances(ab) == {"alice": 1_000, "bob": 1_000}
    assert open_claims(network, ab) == []


def test_bob_does_not_carry_what_is_too_small_to_be_settled():
    network = Network("alice", "bob", "carol", bob=HubPolicy(min_amount=101))
    ab = network.open("alice", "bob", 1_000, 1_000)
    bc = network.open("bob", "carol", 1_000, 1_000)
    bill = invoice(network["carol"], 100)
    pay_through(network, bill, ab, bc)
    assert network.balances(ab) == {"alice": 1_000, "bob": 1_000}
    payment = network["alice"].history[Payment, bill.hashlock]
    assert payment.failure == Failure(FailureCode.TOO_SMALL, ab)
    pay_through(network, invoice(network["carol"], 101, number=1), ab, bc)
    assert network.balances(ab) == {"alice": 899, "bob": 1_101}


def call(cap: int = 5_000) -> OptionTerms:
    return OptionTerms(PayoffKind.CALL, FEED, T0_S + 86_400, 4_000 * 10**8, cap * 10**8)


def buy_through(network: Network, leg: OptionLeg, ab: bytes, bc: bytes, premium: int = 50) -> bytes:
    quote = Quote(b"q" * 16, leg, ETH, premium, T0_S + 30, network["alice"].node_id)
    network["carol"].happen(QuoteGiven(quote))
    preimage = b"s" * 32
    packet = encode_instruction(
        ForwardTo(bc, premium, DEADLINE_S, encode_instruction(WriteOption(quote.quote_id)), leg)
    )
    network["alice"].happen(
        OptionRequested(
            preimage,
            hashlib.sha256(preimage).digest(),
            leg,
            ETH,
            premium,
            5,
            network["carol"].node_id,
            ab,
            DEADLINE_S,
            packet,
            T0_S,
        )
    )
    network.run()
    return preimage


def test_alice_buys_a_call_from_carol_through_bob_who_ends_flat():
    network = Network("alice", "bob", "carol")
    ab = network.open("alice", "bob", 1_000, 1_000)
    bc = network.open("bob", "carol", 1_000, 1_000)
    leg = OptionLeg(call(), 1)
    buy_through(network, leg, ab, bc)
    assert network.balances(ab) == {"alice": 945, "bob": 1_055}
    assert network.balances(bc) == {"bob": 950, "carol": 1_050}
    (owed_by_bob,) = open_claims(network, ab)
    (owed_by_carol,) = open_claims(network, bc)
    assert owed_by_bob.terms == owed_by_carol.terms == leg.terms
    assert owed_by_bob.hashlock is None and owed_by_carol.hashlock is None
    assert all(not node.refused for node in network.nodes.values())

    price = SignedPriceRecord(FEED, leg.terms.expiry_s, 4_321 * 10**8, ())
    network.pass_time(86_400)
    for node in network.nodes.values():
        node.happen(PriceLearnt(price))
    network.pass_time(60)
    assert network.balances(ab) == {"alice": 945 + 321, "bob": 1_055 - 321}
    assert network.balances(bc) == {"bob": 950 + 321, "carol": 1_050 - 321}
    assert open_claims(network, ab) == open_claims(network, bc) == []


def test_a_cooperative_close_follows_when_nothing_is_open():
    network = Network("alice", "bob")
    ab = network.open("alice", "bob", 1_000, 0)
    network["alice"].happen(CloseRequested(ab, unilateral=False))
    network.run()
    assert network["bob"].channel(ab).phase is Phase.CLOSING
    (submit,) = [e for e in network["alice"].effects if isinstance(e, SubmitClose)]
    assert submit.net == 0
    assert not [e for e in network["bob"].effects if isinstance(e, SubmitClose)]


def test_messages_lost_in_a_disconnection_are_said_again():
    network = Network("alice", "bob", "carol")
    ab = network.open("alice", "bob", 1_000, 1_000)
    bc = network.open("bob", "carol", 1_000, 1_000)
    bill = invoice(network["carol"], 100)
    last = encode_instruction(Deliver(bill.payment_secret, bill.amount))
    packet = encode_instruction(ForwardTo(bc, 100, DEADLINE_S, last))
    network["alice"].happen(
        PaymentRequested(bill.hashlock, b"", ETH, 100, 0, ab, DEADLINE_S, packet, "", T0_S)
    )
    network.disconnect("alice", "bob")
    network["bob"].restart()
    network["alice"].restart()
    network.connect("bob", "carol")
    network.connect("alice", "bob")
    assert network.balances(bc) == {"bob": 900, "carol": 1_100}
    assert network.balances(ab) == {"alice": 900, "bob": 1_100}


def test_a_payment_that_nobody_answers_expires_and_comes_back():
    network = Network("alice", "bob", "carol")
    ab = network.open("alice", "bob", 1_000, 1_000)
    bc = network.open("bob", "carol", 1_000, 1_000)
    bill = invoice(network["carol"], 100)
    last = encode_instruction(Deliver(bill.payment_secret, bill.amount))
    packet = encode_instruction(ForwardTo(bc, 100, DEADLINE_S, last))
    network["alice"].happen(
        PaymentRequested(bill.hashlock, b"", ETH, 100, 0, ab, DEADLINE_S, packet, "", T0_S)
    )
    network.deliver("alice")
    network.disconnect("bob", "carol")
    network.run()
    network.pass_time(900)
    assert network.balances(ab) == {"alice": 1_000, "bob": 1_000}
    assert open_claims(network, ab) == []


def test_a_settlement_is_refused_before_the_price_and_asked_for_after_it():
    network = Network("alice", "bob", "carol")
    ab = network.open("alice", "bob", 1_000, 1_000)
    bc = network.open("bob", "carol", 1_000, 1_000)
    leg = OptionLeg(call(), 1)
    buy_through(network, leg, ab, bc)
    asked = SettlementRequested(ab, FEED, leg.terms.expiry_s)
    with pytest.raises(Rejected, match="nothing to settle yet"):
        network["alice"].happen(asked)
    for node in network.nodes.values():
        node.tables.now_s = node.tables.confirmed_s = leg.terms.expiry_s + 1
        node.tables.signed_prices[FEED, leg.terms.expiry_s] = 4_400 * 10**8
    network["alice"].happen(asked)
    network.run()
    assert network.balances(ab) == {"alice": 945 + 400, "bob": 1_055 - 400}
    assert open_claims(network, ab) == [] and len(open_claims(network, bc)) == 1
