"""What the graph believes: the chain about channels, and each end about its own direction only."""

import pytest
from towns import ALICE, BOB, CAROL, ETHER, FREE, MALLORY, TOKEN, Town, address_of, channel_id, query, terms

from routing.errors import BadInput, BadPolicy, ConflictingEvent, ForeignPolicy, NoRoute, UnknownChannel
from routing.policy import Policy
from routing.search import find_route


@pytest.mark.parametrize(
    ("forth", "back", "usable"),
    [(None, None, False), (FREE, None, False), (None, FREE, False), (FREE, FREE, True)],
)
def test_an_edge_counts_only_when_both_ends_have_signed(
    forth: Policy | None, back: Policy | None, usable: bool
) -> None:
    town = Town()
    key = town.open(ALICE, BOB, forth, back)
    assert town.graph.nx_graph.has_edge(ALICE, BOB, key) is usable
    assert town.graph.nx_graph.has_edge(BOB, ALICE, key) is usable
    assert (town.graph.edge(key, ALICE) is not None) is usable
    assert len(town.graph) == 1


def test_mallory_cannot_join_a_stranger_to_the_network_by_opening_a_channel_to_him() -> None:
    town = Town()
    key = town.open(MALLORY, BOB, FREE, back=None)
    town.open(ALICE, MALLORY)
    with pytest.raises(NoRoute):
        find_route(town.graph, query(ALICE, BOB, 1))
    assert town.graph.policy_set(key, BOB, FREE)
    assert len(find_route(town.graph, query(ALICE, BOB, 1)).hops) == 2


def test_mallory_cannot_set_a_policy_of_a_channel_that_is_not_hers() -> None:
    town = Town()
    key = town.open(ALICE, BOB)
    half = town.open(ALICE, CAROL, FREE, back=None)
    for target in (key, half):
        with pytest.raises(ForeignPolicy, match=address_of(MALLORY).hex()):
            town.graph.policy_set(target, MALLORY, terms(base_fee=9, timestamp_s=99))
    with pytest.raises(ForeignPolicy, match="33 bytes"):
        town.graph.policy_set(half, b"short", FREE)
    with pytest.raises(ForeignPolicy, match="no key"):
        town.graph.policy_set(half, bytes(33), FREE)
    with pytest.raises(UnknownChannel):
        town.graph.policy_set(channel_id(77), ALICE, FREE)
    assert town.graph.edge(key, ALICE).policy == FREE  # type: ignore[union-attr]
    assert town.graph.edge(half, ALICE) is None


@pytest.mark.parametrize(("timestamp_s", "taken"), [(4, False), (5, False), (6, True)])
def test_only_a_newer_policy_replaces_one(timestamp_s: int, taken: bool) -> None:
    town = Town()
    key = town.open(ALICE, BOB, terms(timestamp_s=5), FREE)
    dearer = terms(base_fee=7, timestamp_s=timestamp_s)
    assert town.graph.policy_set(key, ALICE, dearer) is taken
    edge, opposite = town.graph.edge(key, ALICE), town.graph.edge(key, BOB)
    assert edge is not None and opposite is not None
    assert (edge.policy == dearer) is taken
    assert opposite.back == edge.policy and opposite.policy == FREE


def test_a_rescan_of_the_chain_changes_nothing_and_a_contradiction_is_an_error() -> None:
    town = Town()
    key = town.open(ALICE, BOB, capacity=500)
    town.graph.capacity_changed(key, 700)
    a, b = address_of(ALICE), address_of(BOB)
    assert town.graph.channel_opened(key, a, b, ETHER.address, 500, 1337) is False
    assert town.graph.channel(key).capacity == 700
    for other in (
        (b, a, ETHER.address, 500, 1337),
        (a, b, TOKEN.address, 500, 1337),
        (a, b, bytes(20), 5, 1),
    ):
        with pytest.raises(ConflictingEvent):
            town.graph.channel_opened(key, *other)
    assert town.graph.channel(key).asset == ETHER


@pytest.mark.parametrize(
    "event",
    [
        (b"short", address_of(ALICE), address_of(BOB), bytes(20), 1, 1),
        (channel_id(1), b"short", address_of(BOB), bytes(20), 1, 1),
        (channel_id(1), address_of(ALICE), address_of(BOB), b"", 1, 1),
        (channel_id(1), address_of(ALICE), address_of(BOB), bytes(20), -1, 1),
        (channel_id(1), address_of(ALICE), address_of(BOB), bytes(20), 1.0, 1),
    ],
)
def test_a_malformed_event_is_refused(event: tuple[bytes, bytes, bytes, bytes, int, int]) -> None:
    town = Town()
    with pytest.raises(BadInput):
        town.graph.channel_opened(*event)
    assert len(town.graph) == 0


def test_capacity_follows_the_chain() -> None:
    town = Town()
    key = town.open(ALICE, BOB, capacity=100)
    find_route(town.graph, query(ALICE, BOB, 100))
    town.graph.capacity_changed(key, 99)
    with pytest.raises(NoRoute):
        find_route(town.graph, query(ALICE, BOB, 100))
    town.graph.capacity_changed(key, 200)
    assert find_route(town.graph, query(ALICE, BOB, 200)).amount_sent == 200
    with pytest.raises(UnknownChannel):
        town.graph.capacity_changed(channel_id(77), 1)
    with pytest.raises(BadInput):
        town.graph.capacity_changed(key, -1)


def test_a_closed_channel_leaves_nothing_behind() -> None:
    town = Town()
    usable, half = town.open(ALICE, BOB), town.open(ALICE, CAROL, FREE, back=None)
    find_route(town.graph, query(ALICE, BOB, 1))
    town.graph.channel_closed(usable)
    town.graph.channel_closed(half)
    assert len(town.graph) == 0 and town.graph.nx_graph.number_of_nodes() == 0
    assert town.graph.index(ETHER) is None and town.graph.edge(usable, ALICE) is None
    for gone in (usable, half):
        with pytest.raises(UnknownChannel):
            town.graph.channel_closed(gone)


@pytest.mark.parametrize(
    "field",
    [
        {"base_fee": -1},
        {"base_fee": 1.5},
        {"base_fee": 2**96},
        {"fee_ppm": 2**32},
        {"collateral_fee_ppm_per_day": -1},
        {"min_amount": -1},
        {"max_amount": True},
        {"deadline_delta_s": 31 * 86_400},
        {"timestamp_s": 2**40},
        {"enabled": 1},
    ],
)
def test_a_policy_out_of_range_cannot_be_written(field: dict[str, int]) -> None:
    with pytest.raises(BadPolicy, match=next(iter(field))):
        terms(**field)
