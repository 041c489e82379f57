"""Time and mining: block times follow the wall's clock, plus what the tests add to it."""

from itertools import pairwise
from typing import Any

import pytest

from channeld.core.errors import Rejected
from channeld.services.devchain.chain import DevChain
from channeld.services.devchain.settings import DevChainSettings
from tests.devchain.cast import START_S, Person, Wall


def test_block_times_follow_the_wall(chain: DevChain, wall: Wall) -> None:
    assert chain.head.timestamp_s == START_S
    wall.now_s += 60.9
    assert chain.mine()[0].timestamp_s == START_S + 60


def test_times_grow_from_block_to_block_even_in_a_burst(chain: DevChain, wall: Wall) -> None:
    times = [block.timestamp_s for block in chain.mine(5)]
    assert times == [START_S + n for n in range(1, 6)]
    wall.now_s += 3
    # The wall has not caught up with the burst yet.
    assert chain.mine()[0].timestamp_s == START_S + 6


def test_a_wall_clock_that_is_set_back_does_not_turn_time_round(chain: DevChain, wall: Wall) -> None:
    wall.now_s -= 1000
    assert chain.mine()[0].timestamp_s == START_S + 1


def test_time_passes_by_as_much_as_asked(chain: DevChain, wall: Wall) -> None:
    assert chain.advance_clock_s(3600) == 3600
    assert chain.head.timestamp_s == START_S
    assert chain.context("pending").timestamp_s == START_S + 3600
    assert chain.advance_time_s(60).timestamp_s == START_S + 3660
    wall.now_s += 5
    assert chain.mine()[0].timestamp_s == START_S + 3665


def test_the_next_block_gets_exactly_the_time_it_is_given(chain: DevChain, wall: Wall) -> None:
    chain.set_next_timestamp_s(START_S + 500)
    assert chain.mine()[0].timestamp_s == START_S + 500
    wall.now_s += 10
    assert chain.mine()[0].timestamp_s == START_S + 510
    chain.set_next_timestamp_s(START_S + 600)
    chain.advance_clock_s(7)
    assert chain.mine()[0].timestamp_s == START_S + 607


@pytest.mark.parametrize("timestamp_s", [0, START_S, 2**63])
def test_a_time_that_lies_behind_is_refused(chain: DevChain, timestamp_s: int) -> None:
    with pytest.raises(Rejected, match="Timestamp error"):
        chain.set_next_timestamp_s(timestamp_s)
    assert chain.mine()[0].timestamp_s == START_S + 1


@pytest.mark.parametrize("seconds", [-1, 10**12])
def test_time_does_not_run_backwards_or_out_of_range(chain: DevChain, seconds: int) -> None:
    with pytest.raises(Rejected, match="time moves forward"):
        chain.advance_clock_s(seconds)


def test_blocks_are_mined_on_demand(chain: DevChain, alice: Person, bob: Person) -> None:
    chain.set_automine(False)
    waiting = [alice.send(bob.address) for _ in range(3)]
    assert chain.head.number == 0
    first, second = chain.mine(2)
    assert [receipt.transaction_hash for receipt in first.receipts] == waiting
    assert second.receipts == ()
    assert second.header.parent_hash == first.hash


def test_switching_automine_on_mines_what_waits(chain: DevChain, alice: Person, bob: Person) -> None:
    chain.set_automine(False)
    waiting = alice.send(bob.address)
    chain.set_automine(True)
    assert chain.receipt(waiting) is not None


def test_mined_blocks_lie_as_far_apart_as_asked(chain: DevChain) -> None:
    times = [block.timestamp_s for block in chain.mine(4, interval_s=12)]
    assert [late - early for early, late in pairwise(times)] == [12, 12, 12]


@pytest.mark.parametrize(("count", "interval_s"), [(-1, 1), (10_001, 1), (1, 0)])
def test_senseless_mining_is_refused(chain: DevChain, count: int, interval_s: int) -> None:
    with pytest.raises(Rejected):
        chain.mine(count, interval_s)
    assert chain.head.number == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 65536},
        {"chain_id": 0},
        {"chain_id": 2**53},
        {"accounts": 1001},
        {"balance_wei": -1},
        {"block_interval_s": 0.001},
        {"block_gas_limit": 20_999},
        {"initial_base_fee_wei": 0},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Rejected, match="must be"):
        DevChainSettings(**wrong)
