"""Making, answering and losing offers: what all kinds of claims have in common.

Claims are offered with a hashlock, answered backwards with a secret or a failure, and each answer
travels once (R7, R10). What a claim is for (a payment, a trade, somebody else's) is decided in
`paying`, `trading` and `forwarding`.
"""

from channeld.core.channel import Channel, enqueue, find_claim
from channeld.core.claims import Claim, OptionTerms
from channeld.core.copying import replace
from channeld.core.draft import Answers, Draft
from channeld.core.effects import RegisterSecret, WakeClaim
from channeld.core.operations import MAX_OPERATIONS, Add, Expire, Fail, Fulfil, Push
from channeld.core.records import ClaimRef, Failure, Secret
from channeld.core.world import registered_in_time


def offer(
    draft: Draft,
    channel_id: bytes,
    amount: int,
    hashlock: bytes,
    deadline_s: int,
    packet: bytes,
    terms: OptionTerms | None = None,
) -> ClaimRef:
    """Queue a new claim that we pay; it is signed with the next batch."""
    channel = draft.channel(channel_id)
    claim = Claim(channel.next_id, amount, hashlock, deadline_s, terms)
    ref = ClaimRef(channel_id, claim.claim_id)
    waiting = (*channel.waiting, Add(claim, packet))
    draft.put(replace(channel, waiting=waiting, next_id=channel.next_id + 2))
    draft.index(hashlock, ref)
    draft.emit(WakeClaim(deadline_s + draft.world.margins.reorg_s + 1, ref))
    return ref


def has_room(channel: Channel) -> bool:
    """Whether one more offer may wait: no batch could carry more, and what waits is rewritten at each step.

    Attack stopped: many neighbours that fill one stuck channel's queue until it no longer fits its record.
    """
    if len(channel.waiting) < MAX_OPERATIONS:
        return True
    return sum(not isinstance(operation, Push) for operation in channel.waiting) < MAX_OPERATIONS


def answer_is_queued(draft: Draft, channel: Channel, claim_id: int) -> bool:
    """Whether an answer to a claim is already on its way: in a batch unanswered or waiting."""
    return claim_id in _answers(draft, channel).claim_ids


def answer(draft: Draft, channel: Channel, operation: Fulfil | Fail | Expire) -> None:
    """Queue the answer to one claim; the caller has made sure that there is none yet."""
    known = _answers(draft, channel)
    channel = enqueue(channel, operation)
    known.claim_ids.add(operation.claim_id)
    known.waiting = channel.waiting
    draft.put(channel)


def _answers(draft: Draft, channel: Channel) -> Answers:
    """The answers of a channel, counted once for all claims that one step answers in it."""
    known = draft.answers.get(channel.channel_id)
    if known is None or known.unanswered is not channel.unanswered or known.waiting is not channel.waiting:
        queued = channel.unanswered + channel.waiting
        ids = {op.claim_id for op in queued if isinstance(op, Fulfil | Fail | Expire)}
        known = draft.answers[channel.channel_id] = Answers(channel.unanswered, channel.waiting, ids)
    return known


def owed_claim(draft: Draft, ref: ClaimRef) -> tuple[Channel, Claim] | None:
    """A hash-locked claim that the peer pays us, in the newest state that it signed; None if it is gone."""
    channel = draft.get(Channel, ref.channel_id)
    if channel is None:
        return None
    claim = find_claim(channel.theirs, ref.claim_id)
    if claim is None or claim.hashlock is None or claim.payer is channel.me:
        return None
    return channel, claim


def fail_back(draft: Draft, ref: ClaimRef, failure: Failure) -> None:
    """Let a claim that we are owed go, unless it is answered already.

    The caller has made sure that whatever we owe onwards for it is final (R7).
    """
    owed = owed_claim(draft, ref)
    if owed is None:
        return
    channel, claim = owed
    assert claim.hashlock is not None
    if answer_is_queued(draft, channel, ref.claim_id) or draft.get(Secret, claim.hashlock) is not None:
        return
    answer(draft, channel, Fail(ref.claim_id, failure.encode()))


def release_secret(draft: Draft, hashlock: bytes, preimage: bytes) -> None:
    """Use a secret: answer every claim that it opens for us, at once (R10)."""
    if draft.get(Secret, hashlock) is None:
        draft.put(Secret(hashlock, preimage))
    for ref in draft.refs_of(hashlock):
        fulfil(draft, ref, preimage)


def fulfil(draft: Draft, ref: ClaimRef, preimage: bytes) -> None:
    """Queue the fulfilment of one claim that we are owed, and make sure that it cannot come too late.

    Off-chain answers are refused when they leave too little time (R9), so the secret is registered on
    chain when no signed answer has come by then, and at once when the channel is in dispute.
    """
    owed = owed_claim(draft, ref)
    if owed is None:
        return
    channel, claim = owed
    assert claim.hashlock is not None
    if channel.phase.signs_states and not answer_is_queued(draft, channel, ref.claim_id):
        answer(draft, channel, Fulfil(ref.claim_id, preimage))
    if claim.terms is not None and draft.world.now_s < claim.terms.expiry_s:
        draft.emit(WakeClaim(claim.terms.expiry_s, ref))
    wake_s = claim.deadline_s - draft.world.margins.register_s
    if registered_in_time(draft.world, claim.hashlock, claim.deadline_s):
        return
    if not channel.phase.signs_states or draft.world.now_s >= wake_s:
        if draft.world.now_s <= claim.deadline_s:
            draft.emit(RegisterSecret(preimage, claim.deadline_s))
    else:
        draft.emit(WakeClaim(wake_s, ref))
