"""Claims of every kind and shape, around a few instants, secrets and feeds."""

from dataclasses import replace

from hypothesis import strategies as st

from bench.evm import START_S
from channeld.core.claims import MAX_PRICE, Claim, OptionTerms, PayoffKind
from channeld.wire.eip712 import Feed, claim_words
from tests.contracts.town import ORACLES, secret
from tests.contracts.valuation import words_of

PERIOD_S = 600
GRACES_H = (1, 2)
SECRETS = tuple(secret(f"secret {n}") for n in range(4))
# Instants at which options expire and locks end; everything happens on or next to one of them.
MARKS_S = tuple(START_S + PERIOD_S + n * 10_000 for n in range(1, 4))

BASE = Feed("ETH/USD", 8, 1, 2, 12, tuple(who.address for who in ORACLES))
FEEDS = tuple(replace(BASE, grace_h=grace_h) for grace_h in GRACES_H)

near_marks = st.builds(lambda mark_s, off: mark_s + off, st.sampled_from(MARKS_S), st.integers(-1, 1))
tidy_prices = st.integers(1, 60).map(lambda usd: usd * 10**8)
any_price = st.one_of(
    tidy_prices,
    st.builds(lambda price, off: price + off, tidy_prices, st.integers(-1, 1)),
    st.sampled_from((1, 2, MAX_PRICE, MAX_PRICE - 1)),
    st.integers(1, MAX_PRICE),
)
amounts = st.one_of(
    st.integers(1, 10**6), st.integers(1, 10**14), st.sampled_from((0, 1, 2**95 - 1, 2**96 - 1))
)


@st.composite
def locks(draw: st.DrawFn) -> tuple[bytes | None, int]:
    if draw(st.booleans()):
        return None, 0
    return draw(st.sampled_from(SECRETS)).hash, draw(st.one_of(near_marks, st.just(0)))


@st.composite
def transfers(draw: st.DrawFn) -> Claim:
    hashlock, deadline_s = draw(locks())
    return Claim(draw(st.integers(0, 1)), draw(amounts), hashlock, deadline_s)


@st.composite
def options(draw: st.DrawFn) -> Claim:
    """Mostly legal ones of few groups, so that they net; some with any strike and bound."""
    kind = draw(st.sampled_from([kind for kind in PayoffKind if kind]))
    strike, bound = draw(any_price), draw(st.one_of(any_price, st.just(0)))
    if draw(st.integers(0, 4)):
        strike = draw(tidy_prices)
        match kind:
            case PayoffKind.CALL:
                bound = strike + draw(tidy_prices)
            case PayoffKind.COIN_CALL | PayoffKind.COIN_PUT:
                bound = draw(st.sampled_from((1, strike // 2)))
            case PayoffKind.PUT:
                bound = draw(st.sampled_from((0, strike // 2, strike - 1)))
            case _:
                bound = 0
    feed = draw(st.sampled_from(FEEDS))
    terms = OptionTerms(kind, feed.feed_id, draw(st.sampled_from(MARKS_S)), strike, bound)
    hashlock, deadline_s = draw(locks())
    return Claim(draw(st.integers(0, 1)), draw(amounts), hashlock, deadline_s, terms)


@st.composite
def lists(draw: st.DrawFn) -> bytes:
    """Words of claims in any order; sometimes of unknown kinds, sometimes cut off."""
    claims = draw(st.lists(st.one_of(transfers(), options(), options()), max_size=8))
    if draw(st.booleans()):
        claims.sort(key=lambda claim: (claim.terms is not None, claim.terms.group if claim.terms else None))
    words = words_of(claims)
    if draw(st.integers(0, 9)) == 0:
        head = int.from_bytes(claim_words(draw(options()))[:32], "big")
        kind = draw(st.integers(7, 63))
        unknown = (head & (2**250 - 1) | kind << 250).to_bytes(32, "big")
        words += unknown + bytes(96 if head >> 249 & 1 else 64)
    if draw(st.integers(0, 9)) == 0:
        words = words[: 32 * draw(st.integers(0, len(words) // 32))]
    return words
