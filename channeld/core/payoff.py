"""What a claim pays at a settlement price: integers only, the same numbers as the contract's.

Prices carry 8 decimals. The options of one group (`GroupKey`) are summed over one denominator and
divided once, so that collateral which is netted is also enough after rounding. The division
truncates toward zero, in the payer's favour: whoever pays the group never pays a fraction more.
"""

from collections.abc import Iterable
from typing import assert_never

from channeld.core.claims import PRICE_SCALE, Claim, GroupKey, OptionTerms, PayoffKind


def is_void(terms: OptionTerms) -> bool:
    """Whether the contract takes these terms for worth nothing at any price.

    Nobody can have such a claim added (`require_legal_terms`), but settling is total: what two
    signatures have agreed to all the same is void instead of an obstacle to all the others.
    """
    if terms.strike <= 0 or terms.expiry_s <= 0:
        return True
    match terms.kind:
        case PayoffKind.CALL:
            return terms.bound <= terms.strike
        case PayoffKind.PUT:
            return terms.bound >= terms.strike
        case PayoffKind.DIGITAL_CALL | PayoffKind.DIGITAL_PUT:
            return terms.bound != 0
        case PayoffKind.COIN_CALL:
            return terms.bound >= terms.strike
        case PayoffKind.COIN_PUT:
            return not 0 < terms.bound < terms.strike
        case PayoffKind.FIXED:
            return True
        case _ as unreachable:
            assert_never(unreachable)


def numerator(terms: OptionTerms, size: int, price: int) -> int:
    """What the option pays at `price`, times `denominator` of its group; never negative.

    `size` is the claim's amount. Below 2^225: 96 bits of size by 128 bits of price.
    """
    if is_void(terms):
        return 0
    strike, bound = terms.strike, terms.bound
    match terms.kind:
        case PayoffKind.CALL:
            return size * max(0, min(price, bound) - strike)
        case PayoffKind.PUT:
            return size * max(0, strike - max(price, bound))
        case PayoffKind.DIGITAL_CALL:
            return size * PRICE_SCALE if price >= strike else 0
        case PayoffKind.DIGITAL_PUT:
            return size * PRICE_SCALE if price < strike else 0
        case PayoffKind.COIN_CALL:
            return size * max(0, max(price, bound) - strike)
        case PayoffKind.COIN_PUT:
            return size * max(0, strike - max(price, bound))
        case PayoffKind.FIXED:
            return 0
        case _ as unreachable:
            assert_never(unreachable)


def denominator(group: GroupKey, price: int) -> int:
    """The one denominator of a group at `price`: the price scale, or the price itself of coin kinds.

    Positive at any price: nobody can publish the price 0, and coin calls without a floor would pay
    nothing there (0 over 1).
    """
    if group.coin_floor_plus_1 == 0:
        return PRICE_SCALE
    return max(price, group.coin_floor_plus_1 - 1, 1)


def group_payout(claims: Iterable[Claim], price: int) -> int:
    """What side A receives (negative: pays) for the options of one group once `price` is settled.

    Claims still under a hashlock count nothing: by then they are dead. Divided once, truncated toward
    zero (Python's // floors, hence the two cases).
    """
    group: GroupKey | None = None
    total = 0
    for claim in claims:
        terms = claim.terms
        assert terms is not None, f"claim {claim.claim_id}: expected an option, got a FIXED claim"
        if group is None:
            group = terms.group
        assert terms.group == group, f"claim {claim.claim_id}: expected group {group}, got {terms.group}"
        if claim.hashlock is None:
            worth = numerator(terms, claim.amount, price)
            total += worth if claim.claim_id & 1 else -worth
    if group is None:
        return 0
    shared = denominator(group, price)
    return total // shared if total >= 0 else -(-total // shared)


def most(claim: Claim) -> int:
    """The most that a claim can ever pay, in the asset's smallest unit; rounded up.

    Up, because within a group the fraction of one claim can complete that of another: adding this
    claim to any group changes the group's payout by no more.
    """
    terms = claim.terms
    if terms is None:
        return claim.amount
    if is_void(terms):
        return 0
    match terms.kind:
        case PayoffKind.CALL:
            return -(claim.amount * (terms.strike - terms.bound) // PRICE_SCALE)
        case PayoffKind.PUT:
            return -(claim.amount * (terms.bound - terms.strike) // PRICE_SCALE)
        case PayoffKind.COIN_PUT:
            return -(claim.amount * (terms.bound - terms.strike) // terms.bound)
        case PayoffKind.DIGITAL_CALL | PayoffKind.DIGITAL_PUT | PayoffKind.COIN_CALL:
            return claim.amount
        case PayoffKind.FIXED:
            return 0
        case _ as unreachable:
            assert_never(unreachable)
