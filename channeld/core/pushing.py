"""Pushes: money for the neighbour at once, without a hashlock, many a second; and the streams they add up to.

A push is promised to nobody before the peer has signed a state that contains it, or built on one: then it
is *sent*, for good. It is *received* as soon as a state with it is accepted (R6) and durable. Until then it
waits, is in the one unanswered proposal, or is back among those that wait, never in two places; what no
state contains when the connection ends is dropped, and its caller told, who may push again.
"""

from collections.abc import Sequence

from channeld.core.channel import Channel, enqueue
from channeld.core.copying import replace
from channeld.core.draft import Draft, PushPolicy
from channeld.core.effects import AnswerPushes, Notify
from channeld.core.errors import AmountRejected, Rejected
from channeld.core.events import PushesRequested
from channeld.core.operations import MAX_OPERATIONS, NO_STREAM, Add, Operation, Push
from channeld.core.paying import require_ready
from channeld.core.records import Dispute, Stream, stream_key
from channeld.core.solvency import spendable

MAX_WAITING_PUSHES = MAX_OPERATIONS
"""Pushes of ours that may wait in a channel: as many as a batch carries when there is nothing else."""


def request_pushes(draft: Draft, event: PushesRequested) -> None:
    """Queue pushes for the next batch, all or (Rejected) none of them."""
    channel = require_ready(draft, event.channel_id)
    terms = draft.terms_of(event.channel_id)
    if terms is None:
        raise Rejected("the peer has not said yet whether it takes pushes: try again in a moment")
    if not terms.accepts:
        raise Rejected(f"the peer of channel {event.channel_id.hex()} takes no pushes")
    least = max(1, terms.min_amount)
    smallest = min(push.amount for push in event.pushes)
    if smallest < least:
        raise AmountRejected("the peer takes pushes of at least {}, got {}", least, smallest)
    waiting = pushes_among(channel.waiting)
    if len(waiting) + len(event.pushes) > MAX_WAITING_PUSHES:
        raise Rejected(
            f"expected at most {MAX_WAITING_PUSHES} pushes to wait, {len(waiting)} do already; try later"
        )
    deposits = channel.usable_deposits()
    free = min(spendable(state, deposits, channel.me, state.exposure) for state in channel.enforceable)
    free -= sum(push.amount for push in waiting)
    free -= sum(op.claim.amount for op in channel.waiting if isinstance(op, Add) and op.claim.terms is None)
    asked = sum(push.amount for push in event.pushes)
    if asked > free:
        raise AmountRejected("expected pushes of at most {} in all, got {}", max(0, free), asked)
    draft.put(enqueue(channel, *event.pushes))


def pushes_among(operations: Sequence[Operation]) -> tuple[Push, ...]:
    return tuple([operation for operation in operations if isinstance(operation, Push)])


def pushes_received(draft: Draft, channel_id: bytes, pushes: Sequence[Push], policy: PushPolicy) -> None:
    """The peer's pushes are in the only enforceable state: they are ours.

    They cannot be refused, because they are money; what we have not asked for only gets no stream of its
    own. Attack stopped: a flood of tiny pushes, each with a new name, that fills our disk with records.
    """
    sums = _sums(pushes, policy.min_amount if policy.accept else None)
    for stream, (count, total) in sums.items():
        if stream != NO_STREAM and not _has_place(draft, channel_id, stream, policy.max_streams):
            stream = NO_STREAM
        _count(draft, channel_id, False, stream, count, total)


def pushes_sent(draft: Draft, channel_id: bytes, pushes: tuple[Push, ...]) -> None:
    """The peer has signed our pushes."""
    records = [
        _count(draft, channel_id, True, stream, count, total)
        for stream, (count, total) in _sums(pushes, 0).items()
    ]
    draft.emit(AnswerPushes(channel_id, sent=pushes, streams=tuple(records)))


def pushes_dropped(draft: Draft, channel_id: bytes, pushes: tuple[Push, ...], why: str) -> None:
    """Pushes of ours are in no state and will be in none: whoever asked for them may ask again."""
    if pushes:
        draft.emit(AnswerPushes(channel_id, dropped=pushes, why=why))


def drop_unsigned_pushes(draft: Draft, channel: Channel, why: str) -> Channel:
    """The channel without the pushes that no signed state contains."""
    pushes = pushes_among(channel.waiting)
    if not pushes:
        return channel
    channel = replace(channel, waiting=tuple(op for op in channel.waiting if not isinstance(op, Push)))
    draft.put(channel)
    pushes_dropped(draft, channel.channel_id, pushes, why)
    return channel


def pushes_decided_on_chain(draft: Draft, channel: Channel) -> None:
    """The channel is closed, and our last proposal was never answered: was it what stood on chain?"""
    pushes = () if channel.answered else pushes_among(channel.unanswered)
    if not pushes:
        return
    dispute = draft.get(Dispute, channel.channel_id)
    if dispute is not None and dispute.known and dispute.version == channel.mine.version:
        pushes_sent(draft, channel.channel_id, pushes)
    else:
        pushes_dropped(draft, channel.channel_id, pushes, "the channel was closed without them")


def streams_to_count(channel: Channel, operations: Sequence[Operation]) -> set[bytes]:
    """Whose totals the peer's next message is counted in: its own `operations`, and what it signs of ours."""
    ours = () if channel.answered else channel.unanswered
    return {
        stream_key(channel.channel_id, outgoing, stream)
        for outgoing, pushes in ((False, pushes_among(operations)), (True, pushes_among(ours)))
        if pushes
        for stream in {NO_STREAM, *(push.stream for push in pushes)}
    }


def _sums(pushes: Sequence[Push], least: int | None) -> dict[bytes, tuple[int, int]]:
    """Number and sum by stream; pushes below `least` count for none (None: all do)."""
    sums: dict[bytes, tuple[int, int]] = {}
    for push in pushes:
        stream = NO_STREAM if least is None or push.amount < least else push.stream
        count, total = sums.get(stream, (0, 0))
        sums[stream] = count + 1, total + push.amount
    return sums


def _has_place(draft: Draft, channel_id: bytes, stream: bytes, most: int) -> bool:
    if draft.stream(stream_key(channel_id, False, stream)) is not None:
        return True
    unnamed = draft.stream(stream_key(channel_id, False, NO_STREAM))
    return unnamed is None or unnamed.named < most


def _count(draft: Draft, channel_id: bytes, outgoing: bool, stream: bytes, count: int, total: int) -> Stream:
    now_s = draft.world.now_s
    record = draft.stream(stream_key(channel_id, outgoing, stream))
    if record is None:
        record = Stream(channel_id, outgoing, stream, first_s=now_s)
        if stream != NO_STREAM:
            unnamed = draft.stream(stream_key(channel_id, outgoing, NO_STREAM))
            unnamed = unnamed or Stream(channel_id, outgoing, NO_STREAM)
            draft.put(replace(unnamed, named=unnamed.named + 1))
    first_s = record.first_s or now_s
    count, total = record.count + count, record.total + total
    record = replace(record, count=count, total=total, first_s=first_s, last_s=now_s)
    draft.put(record)
    draft.emit(Notify("stream", record.key))
    return record
