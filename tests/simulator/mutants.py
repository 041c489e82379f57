"""The variants of the protocol that look right and lose money, put into the real core one at a time.

The names b1 to b9 and ok4 are those of the protocol's model; the others are rules of the design. Those that
take no more than another line are in `slips`.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from channeld.adapters.journal.records import Write
from channeld.core import channel as channels
from channeld.core import disputing, node, reactions, reconnecting
from channeld.core.channel import Channel, Progress, Update, Verify
from channeld.core.claims import Claim, Side, State
from channeld.core.draft import Draft, Toolbox
from channeld.core.effects import Effect, RegisterSecret
from channeld.core.events import MessageReceived
from channeld.core.messages import Complaint, Message
from channeld.core.offers import release_secret
from channeld.core.operations import Add, StateDraft
from channeld.core.records import ClaimRef, Failure, FailureCode, Trade
from channeld.core.world import World
from channeld.daemon.peering import Peering
from channeld.daemon.submitting import Submitter
from tests.simulator.journal import MortalJournal
from tests.simulator.slips import SLIPS

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def b1_both_sides_sign_the_same_versions(patch: Patch) -> None:
    """No parity: a proposal of one's own version is taken, though the other may enforce ours."""

    def child(parent: int, proposer: Side) -> int:
        return parent + 1

    patch.setattr(channels, "child_version", child)
    real = channels.receive_update

    def receive(channel: Channel, update: Update, world: World, verify: Verify) -> Progress:
        if update.version == channel.mine.version > channel.theirs.version:
            forgotten = replace(channel, mine=channel.theirs, waiting=channel.unanswered)
            return real(forgotten, update, world, verify)
        return real(channel, update, world, verify)

    patch.setattr(node, "receive_update", receive)


def b2_a_proposal_below_ones_own_signature_is_taken(patch: Patch) -> None:
    """And ok4: it replaces what stood there, and the record of what was offered."""
    real = channels.receive_update

    def receive(channel: Channel, update: Update, world: World, verify: Verify) -> Progress:
        if channel.theirs.version < update.version < channel.mine.version:
            below = replace(channel, mine=channel.theirs, unanswered=(), waiting=())
            return real(below, update, world, verify)
        return real(channel, update, world, verify)

    patch.setattr(node, "receive_update", receive)


def b3_an_unsigned_refusal_counts(patch: Patch) -> None:
    real = node._message

    def message(draft: Draft, peer: bytes, said: Message, tools: Toolbox) -> None:
        if isinstance(said, Complaint):
            channel = draft.get(Channel, said.channel_id)
            for operation in () if channel is None else channel.unanswered:
                if isinstance(operation, Add):
                    ref = ClaimRef(said.channel_id, operation.claim.claim_id)
                    reactions.outgoing_gone(draft, ref, operation.claim, Failure(FailureCode.NO_CAPACITY))
        real(draft, peer, said, tools)

    def complained(peering: Peering, peer_id: bytes, peer: object, complaint: Complaint) -> None:
        peering._engine.post(MessageReceived(peer_id, complaint))

    patch.setattr(node, "_message", message)
    patch.setattr(Peering, "_complaint", complained)


def b5_it_is_sent_before_it_is_durable(patch: Patch) -> None:
    """The disk is one turn behind."""
    real = MortalJournal.commit
    late: dict[int, list[Write]] = {}

    def commit(journal: MortalJournal, writes: list[Write]) -> None:
        waiting, late[id(journal)] = late.get(id(journal), []), list(writes)
        real(journal, waiting)

    patch.setattr(MortalJournal, "commit", commit)


def b6_whoever_proposes_may_make_the_other_pay(patch: Patch) -> None:
    """The bundles b6 to b9: a premium and the other's option in one proposal."""
    real = StateDraft._add

    def add(draft: StateDraft, operation: Add, by: Side, world: World) -> None:
        real(draft, operation, operation.claim.payer, world)

    patch.setattr(StateDraft, "_add", add)


def b8_the_secret_is_out_before_the_option_is_there(patch: Patch) -> None:
    real = reactions._final

    def final(draft: Draft, before: Channel, operation: object) -> None:
        real(draft, before, operation)  # type: ignore[arg-type]
        if isinstance(operation, Add):
            trade = draft.get(Trade, operation.claim.hashlock or b"")
            if trade is not None and trade.preimage:
                release_secret(draft, trade.hashlock, trade.preimage)

    patch.setattr(reactions, "_final", final)


def r7_a_signed_offer_is_given_up_with_the_connection(patch: Patch) -> None:
    """Its answer goes backwards though the peer may still take it."""
    real = reconnecting.peer_disconnected

    def disconnected(draft: Draft, address: bytes) -> None:
        real(draft, address)
        for channel_id in sorted(draft.tables.channels_of.get(address, ())):
            for operation in draft.channel(channel_id).unanswered:
                if isinstance(operation, Add):
                    ref = ClaimRef(channel_id, operation.claim.claim_id)
                    reactions.outgoing_gone(draft, ref, operation.claim, Failure(FailureCode.NO_CHANNEL))

    patch.setattr(node, "peer_disconnected", disconnected)


def r10_no_secret_is_ever_registered(patch: Patch) -> None:
    real = Submitter.submit

    def submit(submitter: Submitter, effect: Effect) -> None:
        if not isinstance(effect, RegisterSecret):
            real(submitter, effect)  # type: ignore[arg-type]

    patch.setattr(Submitter, "submit", submit)


def r11_what_is_unanswered_is_forgotten_in_a_crash(patch: Patch) -> None:
    """Other content at a version that was used."""
    real = node.wake_all

    def wake(tables: object) -> list[object]:
        held = tables.records[Channel]  # type: ignore[attr-defined]
        for key, channel in held.items():
            if not channel.answered:
                held[key] = replace(channel, mine=channel.theirs, unanswered=(), waiting=())
        return real(tables)  # type: ignore[arg-type,return-value]

    patch.setattr("channeld.daemon.engine.wake_all", wake)


def solvency_is_not_checked(patch: Patch) -> None:
    def anything(state: State, deposit_a: int, deposit_b: int, exposure: object = None) -> None:
        """Whatever the peer promises."""

    patch.setattr(channels, "require_solvent", anything)


def an_old_state_on_chain_is_not_answered(patch: Patch) -> None:
    real = disputing.duties

    def duties(*given: object) -> list[Effect]:
        todo: list[Effect] = real(*given)  # type: ignore[arg-type]
        return [effect for effect in todo if type(effect).__name__ != "SubmitResponse"]

    patch.setattr(disputing, "duties", duties)


def a_claim_is_carried_on_in_a_channel_of_another_deadline(patch: Patch) -> None:
    """R13: the onward claim outlives the one that pays for it."""
    real = reactions.forward

    def forward(draft: Draft, ref: ClaimRef, claim: Claim, order: object, tools: Toolbox) -> None:
        deadline_s = order.deadline_s  # type: ignore[attr-defined]
        real(draft, ref, replace(claim, deadline_s=deadline_s), order, tools)  # type: ignore[arg-type]

    patch.setattr(reactions, "forward", forward)


MUTANTS: tuple[Mutant, ...] = (
    b1_both_sides_sign_the_same_versions,
    b2_a_proposal_below_ones_own_signature_is_taken,
    b3_an_unsigned_refusal_counts,
    b5_it_is_sent_before_it_is_durable,
    b6_whoever_proposes_may_make_the_other_pay,
    b8_the_secret_is_out_before_the_option_is_there,
    r7_a_signed_offer_is_given_up_with_the_connection,
    r10_no_secret_is_ever_registered,
    r11_what_is_unanswered_is_forgotten_in_a_crash,
    solvency_is_not_checked,
    an_old_state_on_chain_is_not_answered,
    a_claim_is_carried_on_in_a_channel_of_another_deadline,
    *SLIPS,
)
