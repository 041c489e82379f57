"""Alice (side A) and bob (side B) read at a settlement price what each option is worth."""

from fractions import Fraction
from math import ceil, trunc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channeld.core.claims import MAX_AMOUNT, MAX_PRICE, PRICE_SCALE, Claim, OptionTerms, PayoffKind
from channeld.core.payoff import denominator, group_payout, is_void, most, numerator

ETH = 10**18
USD = PRICE_SCALE
FEED = bytes(31) + b"\x18"
EXPIRY_S = 1_800_000_000

CALL, PUT = PayoffKind.CALL, PayoffKind.PUT
DIGITAL_CALL, DIGITAL_PUT = PayoffKind.DIGITAL_CALL, PayoffKind.DIGITAL_PUT
COIN_CALL, COIN_PUT = PayoffKind.COIN_CALL, PayoffKind.COIN_PUT
HUGE = MAX_PRICE


def option(kind, strike, bound=0, expiry_s=EXPIRY_S):
    return OptionTerms(kind, FEED, expiry_s, strike, bound)


def claim(payer, terms, size, hashlock=None, serial=0):
    """A claim that 'alice' or 'bob' pays."""
    deadline_s = EXPIRY_S - 60 if hashlock else 0
    return Claim(2 * serial + (payer == "bob"), size, hashlock, deadline_s, terms)


@pytest.mark.parametrize(
    ("kind", "strike", "bound", "pays"),
    [
        (CALL, 10, 13, {0: 0, 1: 0, 9: 0, 10: 0, 11: 1, 12: 2, 13: 3, 14: 3, HUGE: 3}),
        (PUT, 10, 7, {0: 3, 6: 3, 7: 3, 8: 2, 9: 1, 10: 0, 11: 0, HUGE: 0}),
        (PUT, 10, 0, {0: 10, 1: 9, 9: 1, 10: 0, 11: 0, HUGE: 0}),
        (DIGITAL_CALL, 10, 0, {0: 0, 9: 0, 10: USD, 11: USD, HUGE: USD}),
        (DIGITAL_PUT, 10, 0, {0: USD, 9: USD, 10: 0, 11: 0, HUGE: 0}),
        (DIGITAL_CALL, 1, 0, {0: 0, 1: USD, HUGE: USD}),
        (DIGITAL_PUT, 1, 0, {0: USD, 1: 0, HUGE: 0}),
        (COIN_CALL, 10, 0, {0: 0, 1: 0, 9: 0, 10: 0, 11: 1, 20: 10, HUGE: HUGE - 10}),
        (COIN_CALL, 10, 4, {0: 0, 3: 0, 4: 0, 9: 0, 10: 0, 11: 1, HUGE: HUGE - 10}),
        (COIN_PUT, 10, 4, {0: 6, 3: 6, 4: 6, 5: 5, 9: 1, 10: 0, 11: 0, HUGE: 0}),
    ],
)
def test_numerator_at_the_edges(kind, strike, bound, pays):
    terms = option(kind, strike, bound)
    assert {price: numerator(terms, 7, price) for price in pays} == {p: 7 * unit for p, unit in pays.items()}


def test_the_denominator_is_the_scale_or_the_floored_price():
    assert denominator(option(CALL, 10, 20).group, 5) == PRICE_SCALE
    assert denominator(option(DIGITAL_PUT, 10).group, HUGE) == PRICE_SCALE
    assert denominator(option(COIN_PUT, 10, 4).group, 3) == 4
    assert denominator(option(COIN_PUT, 10, 4).group, 5) == 5
    assert denominator(option(COIN_CALL, 10).group, HUGE) == HUGE
    assert denominator(option(COIN_CALL, 10).group, 0) == 1


@pytest.mark.parametrize(
    "terms",
    [
        option(CALL, 10, 10),
        option(CALL, 10, 9),
        option(CALL, 10, 0),
        option(CALL, 0, 9),
        option(PUT, 10, 10),
        option(PUT, 10, 11),
        option(PUT, 0, 0),
        option(DIGITAL_CALL, 10, 1),
        option(DIGITAL_PUT, 10, 1),
        option(DIGITAL_CALL, 0),
        option(DIGITAL_PUT, 0),
        option(COIN_CALL, 10, 10),
        option(COIN_CALL, 10, 11),
        option(COIN_CALL, 0, 0),
        option(COIN_PUT, 10, 0),
        option(COIN_PUT, 10, 10),
        option(COIN_PUT, 10, 11),
        option(COIN_PUT, 0, 0),
        option(CALL, 10, 20, expiry_s=0),
        option(DIGITAL_CALL, 10, expiry_s=0),
        option(COIN_PUT, 10, 4, expiry_s=0),
        option(PayoffKind.FIXED, 10, 4),
    ],
)
def test_void_terms_pay_nothing_at_any_price(terms):
    assert is_void(terms)
    assert {numerator(terms, MAX_AMOUNT, price) for price in (0, 1, 9, 10, 11, 20, HUGE)} == {0}
    assert most(claim("bob", terms, MAX_AMOUNT)) == 0
    assert group_payout([claim("bob", terms, MAX_AMOUNT)], 15) == 0


def test_alice_holds_a_put_on_two_ether():
    put = claim("bob", option(PUT, 4_000 * USD), 2 * ETH)
    assert group_payout([put], 3_500 * USD) == 1_000 * ETH
    assert group_payout([put], 4_000 * USD) == 0
    assert most(put) == 8_000 * ETH


def test_who_pays_gives_the_sign():
    held, written = claim("bob", option(DIGITAL_CALL, 10), 5), claim("alice", option(DIGITAL_CALL, 10), 5)
    assert group_payout([held], 10) == 5
    assert group_payout([written], 10) == -5
    assert group_payout([held, written], 10) == 0
    assert group_payout([], 10) == 0


def test_the_payer_keeps_the_fraction_on_either_side():
    """1.5 units: floor division would make alice pay 2 where bob pays 1."""
    terms = option(CALL, 10 * USD, 20 * USD)
    price = 11 * USD + USD // 2
    assert group_payout([claim("bob", terms, 1)], price) == 1
    assert group_payout([claim("alice", terms, 1)], price) == -1


def test_a_group_is_rounded_once_and_not_claim_by_claim():
    terms = option(CALL, 10 * USD, 20 * USD)
    three = [claim("bob", terms, 1, serial=serial) for serial in range(3)]
    assert group_payout(three, 10 * USD + USD // 2) == 1
    assert sum(group_payout([one], 10 * USD + USD // 2) for one in three) == 0


def test_a_claim_under_its_hashlock_counts_nothing():
    terms = option(DIGITAL_CALL, 10)
    locked, free = claim("bob", terms, 5, bytes(32)), claim("bob", terms, 3, serial=1)
    assert group_payout([locked, free], 10) == 3
    assert group_payout([locked], 10) == 0
    assert group_payout([locked.unlocked()], 10) == 5


def test_claims_of_two_groups_are_never_valued_together():
    linear, coin = claim("bob", option(CALL, 10, 20), 5), claim("bob", option(COIN_CALL, 10, 0), 5)
    with pytest.raises(AssertionError, match="expected group"):
        group_payout([linear, coin], 15)
    with pytest.raises(AssertionError, match="FIXED"):
        group_payout([Claim(0, 5)], 15)


@pytest.mark.parametrize(
    ("terms", "size", "limit"),
    [
        (option(CALL, USD, USD + 1), 1, 1),
        (option(CALL, USD, 3 * USD), 7, 14),
        (option(CALL, USD, 3 * USD + 1), 7, 15),
        (option(PUT, 3 * USD + 1, USD), 7, 15),
        (option(PUT, 3 * USD, 0), 7, 21),
        (option(DIGITAL_CALL, USD), 7, 7),
        (option(DIGITAL_PUT, USD), 7, 7),
        (option(COIN_CALL, USD, 0), 7, 7),
        (option(COIN_PUT, 10, 4), 7, 11),
        (None, 7, 7),
    ],
)
def test_the_most_a_claim_can_pay(terms, size, limit):
    assert most(Claim(0, size, terms=terms)) == limit


@st.composite
def legal_terms(draw, kind):
    strike = draw(st.integers(1, MAX_PRICE - 1) | st.integers(2, 50))
    match kind:
        case PayoffKind.CALL:
            bound = draw(st.integers(strike + 1, MAX_PRICE))
        case PayoffKind.PUT | PayoffKind.COIN_CALL:
            bound = draw(st.integers(0, strike - 1))
        case PayoffKind.COIN_PUT:
            strike = max(strike, 2)
            bound = draw(st.integers(1, strike - 1))
        case _:
            bound = 0
    return option(kind, strike, bound)


def by_definition(terms, size, price):
    """What the option pays as an exact fraction: the definitions of `PayoffKind`, read literally."""
    strike, bound = Fraction(terms.strike), Fraction(terms.bound)
    match terms.kind:
        case PayoffKind.CALL:
            return size * max(Fraction(0), min(price, bound) - strike) / PRICE_SCALE
        case PayoffKind.PUT:
            return size * max(Fraction(0), strike - max(price, bound)) / PRICE_SCALE
        case PayoffKind.DIGITAL_CALL:
            return Fraction(size if price >= strike else 0)
        case PayoffKind.DIGITAL_PUT:
            return Fraction(size if price < strike else 0)
        case PayoffKind.COIN_CALL:
            p = max(price, bound)
            return size * max(Fraction(0), p - strike) / p
        case PayoffKind.COIN_PUT:
            p = max(price, bound)
            return size * max(Fraction(0), strike - p) / p


KINDS = st.sampled_from([kind for kind in PayoffKind if kind is not PayoffKind.FIXED])
SIZES = st.integers(1, MAX_AMOUNT) | st.integers(1, 50)


@given(st.data(), KINDS, SIZES)
def test_every_kind_pays_what_its_definition_says(data, kind, size):
    terms = data.draw(legal_terms(kind))
    near = [terms.strike - 1, terms.strike, terms.strike + 1, terms.bound - 1, terms.bound, terms.bound + 1]
    price = data.draw(st.integers(1, MAX_PRICE) | st.sampled_from([p for p in near if 0 < p <= MAX_PRICE]))
    exact = by_definition(terms, size, Fraction(price))
    assert not is_void(terms)
    assert Fraction(numerator(terms, size, price), denominator(terms.group, price)) == exact
    assert 0 <= numerator(terms, size, price) < 2**225
    assert group_payout([claim("bob", terms, size)], price) == trunc(exact)
    assert group_payout([claim("alice", terms, size)], price) == -trunc(exact)
    assert ceil(exact) <= most(claim("bob", terms, size))


@given(st.data(), st.sampled_from([CALL, PUT, COIN_PUT, COIN_CALL, DIGITAL_CALL]))
def test_adding_a_claim_to_a_group_changes_it_by_no_more_than_its_most(data, kind):
    template = data.draw(legal_terms(kind))
    shape = st.tuples(st.sampled_from(["alice", "bob"]), st.integers(1, 10**9))
    shapes = data.draw(st.lists(shape, min_size=1, max_size=5))
    claims = [claim(payer, template, size, serial=n) for n, (payer, size) in enumerate(shapes)]
    price = data.draw(
        st.integers(1, MAX_PRICE) | st.integers(max(1, template.strike - 9), template.strike + 9)
    )
    change = group_payout(claims, price) - group_payout(claims[:-1], price)
    assert abs(change) <= most(claims[-1])


@given(st.data(), KINDS)
def test_the_two_sides_read_the_same_payout(data, kind):
    """Swapping payer and payee everywhere only turns the sign: nobody gains from being side A."""
    template = data.draw(legal_terms(kind))
    shape = st.tuples(st.sampled_from(["alice", "bob"]), SIZES)
    shapes = data.draw(st.lists(shape, max_size=5))
    other = {"alice": "bob", "bob": "alice"}
    price = data.draw(st.integers(1, MAX_PRICE))
    straight = [claim(payer, template, size) for payer, size in shapes]
    mirrored = [claim(other[payer], template, size) for payer, size in shapes]
    assert group_payout(straight, price) == -group_payout(mirrored, price)
