"""Moments that come once: the end of a grace, the end of a close that two have signed, a second price."""

import pytest

from channeld.core.draft import Tables
from channeld.core.events import ChannelDue, CloseRequested, PriceLearnt
from channeld.core.records import SignedPriceRecord
from channeld.core.world import PublishedPrice, settlement_price
from tests.core.network import Network
from tests.core.town import EXPIRY_S, FEED, GRACE_S

LAST_S = EXPIRY_S + GRACE_S
MARGIN_S = Tables().margins.register_s
PRICE, ANOTHER = 4_200 * 10**8, 3_900 * 10**8


@pytest.mark.parametrize(
    ("now_s", "confirmed_s", "expected"),
    [
        pytest.param(LAST_S - MARGIN_S, EXPIRY_S, PRICE, id="it can still be published"),
        pytest.param(
            LAST_S - MARGIN_S + 1, EXPIRY_S, None, id="too late to publish it: a hub would pay alone"
        ),
        pytest.param(LAST_S, LAST_S - 1, None, id="the last second"),
        pytest.param(LAST_S + 900, LAST_S, None, id="over by the clock, but a block may still come to light"),
        pytest.param(LAST_S + 900, LAST_S + 1, 0, id="nothing was published in time: void"),
    ],
)
def test_a_price_that_is_not_on_chain_counts_while_it_could_be(
    now_s: int, confirmed_s: int, expected: int | None
) -> None:
    world = Tables(now_s=now_s, confirmed_s=confirmed_s, signed_prices={(FEED, EXPIRY_S): PRICE})
    assert settlement_price(world, FEED, EXPIRY_S, GRACE_S) == expected


@pytest.mark.parametrize(("published_s", "expected"), [(LAST_S, PRICE), (LAST_S + 1, 0)])
def test_a_price_on_chain_counts_if_it_came_in_time(published_s: int, expected: int) -> None:
    published = {(FEED, EXPIRY_S): PublishedPrice(PRICE, published_s)}
    world = Tables(now_s=LAST_S + 900, confirmed_s=LAST_S + 900, published=published)
    assert settlement_price(world, FEED, EXPIRY_S, GRACE_S) == expected


def test_the_first_price_that_enough_have_signed_stands() -> None:
    alice = Network("alice", "bob")["alice"]
    first, second = (SignedPriceRecord(FEED, EXPIRY_S, price, ()) for price in (PRICE, ANOTHER))
    alice.happen(PriceLearnt(first), PriceLearnt(second))
    assert alice.tables.signed_prices[FEED, EXPIRY_S] == PRICE
    assert alice.tables.records[SignedPriceRecord][first.key] == first, "what she would publish is the same"


def test_where_both_have_offered_a_close_the_later_end_binds() -> None:
    network = Network("alice", "bob")
    channel_id = network.open("alice", "bob", 1_000, 1_000)
    alice, bob = network["alice"], network["bob"]
    bob.tables.now_s += 50
    for node in (alice, bob):
        node.happen(CloseRequested(channel_id, unilateral=False))
    network.run()
    first_s, last_s = sorted(offer.until_s for node in (alice, bob) for offer in node.closes)
    assert last_s == first_s + 50
    for node in (alice, bob):
        node.tables.now_s = node.tables.confirmed_s = first_s + 1
        node.happen(ChannelDue(channel_id))
        # His own transaction with the offer that lasts longer may still be mined: nothing moves before.
        assert node.channel(channel_id).close_until_s == last_s, node.name
        node.tables.now_s = node.tables.confirmed_s = last_s + 1
        node.happen(ChannelDue(channel_id))
        assert node.channel(channel_id).close_until_s > last_s, "it is dead: another one is offered"
