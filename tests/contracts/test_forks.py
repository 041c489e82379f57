"""Chains that split after the contract was deployed, and chains that never were one.

A half of a split chain is a rehearsal: it begins with everything that was there, and the other never sees it.
"""

import pytest

from bench.evm import CHAIN_ID, Arena
from channeld.core.claims import State
from tests.contracts.town import HOUR_S, Town, alice, bob, lock, refused, secret

OTHER_ID = CHAIN_ID + 1

split = pytest.mark.parametrize("other_id", [CHAIN_ID, OTHER_ID], ids=["one id", "two ids"])


@split
def test_what_was_signed_before_a_split_settles_on_both_halves(town: Town, other_id: int) -> None:
    """The contract keeps the chain id that it was deployed under: nothing is stuck on either half."""
    channel = town.open(a=1_000, b=500)
    for chain_id in (CHAIN_ID, other_id):
        with town.arena.rehearsal():
            town.arena.chain_id = chain_id
            closed = town.leave(channel, State(6, 300)).event("Closed")
            assert (closed["to_a"], closed["to_b"]) == (700, 800)
            assert town.balance(town.court.address) == 0


@split
def test_what_is_paid_after_a_split_is_paid_on_both_halves_as_far_as_there_is_money(
    town: Town, other_id: int
) -> None:
    """Nobody can pay on one half alone; a top-up is where it was made."""
    channel = town.open(a=1_000)
    paid = State(8, 4_000)
    with town.arena.rehearsal():
        town.court.deposit(channel.a, channel, channel.a, 5_000)
        closed = town.leave(channel, paid).event("Closed")
        assert (closed["to_a"], closed["to_b"]) == (2_000, 4_000)
    town.arena.chain_id = other_id
    closed = town.leave(channel, paid).event("Closed")
    assert (closed["to_a"], closed["to_b"]) == (0, 1_000)


@split
def test_a_close_for_one_half_ends_the_channel_on_the_other(town: Town, other_id: int) -> None:
    channel = town.open(a=1_000)
    close = channel.signed_close(300, town.now_s + HOUR_S)
    for chain_id in (CHAIN_ID, other_id):
        with town.arena.rehearsal():
            town.arena.chain_id = chain_id
            assert town.court.send(channel.b, "close", *close).event("Closed")["to_b"] == 300


@split
@pytest.mark.parametrize(("shown", "to_b"), [(True, 400), (False, 0)], ids=["shown too", "not shown"])
def test_a_secret_counts_on_the_half_where_it_is_shown(
    town: Town, other_id: int, shown: bool, to_b: int
) -> None:
    channel, key = town.open(a=1_000), secret("key")
    state = State(6, 0, {0: lock(0, 400, key, town.now_s + HOUR_S)})
    with town.arena.rehearsal():
        town.reveal(key)
        assert town.leave(channel, state).event("Closed")["to_b"] == 400
    town.arena.chain_id = other_id
    if shown:
        town.reveal(key)
    assert town.leave(channel, state).event("Closed")["to_b"] == to_b


def test_contracts_at_one_address_on_two_chains_have_nothing_in_common() -> None:
    """Deployed by the same account with the same nonce, as people like it; the chain id tells them apart."""
    here, there = Town(), Town(Arena(OTHER_ID))
    assert here.court.address == there.court.address
    channel, twin = here.open(a=1_000), there.open(a=1_000)
    assert channel.params == twin.params
    assert channel.id != twin.id
    with refused("not signed by b"):
        there.court.send(twin.a, "challenge", *channel.signed_state(State(6, 300)))
    with refused("not signed by b"):
        there.court.send(twin.a, "close", *channel.signed_close(300, there.now_s))
    with refused("not signed by a"):
        there.court.send(twin.b, "withdraw", *channel.signed_withdrawal(0, 300, there.now_s))
    assert {channel.a, channel.b} == {alice, bob}
