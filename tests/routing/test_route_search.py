"""Which route is found, what it costs to the last unit, and why there is none."""

from itertools import pairwise

import pytest
from towns import ALICE, BOB, CAROL, DAVE, ETHER, MALLORY, TOKEN, Town, node, query, terms

from routing.edge import Asset
from routing.errors import BadInput, NoRoute, Why
from routing.policy import Policy, collateral_fee, forwarding_fee
from routing.route import Collateral, Hop, Query, Route
from routing.search import find_route

HOUR_S = 3600


def refused(town: Town, asked: Query) -> Why:
    with pytest.raises(NoRoute) as caught:
        find_route(town.graph, asked)
    return caught.value.why


def through(route: Route) -> list[bytes]:
    return [hop.channel_id for hop in route.hops]


@pytest.mark.parametrize(
    ("base_fee", "fee_ppm", "amount", "fee"),
    [(0, 0, 10, 0), (5, 0, 10, 5), (0, 1, 1, 1), (0, 1, 10**6, 1), (0, 1, 10**6 + 1, 2), (3, 10_000, 150, 5)],
)
def test_the_proportional_fee_is_rounded_up(base_fee: int, fee_ppm: int, amount: int, fee: int) -> None:
    assert forwarding_fee(terms(base_fee=base_fee, fee_ppm=fee_ppm), amount) == fee


@pytest.mark.parametrize(
    ("ppm_per_day", "collateral", "duration_s", "fee"),
    [
        (0, 10**9, 86_400, 0),
        (100, 10**6, 86_400, 100),
        (100, 10**6, 43_200, 50),
        (1, 1, 1, 1),
        (100, 10**6, 1, 1),
    ],
)
def test_the_collateral_fee_is_rounded_up_once(
    ppm_per_day: int, collateral: int, duration_s: int, fee: int
) -> None:
    assert collateral_fee(terms(collateral_fee_ppm_per_day=ppm_per_day), collateral, duration_s) == fee


def test_each_hub_takes_its_fee_and_its_time_and_the_payer_no_fee() -> None:
    town = Town()
    dear = terms(base_fee=999, deadline_delta_s=999)
    first = town.open(ALICE, BOB, forth=dear)
    second = town.open(BOB, CAROL, forth=terms(base_fee=10, fee_ppm=10_000, deadline_delta_s=60))
    third = town.open(CAROL, DAVE, forth=terms(base_fee=1, fee_ppm=1, deadline_delta_s=40))
    route = find_route(town.graph, query(ALICE, DAVE, 10_000))
    assert route.hops == (
        # 10,002 · 1 % is 100.02, rounded up to 101, and bob's base fee of 10.
        Hop(first, ALICE, BOB, 10_113, 0, 100),
        Hop(second, BOB, CAROL, 10_002, 111, 40),
        Hop(third, CAROL, DAVE, 10_000, 2, 0),
    )
    assert (route.amount_sent, route.amount_received, route.fee) == (10_113, 10_000, 113)
    assert route.deadline_offset_s == 100


def test_between_two_channels_of_the_same_ends_the_cheaper_that_can_carry_it_is_taken() -> None:
    town = Town()
    town.open(ALICE, BOB)
    small = town.open(BOB, CAROL, forth=terms(base_fee=1), capacity=100)
    large = town.open(BOB, CAROL, forth=terms(base_fee=2), capacity=1000)
    assert through(find_route(town.graph, query(ALICE, CAROL, 100)))[1] == small
    assert through(find_route(town.graph, query(ALICE, CAROL, 101)))[1] == large


def test_what_grows_on_the_way_must_still_fit() -> None:
    town = Town()
    town.open(ALICE, BOB, capacity=104)
    town.open(BOB, CAROL, forth=terms(base_fee=5))
    assert refused(town, query(ALICE, CAROL, 100)) is Why.CAPACITY
    assert find_route(town.graph, query(ALICE, CAROL, 99)).amount_sent == 104


@pytest.mark.parametrize(
    ("policy", "amount", "why"),
    [
        (terms(max_amount=50), 50, None),
        (terms(max_amount=50), 51, Why.CAPACITY),
        (terms(min_amount=50), 50, None),
        (terms(min_amount=50), 49, Why.CAPACITY),
        (terms(enabled=False), 50, Why.DISCONNECTED),
    ],
)
def test_the_last_hop_keeps_its_bounds_and_the_payee_gets_exactly_the_amount(
    policy: Policy, amount: int, why: Why | None
) -> None:
    town = Town()
    town.open(ALICE, BOB)
    town.open(BOB, CAROL, forth=policy)
    asked = query(ALICE, CAROL, amount)
    if why is None:
        assert find_route(town.graph, asked).amount_received == amount
    else:
        assert refused(town, asked) is why


def test_a_claim_below_an_earlier_minimum_is_raised_to_it_and_the_next_hub_keeps_the_rest() -> None:
    town = Town()
    town.open(ALICE, BOB)
    raised = town.open(BOB, CAROL, forth=terms(min_amount=50, base_fee=1))
    town.open(CAROL, DAVE, forth=terms(base_fee=2))
    hops = find_route(town.graph, query(ALICE, DAVE, 10)).hops
    assert [(hop.amount, hop.fee) for hop in hops] == [(51, 0), (50, 1), (10, 40)]
    assert hops[1].channel_id == raised
    assert refused(town, query(ALICE, DAVE, 10, max_fee=40)) is Why.FEE_LIMIT


@pytest.mark.parametrize(
    ("balances", "expected"),
    [
        ({}, None),
        ({1: 99}, None),
        ({1: 100}, 1),
        ({1: 99, 2: 100}, 2),
        ({2: 100}, 2),
        (None, 1),
    ],
)
def test_own_balances_bound_the_first_hop(balances: dict[int, int] | None, expected: int | None) -> None:
    town = Town()
    keys = {1: town.open(ALICE, BOB), 2: town.open(ALICE, BOB)}
    town.open(BOB, CAROL)
    own = None if balances is None else {keys[number]: balance for number, balance in balances.items()}
    for destination in (BOB, CAROL):
        asked = query(ALICE, destination, 100, local_liquidity=own)
        if expected is None:
            assert refused(town, asked) is Why.CAPACITY
        else:
            assert through(find_route(town.graph, asked))[0] == keys[expected]


def a_dear_short_way_and_a_cheap_long_one() -> tuple[Town, list[bytes], list[bytes]]:
    """alice - bob - dave costs 10 and 10 s; alice - carol - mallory - dave costs 2 and 200 s."""
    town = Town()
    short = [town.open(ALICE, BOB), town.open(BOB, DAVE, forth=terms(base_fee=10, deadline_delta_s=10))]
    slow = terms(base_fee=1, deadline_delta_s=100)
    long = [
        town.open(ALICE, CAROL),
        town.open(CAROL, MALLORY, forth=slow),
        town.open(MALLORY, DAVE, forth=slow),
    ]
    return town, short, long


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, "long"),
        ({"max_hops": 3}, "long"),
        ({"max_hops": 2}, "short"),
        ({"max_hops": 1}, Why.HOP_LIMIT),
        ({"deadline_budget_s": 200}, "long"),
        ({"deadline_budget_s": 199}, "short"),
        ({"deadline_budget_s": 9}, Why.DEADLINE_BUDGET),
        ({"max_fee": 2}, "long"),
        ({"max_fee": 1}, Why.FEE_LIMIT),
        ({"max_hops": 2, "max_fee": 9}, Why.HOP_LIMIT),
        ({"excluded_nodes": frozenset({MALLORY})}, "short"),
        ({"excluded_nodes": frozenset({MALLORY, BOB})}, Why.EXCLUDED),
        ({"excluded_nodes": frozenset({ALICE})}, Why.EXCLUDED),
        ({"excluded_nodes": frozenset({DAVE})}, Why.EXCLUDED),
    ],
)
def test_limits_decide_between_two_ways(limits: dict[str, object], expected: str | Why) -> None:
    town, short, long = a_dear_short_way_and_a_cheap_long_one()
    asked = query(ALICE, DAVE, 100, **limits)
    if isinstance(expected, Why):
        assert refused(town, asked) is expected
    else:
        assert through(find_route(town.graph, asked)) == {"short": short, "long": long}[expected]


@pytest.mark.parametrize(("budget_s", "quick"), [(110, False), (109, True), (50, True), (49, None)])
def test_a_dearer_earlier_way_to_a_hub_is_kept_for_the_time_the_hubs_before_it_need(
    budget_s: int, quick: bool | None
) -> None:
    town = Town()
    town.open(ALICE, BOB)
    town.open(BOB, CAROL, forth=terms(deadline_delta_s=50))
    cheap = town.open(CAROL, DAVE, forth=terms(base_fee=1, deadline_delta_s=60))
    dear = town.open(CAROL, DAVE, forth=terms(base_fee=5))
    asked = query(ALICE, DAVE, 100, deadline_budget_s=budget_s)
    if quick is None:
        assert refused(town, asked) is Why.DEADLINE_BUDGET
    else:
        assert through(find_route(town.graph, asked))[2] == (dear if quick else cheap)


def test_retries_leave_out_what_failed_one_direction_at_a_time() -> None:
    town, short, long = a_dear_short_way_and_a_cheap_long_one()
    for failed in ((long[0], ALICE), (long[1], CAROL), (long[2], MALLORY)):
        avoiding = query(ALICE, DAVE, 100, excluded_edges=frozenset({failed}))
        assert through(find_route(town.graph, avoiding)) == short
        learnt = query(ALICE, DAVE, 100, ceilings={failed: 99})
        assert through(find_route(town.graph, learnt)) == short
        assert refused(town, query(ALICE, DAVE, 100, ceilings={failed: 99}, max_fee=9)) is Why.FEE_LIMIT
    opposite = query(ALICE, DAVE, 100, excluded_edges=frozenset({(long[1], MALLORY)}), ceilings={})
    assert through(find_route(town.graph, opposite)) == long
    enough = query(ALICE, DAVE, 100, ceilings={(long[1], CAROL): 101})
    assert through(find_route(town.graph, enough)) == long


def test_every_hop_is_in_the_asset_asked_for_on_its_chain() -> None:
    elsewhere = Asset(1, ETHER.address)
    for asset in (TOKEN, elsewhere):
        town = Town()
        town.open(ALICE, BOB)
        town.open(BOB, CAROL, asset=asset)
        town.open(CAROL, DAVE)
        assert refused(town, query(ALICE, DAVE, 1)) is Why.DISCONNECTED
        detour = town.open(BOB, CAROL, forth=terms(base_fee=50))
        assert through(find_route(town.graph, query(ALICE, DAVE, 1)))[1] == detour


def test_reasons_name_what_is_missing() -> None:
    town = Town()
    assert refused(town, query(ALICE, BOB, 1)) is Why.NO_SUCH_NODE
    town.open(ALICE, BOB)
    town.open(CAROL, DAVE, asset=TOKEN)
    with pytest.raises(NoRoute, match=f"destination {CAROL.hex()}"):
        find_route(town.graph, query(ALICE, CAROL, 1))
    town.open(CAROL, DAVE)
    assert refused(town, query(ALICE, CAROL, 1)) is Why.DISCONNECTED
    with pytest.raises(NoRoute, match="source's own channels"):
        find_route(town.graph, query(ALICE, BOB, 1_000_001))
    town = Town()
    town.open(ALICE, BOB)
    town.open(BOB, MALLORY, capacity=10)
    town.open(MALLORY, DAVE)
    town.open(DAVE, CAROL, capacity=20)
    with pytest.raises(NoRoute, match="channels to the destination"):
        find_route(town.graph, query(ALICE, CAROL, 21))
    with pytest.raises(NoRoute, match="channels in between"):
        find_route(town.graph, query(ALICE, CAROL, 11))


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 0},
        {"amount": 1.0},
        {"max_hops": 0},
        {"max_hops": 21},
        {"max_fee": -1},
        {"destination": ALICE},
    ],
)
def test_a_query_without_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        query(**{"source": ALICE, "destination": BOB, "amount": 1, **wrong})  # type: ignore[arg-type]


def test_ties_do_not_depend_on_the_order_in_which_channels_were_learnt() -> None:
    ways = [(node(f"hub {n}"), 2 * n) for n in range(5)]
    answers = set()
    for order in (ways, ways[::-1], ways[2:] + ways[:2]):
        town = Town()
        for hub, number in order:
            # The smaller the id of the first channel, the larger that of the second.
            town.open(ALICE, hub, number=number)
            town.open(hub, BOB, number=100 - number)
        # Two alike between the same ends, in the middle of the way.
        for number in (201, 200) if order is ways else (200, 201):
            town.open(BOB, CAROL, number=number)
        town.open(CAROL, DAVE, number=300)
        answers.add(tuple(through(find_route(town.graph, query(ALICE, DAVE, 5)))))
    assert len(answers) == 1


def test_the_longest_route_has_twenty_hops() -> None:
    town = Town()
    people = [node(f"person {n}") for n in range(22)]
    for one, other in pairwise(people):
        town.open(one, other)
    assert len(find_route(town.graph, query(people[0], people[20], 1)).hops) == 20
    assert refused(town, query(people[0], people[21], 1)) is Why.HOP_LIMIT


# Circular trades: alice buys an option from carol through bob.

HUB = terms(base_fee=3, collateral_fee_ppm_per_day=1000)
OPTION = Collateral(amount=50_000, duration_s=2 * 86_400)


def test_a_hub_is_paid_for_the_collateral_it_locks_towards_the_buyer() -> None:
    town = Town()
    first = town.open(ALICE, BOB, forth=terms(collateral_fee_ppm_per_day=10**6), back=HUB)
    second = town.open(BOB, CAROL, forth=HUB, back=terms(collateral_fee_ppm_per_day=10**6))
    route = find_route(town.graph, query(ALICE, CAROL, 700, collateral=OPTION))
    # Two days of 1,000 ppm on 50,000 is 100, and bob's base fee of 3; buyer and writer charge nothing.
    assert route.hops == (Hop(first, ALICE, BOB, 803, 0, 0), Hop(second, BOB, CAROL, 700, 103, 0))
    assert find_route(town.graph, query(ALICE, CAROL, 700)).fee == 3
    assert find_route(town.graph, query(ALICE, BOB, 700, collateral=OPTION)).fee == 0


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        ({}, {}, True),
        # Premium (700, and bob's 103 on the first hop) and collateral share the pot.
        ({"capacity": 50_803}, {}, True),
        ({"capacity": 50_802}, {}, False),
        ({}, {"capacity": 50_700}, True),
        ({}, {"capacity": 50_699}, False),
        ({"back": terms(enabled=False)}, {}, False),
        ({"back": terms(max_amount=49_999)}, {}, False),
        ({"back": terms(min_amount=50_001)}, {}, False),
        ({}, {"back": terms(enabled=False)}, False),
        ({}, {"back": terms(max_amount=49_999)}, False),
        # One deadline serves the whole circle, or none: the ends' own wishes do not count.
        ({"forth": terms(deadline_delta_s=9)}, {}, True),
        ({}, {"back": terms(deadline_delta_s=9)}, True),
        ({"back": terms(deadline_delta_s=9)}, {}, False),
        ({}, {"forth": terms(deadline_delta_s=9)}, False),
    ],
)
def test_every_channel_of_a_trade_carries_the_option_back(
    first: dict[str, object], second: dict[str, object], fits: bool
) -> None:
    town = Town()
    town.open(ALICE, BOB, **{"back": HUB, **first})  # type: ignore[arg-type]
    town.open(BOB, CAROL, **{"forth": HUB, **second})  # type: ignore[arg-type]
    asked = query(ALICE, CAROL, 700, collateral=OPTION)
    if fits:
        assert len(find_route(town.graph, asked).hops) == 2
    else:
        assert refused(town, asked) in (Why.CAPACITY, Why.DISCONNECTED)


def test_the_peer_of_an_own_channel_must_be_able_to_lock_the_collateral() -> None:
    town = Town()
    poor, rich = town.open(ALICE, BOB), town.open(ALICE, BOB)
    town.open(BOB, CAROL)
    able = Collateral(50_000, HOUR_S, remote_liquidity={poor: 49_999, rich: 50_000})
    assert through(find_route(town.graph, query(ALICE, CAROL, 7, collateral=able)))[0] == rich
    unable = Collateral(50_000, HOUR_S, remote_liquidity={poor: 49_999})
    assert refused(town, query(ALICE, CAROL, 7, collateral=unable)) is Why.CAPACITY


def test_a_trade_avoids_a_direction_that_failed_for_its_collateral() -> None:
    town = Town()
    first = town.open(ALICE, BOB)
    bad, good = town.open(BOB, CAROL), town.open(BOB, CAROL, forth=terms(base_fee=1))
    for lesson in ({"excluded_edges": frozenset({(bad, CAROL)})}, {"ceilings": {(bad, CAROL): 49_999}}):
        route = find_route(town.graph, query(ALICE, CAROL, 7, collateral=OPTION, **lesson))
        assert through(route) == [first, good]
    assert through(find_route(town.graph, query(ALICE, CAROL, 7, collateral=OPTION))) == [first, bad]
