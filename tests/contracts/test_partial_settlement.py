"""What is decided is paid now, what is not stays: nobody waits for money that no outcome can take."""

import pytest

from channeld.core.claims import Claim, PayoffKind, State
from channeld.core.identity import ETH
from channeld.wire.eip712 import claim_words, claims_hash
from tests.contracts.town import HOUR_S, PERIOD_S, USD, Town, lock, mallory, refused, secret
from tests.contracts.valuation import words_of

LATER_S = 10 * PERIOD_S


@pytest.mark.parametrize("asset", ["eth", "token"])
def test_both_are_paid_what_is_free(town: Town, asset: str) -> None:
    address = ETH if asset == "eth" else town.token.address
    channel = town.open(a=1_000, b=500, asset=address)
    before = {who: town.balance(who, address) for who in (channel.a, channel.b)}
    state = State(5, 100, {0: lock(0, 300, secret("x"), town.now_s + LATER_S)})
    town.leave(channel, state)
    paid = {who: town.balance(who, address) - had for who, had in before.items()}
    assert paid == {channel.a: 600, channel.b: 600}
    assert town.balance(town.court.address, address) == 300


@pytest.mark.parametrize(("payer", "amount", "to_a", "to_b"), [(0, 1_000, 0, 500), (1, 500, 1_000, 0)])
def test_free_money_leaves_though_it_is_that_of_one(
    town: Town, payer: int, amount: int, to_a: int, to_b: int
) -> None:
    """Nothing is decided, and all that the other has is needed."""
    channel = town.open(a=1_000, b=500)
    state = State(5, 0, {payer: lock(payer, amount, secret("x"), town.now_s + LATER_S)})
    settled = town.leave(channel, state).event("PartiallySettled")
    assert (settled["to_a"], settled["to_b"]) == (to_a, to_b)


def test_what_is_decided_leaves_the_list_though_nothing_can_be_paid(town: Town) -> None:
    dead = lock(0, 7, secret("never"), town.now_s)
    pending = lock(2, 1_000, secret("x"), town.now_s + LATER_S)
    channel = town.open(a=1_000)
    state = State(5, 0, {0: dead, 2: pending})
    salt = town.dispute(channel, state)
    settled = town.court.settle_state(channel.a, channel, state, salt).event("PartiallySettled")
    assert (settled["to_a"], settled["to_b"]) == (0, 0)
    assert settled["claims"] == claims_hash([pending])


def test_free_money_leaves_and_the_pending_claim_is_reserved(town: Town) -> None:
    key = secret("x")
    channel = town.open(a=1_000, b=500)
    pending = lock(0, 300, key, town.now_s + LATER_S)
    state = State(5, 100, {0: pending})
    salt = town.dispute(channel, state)
    settled = town.court.settle_state(channel.a, channel, state, salt).event("PartiallySettled")
    assert (settled["to_a"], settled["to_b"]) == (600, 600)
    assert town.deposits(channel) == (300, 0)
    assert town.status(channel) == 2
    assert settled["net"] == 0
    town.reveal(key)
    rest = town.court.settle(channel.b, channel, settled["net"], salt, claim_words(pending))
    assert rest.event("Closed") == {"channel": channel.id, "to_a": 0, "to_b": 300}


def test_the_reserve_goes_home_if_the_secret_never_comes(town: Town) -> None:
    channel = town.open(a=1_000, b=500)
    pending = lock(1, 300, secret("x"), town.now_s + LATER_S)
    state = State(5, 100, {0: pending})
    salt = town.dispute(channel, state)
    settled = town.court.settle_state(mallory, channel, state, salt).event("PartiallySettled")
    assert (settled["to_a"], settled["to_b"]) == (900, 300)
    town.wait(LATER_S)
    rest = town.court.settle(mallory, channel, settled["net"], salt, claim_words(pending))
    assert (rest.event("Closed")["to_a"], rest.event("Closed")["to_b"]) == (0, 300)


def test_decided_claims_are_paid_and_the_rest_is_settled_in_steps(town: Town) -> None:
    keys = [secret(str(n)) for n in range(4)]
    claims = [lock(2 * n, 100, key, town.now_s + LATER_S + n) for n, key in enumerate(keys)]
    channel = town.open(a=1_000)
    town.reveal(keys[1])
    state = State(5, 0, {claim.claim_id: claim for claim in claims})
    salt = town.dispute(channel, state)
    first = town.court.settle_state(channel.a, channel, state, salt).event("PartiallySettled")
    assert (first["to_a"], first["to_b"]) == (600, 100)
    rest = [claims[0], claims[2], claims[3]]
    with refused("settle: nothing to do yet"):
        town.court.settle(channel.a, channel, first["net"], salt, words_of(rest))
    town.reveal(keys[3])
    second = town.court.settle(channel.a, channel, first["net"], salt, words_of(rest)).event(
        "PartiallySettled"
    )
    assert (second["to_a"], second["to_b"]) == (0, 100)
    town.wait(LATER_S)
    last = town.court.settle(channel.a, channel, second["net"], salt, words_of(rest[:2]))
    assert (last.event("Closed")["to_a"], last.event("Closed")["to_b"]) == (200, 0)
    assert town.balance(town.court.address) == 0


def test_it_can_be_settled_only_as_what_remains(town: Town) -> None:
    key, other = secret("x"), secret("y")
    claims = [lock(0, 100, key, town.now_s + LATER_S), lock(2, 50, other, town.now_s + LATER_S)]
    channel = town.open(a=1_000)
    state = State(5, 0, {claim.claim_id: claim for claim in claims})
    town.reveal(key)
    salt = town.dispute(channel, state)
    settled = town.court.settle_state(channel.a, channel, state, salt).event("PartiallySettled")
    town.reveal(other)
    for net, words in (
        (0, words_of(claims)),
        (settled["net"], words_of(claims)),
        (settled["net"] - 1, words_of(claims[1:])),
        (settled["net"], words_of(claims[:1])),
    ):
        with refused("settle: not the state"):
            town.court.settle(channel.a, channel, net, salt, words)
    town.court.settle(channel.a, channel, settled["net"], salt, words_of(claims[1:]))


def test_the_window_does_not_open_again(town: Town) -> None:
    channel = town.open(a=1_000)
    state = State(5, 0, {0: lock(0, 100, secret("x"), town.now_s + LATER_S)})
    salt = town.dispute(channel, state)
    town.court.settle_state(channel.a, channel, state, salt)
    with refused("respond: too late"):
        town.court.send(channel.b, "respond", *channel.signed_state(State(6, 900)))
    with refused("challenge: not open"):
        town.court.send(channel.b, "challenge", *channel.signed_state(State(6, 900)))
    with refused("deposit: not open"):
        town.court.deposit(channel.a, channel, channel.a, 1)


def test_a_close_signed_before_it_dies_and_a_new_one_counts_from_what_is_left(town: Town) -> None:
    """The deposits are others now: the old net would be taken from the wrong base."""
    channel = town.open(a=1_000)
    old = channel.signed_close(100, town.now_s + LATER_S)
    state = State(5, 100, {0: lock(0, 300, secret("x"), town.now_s + LATER_S)})
    salt = town.dispute(channel, state)
    town.court.settle_state(channel.a, channel, state, salt)
    assert town.counter(channel) == 1
    with refused("not signed by b"):
        town.court.send(channel.a, "close", *old)
    agreed = channel.signed_close(120, town.now_s, counter=1)
    closed = town.court.send(channel.a, "close", *agreed).event("Closed")
    assert (closed["to_a"], closed["to_b"]) == (180, 120)


def test_a_spread_reserves_its_width_and_not_its_strikes(town: Town) -> None:
    """Long 3,000 and short 3,200: the worst case is netted exactly, whatever the caps are."""
    expiry_s = town.now_s + LATER_S
    terms = [town.terms(PayoffKind.CALL, expiry_s, strike, 9_000) for strike in (3_000, 3_200)]
    spread = {0: Claim(0, 1, terms=terms[0]), 1: Claim(1, 1, terms=terms[1])}
    channel = town.open(a=1_000)
    state = State(5, 0, spread)
    salt = town.dispute(channel, state)
    settled = town.court.settle_state(channel.a, channel, state, salt).event("PartiallySettled")
    assert (settled["to_a"], settled["to_b"]) == (800, 0)
    town.wait_until(expiry_s + 1)
    town.publish(expiry_s, 3_100 * USD)
    rest = town.court.settle(channel.a, channel, settled["net"], salt, words_of(list(spread.values())))
    assert (rest.event("Closed")["to_a"], rest.event("Closed")["to_b"]) == (100, 100)


def test_a_certain_gain_is_no_collateral(town: Town) -> None:
    """A call and a put that together always pay 100: without a price they pay nothing."""
    expiry_s = town.now_s + LATER_S
    sure = {
        n: Claim(n, 100, terms=town.terms(kind, expiry_s, 3_000))
        for n, kind in ((1, PayoffKind.DIGITAL_CALL), (3, PayoffKind.DIGITAL_PUT))
    }
    debt = Claim(0, 100, terms=town.terms(PayoffKind.DIGITAL_CALL, expiry_s + 1, 3_000))
    channel = town.open(a=0, b=300)
    state = State(5, -150, {**sure, 0: debt})
    salt = town.dispute(channel, state)
    settled = town.court.settle_state(channel.b, channel, state, salt).event("PartiallySettled")
    assert (settled["to_a"], settled["to_b"]) == (50, 50)
    town.wait(LATER_S + 13 * HOUR_S)
    words = words_of([*sure.values(), debt])
    rest = town.court.settle(channel.b, channel, settled["net"], salt, words)
    assert (rest.event("Closed")["to_a"], rest.event("Closed")["to_b"]) == (100, 100)


def test_an_option_still_under_its_hashlock_is_reserved_as_if_taken_but_counts_for_nobody(
    town: Town,
) -> None:
    """It may come to life or not: it can cost its payer b, who is covered, and covers nothing for a."""
    expiry_s = town.now_s + LATER_S
    key = secret("trade")
    short = Claim(0, 100, terms=town.terms(PayoffKind.DIGITAL_CALL, expiry_s, 3_000))
    hedge = Claim(1, 100, key.hash, expiry_s, town.terms(PayoffKind.DIGITAL_CALL, expiry_s, 3_000))
    channel = town.open(a=1_000, b=1_000)
    state = State(5, 0, {0: short, 1: hedge})
    salt = town.dispute(channel, state)
    settled = town.court.settle_state(channel.a, channel, state, salt).event("PartiallySettled")
    assert (settled["to_a"], settled["to_b"]) == (900, 1_000)
    town.reveal(key)
    again = town.court.settle(channel.a, channel, settled["net"], salt, words_of([short, hedge]))
    assert (again.event("PartiallySettled")["to_a"], again.event("PartiallySettled")["to_b"]) == (100, 0)


def test_dead_claims_of_a_pending_group_leave_the_list(town: Town) -> None:
    expiry_s = town.now_s + LATER_S
    terms = town.terms(PayoffKind.DIGITAL_CALL, expiry_s, 3_000)
    dead = Claim(0, 100, secret("never").hash, town.now_s + 5, terms)
    waiting = Claim(2, 100, terms=terms)
    channel = town.open(a=200)
    state = State(5, 0, {0: dead, 2: waiting})
    salt = town.dispute(channel, state)
    settled = town.court.settle_state(channel.a, channel, state, salt).event("PartiallySettled")
    assert (settled["to_a"], settled["to_b"]) == (100, 0)
    town.wait_until(expiry_s + 1)
    town.publish(expiry_s, 4_000 * USD)
    rest = town.court.settle(channel.a, channel, settled["net"], salt, words_of([waiting]))
    assert rest.event("Closed")["to_b"] == 100


def test_a_partial_settlement_pays_exactly_what_waiting_would_have_paid(town: Town) -> None:
    expiry_s = town.now_s + LATER_S
    terms = town.terms(PayoffKind.PUT, expiry_s, 3_000, 1_000)
    claims = {0: Claim(0, 1, terms=terms), 2: lock(2, 40, secret("x"), town.now_s + LATER_S)}
    outcomes = []
    for early in (True, False):
        with town.arena.rehearsal():
            channel = town.open(a=3_000, b=10)
            state = State(5, 7, claims)
            salt = town.dispute(channel, state)
            net, got = state.net, {channel.a: 0, channel.b: 0}
            if early:
                part = town.court.settle_state(channel.a, channel, state, salt).event("PartiallySettled")
                net, got = part["net"], {channel.a: part["to_a"], channel.b: part["to_b"]}
            town.reveal(secret("x"))
            town.wait_until(expiry_s + 1)
            town.publish(expiry_s, 1_700 * USD)
            words = words_of([claims[2], claims[0]])
            last = town.court.settle(channel.a, channel, net, salt, words).event("Closed")
            outcomes.append((got[channel.a] + last["to_a"], got[channel.b] + last["to_b"]))
    assert outcomes == [(3_000 - 7 - 40 - 1_300, 10 + 7 + 40 + 1_300)] * 2
