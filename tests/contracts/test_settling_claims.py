"""Settling with claims: secrets, prices, deadlines to the second, and lists that make no sense."""

import pytest

from channeld.core.claims import Claim, PayoffKind, State
from tests.contracts.town import HOUR_S, PERIOD_S, USD, Town, lock, refused, secret

GRACE_S = 12 * HOUR_S


def paid(town: Town, a: int, *claims: Claim, net: int = 0, wait_s: int = 0) -> tuple[int, int]:
    """What both get of a channel in which a deposited `a`, left with these claims."""
    channel = town.open(a=a, salt=town.arena.block_number)
    state = State(5, net, {claim.claim_id: claim for claim in claims})
    salt = town.dispute(channel, state)
    town.wait(wait_s)
    closed = town.court.settle_state(channel.a, channel, state, salt).event("Closed")
    assert town.court.view("disputes", channel.id) == 0
    return closed["to_a"], closed["to_b"]


# -- hash-locked transfers --


def test_a_transfer_pays_if_its_secret_was_shown_in_time(town: Town) -> None:
    shown, hidden = secret("shown"), secret("hidden")
    town.reveal(shown)
    deadline_s = town.now_s + PERIOD_S - 1
    assert paid(town, 1_000, lock(0, 300, shown, deadline_s), lock(2, 77, hidden, deadline_s)) == (700, 300)


def test_either_side_may_be_the_payer(town: Town) -> None:
    one, other = secret("one"), secret("other")
    town.reveal(one, other)
    deadline_s = town.now_s + 10
    assert paid(town, 1_000, lock(0, 300, one, deadline_s), lock(1, 20, other, deadline_s)) == (720, 280)


def test_a_secret_counts_at_its_deadline_and_not_a_second_later(town: Town) -> None:
    deadline_s = town.now_s + 50
    key, late = secret("key"), secret("late")
    town.wait(50)
    town.reveal(key)
    town.wait(1)
    town.reveal(late)
    assert paid(town, 1_000, lock(0, 300, key, deadline_s), lock(2, 77, late, deadline_s)) == (700, 300)


def test_at_its_deadline_a_hidden_secret_is_pending_and_a_second_later_dead(town: Town) -> None:
    key = secret("x")
    channel = town.open(a=1_000)
    state = State(5, 0, {0: lock(0, 1_000, key, town.now_s + PERIOD_S)})
    salt = town.dispute(channel, state)
    with refused("settle: nothing to do yet"):
        town.court.settle_state(channel.a, channel, state, salt)
    town.wait(1)
    closed = town.court.settle_state(channel.a, channel, state, salt).event("Closed")
    assert (closed["to_a"], closed["to_b"]) == (1_000, 0)


@pytest.mark.parametrize("deadline_s", [2**39, 2**40 - 1])
def test_a_deadline_may_be_as_late_as_its_bits_say(town: Town, deadline_s: int) -> None:
    shown, hidden = secret("shown"), secret("hidden")
    town.reveal(shown)
    assert paid(town, 1_000, lock(0, 300, shown, deadline_s)) == (700, 300)
    channel = town.open(a=1_000)
    settled = town.leave(channel, State(5, 0, {0: lock(0, 300, hidden, deadline_s)}))
    assert settled.event("PartiallySettled")["to_a"] == 700


def test_one_secret_pays_every_claim_that_waits_for_it(town: Town) -> None:
    """In the contract; the daemons never put one hashlock on two transfers."""
    key = secret("x")
    town.reveal(key)
    deadline_s = town.now_s + 10
    assert paid(town, 1_000, lock(0, 300, key, deadline_s), lock(2, 300, key, deadline_s)) == (400, 600)


def test_a_transfer_without_a_hashlock_is_due(town: Town) -> None:
    assert paid(town, 1_000, Claim(0, 300)) == (700, 300)
    assert paid(town, 1_000, Claim(0, 300), Claim(1, 100)) == (800, 200)


def test_claims_beyond_the_deposits_are_clamped(town: Town) -> None:
    assert paid(town, 1_000, Claim(0, 2**96 - 1)) == (0, 1_000)
    assert paid(town, 1_000, Claim(1, 2**96 - 1), Claim(3, 2**96 - 1)) == (1_000, 0)


def test_net_and_claims_add_up(town: Town) -> None:
    assert paid(town, 1_000, Claim(1, 250), net=900) == (350, 650)
    assert paid(town, 1_000, Claim(1, 2**96 - 1), net=2**127 - 1) == (0, 1_000)
    assert paid(town, 1_000, Claim(0, 2**96 - 1), net=-(2**127)) == (1_000, 0)


def test_an_empty_list_may_be_settled_either_way(town: Town) -> None:
    channel = town.open(a=1_000)
    salt = town.dispute(channel, State(1, 400))
    closed = town.court.settle(channel.a, channel, 400, salt, words=b"").event("Closed")
    assert closed["to_b"] == 400


# -- options --

PRICED = [
    (PayoffKind.CALL, 3_000, 4_000, 3_500, 500),
    (PayoffKind.CALL, 3_000, 4_000, 5_000, 1_000),
    (PayoffKind.CALL, 3_000, 4_000, 3_000, 0),
    (PayoffKind.PUT, 3_000, 0, 2_600, 400),
    (PayoffKind.PUT, 3_000, 2_500, 1, 500),
    (PayoffKind.PUT, 3_000, 0, 3_000, 0),
    (PayoffKind.DIGITAL_CALL, 3_000, 0, 3_000, 1),
    (PayoffKind.DIGITAL_CALL, 3_000, 0, 2_999, 0),
    (PayoffKind.DIGITAL_PUT, 3_000, 0, 2_999, 1),
    (PayoffKind.DIGITAL_PUT, 3_000, 0, 3_000, 0),
]


@pytest.mark.parametrize(("kind", "strike", "bound", "price", "worth"), PRICED)
def test_what_linear_and_digital_options_pay(
    town: Town, kind: PayoffKind, strike: int, bound: int, price: int, worth: int
) -> None:
    expiry_s = town.now_s
    town.publish(expiry_s, price * USD)
    terms = town.terms(kind, expiry_s, strike, bound)
    assert paid(town, 100_000, Claim(0, 7, terms=terms)) == (100_000 - 7 * worth, 7 * worth)
    assert paid(town, 100_000, Claim(1, 7, terms=terms), net=50_000) == (
        50_000 + 7 * worth,
        50_000 - 7 * worth,
    )


@pytest.mark.parametrize(
    ("kind", "floor", "price", "worth"),
    [
        (PayoffKind.COIN_CALL, 0, 4_000, 250),
        (PayoffKind.COIN_CALL, 2_000, 1_000, 0),
        (PayoffKind.COIN_CALL, 0, 3_000, 0),
        (PayoffKind.COIN_PUT, 1_000, 2_000, 500),
        (PayoffKind.COIN_PUT, 1_500, 10, 1_000),
        (PayoffKind.COIN_PUT, 1_500, 3_000, 0),
    ],
)
def test_what_coin_settled_options_pay(
    town: Town, kind: PayoffKind, floor: int, price: int, worth: int
) -> None:
    expiry_s = town.now_s
    town.publish(expiry_s, price * USD)
    terms = town.terms(kind, expiry_s, 3_000, floor)
    assert paid(town, 5_000, Claim(0, 1_000, terms=terms)) == (5_000 - worth, worth)


def test_a_group_is_rounded_once_toward_its_payer(town: Town) -> None:
    """Half a unit each: one alone pays nothing, two pay one, and a third of the other side takes it back."""
    expiry_s = town.now_s
    town.publish(expiry_s, 3_000 * USD + USD // 2)
    terms = town.terms(PayoffKind.CALL, expiry_s, 3_000, 4_000)
    halves = [Claim(2 * n, 1, terms=terms) for n in range(3)]
    assert paid(town, 10, halves[0]) == (10, 0)
    assert paid(town, 10, *halves[:2]) == (9, 1)
    assert paid(town, 10, *halves) == (9, 1)
    assert paid(town, 10, *halves[:2], Claim(1, 1, terms=terms)) == (10, 0)


def test_options_of_two_expiries_are_rounded_each(town: Town) -> None:
    instants = town.now_s - 1, town.now_s
    for instant_s in instants:
        town.publish(instant_s, 3_000 * USD + USD // 2)
    claims = [
        Claim(2 * n, 1, terms=town.terms(PayoffKind.CALL, instant_s, 3_000, 4_000))
        for n, instant_s in enumerate(instants)
    ]
    assert paid(town, 10, *claims) == (10, 0)


def test_a_price_published_within_the_grace_counts_for_ever(town: Town) -> None:
    expiry_s = town.now_s
    town.wait(GRACE_S)
    town.publish(expiry_s, 4_000 * USD)
    terms = town.terms(PayoffKind.CALL, expiry_s, 3_000, 4_000)
    assert paid(town, 10_000, Claim(0, 1, terms=terms), wait_s=30 * PERIOD_S) == (9_000, 1_000)


def test_a_price_published_later_never_counts(town: Town) -> None:
    """Else settling and publishing would race for the same money."""
    expiry_s = town.now_s
    town.wait(GRACE_S + 1)
    terms = town.terms(PayoffKind.CALL, expiry_s, 3_000, 4_000)
    assert paid(town, 10_000, Claim(0, 1, terms=terms)) == (10_000, 0)
    town.publish(expiry_s, 4_000 * USD)
    assert paid(town, 10_000, Claim(0, 1, terms=terms)) == (10_000, 0)


def test_in_the_second_of_its_expiry_an_option_still_waits(town: Town) -> None:
    """A hashlock with the same deadline may be decided in this very second, knowing the price."""
    channel = town.open(a=1_000)
    expiry_s = town.now_s + PERIOD_S
    terms = town.terms(PayoffKind.CALL, expiry_s, 3_000, 4_000)
    key = secret("x")
    state = State(5, 0, {0: Claim(0, 1, key.hash, expiry_s, terms)})
    salt = town.dispute(channel, state)
    town.publish(expiry_s, 3_500 * USD)
    with refused("settle: nothing to do yet"):
        town.court.settle_state(channel.a, channel, state, salt)
    town.reveal(key)
    with refused("settle: nothing to do yet"):
        town.court.settle_state(channel.a, channel, state, salt)
    town.wait(1)
    closed = town.court.settle_state(channel.a, channel, state, salt).event("Closed")
    assert (closed["to_a"], closed["to_b"]) == (500, 500)


def test_a_trade_whose_secret_was_not_shown_is_void_both_ways(town: Town) -> None:
    """Premium and option under one hashlock and one deadline: both or neither."""
    key = secret("trade")
    expiry_s = town.now_s + 50
    terms = town.terms(PayoffKind.CALL, expiry_s, 3_000, 4_000)
    claims = [lock(0, 30, key, expiry_s - 10), Claim(1, 1, key.hash, expiry_s - 10, terms)]
    town.wait(60)
    town.publish(expiry_s, 3_500 * USD)
    assert paid(town, 1_000, *claims, net=600) == (400, 600)


def test_a_trade_whose_secret_was_shown_is_worth_both(town: Town) -> None:
    key = secret("trade")
    expiry_s = town.now_s + 50
    terms = town.terms(PayoffKind.CALL, expiry_s, 3_000, 4_000)
    claims = [lock(0, 30, key, expiry_s - 10), Claim(1, 1, key.hash, expiry_s - 10, terms)]
    town.reveal(key)
    town.wait(60)
    town.publish(expiry_s, 3_500 * USD)
    assert paid(town, 1_000, *claims, net=600) == (870, 130)


def test_a_hash_locked_option_that_outlives_its_expiry_is_void(town: Town) -> None:
    """Its holder would decide after the price is known."""
    key = secret("x")
    expiry_s = town.now_s
    town.reveal(key)
    town.publish(expiry_s, 3_500 * USD)
    terms = town.terms(PayoffKind.CALL, expiry_s, 3_000, 4_000)
    assert paid(town, 1_000, Claim(0, 1, key.hash, expiry_s, terms)) == (500, 500)
    assert paid(town, 1_000, Claim(0, 1, key.hash, expiry_s + 1, terms)) == (1_000, 0)


@pytest.mark.parametrize(
    ("kind", "strike", "bound"),
    [
        (PayoffKind.CALL, 0, 4_000),
        (PayoffKind.CALL, 3_000, 3_000),
        (PayoffKind.CALL, 3_000, 0),
        (PayoffKind.PUT, 3_000, 3_000),
        (PayoffKind.PUT, 0, 0),
        (PayoffKind.DIGITAL_CALL, 0, 0),
        (PayoffKind.DIGITAL_CALL, 3_000, 1),
        (PayoffKind.DIGITAL_PUT, 5_000, 1),
        (PayoffKind.DIGITAL_PUT, 0, 0),
        (PayoffKind.COIN_CALL, 3_000, 3_000),
        (PayoffKind.COIN_CALL, 0, 0),
        (PayoffKind.COIN_PUT, 6_000, 0),
        (PayoffKind.COIN_PUT, 3_000, 4_000),
    ],
)
def test_senseless_terms_are_void_and_hold_up_nothing(
    town: Town, kind: PayoffKind, strike: int, bound: int
) -> None:
    expiry_s = town.now_s
    town.publish(expiry_s, 3_500 * USD)
    senseless = Claim(0, 1_000, terms=town.terms(kind, expiry_s, strike, bound))
    sensible = Claim(2, 1, terms=town.terms(PayoffKind.CALL, expiry_s, 3_000, 4_000))
    assert paid(town, 1_000, senseless, sensible) == (500, 500)


def test_an_option_that_expired_at_0_is_void(town: Town) -> None:
    town.publish(0, 3_500 * USD)
    terms = town.terms(PayoffKind.CALL, 0, 3_000, 4_000)
    assert paid(town, 1_000, Claim(0, 1, terms=terms)) == (1_000, 0)


@pytest.mark.parametrize("price", [1, 2**128 - 1])
def test_the_largest_terms_do_not_overflow(town: Town, price: int) -> None:
    expiry_s = town.now_s
    town.publish(expiry_s, price)
    most_price, most_size = 2**128 - 1, 2**96 - 1
    claims = []
    for n in range(8):
        for kind, strike, bound in (
            (1, 1, most_price),
            (2, most_price, 0),
            (3, most_price, 0),
            (4, most_price, 0),
            (5, most_price, most_price - 1),
            (6, most_price, 1),
        ):
            terms = town.terms(PayoffKind(kind), expiry_s, 0)
            claims.append((n, kind, type(terms)(terms.kind, terms.feed, expiry_s, strike, bound)))
    made = [Claim(2 * n, most_size, terms=terms) for n, (_, _, terms) in enumerate(claims)]
    assert paid(town, 1_000, *made) == (0, 1_000)
