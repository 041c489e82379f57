"""How two ends move one channel: rules R1 to R8 and R12, one row after the other.

Alice is side A (even versions), bob is side B (odd ones).
"""

from dataclasses import replace

import pytest

from channeld.core.channel import (
    Ack,
    Channel,
    Deposits,
    Phase,
    Update,
    child_version,
    is_gone,
    propose,
    resend,
)
from channeld.core.claims import Claim, Side, State
from channeld.core.errors import PeerViolation, Untimely
from channeld.core.operations import MAX_OPERATIONS, Add, Expire, Fail, Fulfil, apply_operations
from tests.core.network import T0_S
from tests.core.two_ends import ID, LOCK, NOBODY, SECRET, payment, sign, two_ends


@pytest.mark.parametrize(
    ("parent", "proposer", "child"),
    [
        (0, Side.A, 2),
        (0, Side.B, 1),
        (1, Side.A, 2),
        (1, Side.B, 3),
        (2, Side.A, 4),
        (2, Side.B, 3),
        (7, Side.A, 8),
        (8, Side.A, 10),
    ],
)
def test_r2_the_version_follows_from_the_parent_and_has_the_proposers_parity(parent, proposer, child):
    assert child_version(parent, proposer) == child


def test_r3_nothing_more_is_signed_before_the_peer_has_answered():
    alice, _ = two_ends()
    assert alice.wants(payment(0)).say() is not None
    assert alice.wants(payment(2)).say() is None
    assert len(alice.channel.waiting) == 1


def test_r3_a_batch_carries_everything_that_waits():
    alice, bob = two_ends()
    update = alice.wants(*(payment(2 * number, 1) for number in range(50))).say()
    assert update is not None and len(update.operations) == 50
    bob.hear(update)
    assert len(bob.channel.theirs.claims) == 50


def test_r4_a_bare_ack_answers_when_nothing_waits_and_makes_the_proposal_final():
    alice, bob = two_ends()
    bob.hear(alice.wants(payment(0)).say())
    progress = alice.hear(bob.nod())
    assert [type(operation) for operation in progress.final] == [Add]
    assert alice.channel.answered and bob.channel.answered
    assert alice.versions == bob.versions == (2, 2)
    assert bob.nod() is None  # once


def test_r4_the_next_batch_answers_too():
    alice, bob = two_ends()
    bob.hear(alice.wants(payment(0)).say())
    progress = alice.hear(bob.wants(payment(1)).say())
    assert len(progress.final) == len(progress.accepted) == 1
    assert alice.versions == (2, 3)


def test_r5_both_propose_at_once_the_higher_version_wins_and_the_loser_rebases():
    alice, bob = two_ends()
    from_alice, from_bob = alice.wants(payment(0)).say(), bob.wants(payment(1)).say()
    assert (from_alice.version, from_bob.version) == (2, 1)
    assert alice.hear(from_bob).channel is alice.channel and alice.versions == (2, 0)
    bob.hear(from_alice)
    assert bob.versions == (1, 2) and [op.claim.claim_id for op in bob.channel.waiting] == [1]
    alice.hear(bob.say())
    assert set(alice.channel.theirs.claims) == {0, 1}


def test_r5_a_duplicate_changes_nothing():
    alice, bob = two_ends()
    update = alice.wants(payment(0)).say()
    bob.hear(update)
    before = bob.channel
    assert bob.hear(update).channel is before


REFUSED = {
    "no operations": {"operations": ()},
    "too many operations": {"operations": (payment(0),) * (MAX_OPERATIONS + 1)},
    "a parent that was never signed": {"parent": 1},
    "a parent from the future": {"parent": 40},
    "a leap": {"version": 4},
    "the other side's parity": {"version": 3},
    "another signature": {"signature": NOBODY},
    "an operation that is illegal": {"operations": (Fail(0, b""),)},
    "a claim that the deposits do not cover": {"operations": (payment(0, 101),)},
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED.keys())
def test_r5_what_no_correct_node_sends_is_refused_and_nothing_changes(change):
    alice, bob = two_ends()
    update = replace(alice.wants(payment(0)).say(), **change)
    before = bob.channel
    with pytest.raises(PeerViolation):
        bob.hear(update)
    assert bob.channel is before


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.signs_states])
def test_a_channel_that_signs_no_states_takes_none(phase: Phase):
    alice, bob = two_ends()
    bob.channel = replace(bob.channel, phase=phase)
    assert bob.hear(alice.wants(payment(0)).say()).channel is bob.channel
    assert bob.wants(payment(1)).say() is None and bob.nod() is None


def test_r6_the_enforceable_states_are_theirs_and_mine_while_it_is_higher():
    alice, bob = two_ends()
    assert [state.version for state in alice.channel.enforceable] == [0]
    update = alice.wants(payment(0)).say()
    assert [state.version for state in alice.channel.enforceable] == [0, 2]
    bob.hear(update)
    assert [state.version for state in bob.channel.enforceable] == [2]
    alice.hear(bob.nod())
    assert [state.version for state in alice.channel.enforceable] == [2]


def test_r7_an_offer_is_gone_only_when_it_is_nowhere():
    alice, bob = two_ends()
    alice.wants(payment(0))
    assert not is_gone(alice.channel, 0)  # waiting
    update = alice.say()
    assert not is_gone(alice.channel, 0)  # unanswered
    bob.hear(update)
    alice.hear(bob.wants(Fail(0, b"")).say())
    assert is_gone(alice.channel, 0)
    assert not is_gone(bob.channel, 0)  # unanswered: alice may keep the old state
    bob.hear(alice.nod())
    assert is_gone(bob.channel, 0)


def test_a_parent_must_have_both_signatures():
    """Else an older proposal of the peer's own would come back as a new one (variant ok4)."""
    alice, bob = two_ends()
    bob.hear(alice.wants(payment(0)).say())  # bob has not countersigned version 2
    state = apply_operations(bob.channel.theirs, 4, Side.A, [payment(2)], bob.world)
    with pytest.raises(PeerViolation, match="no state that we signed"):
        bob.hear(Update(ID, 4, 2, (payment(2),), sign(Side.A, state)))
    bob.nod()
    bob.hear(Update(ID, 4, 2, (payment(2),), sign(Side.A, state)))
    assert bob.versions == (2, 4)


def test_r8_a_proposal_is_refused_by_a_higher_version_without_it():
    """Bob's fulfilment comes too late; alice goes above it, on the last state that both have signed."""
    alice, bob = two_ends()
    bob.hear(alice.wants(payment(0)).say())
    alice.hear(bob.nod())
    late = bob.wants(Fulfil(0, SECRET)).say()
    assert late.version == 3
    alice.world.now_s += 550
    with pytest.raises(Untimely):
        alice.hear(late)
    alice.world.now_s = bob.world.now_s = T0_S + 700
    alice.world.confirmed_s = bob.world.confirmed_s = T0_S + 700
    refusal = alice.wants(Expire(0)).say(refused=late.version)
    assert (refusal.version, refusal.parent) == (4, 2)
    bob.hear(refusal)
    assert bob.versions == (3, 4) and not bob.channel.theirs.claims
    assert bob.say() is None  # the fulfilment has nothing left to be about
    alice.hear(bob.nod())
    assert alice.versions == (4, 4)


def test_r8_no_leaps_but_over_an_unanswered_proposal():
    alice, bob = two_ends()
    bob.hear(alice.wants(payment(0)).say())
    alice.hear(bob.nod())
    bob.wants(Fulfil(0, SECRET)).say()
    for version, legal in ((4, True), (6, False), (8, False)):
        state = apply_operations(bob.channel.theirs, version, Side.A, [payment(2)], bob.world)
        update = Update(ID, version, 2, (payment(2),), sign(Side.A, state))
        if legal:
            assert replace(bob).hear(update).accepted
        else:
            with pytest.raises(PeerViolation, match="expected version"):
                replace(bob).hear(update)


def test_what_has_become_illegal_is_dropped_and_said():
    alice, _ = two_ends()
    alice.wants(Fulfil(1, SECRET), payment(0), Fail(3, b""), Expire(0))
    progress, update = propose(alice.channel, alice.world)
    assert update.operations == (payment(0),)
    assert [type(operation) for operation in progress.dropped] == [Fulfil, Fail, Expire]


def test_claims_that_the_deposits_do_not_cover_are_left_out_one_by_one():
    alice, bob = two_ends()
    update = alice.wants(payment(0, 60), payment(2, 70), payment(4, 40), payment(6, 1)).say()
    assert [op.claim.amount for op in update.operations] == [60, 40]
    bob.hear(update)


def test_only_deposits_that_both_have_seen_are_spent():
    alice, bob = two_ends()
    alice.channel = replace(alice.channel, deposits=Deposits(500, 100))
    assert alice.wants(payment(0, 300)).say() is None
    alice.channel = replace(alice.channel, announced=Deposits(500, 100))
    bob.channel = replace(bob.channel, deposits=Deposits(500, 100))
    bob.hear(alice.wants(payment(2, 300)).say())


def test_an_answer_goes_out_with_offers_that_it_pays_for():
    alice, bob = two_ends(100, 0)
    bob.hear(alice.wants(payment(0, 80)).say())
    update = bob.wants(payment(1, 50), Fulfil(0, SECRET)).say()
    assert {type(op) for op in update.operations} == {Add, Fulfil}
    alice.hear(update)
    assert alice.channel.theirs.net == 80


def test_a_batch_that_lost_does_not_come_back_with_offers_that_are_over():
    """Its deadline passed while it waited: whoever it was for has been told that it is off."""
    alice, bob = two_ends()
    bob.wants(payment(1)).say()
    bob.hear(alice.wants(payment(0)).say())
    bob.world.now_s = T0_S + 700
    assert bob.wants(Expire(1)).say() is None and bob.channel.waiting == ()


@pytest.mark.parametrize(
    ("change", "taken"),
    [({}, True), ({"version": 4}, False), ({"version": 1}, False)],
)
def test_an_ack_counts_for_the_very_proposal_alone(change, taken):
    alice, bob = two_ends()
    bob.hear(alice.wants(payment(0)).say())
    alice.hear(replace(bob.nod(), **change))
    assert alice.channel.answered is taken


def test_an_ack_with_another_signature_is_refused():
    alice, bob = two_ends()
    bob.hear(alice.wants(payment(0)).say())
    with pytest.raises(PeerViolation):
        alice.hear(replace(bob.nod(), signature=NOBODY))
    assert not alice.channel.answered


def test_r12_what_the_peer_missed_is_said_again_in_the_same_words():
    alice, bob = two_ends()
    lost = alice.wants(payment(0)).say()
    alice.channel, again = resend(alice.channel, peer_holds=0)
    assert [(message, state.version) for message, state in again] == [(replace(lost, signature=b""), 2)]
    bob.hear(lost)
    ack = bob.nod()
    _, again = resend(bob.channel, peer_holds=0)
    assert [message for message, _ in again] == [Ack(ID, 2)]
    alice.hear(ack)
    assert resend(alice.channel, peer_holds=2)[1] == []


def test_r12_what_was_built_on_a_proposal_of_the_peer_countersigns_it_first():
    """So that the peer, which may have to refuse ours by now, is free to."""
    alice, bob = two_ends()
    bob.hear(alice.wants(payment(0)).say())
    bob.wants(Fulfil(0, SECRET)).say()
    assert not bob.channel.parent_signed
    bob.channel, again = resend(bob.channel, peer_holds=0)
    assert [(type(message), state.version) for message, state in again] == [(Ack, 2), (Update, 3)]
    assert bob.channel.parent_signed
    assert [type(message) for message, _ in resend(bob.channel, peer_holds=2)[1]] == [Update]


def test_a_version_is_never_signed_with_two_contents():
    """Whatever is lost and rebased: the next proposal has a version of its own."""
    alice, bob = two_ends()
    seen: dict[int, State] = {}
    for round_ in range(20):
        from_bob = bob.wants(payment(2 * round_ + 1, 1)).say()
        from_alice = alice.wants(payment(2 * round_, 1)).say()
        for end in (alice, bob):
            assert seen.setdefault(end.channel.mine.version, end.channel.mine) == end.channel.mine
        for end, update in ((bob, from_alice), (alice, from_bob)):
            if update is not None:
                end.hear(update)
    assert len(seen) > 20


def test_ids_are_never_used_again_also_not_after_the_claim_is_gone():
    alice, bob = two_ends()
    bob.hear(alice.wants(payment(0)).say())
    alice.hear(bob.wants(Fail(0, b"")).say())
    assert not alice.channel.theirs.claims
    bob.hear(alice.wants(payment(2)).say())
    with pytest.raises(PeerViolation, match="above 2"):
        apply_operations(bob.channel.theirs, 6, Side.A, [payment(0)], bob.world)


def test_a_claim_has_its_payer_in_its_id():
    assert Claim(4, 1, LOCK, 1).payer is Side.A and Claim(5, 1, LOCK, 1).payer is Side.B
    assert Channel.key  # a record of the journal
