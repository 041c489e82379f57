"""What follows when operations become final, are dropped, or a deadline comes.

Accepted means: in the only state that anyone can enforce (R6). So a hop carries on and a payee takes
at this very step, and the step's changes are durable before anything leaves.
"""

from hashlib import sha256
from typing import assert_never

from channeld.core.channel import Channel, Phase, Progress, enqueue, find_claim, is_gone
from channeld.core.claims import Claim
from channeld.core.copying import replace
from channeld.core.draft import Draft, Toolbox
from channeld.core.effects import Notify, PublishPrice, RegisterSecret, WakeClaim
from channeld.core.errors import PeerViolation
from channeld.core.forwarding import abandon_unsigned, forward, forward_fulfilled, forward_gone, return_option
from channeld.core.messages import Deliver, ForwardTo, ReturnOption, WriteOption
from channeld.core.offers import answer, answer_is_queued, fail_back, fulfil, owed_claim, release_secret
from channeld.core.operations import Add, Expire, Fail, Fulfil, Operation, Push, Settle
from channeld.core.paying import deliver, payment_gone, payment_succeeded
from channeld.core.pushing import (
    drop_unsigned_pushes,
    pushes_among,
    pushes_dropped,
    pushes_received,
    pushes_sent,
)
from channeld.core.records import ClaimRef, Failure, FailureCode, Secret, SignedPriceRecord
from channeld.core.trading import option_arrived, premium_arrived, trade_bound, trade_claim_gone
from channeld.core.world import expired_unregistered, registered_in_time, settlement_price

PRICE_RETRY_S = 15
"""How often an expired option is looked at until its settlement price is known."""

CONFIRMING_RETRY_S = 5
"""How often a claim that is over by the clock is looked at until the chain has confirmed that."""

PUBLISH_MARGIN_S = 1_800
"""How long before the end of the grace a price goes on chain if the peer has not settled by then."""


def progress_made(draft: Draft, before: Channel, progress: Progress, tools: Toolbox) -> None:
    """Take over a channel's progress and react to each operation, the peer's first."""
    draft.put(progress.channel)
    channel_id = before.channel_id
    for operation in progress.accepted:
        _accepted(draft, before, operation, tools)
    for operation in progress.final:
        _final(draft, before, operation)
    for operation in progress.dropped:
        match operation:
            case Add(claim, _):
                ref = ClaimRef(channel_id, claim.claim_id)
                outgoing_gone(draft, ref, claim, Failure(FailureCode.NO_CAPACITY, channel_id))
            case Fulfil(claim_id, preimage):
                fulfil_dropped(draft, ClaimRef(channel_id, claim_id), preimage)
            case Fail() | Expire() | Settle():
                pass  # what they were about is gone already
            case Push():
                pass
            case _:
                assert_never(operation)
    _count_pushes(draft, before, progress, tools)
    if progress.accepted or progress.final:
        draft.emit(Notify("channel", channel_id))


def _count_pushes(draft: Draft, before: Channel, progress: Progress, tools: Toolbox) -> None:
    """Pushes are counted by the batch, and not one by one: there are thousands a second."""
    channel_id = before.channel_id
    received, sent = pushes_among(progress.accepted), pushes_among(progress.final)
    if received:
        pushes_received(draft, channel_id, received, tools.push_policy_of(before.params.asset))
    if sent:
        pushes_sent(draft, channel_id, sent)
    pushes_dropped(draft, channel_id, pushes_among(progress.dropped), "the deposits do not cover it now")


def _claim_before(before: Channel, claim_id: int) -> Claim | None:
    return find_claim(before.theirs, claim_id) or find_claim(before.mine, claim_id)


def _accepted(draft: Draft, before: Channel, operation: Operation, tools: Toolbox) -> None:
    """An operation of the peer is in the only enforceable state."""
    match operation:
        case Add(claim, packet):
            claim_offered(draft, ClaimRef(before.channel_id, claim.claim_id), claim, packet, tools)
        case Fulfil(claim_id, preimage):
            ref = ClaimRef(before.channel_id, claim_id)
            hashlock = sha256(preimage).digest()
            secret_learnt(draft, hashlock, preimage)
            forward_fulfilled(draft, ref)
            draft.unindex(hashlock, ref)
            _wake_at_expiry(draft, before, claim_id)
        case Fail(claim_id, reason):
            _owed_claim_gone(draft, before, claim_id, Failure.decode(reason))
        case Expire(claim_id):
            _forget(draft, before, claim_id)
        case Settle(feed, expiry_s, _):
            draft.emit(Notify("settlement", feed + expiry_s.to_bytes(8, "big")))
        case Push():
            pass
        case _:
            assert_never(operation)


def _final(draft: Draft, before: Channel, operation: Operation) -> None:
    """An operation of ours has been signed by the peer."""
    match operation:
        case Add() | Push():
            pass
        case Fulfil(claim_id, preimage):
            draft.unindex(sha256(preimage).digest(), ClaimRef(before.channel_id, claim_id))
            _wake_at_expiry(draft, before, claim_id)
        case Fail(claim_id, _):
            _forget(draft, before, claim_id)
        case Expire(claim_id):
            _owed_claim_gone(draft, before, claim_id, Failure(FailureCode.DEADLINE_PASSED, before.channel_id))
        case Settle(feed, expiry_s, _):
            draft.emit(Notify("settlement", feed + expiry_s.to_bytes(8, "big")))
        case _:
            assert_never(operation)


def _forget(draft: Draft, before: Channel, claim_id: int) -> None:
    """A claim that we were owed is gone unpaid: it no longer waits for its secret."""
    claim = _claim_before(before, claim_id)
    if claim is not None and claim.hashlock is not None:
        draft.unindex(claim.hashlock, ClaimRef(before.channel_id, claim_id))


def _wake_at_expiry(draft: Draft, before: Channel, claim_id: int) -> None:
    """An option has lost its hashlock: come back to it when it expires."""
    claim = _claim_before(before, claim_id)
    if claim is not None and claim.terms is not None:
        draft.emit(WakeClaim(claim.terms.expiry_s, ClaimRef(before.channel_id, claim_id)))


def _owed_claim_gone(draft: Draft, before: Channel, claim_id: int, failure: Failure) -> None:
    claim = _claim_before(before, claim_id)
    ref = ClaimRef(before.channel_id, claim_id)
    # R7: also not in a proposal of ours that the peer could still bring to the chain.
    assert is_gone(draft.channel(before.channel_id), claim_id), "an answer backwards before it is final"
    if claim is not None:
        outgoing_gone(draft, ref, claim, failure)


def claim_offered(draft: Draft, ref: ClaimRef, claim: Claim, packet: bytes, tools: Toolbox) -> None:
    """The peer owes us a new claim: take it, carry it on, or let it go."""
    assert claim.hashlock is not None
    owed = owed_claim(draft, ref)
    if owed is None:
        return  # added and expired in one batch
    channel, _ = owed
    draft.index(claim.hashlock, ref)
    if channel.phase is not Phase.OPEN:
        fail_back(draft, ref, Failure(FailureCode.CLOSING, ref.channel_id))
        return
    secret = draft.get(Secret, claim.hashlock)
    if secret is not None:
        fulfil(draft, ref, secret.preimage)
        return
    if claim.hashlock in draft.world.registered_s:
        # A secret that is public already would let anybody downstream collect without telling us.
        fail_back(draft, ref, Failure(FailureCode.UNKNOWN_HASH, ref.channel_id))
        return
    if not draft.tables.clock_trusted:
        fail_back(draft, ref, Failure(FailureCode.CLOCK, ref.channel_id))
        return
    if claim.terms is None and claim.amount < tools.policy_of(channel.params.asset).min_amount:
        fail_back(draft, ref, Failure(FailureCode.TOO_SMALL, ref.channel_id))
        return
    try:
        order = tools.read_packet(packet)
    except PeerViolation:
        fail_back(draft, ref, Failure(FailureCode.BAD_PACKET, ref.channel_id))
        return
    match order:
        case ForwardTo():
            forward(draft, ref, claim, order, tools)
        case Deliver():
            deliver(draft, ref, claim, order)
        case WriteOption():
            premium_arrived(draft, ref, claim, order, tools)
        case ReturnOption():
            taken = claim.terms is not None and (
                option_arrived(draft, ref, claim) or return_option(draft, ref, claim, tools)
            )
            if not taken:
                fail_back(draft, ref, Failure(FailureCode.WRONG_TERMS, ref.channel_id))
        case _:
            assert_never(order)


def secret_learnt(draft: Draft, hashlock: bytes, preimage: bytes) -> None:
    """A secret came to us: collect with it, and close the books of what it was for."""
    release_secret(draft, hashlock, preimage)
    payment_succeeded(draft, hashlock, preimage)
    trade_bound(draft, hashlock, preimage)


def outgoing_gone(draft: Draft, ref: ClaimRef, claim: Claim, failure: Failure) -> None:
    """A claim that we owed is gone unpaid: whoever it was for hears of it, once."""
    assert claim.hashlock is not None
    draft.unindex(claim.hashlock, ref)
    if forward_gone(draft, ref, failure) or trade_claim_gone(draft, claim.hashlock, ref, failure):
        return
    payment_gone(draft, claim.hashlock, ref, failure)


def fulfil_dropped(draft: Draft, ref: ClaimRef, preimage: bytes) -> None:
    """A fulfilment can no longer be proposed: if the claim is open, the chain must hear the secret."""
    channel = draft.channel(ref.channel_id)
    claim = find_claim(channel.theirs, ref.claim_id)
    if claim is None or claim.hashlock is None:
        return
    registered = registered_in_time(draft.world, claim.hashlock, claim.deadline_s)
    if not registered and draft.world.now_s <= claim.deadline_s:
        draft.emit(RegisterSecret(preimage, claim.deadline_s))


def claim_due(draft: Draft, ref: ClaimRef) -> None:
    """A claim's time has come: a deadline, an expiry, or the last moment to register a secret."""
    channel = draft.get(Channel, ref.channel_id)
    if channel is None:
        return
    claim = _agreed_claim(channel, ref.claim_id)
    if claim is None:
        return
    if claim.hashlock is None:
        _option_due(draft, channel, claim)
    elif claim.payer is channel.me:
        _owed_by_us_due(draft, channel, claim)
    else:
        _owed_to_us_due(draft, channel, claim)


def _agreed_claim(channel: Channel, claim_id: int) -> Claim | None:
    """A claim as the peer has signed it, else as we offer it.

    What counts is not what our own proposal would make of it: an option that we have unlocked there is
    still locked for whoever never answers, and its secret must reach the chain (R10).
    """
    for state in channel.enforceable:
        claim = find_claim(state, claim_id)
        if claim is not None:
            return claim
    for operation in channel.waiting:
        if isinstance(operation, Add) and operation.claim.claim_id == claim_id:
            return operation.claim
    return None


def _owed_by_us_due(draft: Draft, channel: Channel, claim: Claim) -> None:
    assert claim.hashlock is not None
    ref = ClaimRef(channel.channel_id, claim.claim_id)
    margin_s = draft.world.margins.reorg_s
    if registered_in_time(draft.world, claim.hashlock, claim.deadline_s):
        # It was revealed on chain: the secret has come to us with it. A closed channel has paid it too.
        if channel.phase is Phase.CLOSED:
            forward_fulfilled(draft, ref)
            draft.unindex(claim.hashlock, ref)
        return
    if not expired_unregistered(draft.world, claim.hashlock, claim.deadline_s, margin_s):
        # The clock may be there and the confirmed blocks not yet.
        due_s = max(claim.deadline_s + margin_s + 1, draft.world.now_s + CONFIRMING_RETRY_S)
        draft.emit(WakeClaim(due_s, ref))
        return
    if (
        not abandon_unsigned(draft, ref)
        and channel.phase.signs_states
        and not answer_is_queued(draft, channel, claim.claim_id)
    ):
        answer(draft, channel, Expire(claim.claim_id))
    # R7, second half: the deadline and the margin for reorganisations have passed unregistered.
    outgoing_gone(draft, ref, claim, Failure(FailureCode.DEADLINE_PASSED, channel.channel_id))


def _owed_to_us_due(draft: Draft, channel: Channel, claim: Claim) -> None:
    assert claim.hashlock is not None
    ref = ClaimRef(channel.channel_id, claim.claim_id)
    if channel.phase is Phase.CLOSED:
        draft.unindex(claim.hashlock, ref)
        return
    secret = draft.get(Secret, claim.hashlock)
    if secret is not None:
        fulfil(draft, ref, secret.preimage)
    # The peer may never take the secret off-chain: the option lives all the same, and its price must
    # reach the chain within the grace.
    if claim.terms is not None and registered_in_time(draft.world, claim.hashlock, claim.deadline_s):
        _option_due(draft, draft.channel(ref.channel_id), claim)


def _option_due(draft: Draft, channel: Channel, claim: Claim) -> None:
    """Settle an expired option with the peer as soon as its price is known; on chain if that fails."""
    terms = claim.terms
    assert terms is not None
    world = draft.world
    ref = ClaimRef(channel.channel_id, claim.claim_id)
    if channel.phase is Phase.CLOSED:
        return
    if world.now_s < terms.expiry_s:
        draft.emit(WakeClaim(terms.expiry_s, ref))
        return
    queue_settlement(draft, channel, terms.feed, terms.expiry_s)
    last_s = terms.expiry_s + terms.grace_s
    record = draft.get(SignedPriceRecord, terms.feed + terms.expiry_s.to_bytes(8, "big"))
    unpublished = (terms.feed, terms.expiry_s) not in world.published
    # Attack stopped: a debtor that plays dead until the grace is over would void what it owes.
    if record is not None and unpublished and last_s - PUBLISH_MARGIN_S <= world.now_s <= last_s:
        draft.emit(PublishPrice(record))
    draft.emit(WakeClaim(world.now_s + PRICE_RETRY_S, ref))


def queue_settlement(draft: Draft, channel: Channel, feed: bytes, expiry_s: int) -> bool:
    """Propose to settle a group at its price, if there is one and nothing of it is hash-locked."""
    group = [
        claim
        for claim in channel.theirs.claims.values()
        if claim.terms is not None and (claim.terms.feed, claim.terms.expiry_s) == (feed, expiry_s)
    ]
    if not group or not channel.phase.signs_states:
        return False
    price = settlement_price(draft.world, feed, expiry_s, feed[31] * 3600)
    if price is None or any(claim.hashlock is not None for claim in group):
        return False
    operation = Settle(feed, expiry_s, price)
    if operation not in channel.waiting and operation not in channel.unanswered:
        draft.put(enqueue(channel, operation))
    return True


def drop_unsigned_offers(draft: Draft, channel: Channel) -> None:
    """The peer is away: what was never signed is let go, so that nobody waits for nothing."""
    channel = drop_unsigned_pushes(draft, channel, "the peer is not connected, or the channel closes")
    offers = [operation for operation in channel.waiting if isinstance(operation, Add)]
    if not offers:
        return
    draft.put(replace(channel, waiting=tuple(op for op in channel.waiting if not isinstance(op, Add))))
    for operation in offers:
        ref = ClaimRef(channel.channel_id, operation.claim.claim_id)
        outgoing_gone(draft, ref, operation.claim, Failure(FailureCode.NO_CHANNEL, channel.channel_id))
