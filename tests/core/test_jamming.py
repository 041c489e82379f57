"""Mallory fills bob's channels with claims that nobody answers: how many and how much he carries for her."""

from dataclasses import replace

import pytest

from channeld.core.channel import Channel, Deposits, Phase
from channeld.core.claims import Claim, OptionTerms, PayoffKind, Side, State
from channeld.core.draft import HubPolicy
from channeld.core.events import QuoteGiven
from channeld.core.identity import ChannelParams
from channeld.core.in_flight import Carried, Flight, FlightLimits, Load
from channeld.core.messages import ForwardTo, WriteOption
from channeld.core.operations import MAX_CLAIMS_PER_SIDE, Add, Fail, Fulfil
from channeld.core.records import ClaimRef, Failure, FailureCode, Quote
from channeld.wire.packet import encode_instruction
from tests.core.mallory import Mallory, hash_of
from tests.core.network import T0_S
from tests.core.town import ETH, LEGS, MARKS, Town

DEADLINE_S = T0_S + 600
ALICE, DAVE = bytes([1]) * 20, bytes([4]) * 20
OWN = 1_000
PARAMS = ChannelParams(bytes(20), bytes(range(20)), ETH, 3_600, 0)
CHANNEL = Channel(
    b"c" * 32,
    PARAMS,
    Side.A,
    b"",
    Phase.OPEN,
    0,
    deposits=Deposits(OWN + 100, 5_000),
    announced=Deposits(OWN + 100, 5_000),
    theirs=State(2, net=100),
)
"""Of 1,100 that bob has put in 100 are spent."""

LIMITS = FlightLimits(claims=4, claims_per_peer=3, locked_percent=90, locked_per_peer_percent=50)
FREE = FlightLimits()

ROWS = {
    #                                         alice has   dave has    one more  limits  answer
    "the first": ([], [], 1, LIMITS, None),
    "as much as one may have": ([], [], 500, LIMITS, None),
    "more than one may ever have": ([], [], 501, LIMITS, FailureCode.NO_CAPACITY),
    "up to the limit together": ([200, 100], [], 200, LIMITS, None),
    "beyond it together": ([200, 100], [], 201, LIMITS, FailureCode.BUSY),
    "one place left": ([1, 1], [], 1, LIMITS, None),
    "no place left for her": ([1, 1, 1], [], 1, LIMITS, FailureCode.BUSY),
    "a place left for another": ([], [1, 1, 1], 1, LIMITS, None),
    "no place left for anybody": ([1], [1, 1, 1], 1, LIMITS, FailureCode.BUSY),
    "what is left for another": ([], [500], 400, LIMITS, None),
    "more than is left for all": ([], [500], 401, LIMITS, FailureCode.BUSY),
    "nothing is carried at all": ([], [], 1, replace(LIMITS, claims=0), FailureCode.BUSY),
    "no limits: all that he has": ([], [], OWN, FREE, None),
    "no limits: more than he has": ([], [], OWN + 1, FREE, FailureCode.NO_CAPACITY),
    "no limits: places of the channel": ([1] * (MAX_CLAIMS_PER_SIDE - 1), [], 1, FREE, None),
    "no limits: and no more": ([1] * (MAX_CLAIMS_PER_SIDE - 1), [1], 1, FREE, FailureCode.BUSY),
}


@pytest.mark.parametrize(("alices", "daves", "locked", "limits", "answer"), ROWS.values(), ids=ROWS.keys())
def test_who_may_have_one_more_claim_in_flight(alices, daves, locked, limits, answer):
    carried = Carried()
    flight = Flight(carried)
    for number, (peer, amount) in enumerate([(ALICE, a) for a in alices] + [(DAVE, d) for d in daves]):
        if number == 2:  # some in the same step, some in earlier ones
            carried.update(flight)
            flight = Flight(carried)
        flight.take(ClaimRef(CHANNEL.channel_id, 2 * number), peer, Claim(2 * number, amount))
    assert flight.refusal(CHANNEL, ALICE, Claim(0, locked), limits) is answer
    # Once everything is answered, nothing is left behind.
    for number in range(len(alices) + len(daves)):
        flight.let_go(ClaimRef(CHANNEL.channel_id, 2 * number))
        flight.let_go(ClaimRef(CHANNEL.channel_id, 2 * number))
    carried.update(flight)
    assert (carried.held, carried.loads) == ({}, {})


OPTION_ROWS = {
    #                              options, payments in flight    one more   answer
    "the first": (0, 0, 2_000, None),
    "more than all of them may": (0, 0, 2_001, FailureCode.NO_CAPACITY),
    "what is left": (1_500, 0, 500, None),
    "more than is left": (1_500, 0, 501, FailureCode.BUSY),
    "payments have a share of their own": (0, 900, 2_000, None),
}


@pytest.mark.parametrize(("options", "fixed", "cost", "answer"), OPTION_ROWS.values(), ids=OPTION_ROWS.keys())
def test_how_much_options_may_cost_before_they_are_decided(options, fixed, cost, answer):
    flight = Flight(Carried())
    digital = OptionTerms(PayoffKind.DIGITAL_CALL, bytes(32), T0_S + 900, 100, 0)
    if options:
        flight.take(ClaimRef(CHANNEL.channel_id, 0), DAVE, Claim(0, options, terms=digital))
    if fixed:
        flight.take(ClaimRef(CHANNEL.channel_id, 2), DAVE, Claim(2, fixed))
    limits = FlightLimits(locked_percent=90, locked_per_peer_percent=50, option_percent=200)
    assert flight.refusal(CHANNEL, ALICE, Claim(4, cost, terms=digital), limits) is answer


class Bob:
    """Bob with limits, between two faces of mallory. `ab` and `bc` are the channels."""

    def __init__(self, limits: FlightLimits) -> None:
        self.town = Town(("alice", "bob", "carol"))
        self.mallory = Mallory(self.town, "bob")
        self.node = self.town["bob"]
        self.node.policy = HubPolicy(limits=limits)
        self.ab, self.bc = self.town.channel_id("alice", "bob"), self.town.channel_id("bob", "carol")
        self.mallory.listen()

    def carried(self, *amounts: int) -> list[FailureCode | None]:
        """One batch of payments through him: why each is let go, None if it is carried on."""
        parent = self.newest(self.ab)
        adds = []
        for number, amount in enumerate(amounts):
            packet = encode_instruction(ForwardTo(self.bc, amount, DEADLINE_S, b"\x90"))
            claim_id = self.mallory.next_id(self.ab, parent, number)
            adds.append(Add(Claim(claim_id, amount, hash_of(self.mallory.fresh()), DEADLINE_S), packet))
        return self.offer(self.ab, adds)

    def offer(self, channel_id: bytes, adds: list[Add]) -> list[FailureCode | None]:
        assert self.mallory.say(channel_id, self.mallory.update(channel_id, self.newest(channel_id), adds))
        channel = self.mallory.view(channel_id)
        refusals = {
            op.claim_id: Failure.decode(op.reason).code
            for op in channel.unanswered + channel.waiting
            if isinstance(op, Fail)
        }
        self.agree(channel_id)
        return [refusals.get(add.claim.claim_id) for add in adds]

    def newest(self, channel_id: bytes) -> State:
        channel = self.mallory.view(channel_id)
        return max(channel.mine, channel.theirs, key=lambda state: state.version)

    def agree(self, channel_id: bytes) -> None:
        self.mallory.say(channel_id, self.mallory.ack(channel_id, self.mallory.view(channel_id).mine))

    def owed(self) -> list[Claim]:
        """What he owes carol's face, in the order of the offers."""
        while not self.mallory.view(self.bc).answered:
            self.agree(self.bc)
        return list(self.mallory.view(self.bc).theirs.claims.values())

    def answered(self, claim: Claim, *, paid: bool) -> None:
        """Carol's face answers one."""
        secrets = {hash_of(secret): secret for secret in self.mallory.secrets}
        answer = Fulfil(claim.claim_id, secrets[claim.hashlock]) if paid else Fail(claim.claim_id, b"")
        assert self.mallory.say(self.bc, self.mallory.update(self.bc, self.newest(self.bc), [answer]))
        self.agree(self.ab)

    @property
    def load(self) -> Load:
        return Flight(self.node.tables.carried).load(self.bc, self.mallory.view(self.ab).counterparty)


@pytest.mark.parametrize("paid", [True, False], ids=["paid", "failed"])
def test_a_place_is_free_again_when_its_claim_is_answered(paid):
    bob = Bob(FlightLimits(claims_per_peer=3))
    assert bob.carried(10, 20, 30, 40) == [None, None, None, FailureCode.BUSY]
    assert bob.load == Load(3, 60)
    first, *_ = bob.owed()
    bob.answered(first, paid=paid)
    assert bob.load == Load(2, 50)
    assert bob.carried(10, 10) == [None, FailureCode.BUSY]


def test_what_is_locked_is_bounded_by_what_bob_has():
    bob = Bob(FlightLimits(locked_per_peer_percent=50))  # of 3,000
    assert bob.carried(1_000, 1_501) == [None, FailureCode.NO_CAPACITY]
    assert bob.carried(501, 500) == [FailureCode.BUSY, None]
    for claim in bob.owed():
        bob.answered(claim, paid=True)
    assert bob.load == Load()
    # Now 1,500 are left: less of a smaller balance.
    assert bob.carried(751, 749) == [FailureCode.NO_CAPACITY, None]


def test_a_restart_frees_nothing():
    bob = Bob(FlightLimits(claims_per_peer=2))
    assert bob.carried(10, 20, 30) == [None, None, FailureCode.BUSY]
    bob.owed()
    bob.town.crash("bob")
    bob.town.revive("bob")
    bob.node = bob.town["bob"]
    bob.mallory.listen()
    for channel_id in (bob.ab, bob.bc):
        assert bob.mallory.call(channel_id)
    assert bob.load == Load(2, 30)
    assert bob.carried(1) == [FailureCode.BUSY]
    first, *_ = bob.owed()
    bob.answered(first, paid=False)
    assert bob.carried(1) == [None]


def test_an_option_that_bob_writes_counts_until_it_is_decided():
    """Its collateral is what a buyer that never reveals locks, for a premium that it gets back."""
    bob = Bob(FlightLimits(claims_per_peer=1))
    for number in (1, 2):
        quote = Quote(bytes([number]) * 16, LEGS[0], ETH, MARKS[0], T0_S + 60, b"m")
        bob.node.happen(QuoteGiven(quote))

    def premium(number: int) -> list[FailureCode | None]:
        claim_id = bob.mallory.next_id(bob.ab, bob.newest(bob.ab))
        packet = encode_instruction(WriteOption(bytes([number]) * 16))
        claim = Claim(claim_id, MARKS[0], hash_of(bob.mallory.fresh()), DEADLINE_S)
        return bob.offer(bob.ab, [Add(claim, packet)])

    assert premium(1) == [None]
    peer = bob.mallory.view(bob.ab).counterparty
    assert Flight(bob.node.tables.carried).load(bob.ab, peer).claims == 1
    assert premium(2) == [FailureCode.BUSY]
    (option,) = [c for c in bob.newest(bob.ab).claims.values() if c.terms is not None]
    secrets = {hash_of(secret): secret for secret in bob.mallory.secrets}
    reveal = Fulfil(option.claim_id, secrets[option.hashlock])
    assert bob.mallory.say(bob.ab, bob.mallory.update(bob.ab, bob.newest(bob.ab), [reveal]))
    assert bob.node.tables.carried.loads == {}
    assert premium(2) == [None]
