"""Pushes: what is legal, what is promised when, and that each is counted once whatever happens."""

from dataclasses import replace

import pytest

from channeld.core.channel import Channel, Update
from channeld.core.claims import MAX_AMOUNT, Claim, Side, State
from channeld.core.draft import PushPolicy, Tables
from channeld.core.effects import AnswerPushes, Send
from channeld.core.errors import PeerViolation, Rejected
from channeld.core.events import CloseRequested, MessageReceived, PushesRequested
from channeld.core.messages import PushTerms
from channeld.core.offers import has_room
from channeld.core.operations import MAX_OPERATIONS, NO_STREAM, Push, apply_operations
from channeld.core.pushing import MAX_WAITING_PUSHES
from channeld.core.records import Stream, stream_key
from tests.core.network import T0_S, Network, Node
from tests.core.pushes import answered, streams
from tests.core.town import Town
from tests.core.two_ends import payment, two_ends

TEA, TALK = b"tea".ljust(16, b"\0"), b"talk".ljust(16, b"\0")
WORLD = Tables(now_s=T0_S, confirmed_s=T0_S)


# The operation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by", "net"), [(Side.A, 107), (Side.B, 93)])
def test_a_push_moves_money_away_from_whoever_proposes_it(by, net):
    after = apply_operations(State(8, 100), 9, by, [Push(TEA, 5), Push(NO_STREAM, 2)], WORLD)
    assert after == State(9, net)


REFUSED = {
    "nothing": (Push(TEA, 0), "amount"),
    "less than nothing": (Push(TEA, -1), "amount"),
    "more than a deposit can be": (Push(TEA, MAX_AMOUNT + 1), "amount"),
    "no stream": (Push(b"", 1), "16 bytes"),
    "a stream too long": (Push(bytes(17), 1), "16 bytes"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("by", Side)
def test_what_is_no_push_makes_the_batch_illegal(case, by):
    push, reason = REFUSED[case]
    with pytest.raises(PeerViolation, match=reason):
        apply_operations(State(8, 100), 9, by, [Push(TEA, 1), push], WORLD)


def test_a_push_that_the_deposit_does_not_cover_is_refused_and_nothing_changes():
    alice, bob = two_ends()
    update = alice.wants(Push(TEA, 100)).say()
    with pytest.raises(PeerViolation, match="must cover"):
        bob.hear(replace(update, operations=(Push(TEA, 101),)))
    assert bob.versions == (0, 0)
    assert bob.hear(update).accepted == (Push(TEA, 100),)
    assert bob.channel.theirs.net == 100


def test_what_is_locked_in_a_claim_cannot_be_pushed_away():
    alice, bob = two_ends()
    progress = bob.hear(alice.wants(payment(0, 60), Push(TEA, 41), Push(TEA, 40)).say())
    assert progress.accepted == (payment(0, 60), Push(TEA, 40))


def test_a_payer_leaves_out_what_it_cannot_cover_and_goes_on():
    alice, _ = two_ends()
    update = alice.wants(Push(TEA, 70), Push(TALK, 40), Push(TEA, 30)).say()
    assert update is not None and update.operations == (Push(TEA, 70), Push(TEA, 30))


def test_a_push_whose_proposal_lost_is_proposed_again_and_counted_once():
    alice, bob = two_ends()
    from_alice, from_bob = alice.wants(payment(0)).say(), bob.wants(Push(TEA, 9)).say()
    assert alice.hear(from_bob).accepted == ()
    bob.hear(from_alice)
    assert bob.channel.waiting == (Push(TEA, 9),)
    assert alice.hear(bob.say()).accepted == (Push(TEA, 9),)
    assert alice.channel.theirs.net == -9


# Alice pushes to bob ------------------------------------------------------------------------------------


def neighbours() -> tuple[Network, Node, Node, bytes]:
    network = Network("alice", "bob")
    channel_id = network.open("alice", "bob", 1_000, 1_000)
    return network, network["alice"], network["bob"], channel_id


def total(node: Node, channel_id: bytes, stream: bytes = TEA, *, outgoing: bool) -> tuple[int, int]:
    return streams(node, outgoing=outgoing).get((channel_id, stream), (0, 0))


def test_a_push_is_sent_when_bob_has_signed_and_received_when_he_has_accepted():
    network, alice, bob, channel_id = neighbours()
    alice.happen(PushesRequested(channel_id, (Push(TEA, 5), Push(TEA, 5), Push(TALK, 1))))
    assert total(alice, channel_id, outgoing=True) == (0, 0)
    network.deliver("alice")
    assert total(bob, channel_id, outgoing=False) == (2, 10)
    assert total(alice, channel_id, outgoing=True) == (0, 0)
    network.run()
    assert total(alice, channel_id, outgoing=True) == (2, 10)
    assert total(alice, channel_id, TALK, outgoing=True) == total(bob, channel_id, TALK, outgoing=False)
    assert network.balances(channel_id) == {"alice": 989, "bob": 1_011}
    assert [effect.sent for effect in alice.effects if isinstance(effect, AnswerPushes)] == [
        (Push(TEA, 5), Push(TEA, 5), Push(TALK, 1))
    ]


def test_the_totals_go_on_after_a_restart():
    network, alice, bob, channel_id = neighbours()
    for _ in range(3):
        alice.happen(PushesRequested(channel_id, (Push(TEA, 5),)))
        network.run()
        for node in (alice, bob):
            node.restart()
        network.connect("alice", "bob")
    assert total(alice, channel_id, outgoing=True) == total(bob, channel_id, outgoing=False) == (3, 15)


def test_a_signed_push_survives_the_connection_and_an_unsigned_one_is_given_back():
    network, alice, bob, channel_id = neighbours()
    alice.happen(PushesRequested(channel_id, (Push(TEA, 5),)))  # in a proposal that bob never gets
    alice.happen(PushesRequested(channel_id, (Push(TALK, 7),)))  # waits for its answer
    network.disconnect("alice", "bob")
    sent, dropped = answered(alice)
    assert not sent and dropped == {(channel_id, Push(TALK, 7)): 1}
    network.connect("alice", "bob")
    assert total(alice, channel_id, outgoing=True) == total(bob, channel_id, outgoing=False) == (1, 5)
    assert network.balances(channel_id) == {"alice": 995, "bob": 1_005}


def test_what_waited_in_a_process_that_died_is_given_back_at_the_next_connection():
    network, alice, bob, channel_id = neighbours()
    alice.happen(PushesRequested(channel_id, (Push(TEA, 5),)))
    alice.happen(PushesRequested(channel_id, (Push(TALK, 7),)))
    alice.restart()
    network.connect("alice", "bob")
    sent, dropped = answered(alice)
    assert sent == {(channel_id, Push(TEA, 5)): 1} and dropped == {(channel_id, Push(TALK, 7)): 1}
    assert total(bob, channel_id, TALK, outgoing=False) == (0, 0)


def rejection(alice: Node, channel_id: bytes, *pushes: Push) -> str:
    before = alice.channel(channel_id)
    with pytest.raises(Rejected) as caught:
        alice.happen(PushesRequested(channel_id, pushes))
    assert alice.channel(channel_id) is before
    return str(caught.value)


def test_why_alice_may_not_push():
    network, alice, bob, channel_id = neighbours()
    assert "at most 1000" in rejection(alice, channel_id, Push(TEA, 600), Push(TEA, 401))
    alice.happen(PushesRequested(channel_id, (Push(TEA, 600),)))
    alice.happen(PushesRequested(channel_id, (Push(TEA, 300),)))
    assert "at most 100" in rejection(alice, channel_id, Push(TEA, 101))
    assert "at least 1" in rejection(alice, channel_id, Push(TEA, 0))
    assert "no channel" in rejection_of_unknown(alice)
    alice.happen(PushesRequested(channel_id, (Push(TEA, 1),) * 60))
    assert "try later" in rejection(alice, channel_id, *(Push(TEA, 1),) * MAX_WAITING_PUSHES)
    network.disconnect("alice", "bob")
    assert "not connected" in rejection(alice, channel_id, Push(TEA, 1))
    network.connect("alice", "bob")
    bob.happen(MessageReceived(alice.node_id, PushTerms(channel_id, False, 1)))
    assert "takes no pushes" in rejection(bob, channel_id, Push(TEA, 1))
    bob.happen(MessageReceived(alice.node_id, PushTerms(channel_id, True, 50)))
    assert "at least 50" in rejection(bob, channel_id, Push(TEA, 49))
    bob.happen(CloseRequested(channel_id, unilateral=True))
    assert "expected open" in rejection(bob, channel_id, Push(TEA, 50))


def rejection_of_unknown(alice: Node) -> str:
    with pytest.raises(Rejected) as caught:
        alice.happen(PushesRequested(bytes(32), (Push(TEA, 1),)))
    return str(caught.value)


def test_a_flood_of_streams_ends_in_the_unnamed_one_and_no_money_is_lost():
    network, alice, bob, channel_id = neighbours()
    bob.push_policy = PushPolicy(min_amount=3, max_streams=2)
    network.connect("alice", "bob")
    terms = [effect.message for effect in bob.effects if isinstance(effect, Send)]
    assert PushTerms(channel_id, True, 3) in terms
    for number in range(1, 6):
        alice.happen(PushesRequested(channel_id, (Push(bytes([number]) * 16, 3),)))
        network.run()
    mallory_pushes(network, alice, channel_id, Push(b"\1" * 16, 2))
    received = {stream: sums for (_, stream), sums in streams(bob, outgoing=False).items()}
    assert received == {NO_STREAM: (4, 11), b"\1" * 16: (1, 3), b"\2" * 16: (1, 3)}
    assert network.balances(channel_id) == {"alice": 983, "bob": 1_017}
    record = bob.history[Stream, stream_key(channel_id, False, NO_STREAM)]
    assert isinstance(record, Stream) and record.named == 2


def test_bob_who_wants_no_pushes_keeps_what_comes_all_the_same():
    network, alice, bob, channel_id = neighbours()
    bob.push_policy = PushPolicy(accept=False)
    network.connect("alice", "bob")
    assert "takes no pushes" in rejection(alice, channel_id, Push(TEA, 5))
    mallory_pushes(network, alice, channel_id, Push(TEA, 5))
    assert streams(bob, outgoing=False) == {(channel_id, NO_STREAM): (1, 5)}


def mallory_pushes(network: Network, alice: Node, channel_id: bytes, push: Push) -> None:
    """Alice's machine, without her manners: whatever bob wants."""
    alice.tables.terms[channel_id] = PushTerms(channel_id, True, 1)
    alice.happen(PushesRequested(channel_id, (push,)))
    network.run()


# Leaving in the middle ----------------------------------------------------------------------------------


def leave_in_the_middle(*, bob_heard: bool) -> tuple[Town, bytes]:
    """Alice's push is signed; bob leaves alone with what he has, before she hears of it."""
    town = Town(("alice", "bob"))
    channel_id = town.channel_id("alice", "bob")
    town.ask("alice", PushesRequested(channel_id, (Push(TEA, 5),)))
    if bob_heard:
        town.network.deliver("alice")
    town.drop("alice", "bob")
    assert answered(town["alice"]) == ({}, {})
    town.ask("bob", CloseRequested(channel_id, unilateral=True))
    town.catch_up()
    town.pass_time(10_000)
    assert town.chain.channels[channel_id].closed
    return town, channel_id


def test_the_chain_says_that_an_unanswered_push_was_paid():
    town, channel_id = leave_in_the_middle(bob_heard=True)
    assert answered(town["alice"]) == ({(channel_id, Push(TEA, 5)): 1}, {})
    assert total(town["alice"], channel_id, outgoing=True) == (1, 5)
    assert total(town["bob"], channel_id, outgoing=False) == (1, 5)
    assert town.wealth("bob") == town.deposit + 5


def test_the_chain_says_that_an_unanswered_push_was_not_paid():
    town, channel_id = leave_in_the_middle(bob_heard=False)
    assert answered(town["alice"]) == ({}, {(channel_id, Push(TEA, 5)): 1})
    assert streams(town["alice"], outgoing=True) == streams(town["bob"], outgoing=False) == {}
    assert town.wealth("alice") == town.deposit


def test_pushes_stop_when_the_channel_shuts_and_the_close_has_them_all():
    network, alice, bob, channel_id = neighbours()
    alice.happen(PushesRequested(channel_id, (Push(TEA, 5),)))
    alice.happen(PushesRequested(channel_id, (Push(TEA, 5),)))
    bob.happen(CloseRequested(channel_id, unilateral=False))
    network.run()
    assert total(alice, channel_id, outgoing=True) == total(bob, channel_id, outgoing=False)
    assert [offer.net for offer in bob.closes] == [bob.channel(channel_id).theirs.net] != [0]
    sent, dropped = answered(alice)
    assert sum((sent + dropped).values()) == 2


def test_a_proposal_full_of_pushes_is_one_message():
    network, alice, bob, channel_id = neighbours()
    alice.happen(PushesRequested(channel_id, (Push(TEA, 1),) * MAX_WAITING_PUSHES))
    [(_, update)] = alice.outbox
    assert isinstance(update, Update) and len(update.operations) == MAX_WAITING_PUSHES
    network.run()
    channel: Channel = bob.channel(channel_id)
    assert abs(channel.theirs.net) == MAX_WAITING_PUSHES and not channel.theirs.claims


def test_pushes_do_not_disturb_a_claim_beside_them():
    alice, bob = two_ends()
    bob.hear(alice.wants(payment(0, 10), Push(TEA, 1)).say())
    assert bob.channel.theirs.claims == {0: Claim(0, 10, payment(0).claim.hashlock, T0_S + 600)}


def test_pushes_give_way_to_everything_else_that_waits():
    alice, _ = two_ends(10_000, 0)
    alice.wants(*(Push(TEA, 1),) * MAX_OPERATIONS, payment(0), *(Push(TALK, 1),) * 3, payment(2))
    update = alice.say()
    assert update is not None and len(update.operations) == MAX_OPERATIONS
    assert update.operations[:3] == (payment(0), payment(2), Push(TEA, 1))
    assert alice.channel.waiting == (Push(TEA, 1),) * 2 + (Push(TALK, 1),) * 3


def test_a_queue_full_of_pushes_has_room_for_an_offer():
    alice, _ = two_ends()
    assert has_room(alice.wants(*(Push(TEA, 1),) * MAX_OPERATIONS).channel)
    assert not has_room(alice.wants(*(payment(0),) * MAX_OPERATIONS).channel)
