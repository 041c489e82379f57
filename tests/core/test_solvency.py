"""Alice (A), bob (B), carol and mallory: no state may promise more than somebody has."""

import pytest

from channeld.core.claims import MAX_AMOUNT, PRICE_SCALE, Claim, OptionTerms, PayoffKind, Side, State
from channeld.core.errors import PeerViolation
from channeld.core.payoff import group_payout, most
from channeld.core.solvency import NO_EXPOSURE, require_solvent, spendable, worst_case

ETH = 10**18
USD = PRICE_SCALE
FEED = bytes(31) + b"\x18"
EXPIRY_S = 1_800_000_000
SECRET_HASH = bytes(range(32))

CALL, PUT = PayoffKind.CALL, PayoffKind.PUT
DIGITAL_CALL, DIGITAL_PUT = PayoffKind.DIGITAL_CALL, PayoffKind.DIGITAL_PUT
COIN_CALL, COIN_PUT = PayoffKind.COIN_CALL, PayoffKind.COIN_PUT


class Book:
    """Claims in the order in which alice and bob add them."""

    def __init__(self):
        self.claims = []

    def add(self, payer, amount, terms=None, hashlock=None):
        claim_id = 2 * len(self.claims) + (payer == "bob")
        deadline_s = EXPIRY_S - 60 if hashlock else 0
        self.claims.append(Claim(claim_id, amount, hashlock, deadline_s, terms))
        return self.claims[-1]

    def state(self, net=0, version=7):
        return State(version, net, {claim.claim_id: claim for claim in self.claims})


def option(kind, strike, bound=0, expiry_s=EXPIRY_S, feed=FEED):
    return OptionTerms(kind, feed, expiry_s, strike, bound)


@pytest.fixture
def book():
    return Book()


def test_nothing_is_owed_where_nothing_is_claimed():
    assert worst_case([]) == (0, 0)
    require_solvent(State(), 0, 0)


def test_hash_locked_payments_count_in_full_for_the_payer_and_nothing_for_the_payee(book):
    book.add("alice", 30, hashlock=SECRET_HASH)
    book.add("alice", 12, hashlock=SECRET_HASH)
    book.add("bob", 5, hashlock=SECRET_HASH)
    assert worst_case(book.claims) == (42, 5)
    require_solvent(book.state(), 42, 5)
    with pytest.raises(PeerViolation, match=r"state 7: side A must cover 42 at worst, has 41"):
        require_solvent(book.state(), 41, 5)
    with pytest.raises(PeerViolation, match=r"state 7: side B must cover 5 at worst, has 4"):
        require_solvent(book.state(), 42, 4)


def test_what_alice_has_paid_is_bobs_to_spend(book):
    book.add("bob", 50, hashlock=SECRET_HASH)
    require_solvent(book.state(net=50), 100, 0)
    with pytest.raises(PeerViolation, match="side B must cover 50 at worst, has 49"):
        require_solvent(book.state(net=49), 100, 0)
    with pytest.raises(PeerViolation, match="side A must cover 0 at worst, has -1"):
        require_solvent(book.state(net=101), 100, 0)


def test_bob_may_have_withdrawn_what_he_earned(book):
    """A deposit is signed: bob took out 60 of the 60 that alice had paid him."""
    book.add("alice", 40, hashlock=SECRET_HASH)
    require_solvent(book.state(net=60), 100, -60)
    with pytest.raises(PeerViolation, match="side B"):
        require_solvent(book.state(net=59), 100, -60)


@pytest.mark.parametrize(
    ("terms", "size", "owed"),
    [
        (option(CALL, 4_000 * USD, 6_000 * USD), ETH, 2_000 * ETH),
        (option(PUT, 4_000 * USD), ETH, 4_000 * ETH),
        (option(PUT, 4_000 * USD, 1_000 * USD), ETH, 3_000 * ETH),
        (option(DIGITAL_CALL, 4_000 * USD), ETH, ETH),
        (option(DIGITAL_PUT, 4_000 * USD), ETH, ETH),
        (option(DIGITAL_PUT, 1), ETH, ETH),
        (option(COIN_CALL, 4_000 * USD), ETH, ETH),
        (option(COIN_CALL, 4_000 * USD, 500 * USD), ETH, ETH),
        (option(COIN_PUT, 4_000 * USD, 1_000 * USD), ETH, 3 * ETH),
        (option(CALL, 1, 2), 10**8 - 1, 0),
        (option(CALL, 1, 2), 10**8, 1),
    ],
)
@pytest.mark.parametrize("hashlock", [None, SECRET_HASH])
def test_one_option_costs_its_writer_the_most_it_can_pay_and_its_holder_nothing(
    book, terms, size, owed, hashlock
):
    claim = book.add("bob", size, terms, hashlock)
    assert worst_case([claim]) == (0, owed)
    assert owed <= most(claim) <= owed + 1
    mirrored = Claim(0, size, hashlock, claim.deadline_s, terms)
    assert worst_case([mirrored]) == (owed, 0)


def test_a_condor_needs_the_collateral_of_its_worse_wing_only(book):
    book.add("alice", ETH, option(CALL, 4_500 * USD, 9_000 * USD))
    book.add("bob", ETH, option(CALL, 5_000 * USD, 9_000 * USD))
    book.add("alice", ETH, option(PUT, 3_500 * USD))
    book.add("bob", ETH, option(PUT, 3_200 * USD))
    assert worst_case(book.claims) == (500 * ETH, 0)


def test_digitals_are_worst_one_tick_below_the_strike(book):
    """Alice wrote a put spread against a digital: at K-1 she pays it, at K no more."""
    book.add("alice", 10, option(DIGITAL_PUT, 100))
    book.add("bob", 10, option(DIGITAL_PUT, 99))
    book.add("bob", 10, option(DIGITAL_CALL, 100))
    assert group_payout(book.claims, 99) == -10
    assert worst_case(book.claims) == (10, 10)


def test_a_box_is_a_sure_gain_and_no_collateral(book):
    """Claims.md 4. Bob holds a box that pays 1 at any price, and mallory would have him lend on it.

    Expiry e1: alice owes bob a digital call and a digital put of one strike, 1 ETH for sure. Expiry e2:
    bob writes alice a digital worth 1. If nobody publishes e1 the box is void, and e2 still pays.
    """
    e1, e2 = EXPIRY_S, EXPIRY_S + 86_400
    book.add("alice", ETH, option(DIGITAL_CALL, 4_000 * USD, expiry_s=e1))
    book.add("alice", ETH, option(DIGITAL_PUT, 4_000 * USD, expiry_s=e1))
    assert {group_payout(book.claims, price * USD) for price in (1, 3_999, 4_000, 9_000)} == {-ETH}
    assert worst_case(book.claims) == (ETH, 0)
    book.add("bob", ETH, option(DIGITAL_CALL, 4_000 * USD, expiry_s=e2))
    assert worst_case(book.claims) == (ETH, ETH)
    with pytest.raises(PeerViolation, match=f"side B must cover {ETH} at worst, has 0"):
        require_solvent(book.state(), 2 * ETH, 0)
    require_solvent(book.state(), ETH, ETH)


def test_within_one_expiry_the_box_does_pay_for_the_digital(book):
    """One price makes all of it void or none."""
    book.add("alice", ETH, option(DIGITAL_CALL, 4_000 * USD))
    book.add("alice", ETH, option(DIGITAL_PUT, 4_000 * USD))
    book.add("bob", ETH, option(DIGITAL_CALL, 4_000 * USD))
    assert worst_case(book.claims) == (ETH, 0)


def test_a_linear_call_does_not_cover_a_coin_settled_one(book):
    """Bob holds a capped linear call against a coin call he wrote: they look covered at every kink.

    0 at price 0, at the strike and at infinity, a gain at the cap; but at 1732 he loses 0.1786.
    """
    held = book.add("alice", ETH // 3_000, option(CALL, 1_000 * USD, 4_000 * USD))
    written = book.add("bob", ETH, option(COIN_CALL, 1_000 * USD))

    def bobs_gain(price):
        return -group_payout([held], price) - group_payout([written], price)

    dust = 3_000  # the slope 1 / 3000 ETH is rounded down to a wei
    assert [bobs_gain(price * USD) for price in (1, 1_000)] == [0, 0]
    assert abs(bobs_gain(4_000 * USD) - ETH // 4) < dust
    assert abs(bobs_gain(10**12 * USD)) < ETH // 10**8
    assert abs(bobs_gain(1_732 * USD) + 0.1786 * ETH) < ETH // 10_000
    owed_a, owed_b = worst_case(book.claims)
    assert owed_b == ETH
    assert ETH - dust < owed_a <= ETH


def test_coin_calls_are_worst_at_infinity(book):
    """Short two above, long one below: covered at every strike, but not for ever."""
    book.add("bob", 3 * ETH, option(COIN_CALL, 1_000 * USD))
    book.add("alice", 5 * ETH, option(COIN_CALL, 2_000 * USD))
    assert worst_case(book.claims)[0] == 2 * ETH


def test_coin_puts_are_worst_at_their_floor_even_where_the_slopes_cancel(book):
    book.add("bob", ETH, option(COIN_PUT, 10 * USD, 4 * USD))
    book.add("alice", ETH, option(COIN_PUT, 20 * USD, 4 * USD))
    assert group_payout(book.claims, 4 * USD) == -5 * ETH // 2
    assert worst_case(book.claims) == (5 * ETH // 2, 0)


def test_coin_kinds_with_different_floors_have_different_denominators_and_add_up(book):
    book.add("bob", ETH, option(COIN_PUT, 10 * USD, 4 * USD))
    book.add("alice", ETH, option(COIN_PUT, 10 * USD, 5 * USD))
    assert worst_case(book.claims) == (ETH, 3 * ETH // 2)


@pytest.mark.parametrize(
    "other", [option(PUT, 4_000 * USD, expiry_s=EXPIRY_S + 10), option(PUT, 4_000 * USD, feed=bytes(32))]
)
def test_a_hedge_in_another_expiry_or_feed_covers_nothing(book, other):
    book.add("alice", ETH, option(PUT, 4_000 * USD))
    book.add("bob", ETH, other)
    assert worst_case(book.claims) == (4_000 * ETH, 4_000 * ETH)


def test_a_pending_option_counts_where_it_costs_and_not_where_it_earns(book):
    """Alice has written a put; the cheaper put that will halve her risk is still under its hashlock."""
    book.add("alice", ETH, option(PUT, 4_000 * USD))
    hedge = book.add("bob", ETH, option(PUT, 2_000 * USD), SECRET_HASH)
    assert worst_case(book.claims) == (4_000 * ETH, 0)
    assert worst_case([book.claims[0], hedge.unlocked()]) == (2_000 * ETH, 0)


def test_a_pending_box_counts_although_its_slopes_cancel(book):
    book.add("alice", ETH, option(DIGITAL_CALL, 4_000 * USD), SECRET_HASH)
    book.add("alice", ETH, option(DIGITAL_PUT, 4_000 * USD), SECRET_HASH)
    assert worst_case(book.claims) == (ETH, 0)


def test_legs_of_one_secret_count_one_by_one(book):
    """Why not together: mallory (B) fulfils the leg that alice owes and keeps back the one he owes.

    Counted as a spread, alice would need 500; after the one fulfil, with the other leg dead at its
    deadline, she owes up to 4,000.
    """
    short = book.add("alice", ETH, option(PUT, 4_000 * USD), SECRET_HASH)
    hedge = book.add("bob", ETH, option(PUT, 3_500 * USD), SECRET_HASH)
    assert worst_case(book.claims) == (4_000 * ETH, 3_500 * ETH)
    assert worst_case([short.unlocked(), hedge]) == (4_000 * ETH, 0)
    assert worst_case([short.unlocked()]) == (4_000 * ETH, 0)
    assert worst_case([short.unlocked(), hedge.unlocked()]) == (500 * ETH, 0)


def test_an_atomic_trade_needs_premium_and_collateral_until_the_secret_is_out(book):
    """Alice buys a put from bob: her premium is his only once the secret is."""
    premium = book.add("alice", ETH // 10, None, SECRET_HASH)
    put = book.add("bob", ETH, option(PUT, 2 * USD), SECRET_HASH)
    assert worst_case(book.claims) == (ETH // 10, 2 * ETH)
    with pytest.raises(PeerViolation, match="side B"):
        require_solvent(book.state(), ETH, 2 * ETH - premium.amount)
    fulfilled = State(9, premium.amount, {put.claim_id: put.unlocked()})
    require_solvent(fulfilled, ETH, 2 * ETH - premium.amount)


def test_fractions_net_within_a_group_and_are_forgiven_once(book):
    """Three times 0.5 of a unit is 1 and not 0: claim by claim, alice could owe what nobody reserved."""
    for _ in range(3):
        book.add("alice", 1, option(CALL, 10 * USD, 10 * USD + USD // 2))
    assert worst_case(book.claims) == (1, 0)


def test_terms_that_the_contract_calls_void_are_worth_nothing_to_either(book):
    for payer in ("alice", "bob"):
        for hashlock in (None, SECRET_HASH):
            book.add(payer, ETH, option(CALL, 10, 10), hashlock)
            book.add(payer, ETH, option(CALL, 0, 10), hashlock)
            book.add(payer, ETH, option(PUT, 10, 10), hashlock)
            book.add(payer, ETH, option(DIGITAL_CALL, 10, 1), hashlock)
            book.add(payer, ETH, option(DIGITAL_PUT, 10, 1), hashlock)
            book.add(payer, ETH, option(COIN_CALL, 10, 10), hashlock)
            book.add(payer, ETH, option(COIN_PUT, 10, 0), hashlock)
            book.add(payer, ETH, option(COIN_PUT, 10, 11), hashlock)
            book.add(payer, ETH, option(PUT, 10, 0, expiry_s=0), hashlock)
            book.add(payer, ETH, option(PayoffKind.FIXED, 10, 0), hashlock)
    assert NO_EXPOSURE.after(added=book.claims) == NO_EXPOSURE


def test_spendable_is_the_largest_payment_that_is_still_solvent(book):
    book.add("alice", 30, hashlock=SECRET_HASH)
    book.add("bob", 10, option(DIGITAL_CALL, 100), SECRET_HASH)
    state = book.state(net=5)
    assert spendable(state, (100, 20), Side.A) == 65
    assert spendable(state, (100, 20), Side.B) == 15
    assert spendable(state, (100, 3), Side.B) == 0
    assert spendable(state, (35, 4), Side.B) == 0
    for side, payer in ((Side.A, "alice"), (Side.B, "bob")):
        more = Book()
        more.claims = list(book.claims)
        more.add(payer, spendable(state, (100, 20), side), hashlock=SECRET_HASH)
        require_solvent(more.state(net=5), 100, 20)
        more.add(payer, 1, hashlock=SECRET_HASH)
        with pytest.raises(PeerViolation, match=f"side {side.name}"):
            require_solvent(more.state(net=5), 100, 20)


def test_no_claim_is_larger_than_an_amount_can_be():
    assert spendable(State(net=-MAX_AMOUNT), (MAX_AMOUNT, MAX_AMOUNT), Side.A) == MAX_AMOUNT


def test_an_exposure_at_hand_saves_the_recomputation_and_says_the_same(book):
    book.add("alice", 30, hashlock=SECRET_HASH)
    book.add("bob", ETH, option(PUT, USD), SECRET_HASH)
    exposure = NO_EXPOSURE.after(added=book.claims)
    assert (exposure.owed_by_a, exposure.owed_by_b) == worst_case(book.claims) == (30, ETH)
    assert spendable(book.state(), (40, ETH), Side.A, exposure) == 10
    with pytest.raises(PeerViolation, match="side B"):
        require_solvent(book.state(), 40, ETH - 1, exposure)


def test_removing_a_payment_that_was_never_added_is_a_bug():
    with pytest.raises(AssertionError, match="never added"):
        NO_EXPOSURE.after(removed=[Claim(0, 1, SECRET_HASH, 1)])
