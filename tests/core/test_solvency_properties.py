"""The worst case against brute force, and what must hold whatever alice and bob have signed.

`CHANNELD_SOAK_STATES` (default 20,000) sets how many random states the seeded check goes through;
a million takes about a minute and a half.
"""

import os
import random
from collections import defaultdict
from fractions import Fraction
from itertools import product
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channeld.core.claims import (
    MAX_AMOUNT,
    MAX_PRICE,
    PRICE_SCALE,
    Claim,
    OptionTerms,
    PayoffKind,
    Side,
    State,
)
from channeld.core.errors import PeerViolation
from channeld.core.payoff import denominator, group_payout, numerator
from channeld.core.solvency import NO_EXPOSURE, Exposure, require_solvent, spendable, worst_case

SOAK_STATES = int(os.environ.get("CHANNELD_SOAK_STATES", "20000"))
FEED = bytes(31) + b"\x18"
EXPIRY_S = 1_800_000_000
INFINITY = None
LINEAR = (PayoffKind.CALL, PayoffKind.PUT, PayoffKind.DIGITAL_CALL, PayoffKind.DIGITAL_PUT)
COIN = (PayoffKind.COIN_CALL, PayoffKind.COIN_PUT)
SIZES = st.integers(1, 3 * PRICE_SCALE) | st.integers(1, 9)


@st.composite
def small_terms(draw, kinds, top, coin_floor, expiry_s=EXPIRY_S):
    """Any option whose kinks lie between 0 and `top`."""
    kind = draw(st.sampled_from([kind for kind in kinds if kind is not PayoffKind.COIN_PUT or coin_floor]))
    low, high = sorted(draw(st.lists(st.integers(0, top), min_size=2, max_size=2, unique=True)))
    match kind:
        case PayoffKind.CALL:
            strike, bound = max(low, 1), max(high, 2)
        case PayoffKind.PUT:
            strike, bound = high, low
        case PayoffKind.DIGITAL_CALL | PayoffKind.DIGITAL_PUT:
            strike, bound = high, 0
        case _:
            strike, bound = coin_floor + high, coin_floor
    return OptionTerms(kind, FEED, expiry_s, strike, bound)


@st.composite
def claims_of(draw, terms, count, size=SIZES):
    """Up to `count` claims, paid by either side, locked or not, each lock with one of two secrets."""
    claims = []
    for serial in range(draw(st.integers(0, count))):
        hashlock = draw(st.sampled_from([None, None, bytes(32), bytes([1] * 32)]))
        its_terms = draw(terms)
        if its_terms is None:
            hashlock = hashlock or bytes(32)
        claim_id = 2 * serial + draw(st.integers(0, 1))
        claims.append(Claim(claim_id, draw(size), hashlock, EXPIRY_S - 60 if hashlock else 0, its_terms))
    return claims


ONE_GROUP = st.one_of(
    claims_of(small_terms(LINEAR, 9, 0), 6),
    claims_of(small_terms(COIN, 9, 0), 6, st.integers(1, 40)),
    claims_of(small_terms(COIN, 7, 3), 6, st.integers(1, 40)),
)


def outcomes(claims):
    """The claims that are alive, for each of the 2^m ends that the m hash-locked ones can come to."""
    locked = [claim for claim in claims if claim.hashlock is not None]
    free = [claim for claim in claims if claim.hashlock is None]
    for fates in product((False, True), repeat=len(locked)):
        yield free + [claim.unlocked() for claim, alive in zip(locked, fates, strict=True) if alive]


def payout(claims, price):
    """`group_payout`, also at infinity: there a coin call pays its size, and linear payoffs are flat."""
    if price is not INFINITY:
        return group_payout(claims, price)
    if not claims or not claims[0].terms.kind.is_coin:
        return group_payout(claims, 10**6)
    calls = [claim for claim in claims if claim.terms.kind is PayoffKind.COIN_CALL]
    return sum(claim.amount if claim.claim_id & 1 else -claim.amount for claim in calls)


@settings(max_examples=400, deadline=None)
@given(ONE_GROUP)
def test_one_group_equals_brute_force(claims):
    """All prices from 0 past the last kink and infinity, no price at all, all outcomes of all secrets."""
    ends = [0]  # no price: void
    for alive in outcomes(claims):
        ends += [payout(alive, price) for price in (*range(12), INFINITY)]
    assert worst_case(claims) == (-min(ends), max(ends))


TWO_EXPIRIES = st.lists(
    claims_of(st.none(), 2)
    | claims_of(small_terms(LINEAR, 4, 0, EXPIRY_S), 3)
    | claims_of(small_terms(LINEAR, 4, 0, EXPIRY_S + 10), 3)
    | claims_of(small_terms(COIN, 3, 1, EXPIRY_S + 20), 2, st.integers(1, 40)),
    max_size=3,
).map(lambda parts: [claim for part in parts for claim in part][:6])


def by_group(claims):
    groups = defaultdict(list)
    for claim in claims:
        groups[claim.terms.group if claim.terms else None].append(claim)
    fixed = groups.pop(None, [])
    return fixed, groups


@settings(max_examples=100, deadline=None)
@given(TWO_EXPIRIES)
def test_payments_and_groups_together_equal_brute_force(claims):
    """Every combination: each secret known or not, each expiry at any price, at infinity or without one."""
    a_pays_at_worst = b_pays_at_worst = 0
    for alive in outcomes(claims):
        fixed, groups = by_group(alive)
        paid = sum(-claim.amount if claim.claim_id & 1 else claim.amount for claim in fixed)
        ends = [{0, *(payout(group, price) for price in (*range(6), INFINITY))} for group in groups.values()]
        for gains in product(*ends):
            a_pays_at_worst = max(a_pays_at_worst, paid - sum(gains))
            b_pays_at_worst = max(b_pays_at_worst, sum(gains) - paid)
    assert worst_case(claims) == (a_pays_at_worst, b_pays_at_worst)


@settings(max_examples=100, deadline=None)
@given(claims_of(small_terms(LINEAR + COIN, 6, 2), 5))
def test_linear_and_coin_kinds_of_one_price_are_never_underestimated(claims):
    owed_a, owed_b = worst_case(claims)
    for alive in outcomes(claims):
        groups = by_group(alive)[1].values()
        for price in (*range(1, 10), 10**6, INFINITY):
            assert -owed_a <= sum(payout(group, price) for group in groups) <= owed_b


def wide_terms(rng, prices):
    """Terms over full-width prices; several share kinks, as listed strikes do."""
    kind = rng.choice(LINEAR + COIN)
    low, high = sorted(rng.sample(prices, 2))
    match kind:
        case PayoffKind.CALL:
            strike, bound = low, high
        case PayoffKind.PUT:
            strike, bound = high, rng.choice((0, low))
        case PayoffKind.DIGITAL_CALL | PayoffKind.DIGITAL_PUT:
            strike, bound = rng.choice((low, high)), 0
        case PayoffKind.COIN_CALL:
            strike, bound = high, rng.choice((0, min(prices) - 1))
        case _:
            strike, bound = high, min(prices) - 1
    return OptionTerms(kind, FEED, EXPIRY_S + 10 * rng.randrange(2), strike, bound)


def random_claims(rng, count):
    width = rng.choice((6, 40, 128))
    prices = [rng.randrange(2, 2**width) for _ in range(5)]
    if len(set(prices)) < 2:
        prices = [3, 7]
    most_amount = rng.choice((50, 10**9, MAX_AMOUNT))
    claims = []
    for serial in range(count):
        terms = None if rng.random() < 0.3 else wide_terms(rng, prices)
        locked = terms is None or rng.random() < 0.4
        hashlock, deadline_s = (bytes([rng.randrange(3)] * 32), EXPIRY_S - 60) if locked else (None, 0)
        claim_id = 2 * serial + rng.randrange(2)
        claims.append(Claim(claim_id, rng.randint(1, most_amount), hashlock, deadline_s, terms))
    near = [min(MAX_PRICE, max(1, price + step)) for price in prices for step in (-1, 0, 1)]
    return claims, [*near, 1, MAX_PRICE, rng.randrange(1, MAX_PRICE)]


def test_no_outcome_takes_more_than_the_deposits_of_a_solvent_state():
    """Deposits are exactly what is owed; prices, secrets and voids fall as they may.

    Also: one sweep says no more than the exact rational sum at the kinks, rounded down once.
    """
    rng = random.Random(20_241_121)
    tight = 0
    for _ in range(SOAK_STATES):
        claims, prices = random_claims(rng, rng.randrange(1, 9))
        state = State(1, 0, {claim.claim_id: claim for claim in claims})
        owed_a, owed_b = worst_case(claims)
        require_solvent(state, owed_a, owed_b)
        alive = [claim.unlocked() for claim in claims if claim.hashlock is None or rng.random() < 0.5]
        fixed, groups = by_group(alive)
        gain_a = sum(claim.amount if claim.claim_id & 1 else -claim.amount for claim in fixed)
        at_expiry = {EXPIRY_S + 10 * n: rng.choice([*prices, None]) for n in range(2)}
        for key, group in groups.items():
            price = at_expiry[key.expiry_s]
            if price is not None:
                gain_a += group_payout(group, price)
        assert owed_a + gain_a >= 0, (claims, at_expiry)
        assert owed_b - gain_a >= 0, (claims, at_expiry)
        tight += gain_a in (-owed_a, owed_b)
    assert tight * 50 > SOAK_STATES  # the bound is met, not only kept


def test_one_unit_less_than_the_worst_case_is_refused_on_either_side():
    rng = random.Random(7)
    for _ in range(500):
        claims, _ = random_claims(rng, 6)
        state = State(1, 0, {claim.claim_id: claim for claim in claims})
        owed_a, owed_b = worst_case(claims)
        require_solvent(state, owed_a, owed_b)
        assert spendable(state, (owed_a, owed_b), Side.A) == spendable(state, (owed_a, owed_b), Side.B) == 0
        with pytest.raises(PeerViolation, match=f"side A must cover {owed_a} at worst, has {owed_a - 1}"):
            require_solvent(state, owed_a - 1, owed_b)
        with pytest.raises(PeerViolation, match=f"side B must cover {owed_b} at worst, has {owed_b - 1}"):
            require_solvent(state, owed_a, owed_b - 1)


@given(st.integers(0, 2**32), st.integers(1, 8))
def test_full_width_worst_cases_equal_exact_rationals(seed, count):
    """The same worst case from fractions evaluated at every kink, group by group."""
    claims, _ = random_claims(random.Random(seed), count)
    fixed, groups = by_group(claims)
    owed = [sum(claim.amount for claim in fixed if claim.claim_id & 1 == side) for side in (0, 1)]
    for key, group in groups.items():
        kinks = {
            p for claim in group for p in (claim.terms.strike, claim.terms.strike - 1, claim.terms.bound)
        }
        for side in (0, 1):
            costs = [Fraction(0)]
            counted = [c for c in group if c.hashlock is None or c.claim_id & 1 == side]
            signs = [1 if claim.claim_id & 1 == side else -1 for claim in counted]
            for price in kinks | {key.coin_floor_plus_1}:
                below = denominator(key, price)
                worths = [Fraction(numerator(c.terms, c.amount, price), below) for c in counted]
                costs.append(sum(s * w for s, w in zip(signs, worths, strict=True)))
            calls = [c.amount if c.terms.kind is PayoffKind.COIN_CALL else 0 for c in counted]
            if key.coin_floor_plus_1:
                costs.append(sum(s * size for s, size in zip(signs, calls, strict=True)))
            owed[side] += floor(max(costs))
    assert worst_case(claims) == tuple(owed)


@given(st.integers(0, 2**32), st.lists(st.integers(0, 2**16), max_size=30))
def test_an_exposure_carried_along_equals_the_recomputation(seed, choices):
    """Claims are added, fulfilled and removed in batches; the order and the batches leave no trace."""
    rng = random.Random(seed)
    waiting, _ = random_claims(rng, 20)
    standing: dict[int, Claim] = {}
    carried = NO_EXPOSURE
    for choice in choices:
        added, removed = [], []
        for claim in rng.sample(sorted(standing.values(), key=lambda c: c.claim_id), min(2, len(standing))):
            del standing[claim.claim_id]
            removed.append(claim)
            if claim.terms is not None and claim.hashlock is not None and choice & 1:
                added.append(claim.unlocked())
        for _ in range(choice % 4):
            if waiting:
                added.append(waiting.pop())
        standing |= {claim.claim_id: claim for claim in added}
        carried = carried.after(removed=removed, added=added)
        recomputed = NO_EXPOSURE.after(added=reversed(standing.values()))
        assert carried == recomputed
        assert (carried.owed_by_a, carried.owed_by_b) == worst_case(standing.values())
    assert carried.after(removed=standing.values()) == NO_EXPOSURE == Exposure()


@given(st.integers(0, 2**32))
def test_no_answer_to_a_claim_makes_a_solvent_state_insolvent(seed):
    """Fulfil, fail and expire one claim at a time in any order, then settle each group: always covered."""
    rng = random.Random(seed)
    claims, prices = random_claims(rng, 8)
    state = State(1, 0, {claim.claim_id: claim for claim in claims})
    deposit_a, deposit_b = worst_case(claims)
    for claim in rng.sample(claims, len(claims)):
        if claim.hashlock is None:
            continue
        open_claims, net = dict(state.claims), state.net
        del open_claims[claim.claim_id]
        if rng.random() < 0.6:
            if claim.terms is None:
                net += -claim.amount if claim.claim_id & 1 else claim.amount
            else:
                open_claims[claim.claim_id] = claim.unlocked()
        state = State(state.version + 1, net, open_claims)
        require_solvent(state, deposit_a, deposit_b)
    groups = by_group(state.claims.values())[1]
    for group in groups.values():
        settled = {claim.claim_id for claim in group}
        rest = {claim_id: claim for claim_id, claim in state.claims.items() if claim_id not in settled}
        net = state.net - group_payout(group, rng.choice(prices))
        state = State(state.version + 1, net, rest)
        require_solvent(state, deposit_a, deposit_b)
    assert not state.claims
