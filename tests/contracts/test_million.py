"""A share of the million valuations of `python -m tests.contracts.million`, and every edge."""

import pytest

from channeld.core.claims import MAX_PRICE, Claim, OptionTerms, PayoffKind
from channeld.core.payoff import group_payout
from tests.contracts import million
from tests.contracts.million import FEED, MAX_SIZE, PERIOD_S, START_S, Bar
from tests.contracts.model.engine import HAS_REVM, best_engine

GROUPS = 25_000 if HAS_REVM else 400
SIZES = (2, 2**95 - 1, MAX_SIZE) if HAS_REVM else (MAX_SIZE,)
MANY = 2_000 if HAS_REVM else 100


@pytest.fixture(scope="module")
def bar() -> Bar:
    return Bar(best_engine())


def test_groups_at_random_are_worth_what_the_core_says(bar: Bar) -> None:
    valued, reserved = million.at_random(bar, GROUPS, seed=20_261_121)
    assert valued + reserved >= GROUPS
    assert min(valued, reserved) > GROUPS // 10


def test_every_edge(bar: Bar) -> None:
    assert million.every_edge(bar, SIZES) > 1_500 * len(SIZES)


@pytest.mark.parametrize("by_b", [0, 1])
@pytest.mark.parametrize(
    ("kind", "strike", "bound", "price"),
    [
        (PayoffKind.CALL, 1, MAX_PRICE, MAX_PRICE),
        (PayoffKind.PUT, MAX_PRICE, 0, 1),
        (PayoffKind.DIGITAL_CALL, 1, 0, 1),
        (PayoffKind.COIN_CALL, 1, 0, MAX_PRICE),
        (PayoffKind.COIN_PUT, MAX_PRICE, 1, 1),
    ],
)
def test_many_of_the_largest_together_do_not_overflow(
    bar: Bar, kind: PayoffKind, strike: int, bound: int, price: int, by_b: int
) -> None:
    """All paid by one side, each as much as terms can say, decided and pending."""
    terms = OptionTerms(kind, FEED.feed_id, START_S, strike, bound)
    assert million.check_priced(bar, [Claim(by_b, MAX_SIZE, terms=terms)] * MANY, {START_S: price}) == 1
    terms = OptionTerms(kind, FEED.feed_id, START_S + PERIOD_S, strike, bound)
    assert million.check_pending(bar, [Claim(by_b, MAX_SIZE, terms=terms)] * MANY) == 1


def test_a_difference_is_told(bar: Bar, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one unit in one group of a hundred."""

    def wrong(run: list[Claim], price: int) -> int:
        return group_payout(run, price) + (len(run) == 5)

    monkeypatch.setattr(million, "group_payout", wrong)
    with pytest.raises(million.Differs, match="the core says"):
        million.at_random(bar, 100, seed=1)
