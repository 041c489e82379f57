"""Offers that bob lets go, with the reason: as a hub, as a payee, as a writer of options, as a buyer.

He lets a claim go by his next signed state without it; nothing else he does may follow from it.
"""

from dataclasses import replace

import pytest

from channeld.core.channel import Channel, Phase
from channeld.core.claims import Claim, OptionTerms, PayoffKind
from channeld.core.draft import HubPolicy
from channeld.core.errors import Rejected
from channeld.core.events import InvoiceCreated, OptionRequested, PaymentRequested, QuoteGiven
from channeld.core.forwarding import hub_fee
from channeld.core.messages import Deliver, ForwardTo, Instruction, WriteOption
from channeld.core.operations import Add, Fail, Fulfil
from channeld.core.records import (
    Failure,
    FailureCode,
    Forward,
    Invoice,
    InvoiceStatus,
    OptionLeg,
    Payment,
    PaymentStatus,
    Quote,
    Trade,
    TradeStatus,
)
from channeld.wire.packet import encode_instruction
from tests.core.mallory import Mallory, hash_of
from tests.core.network import T0_S
from tests.core.town import ETH, EXPIRY_S, LEGS, MARKS, Town

DEADLINE_S = T0_S + 600
PAYMENT_SECRET = bytes([7]) * 32
LOCK = hash_of(b"s" * 32)


class Bob:
    """Bob between two faces of mallory. `ab` and `bc` are the channels."""

    def __init__(self) -> None:
        self.town = Town(("alice", "bob", "carol"), fees={"bob": 3})
        self.mallory = Mallory(self.town, "bob")
        self.node = self.town["bob"]
        self.ab, self.bc = self.town.channel_id("alice", "bob"), self.town.channel_id("bob", "carol")
        self.mallory.listen()

    def offered(self, packet: bytes | Instruction, amount: int = 103, **claim: object) -> FailureCode | None:
        """Alice offers a claim; why bob lets it go at once, or None if he does not."""
        data = packet if isinstance(packet, bytes) else encode_instruction(packet)
        parent = self.mallory.view(self.ab).theirs
        made = Claim(self.mallory.next_id(self.ab, parent), amount, LOCK, DEADLINE_S)
        made = replace(made, **claim)
        assert self.mallory.say(self.ab, self.mallory.update(self.ab, parent, [Add(made, data)]))
        return self.answer(self.ab, made.claim_id)

    def answer(self, channel_id: bytes, claim_id: int) -> FailureCode | None:
        channel = self.mallory.view(channel_id)
        for operation in channel.unanswered + channel.waiting:
            if isinstance(operation, Fail) and operation.claim_id == claim_id:
                return Failure.decode(operation.reason).code
        return None

    def order(self, **change: object) -> ForwardTo:
        return replace(ForwardTo(self.bc, 100, DEADLINE_S, b"\x90"), **change)

    def owes_onwards(self) -> list[Claim]:
        return list(self.mallory.view(self.bc).mine.claims.values())


def test_a_claim_that_pays_its_way_is_carried_on():
    bob = Bob()
    assert bob.offered(bob.order()) is None
    (claim,) = bob.owes_onwards()
    assert (claim.amount, claim.hashlock, claim.deadline_s) == (100, LOCK, DEADLINE_S)
    (forward,) = bob.node.tables.records[Forward].values()
    assert isinstance(forward, Forward) and forward.fee == 3


HUB_REFUSALS = {
    "an option needs another packet": (
        {},
        {"terms": LEGS[0].terms, "amount": 1},
        FailureCode.BAD_PACKET,
    ),
    "back where it came from": ({"channel_id": "ab"}, {}, FailureCode.BAD_PACKET),
    "an unknown channel": ({"channel_id": bytes(32)}, {}, FailureCode.NO_CHANNEL),
    "nothing to carry": ({"amount": 0}, {}, FailureCode.FEE_TOO_LOW),
    "a fee one too low": ({"amount": 101}, {}, FailureCode.FEE_TOO_LOW),
    "more than was offered": ({"amount": 200}, {}, FailureCode.FEE_TOO_LOW),
    "a later deadline onwards": ({"deadline_s": DEADLINE_S + 1}, {}, FailureCode.TOO_LATE),
    "an earlier deadline onwards": ({"deadline_s": DEADLINE_S - 1}, {}, FailureCode.TOO_LATE),
    "no time to register": ({"deadline_s": T0_S + 239}, {"deadline_s": T0_S + 239}, FailureCode.TOO_LATE),
    "money tied for a day": ({"deadline_s": T0_S + 9**5}, {"deadline_s": T0_S + 9**5}, FailureCode.TOO_FAR),
}


@pytest.mark.parametrize(("order", "claim", "why"), HUB_REFUSALS.values(), ids=HUB_REFUSALS.keys())
def test_a_hub_lets_go_what_it_cannot_carry(order, claim, why):
    bob = Bob()
    if order.get("channel_id") == "ab":
        order = {"channel_id": bob.ab}
    assert bob.offered(bob.order(**order), **claim) is why
    assert not bob.owes_onwards() and not bob.node.tables.records[Forward]


@pytest.mark.parametrize("packet", [b"\x00", b"\xff" * 100, b"\x91\x05", b""], ids=len)
def test_a_packet_that_nobody_can_read_is_let_go(packet):
    assert Bob().offered(packet) in (FailureCode.BAD_PACKET, FailureCode.WRONG_TERMS)


def test_a_channel_whose_peer_is_away_carries_nothing():
    bob = Bob()
    bob.mallory.hang_up(bob.bc)
    assert bob.offered(bob.order()) is FailureCode.NO_CHANNEL


def test_a_claim_is_not_carried_on_in_another_asset():
    bob = Bob()
    other = bob.node.channel(bob.bc)
    bob.node.tables.records[Channel][bob.bc] = replace(
        other, params=replace(other.params, asset=b"\x77" * 20)
    )
    assert bob.offered(bob.order()) is FailureCode.NO_CHANNEL
    assert not bob.owes_onwards()


def test_what_the_next_channel_cannot_cover_is_let_go_at_once():
    town = Town(("alice", "bob", "carol"))
    assert town.pay("bob", "carol", 2_950)
    assert town.pay("alice", "carol", 2_000)
    town.deliver_all()
    assert town.wealth("alice") == town.deposit and town.wealth("bob") == 2 * town.deposit - 2_950
    (payment,) = [r for r in town["alice"].history.values() if isinstance(r, Payment)]
    assert payment.failure == Failure(FailureCode.NO_CAPACITY, town.channel_id("bob", "carol"))


def test_while_the_clock_is_not_trusted_no_claim_is_taken():
    bob = Bob()
    bob.node.tables.clock_trusted = False
    assert bob.offered(bob.order()) is FailureCode.CLOCK
    with pytest.raises(Rejected, match="clock"):
        bob.node.happen(payment_of(bob))


def test_a_secret_that_is_public_carries_nothing():
    bob = Bob()
    bob.town.chain.register(b"s" * 32)
    bob.town.catch_up()
    assert bob.offered(bob.order()) is FailureCode.UNKNOWN_HASH
    with pytest.raises(Rejected, match="public"):
        bob.node.happen(payment_of(bob))


def test_a_channel_on_its_way_out_takes_nothing():
    bob = Bob()
    channel = bob.mallory.view(bob.ab)
    bob.node.tables.records[type(channel)][bob.ab] = replace(channel, phase=Phase.SHUTTING)
    assert bob.offered(bob.order()) is FailureCode.CLOSING


def test_a_queue_that_is_full_takes_no_more():
    bob = Bob()
    channel = bob.mallory.view(bob.bc)
    stuck = replace(channel, waiting=(Fail(1, b""),) * 480, phase=Phase.OPEN)
    bob.node.tables.records[type(channel)][bob.bc] = stuck
    assert bob.offered(bob.order()) is FailureCode.NO_CAPACITY
    with pytest.raises(Rejected, match="waiting"):
        bob.node.happen(payment_of(bob, bob.bc))


@pytest.mark.parametrize(
    ("leg", "asked"), [(None, 2 + 1 + 10), (LEGS[0], 2 + 1 + 10 + 300)], ids=["payment", "trade"]
)
def test_fees_round_up_and_collateral_costs_amount_times_time(leg, asked):
    policy = HubPolicy(base_fee=2, fee_ppm=10_001, collateral_ppm_per_day=500_000)
    day_before_s = EXPIRY_S - 86_400
    assert hub_fee(policy, 1_000, leg, day_before_s) == asked
    assert hub_fee(policy, 1_000, leg, EXPIRY_S + 1) <= asked


# --- as a payee -------------------------------------------------------------------------------------------


def bill_of(bob: Bob, amount: int = 100) -> Invoice:
    preimage = b"p" * 32
    bill = Invoice(hash_of(preimage), preimage, PAYMENT_SECRET, ETH, amount, "", T0_S, T0_S + 900)
    bob.node.happen(InvoiceCreated(bill))
    return bill


PAYEE_REFUSALS = {
    "no such invoice": ({"hashlock": LOCK}, {}, FailureCode.UNKNOWN_HASH),
    "a guess at the payment secret": ({}, {"payment_secret": bytes(32)}, FailureCode.UNKNOWN_HASH),
    "one unit less than asked": ({"amount": 99}, {"total": 99}, FailureCode.WRONG_AMOUNT),
    "less than the payer meant": ({"amount": 100}, {"total": 150}, FailureCode.WRONG_AMOUNT),
    "an option instead of money": ({"terms": LEGS[0].terms, "amount": 1}, {}, FailureCode.WRONG_AMOUNT),
    "no time to collect": ({"deadline_s": T0_S + 200}, {}, FailureCode.TOO_LATE),
}


@pytest.mark.parametrize(("claim", "deliver", "why"), PAYEE_REFUSALS.values(), ids=PAYEE_REFUSALS.keys())
def test_a_payee_takes_only_what_it_asked_for(claim, deliver, why):
    bob = Bob()
    bill = bill_of(bob)
    order = replace(Deliver(PAYMENT_SECRET, 100), **deliver)
    assert bob.offered(order, **{"amount": 100, "hashlock": bill.hashlock, **claim}) is why
    assert bill.hashlock in bob.node.tables.records[Invoice]


def test_an_invoice_is_paid_once_and_not_after_it_has_expired():
    bob = Bob()
    bill = bill_of(bob)
    order = Deliver(PAYMENT_SECRET, 100)
    bob.node.tables.now_s = T0_S + 901
    late = {"hashlock": bill.hashlock, "deadline_s": T0_S + 1_600}
    assert bob.offered(order, 100, **late) is FailureCode.UNKNOWN_HASH
    bob.node.tables.now_s = T0_S
    bob.mallory.say(bob.ab, bob.mallory.ack(bob.ab, bob.mallory.view(bob.ab).mine))
    assert bob.offered(order, 100, hashlock=bill.hashlock) is None
    assert bob.node.history[Invoice, bill.hashlock].status is InvoiceStatus.PAID
    assert isinstance(bob.mallory.view(bob.ab).unanswered[0], Fulfil)


def test_an_invoice_without_an_amount_takes_what_comes():
    bob = Bob()
    bill = bill_of(bob, amount=0)
    assert bob.offered(Deliver(PAYMENT_SECRET, 5), 7, hashlock=bill.hashlock) is None
    assert bob.node.history[Invoice, bill.hashlock].received == 7


# --- as a payer -------------------------------------------------------------------------------------------


def payment_of(bob: Bob, channel_id: bytes | None = None, hashlock: bytes = LOCK) -> PaymentRequested:
    return PaymentRequested(hashlock, b"m", ETH, 10, 0, channel_id or bob.ab, DEADLINE_S, b"", "", T0_S)


def test_one_payment_at_a_time_under_one_hash():
    bob = Bob()
    bob.node.happen(payment_of(bob))
    with pytest.raises(Rejected, match="under way"):
        bob.node.happen(payment_of(bob, bob.bc))


def test_a_payment_under_the_hash_of_a_trade_would_be_taken_by_whoever_hears_its_secret():
    bob = Bob()
    bob.node.happen(trade_of(bob, LOCK))
    with pytest.raises(Rejected, match="public"):
        bob.node.happen(payment_of(bob))


@pytest.mark.parametrize("unusable", ["unknown", "offline", "shutting"])
def test_only_a_channel_that_can_carry_it_is_asked(unusable):
    bob = Bob()
    channel = bob.mallory.view(bob.ab)
    if unusable == "offline":
        bob.mallory.hang_up(bob.ab)
    elif unusable == "shutting":
        bob.node.tables.records[type(channel)][bob.ab] = replace(channel, phase=Phase.SHUTTING)
    with pytest.raises(Rejected):
        bob.node.happen(payment_of(bob, bytes(32) if unusable == "unknown" else bob.ab))
    assert not bob.node.tables.records[Payment]


def test_a_payment_that_is_let_go_may_be_made_again_and_only_the_last_one_counts():
    bob = Bob()
    bob.node.happen(payment_of(bob))
    first = bob.mallory.view(bob.ab).mine
    bob.mallory.say(bob.ab, bob.mallory.update(bob.ab, first, [Fail(1, b"")]))
    assert bob.node.history[Payment, LOCK].status is PaymentStatus.FAILED
    bob.node.happen(payment_of(bob))
    assert bob.node.tables.records[Payment][LOCK].claim.claim_id == 3


# --- as a writer and as a buyer ---------------------------------------------------------------------------


def quote_of(bob: Bob, number: int = 0) -> Quote:
    quote = Quote(bytes([number]) * 16, LEGS[number], ETH, MARKS[number], T0_S + 30, b"m")
    bob.node.happen(QuoteGiven(quote))
    return quote


WRITER_REFUSALS = {
    "no such quote": ({}, {"quote_id": b"?" * 16}, 0, FailureCode.NO_QUOTE),
    "a quote that has lapsed": ({}, {}, 31, FailureCode.NO_QUOTE),
    "one unit less than the premium": ({"amount": MARKS[0] - 1}, {}, 0, FailureCode.WRONG_AMOUNT),
    "an option for an option": ({"terms": LEGS[1].terms, "amount": 1}, {}, 0, FailureCode.WRONG_AMOUNT),
    "no time to bind it": ({"deadline_s": T0_S + 200}, {}, 0, FailureCode.TOO_LATE),
    "two hours to decide": ({"deadline_s": EXPIRY_S - 1}, {}, 0, FailureCode.TOO_FAR),
}


@pytest.mark.parametrize(
    ("claim", "order", "wait_s", "why"), WRITER_REFUSALS.values(), ids=WRITER_REFUSALS.keys()
)
def test_a_writer_writes_only_what_it_quoted(claim, order, wait_s, why):
    bob = Bob()
    quote = quote_of(bob)
    bob.node.tables.now_s += wait_s
    asked = replace(WriteOption(quote.quote_id), **order)
    assert bob.offered(asked, **{"amount": quote.premium, **claim}) is why
    assert not bob.node.tables.records[Trade]


def test_a_quote_is_used_once_and_its_option_goes_back_where_the_premium_came_from():
    bob = Bob()
    quote = quote_of(bob)
    asked = WriteOption(quote.quote_id)
    assert bob.offered(asked, quote.premium) is None
    (option,) = [claim for claim in bob.mallory.view(bob.ab).mine.claims.values() if claim.terms]
    assert (option.terms, option.amount, option.hashlock) == (LEGS[0].terms, LEGS[0].size, LOCK)
    bob.mallory.say(bob.ab, bob.mallory.ack(bob.ab, bob.mallory.view(bob.ab).mine))
    assert bob.offered(asked, quote.premium, hashlock=hash_of(b"other")) is FailureCode.NO_QUOTE


def trade_of(bob: Bob, hashlock: bytes, preimage: bytes = b"s" * 32) -> OptionRequested:
    return OptionRequested(
        preimage, hashlock, LEGS[0], ETH, MARKS[0], 0, b"m", bob.ab, DEADLINE_S, b"\x90", T0_S
    )


BUYER_REFUSALS = {
    "another strike": {
        "terms": OptionTerms(PayoffKind.CALL, LEGS[0].terms.feed, EXPIRY_S, 4_001 * 10**8, 4_300 * 10**8)
    },
    "a smaller size": {"amount": LEGS[0].size - 1},
    "a larger size": {"amount": LEGS[0].size + 1},
    "another deadline": {"deadline_s": DEADLINE_S - 1},
}


@pytest.mark.parametrize("claim", BUYER_REFUSALS.values(), ids=BUYER_REFUSALS.keys())
def test_a_buyer_reveals_for_the_option_it_asked_for_and_for_no_other(claim):
    bob = Bob()
    bob.node.happen(trade_of(bob, LOCK))
    bob.mallory.say(bob.ab, bob.mallory.ack(bob.ab, bob.mallory.view(bob.ab).mine))
    option = {"amount": LEGS[0].size, "terms": LEGS[0].terms, **claim}
    assert bob.offered(b"", **option) is FailureCode.WRONG_TERMS
    assert bob.node.tables.records[Trade][LOCK].status is TradeStatus.OFFERED


def test_a_buyer_does_not_reveal_to_a_stranger_or_too_late():
    for wait_s, channel in ((0, "bc"), (500, "ab")):
        bob = Bob()
        bob.node.happen(trade_of(bob, LOCK))
        bob.mallory.say(bob.ab, bob.mallory.ack(bob.ab, bob.mallory.view(bob.ab).mine))
        if channel == "bc":
            bob.ab, bob.bc = bob.bc, bob.ab
        bob.node.tables.now_s += wait_s
        why = bob.offered(b"", LEGS[0].size, terms=LEGS[0].terms)
        assert why is (FailureCode.WRONG_TERMS if channel == "bc" else FailureCode.TOO_LATE)


def test_a_trade_that_could_not_be_bound_before_it_expires_is_rejected():
    bob = Bob()
    early = OptionLeg(replace(LEGS[0].terms, expiry_s=DEADLINE_S - 1), 1)
    with pytest.raises(Rejected, match="expires"):
        bob.node.happen(replace(trade_of(bob, LOCK), leg=early))
    bob.node.happen(trade_of(bob, LOCK))
    with pytest.raises(Rejected, match="under way"):
        bob.node.happen(trade_of(bob, LOCK))


def test_an_option_that_nobody_asked_for_locks_nothing():
    bob = Bob()
    assert bob.offered(b"", LEGS[0].size, terms=LEGS[0].terms) is FailureCode.WRONG_TERMS
    assert not bob.owes_onwards()


def test_a_hub_carries_back_one_option_for_one_premium_and_only_the_right_one():
    bob = Bob()
    packet = bob.order(leg=LEGS[0], amount=MARKS[0])
    assert bob.offered(packet, MARKS[0] + 3) is None
    bob.ab, bob.bc = bob.bc, bob.ab
    bob.mallory.say(bob.ab, bob.mallory.ack(bob.ab, bob.mallory.view(bob.ab).mine))
    wrong = {"terms": LEGS[1].terms, "hashlock": LOCK}
    assert bob.offered(b"", LEGS[1].size, **wrong) is FailureCode.WRONG_TERMS
    bob.mallory.say(bob.ab, bob.mallory.ack(bob.ab, bob.mallory.view(bob.ab).mine))
    later = {"terms": LEGS[0].terms, "hashlock": LOCK, "deadline_s": DEADLINE_S + 60}
    assert bob.offered(b"", LEGS[0].size, **later) is FailureCode.WRONG_TERMS
    bob.mallory.say(bob.ab, bob.mallory.ack(bob.ab, bob.mallory.view(bob.ab).mine))
    right = {"terms": LEGS[0].terms, "hashlock": LOCK}
    assert bob.offered(b"", LEGS[0].size, **right) is None
    assert [claim.terms for claim in bob.owes_onwards() if claim.terms] == [LEGS[0].terms]
    bob.mallory.say(bob.ab, bob.mallory.ack(bob.ab, bob.mallory.view(bob.ab).mine))
    assert bob.offered(b"", LEGS[0].size, **right) is FailureCode.WRONG_TERMS
