"""The contract values any list of claims as the reference does, and the core's payoffs are the same."""

from dataclasses import dataclass, replace

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from bench.evm import START_S, Channel, Mined, Reverted
from channeld.core.claims import MAX_PRICE, Claim, OptionTerms, PayoffKind
from channeld.wire.eip712 import claim_words
from tests.contracts.town import HOUR_S, Town, secret
from tests.contracts.valuation import Registries, Valued, chain_of, value, words_of

PERIOD_S = 600
GRACES_H = (1, 2)
SECRETS = tuple(secret(f"secret {n}") for n in range(4))
# Instants at which options expire and locks end; everything happens on or next to one of them.
MARKS_S = tuple(START_S + PERIOD_S + n * 10_000 for n in range(1, 4))
POT = 10**15

TOWN = Town()
FEEDS = tuple(replace(TOWN.feed, grace_h=grace_h) for grace_h in GRACES_H)
CHANNEL = TOWN.open(a=POT // 2, b=POT // 2, period_s=PERIOD_S)

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


@dataclass(frozen=True, slots=True)
class History:
    """When each secret was shown and each price published (None: never), and when it is settled."""

    secrets: tuple[int | None, ...]
    prices: tuple[tuple[int, int, int, int], ...]  # feed index, instant, published at, price
    settled_s: int


@st.composite
def histories(draw: st.DrawFn) -> History:
    shown = tuple(draw(st.one_of(st.none(), near_marks)) for _ in SECRETS)
    published = []
    for index, grace_h in enumerate(GRACES_H):
        for instant_s in MARKS_S:
            late_s = draw(st.sampled_from((None, None, 0, 1, 500, grace_h * HOUR_S, grace_h * HOUR_S + 1)))
            if late_s is not None:
                published.append((index, instant_s, instant_s + late_s, draw(any_price)))
    graces = [mark_s + grace_h * HOUR_S for mark_s in MARKS_S for grace_h in GRACES_H]
    settled = st.one_of(near_marks, st.sampled_from(graces + [grace_s + 1 for grace_s in graces]))
    return History(shown, tuple(published), draw(settled))


def live_through(history: History) -> Registries:
    """Make it happen on the chain, in order of time, as far as it happens before the settlement."""
    registries = Registries()
    for key, shown_s in zip(SECRETS, history.secrets, strict=True):
        if shown_s is not None and shown_s <= history.settled_s:
            TOWN.arena.now_s = shown_s
            TOWN.reveal(key)
            registries.secrets[key.hash] = shown_s
    for index, instant_s, published_s, price in history.prices:
        if published_s <= history.settled_s:
            TOWN.arena.now_s = published_s
            TOWN.publish(instant_s, price, FEEDS[index])
            registries.prices[FEEDS[index].feed_id, instant_s] = published_s, price
    TOWN.arena.now_s = history.settled_s
    return registries


def clamp(amount: int, pot: int) -> int:
    return max(0, min(amount, pot))


def check(channel: Channel, mined: Mined, valued: Valued, base: int, pot: int) -> None:
    """The settlement paid what the reference says, and left what it leaves."""
    base += valued.to_a
    if not valued.rest:
        to_a = clamp(base, pot)
        assert mined.event("Closed") == {"channel": channel.id, "to_a": to_a, "to_b": pot - to_a}
        event("closed")
        return
    to_a, to_b = clamp(base - valued.need_a, pot), clamp(pot - base - valued.need_b, pot)
    settled = mined.event("PartiallySettled")
    assert (settled["to_a"], settled["to_b"]) == (to_a, to_b)
    left = pot - to_a - to_b
    assert settled["net"] == left - (base - to_a)
    assert settled["claims"] == chain_of(valued.rest)
    assert TOWN.deposits(channel) == (left, 0)
    event("partially settled")


@given(lists(), histories(), st.integers(-POT, POT))
@settings(max_examples=400, deadline=None)
@example(b"", History((None,) * 4, (), MARKS_S[0]), 0)
def test_any_list_is_valued_as_the_reference_says(words: bytes, history: History, net: int) -> None:
    with TOWN.arena.rehearsal():
        salt = TOWN.dispute_words(CHANNEL, net, words)
        registries = live_through(history)
        valued = value(words, registries, history.settled_s)
        base = POT // 2 - net
        try:
            mined = TOWN.court.settle(CHANNEL.a, CHANNEL, net, salt, words)
        except Reverted as reverted:
            assert str(reverted) == "settle: nothing to do yet"
            total = base + valued.to_a
            assert valued.decided == 0
            assert clamp(total - valued.need_a, POT) + clamp(POT - total - valued.need_b, POT) == 0
            event("nothing to do")
            return
        check(CHANNEL, mined, valued, base, POT)


@given(st.lists(options(), max_size=40), histories(), st.integers(-POT, POT))
@settings(max_examples=60, deadline=None)
def test_groups_larger_than_what_is_netted(claims: list[Claim], history: History, net: int) -> None:
    """All of one feed and instant: beyond 16 they are reserved one by one."""
    one_group = [
        replace(claim, terms=replace(claim.terms, feed=FEEDS[0].feed_id, expiry_s=MARKS_S[2]))
        for claim in claims
        if claim.terms
    ]
    words = words_of(sorted(one_group, key=lambda claim: claim.terms.group if claim.terms else None))
    with TOWN.arena.rehearsal():
        salt = TOWN.dispute_words(CHANNEL, net, words)
        registries = live_through(replace(history, settled_s=MARKS_S[0]))
        valued = value(words, registries, MARKS_S[0])
        try:
            mined = TOWN.court.settle(CHANNEL.a, CHANNEL, net, salt, words)
        except Reverted as reverted:
            assert str(reverted) == "settle: nothing to do yet"
            return
        check(CHANNEL, mined, valued, POT // 2 - net, POT)
