"""Honest peers who see things at different times: neither may take the other for a liar."""

from dataclasses import replace

from channeld.core.channel import Deposits, Phase
from channeld.core.events import CloseRequested, DepositsConfirmed, PushesRequested
from channeld.core.operations import NO_STREAM, Push
from tests.core.network import Network


def street() -> tuple[Network, bytes]:
    network = Network("alice", "bob")
    return network, network.open("alice", "bob", 1_000, 1_000)


def test_a_top_up_of_a_channel_in_dispute_does_not_say_that_it_is_up():
    network, channel_id = street()
    alice, bob = network["alice"], network["bob"]
    network.disconnect("alice", "bob")
    alice.happen(CloseRequested(channel_id, unilateral=True))
    network.connect("alice", "bob")
    # Bob, who knows of no dispute, would pay in a channel that alice calls up.
    alice.happen(DepositsConfirmed(channel_id, Deposits(1_500, 1_000)))
    network.run()
    assert channel_id not in bob.tables.online
    assert alice.channel(channel_id).deposits == Deposits(1_500, 1_000)


def test_a_proposal_said_again_to_a_peer_who_has_just_left_alone_is_nobodys_fault():
    network, channel_id = street()
    alice, bob = network["alice"], network["bob"]
    alice.happen(PushesRequested(channel_id, (Push(NO_STREAM, 5),)))
    network.disconnect("alice", "bob")  # before bob has her proposal
    network.hello("alice", "bob")
    network.deliver("bob")  # alice hears what he holds, and says it again
    bob.happen(CloseRequested(channel_id, unilateral=True))
    network.run()
    assert bob.refused == [] and bob.channel(channel_id).theirs.version == 0


def ready_to_close(network: Network, channel_id: bytes) -> None:
    """Alice has asked, bob has agreed, and her signed offer is on its way to him."""
    network["alice"].happen(CloseRequested(channel_id, unilateral=False))
    network.deliver("alice")
    network.deliver("bob")


def test_a_close_that_ran_out_on_its_way_is_nobodys_fault():
    network, channel_id = street()
    ready_to_close(network, channel_id)
    bob = network["bob"]
    bob.tables.now_s += 2 * 3_600
    network.run()
    assert bob.refused == [] and bob.channel(channel_id).phase is Phase.SHUTTING


def test_a_close_that_only_seems_to_lie_in_the_far_future_is_nobodys_fault():
    network, channel_id = street()
    ready_to_close(network, channel_id)
    bob = network["bob"]
    bob.tables.now_s, bob.tables.clock_trusted = 0, False  # he has just started, and seen no block yet
    network.run()
    assert bob.refused == [] and bob.channel(channel_id).phase is Phase.SHUTTING


def test_a_close_that_could_be_used_for_ever_is_refused():
    network, channel_id = street()
    ready_to_close(network, channel_id)
    alice, bob = network["alice"], network["bob"]
    alice.outbox = type(alice.outbox)(
        (peer, replace(offer, until_s=offer.until_s + 10**6)) for peer, offer in alice.outbox
    )
    network.run()
    assert any("`until`" in refusal for refusal in bob.refused)
