"""Large groups that stay pending: sixteen options are netted exactly, the others are reserved one by one."""

import pytest

from channeld.core.claims import MAX_PRICE, Claim, OptionTerms, PayoffKind
from channeld.wire.eip712 import claim_words
from tests.contracts.town import PERIOD_S, USD, Town

POT = 10**9


def reserved(town: Town, claims: list[Claim]) -> tuple[int, int]:
    """What a and b each leave behind for the claims, in a channel where both have the same."""
    channel = town.open(a=POT, b=POT, salt=town.arena.block_number)
    words = b"".join(map(claim_words, claims))
    salt = town.dispute_words(channel, 0, words)
    settled = town.court.settle(channel.a, channel, 0, salt, words).event("PartiallySettled")
    return POT - settled["to_a"], POT - settled["to_b"]


def spreads(town: Town, expiry_s: int, count: int) -> list[Claim]:
    """Calls that a has written, each with one 100 above it that b has: the highest strike first."""
    claims = []
    for n in range(count):
        strike = 8_000 - 200 * n
        claims.append(Claim(0, 1, terms=town.terms(PayoffKind.CALL, expiry_s, strike, 9_000)))
        claims.append(Claim(1, 1, terms=town.terms(PayoffKind.CALL, expiry_s, strike + 100, 9_000)))
    return claims


def test_sixteen_options_are_netted_in_whatever_order(town: Town) -> None:
    expiry_s = town.now_s + 9 * PERIOD_S
    eight = spreads(town, expiry_s, 8)
    assert reserved(town, eight) == (800, 0)
    assert reserved(town, eight[::-1]) == (800, 0)
    assert reserved(town, eight[::2] + eight[1::2]) == (800, 0)


@pytest.mark.parametrize("by_b", [0, 1])
def test_the_seventeenth_is_reserved_alone_and_rounded_up(town: Town, by_b: int) -> None:
    """Netted it would have cost its payer less: a put and a call are never both in the money."""
    expiry_s = town.now_s + 9 * PERIOD_S
    put = Claim(by_b, 1, terms=town.terms(PayoffKind.PUT, expiry_s, 3_000, 1_000))
    assert reserved(town, [*spreads(town, expiry_s, 7), put, put]) == ((700, 4_000) if by_b else (4_000, 0))
    alone = 2 * 2_001
    assert reserved(town, [*spreads(town, expiry_s, 8), put, put]) == (
        (800, alone) if by_b else (800 + alone, 0)
    )


@pytest.mark.parametrize(
    ("kind", "strike", "bound", "most"),
    [
        (PayoffKind.COIN_PUT, 3_000 * USD, 1_000 * USD, 2 * 300 + 1),
        (PayoffKind.COIN_CALL, 3_000 * USD, 1_000 * USD, 300),
        (PayoffKind.COIN_CALL, MAX_PRICE // 2, 1_000 * USD, 150 + 1),
    ],
)
def test_coin_settled_options_beyond_the_sixteenth(
    town: Town, kind: PayoffKind, strike: int, bound: int, most: int
) -> None:
    """Each at the price at which it pays most: its floor, or the highest there is."""
    expiry_s = town.now_s + 9 * PERIOD_S
    first = Claim(
        1, 10, terms=OptionTerms(PayoffKind.COIN_PUT, town.feed.feed_id, expiry_s, 2 * bound, bound)
    )
    late = Claim(0, 300, terms=OptionTerms(kind, town.feed.feed_id, expiry_s, strike, bound))
    assert reserved(town, [first] * 16 + [late]) == (most, 160)
