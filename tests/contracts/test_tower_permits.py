"""A tower may leave for a party: this tower, this channel, until a time, with nothing older than it knows."""

import pytest

from bench.evm import NO_SIGNATURE
from channeld.core.claims import State
from tests.contracts.town import PERIOD_S, Town, carol, mallory, refused

tower = carol


def test_a_tower_starts_the_dispute_for_a_party(town: Town) -> None:
    for salt in (1, 2):
        channel = town.open(a=1_000, salt=salt)
        granter = (channel.a, channel.b)[salt - 1]
        permit = channel.permit(granter, tower, 5, town.now_s)
        mined = town.court.send(tower, "challenge_for", *channel.signed_state(State(5, 300)), *permit)
        town.wait(PERIOD_S)
        closed = town.court.settle(tower, channel, 300, mined.event("Challenged")["salt"]).event("Closed")
        assert (closed["to_a"], closed["to_b"]) == (700, 300)


def test_nothing_older_than_the_minimum(town: Town) -> None:
    """A tower that turns can start the clock, but not with an old state."""
    channel = town.open(a=1_000)
    permit = channel.permit(channel.a, tower, 5, town.now_s)
    with refused("permit: version too low"):
        town.court.send(tower, "challenge_for", *channel.signed_state(State(4, 300)), *permit)
    town.court.send(tower, "challenge_for", *channel.signed_state(State(6, 300)), *permit)


def test_no_permit_covers_the_state_that_needs_no_signature(town: Town) -> None:
    channel = town.open(a=1_000)
    permit = channel.permit(channel.a, tower, 0, town.now_s)
    for state in (State(), State(1)):
        with refused("permit: version too low"):
            town.court.send(tower, "challenge_for", *channel.signed_state(state), *permit)


def test_the_state_needs_both_signatures(town: Town) -> None:
    channel = town.open(a=1_000)
    permit = channel.permit(channel.a, tower, 1, town.now_s)
    *state, sig_a, sig_b = channel.signed_state(State(5, 300))
    with refused("not signed by a"):
        town.court.send(tower, "challenge_for", *state, NO_SIGNATURE, sig_b, *permit)
    with refused("not signed by b"):
        town.court.send(tower, "challenge_for", *state, sig_a, NO_SIGNATURE, *permit)


def test_a_permit_binds_holder_channel_time_and_minimum(town: Town) -> None:
    channel, other = town.open(a=1_000), town.open(a=1_000, salt=2)
    state = channel.signed_state(State(5, 300))
    minimum, until_s, proof = channel.permit(channel.a, tower, 3, town.now_s)
    assert isinstance(until_s, int)
    with refused("permit: not by a party"):
        town.court.send(mallory, "challenge_for", *state, minimum, until_s, proof)
    with refused("permit: not by a party"):
        town.court.send(tower, "challenge_for", *state, 2, until_s, proof)
    with refused("permit: not by a party"):
        town.court.send(tower, "challenge_for", *state, minimum, until_s + 1, proof)
    with refused("permit: not by a party"):
        signed = other.signed_state(State(5, 300))
        town.court.send(tower, "challenge_for", *signed, minimum, until_s, proof)
    town.wait(1)
    with refused("permit: too late"):
        town.court.send(tower, "challenge_for", *state, minimum, until_s, proof)


@pytest.mark.parametrize("granter", [mallory, tower], ids=["mallory", "tower"])
def test_only_a_party_permits(town: Town, granter: object) -> None:
    channel = town.open(a=1_000)
    permit = channel.permit(granter, tower, 1, town.now_s)  # type: ignore[arg-type]
    with refused("permit: not by a party"):
        town.court.send(tower, "challenge_for", *channel.signed_state(State(5, 300)), *permit)
    with refused("permit: not by a party"):
        broken = (1, town.now_s, NO_SIGNATURE)
        town.court.send(tower, "challenge_for", *channel.signed_state(State(5, 300)), *broken)


def test_a_permit_starts_nothing_twice(town: Town) -> None:
    channel = town.open(a=1_000)
    permit = channel.permit(channel.a, tower, 1, town.now_s + 10**6)
    mined = town.court.send(tower, "challenge_for", *channel.signed_state(State(5, 300)), *permit)
    with refused("challenge: not open"):
        town.court.send(tower, "challenge_for", *channel.signed_state(State(6, 300)), *permit)
    town.wait(PERIOD_S)
    town.court.settle(tower, channel, 300, mined.event("Challenged")["salt"])
    with refused("challenge: not open"):
        town.court.send(tower, "challenge_for", *channel.signed_state(State(6, 300)), *permit)
