"""The contract values any list of claims as the reference does, and the core's payoffs are the same."""

from dataclasses import dataclass, replace

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from bench.evm import Channel, Mined, Reverted
from channeld.core.claims import Claim
from tests.contracts.strategies import (
    FEEDS,
    GRACES_H,
    MARKS_S,
    PERIOD_S,
    SECRETS,
    any_price,
    lists,
    near_marks,
    options,
)
from tests.contracts.town import HOUR_S, Town
from tests.contracts.valuation import Registries, Valued, chain_of, value, words_of

POT = 10**15
TOWN = Town()
CHANNEL = TOWN.open(a=POT // 2, b=POT // 2, period_s=PERIOD_S)


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
