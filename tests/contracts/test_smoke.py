"""One channel's life, start to end."""

from bench.evm import Arena, Court, party
from channeld.core.claims import State

alice, bob = party("alice"), party("bob")


def test_a_channel_opens_is_disputed_and_pays_the_later_state() -> None:
    arena = Arena()
    court = Court(arena)
    for who in (alice, bob):
        arena.fund(who.address, 10**18)
    channel = court.channel(alice, bob)
    court.deposit(alice, channel, channel.a, 1_000)
    court.send(channel.a, "challenge", *channel.signed_state(State(1, 100)))
    answer = court.send(bob, "respond", *channel.signed_state(State(2, 300)))
    arena.now_s += 86_400
    settled = court.settle(bob, channel, 300, answer.event("Challenged")["salt"])
    assert settled.event("Closed") == {"channel": channel.id, "to_a": 700, "to_b": 300}
