"""How two daemons move a channel: rules R1 to R8 and R12 of docs/protocol.md, model-checked.

A channel knows the highest state it signed (`mine`) and the highest state with the peer's signature
(`theirs`). Versions have parity, a side leaves at most one proposal unanswered, and whatever
becomes `theirs` is at that moment the only state that anyone can enforce: accepted and durable means
act at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from channeld.core.claims import MAX_VERSION, ZERO_STATE, Claim, Side, State
from channeld.core.copying import replace
from channeld.core.errors import PeerViolation
from channeld.core.identity import ChannelParams
from channeld.core.operations import (
    MAX_OPERATIONS,
    Add,
    Fulfil,
    Operation,
    Push,
    Settle,
    StateDraft,
    apply_operations,
)
from channeld.core.solvency import require_solvent, spendable
from channeld.core.world import World

Verify = Callable[[bytes, State, bytes], bool]
"""(channel id, state, signature) -> whether the peer signed it. Pure: cryptography over its arguments."""


class Phase(IntEnum):
    """Where in its life a channel is. Only OPEN signs states."""

    OPENING = 1  #     seen on chain, deposits not yet confirmed
    OPEN = 2
    SHUTTING = 3  #    answers what is open, adds nothing, then closes cooperatively
    CLOSING = 4  #     a cooperative close is signed: an outcome that the peer can enforce, so we sign no more
    RECOVERED = 5  #   we lost data and hold the peer's copy: only a cooperative close (R12)
    DISPUTED = 6  #    the clock runs on chain
    CLOSED = 7

    @property
    def signs_states(self) -> bool:
        return self is _OPEN or self is _SHUTTING


_OPEN, _SHUTTING = Phase.OPEN, Phase.SHUTTING
"""As globals: an attribute of an enum class is a slow lookup, and every answer asks for it."""


@dataclass(frozen=True, slots=True)
class Deposits:
    """Deposits less withdrawals in the asset's smallest unit, and the counter of the channel's slot."""

    a: int = 0
    b: int = 0
    counter: int = 0


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel as one of its ends sees it (R1). Everything here is durable.

    `deposits` are confirmed on chain; `announced` is what the peer said it sees confirmed: what we
    pay from must be in both. `unanswered` are the operations in `mine` while it is unanswered,
    `parent` the version it was built on and `parent_signed` whether both had signed that one;
    `waiting` are operations that no signed state contains yet. `next_id` is our next claim's id.
    `initiator`: we asked for the close; `close_until_s` and `close_signature`: until when a cooperative
    close that we signed can be enforced, and the peer's signature on it.
    """

    channel_id: bytes
    params: ChannelParams
    me: Side
    peer: bytes
    phase: Phase
    next_id: int
    deposits: Deposits = Deposits()
    announced: Deposits = Deposits()
    mine: State = ZERO_STATE
    theirs: State = ZERO_STATE
    their_signature: bytes = b""
    parent: int = 0
    parent_signed: bool = True
    unanswered: tuple[Operation, ...] = ()
    waiting: tuple[Operation, ...] = ()
    initiator: bool = False
    close_until_s: int = 0
    close_signature: bytes = b""

    @property
    def key(self) -> bytes:
        return self.channel_id

    @property
    def counterparty(self) -> bytes:
        """The peer's address (20 bytes), known from the chain before its node id is."""
        return self.params.b if self.me is Side.A else self.params.a

    @property
    def answered(self) -> bool:
        """Whether the peer has answered everything that we signed (R3)."""
        return self.mine.version <= self.theirs.version

    @property
    def enforceable(self) -> tuple[State, ...]:
        """Every state that could still end on chain (R6)."""
        return (self.theirs,) if self.answered else (self.theirs, self.mine)

    def usable_deposits(self) -> tuple[int, int]:
        """What our own proposals may count on: confirmed in our eyes and announced by the peer."""
        return min(self.deposits.a, self.announced.a), min(self.deposits.b, self.announced.b)


@dataclass(frozen=True, slots=True)
class Update:
    """A signed proposal: `operations` by the sender, applied to the state of version `parent`."""

    channel_id: bytes
    version: int
    parent: int
    operations: tuple[Operation, ...]
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class Ack:
    """A signature on the very state that the receiver proposed (R4)."""

    channel_id: bytes
    version: int
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class Reestablish:
    """What a side holds when a connection begins (R12)."""

    channel_id: bytes
    mine: int
    theirs: int
    deposit_a: int
    deposit_b: int


@dataclass(frozen=True, slots=True)
class Progress:
    """What a channel's machine did: the channel after it, and what became final by it.

    `accepted` are the peer's operations that are now in the only enforceable state; `final` are ours
    that the peer has countersigned or built upon; `dropped` are ours that can no longer be proposed.
    """

    channel: Channel
    accepted: tuple[Operation, ...] = ()
    final: tuple[Operation, ...] = ()
    dropped: tuple[Operation, ...] = ()


def child_version(parent: int, proposer: Side) -> int:
    """R2: side A signs even proposals, B odd ones; the version follows from the parent, without leaps."""
    return parent + 2 if parent & 1 == proposer else parent + 1


def enqueue(channel: Channel, *operations: Operation) -> Channel:
    """The channel with `operations` waiting for the next batch."""
    return replace(channel, waiting=channel.waiting + operations)


def withdraw_waiting(channel: Channel, claim_id: int) -> Channel | None:
    """The channel without its unsigned offer `claim_id`, or None if the offer may be signed already (R7)."""
    kept = tuple(op for op in channel.waiting if not (isinstance(op, Add) and op.claim.claim_id == claim_id))
    return None if len(kept) == len(channel.waiting) else replace(channel, waiting=kept)


def find_claim(state: State, claim_id: int) -> Claim | None:
    return state.claims.get(claim_id)


def is_gone(channel: Channel, claim_id: int) -> bool:
    """R7: whether a claim is in neither enforceable state, neither unanswered nor waiting."""
    if any(claim_id in state.claims for state in channel.enforceable):
        return False
    return not any(
        isinstance(op, Add) and op.claim.claim_id == claim_id for op in channel.unanswered + channel.waiting
    )


def propose(channel: Channel, world: World, refused: int = 0) -> tuple[Progress, Update | None]:
    """Sign the waiting operations, as many as are legal, on top of `theirs` (R2, R3).

    `refused` is the version of a proposal of the peer that we do not take: ours goes above it (R8), or
    the peer, who may not sign another before it is answered, would wait for ever. Operations that have
    become illegal (an answer to a claim that is gone, a claim that we can no longer cover) are dropped and
    reported; without any legal one nothing is signed.
    """
    if not channel.waiting or not channel.answered or not channel.phase.signs_states:
        return Progress(channel), None
    draft = StateDraft(channel.theirs, ours=True)
    proposed: list[Operation] = []
    dropped: list[Operation] = []
    batch, rest = _next_batch(channel.waiting)
    for operation in batch:
        try:
            draft.apply(operation, channel.me, world)
        except PeerViolation:
            dropped.append(operation)
        else:
            proposed.append(operation)
    version = child_version(max(channel.theirs.version, refused), channel.me)
    assert version <= MAX_VERSION, "versions are used up; the channel must be closed"
    state = draft.finish(version)
    if any(isinstance(op, Add | Fulfil | Settle | Push) for op in proposed):
        state, proposed, unaffordable = _affordable(channel, state, proposed, version, world)
        dropped += unaffordable
    channel = replace(channel, waiting=rest)
    if not proposed:
        return Progress(channel, dropped=tuple(dropped)), None
    channel = replace(
        channel,
        mine=state,
        parent=channel.theirs.version,
        parent_signed=channel.mine.version == channel.theirs.version,
        unanswered=tuple(proposed),
    )
    update = Update(channel.channel_id, version, channel.parent, channel.unanswered)
    return Progress(channel, dropped=tuple(dropped)), update


def _next_batch(waiting: tuple[Operation, ...]) -> tuple[tuple[Operation, ...], tuple[Operation, ...]]:
    """What the next batch may carry, and what must wait: pushes are many, so they give way to all else."""
    if len(waiting) > MAX_OPERATIONS:
        pushes = tuple([operation for operation in waiting if isinstance(operation, Push)])
        waiting = tuple([operation for operation in waiting if not isinstance(operation, Push)]) + pushes
    return waiting[:MAX_OPERATIONS], waiting[MAX_OPERATIONS:]


def _affordable(
    channel: Channel, state: State, proposed: list[Operation], version: int, world: World
) -> tuple[State, list[Operation], list[Operation]]:
    """Leave out claims and pushes that the deposits do not cover: all at once if that will do, else each.

    Pushes come last: one costs its payer just its amount, whatever is open.
    """
    deposit_a, deposit_b = channel.usable_deposits()
    try:
        require_solvent(state, deposit_a, deposit_b, state.exposure)
    except PeerViolation:
        pass
    else:
        return state, proposed, []
    # Answers come first, because they only free collateral; none is about a claim that is added here.
    kept: list[Operation] = [op for op in proposed if not isinstance(op, Add | Push)]
    dropped: list[Operation] = []
    for operation in proposed:
        if not isinstance(operation, Add):
            continue
        try:
            trial = apply_operations(
                channel.theirs, version, channel.me, [*kept, operation], world, ours=True
            )
            require_solvent(trial, deposit_a, deposit_b, trial.exposure)
        except PeerViolation:
            dropped.append(operation)
        else:
            kept.append(operation)
    state = apply_operations(channel.theirs, version, channel.me, kept, world, ours=True)
    free = spendable(state, (deposit_a, deposit_b), channel.me, state.exposure)
    for push in proposed:
        if not isinstance(push, Push):
            continue
        if push.amount > free:
            dropped.append(push)
        else:
            free -= push.amount
            kept.append(push)
    return apply_operations(channel.theirs, version, channel.me, kept, world, ours=True), kept, dropped


def acknowledge(channel: Channel) -> tuple[Channel, Ack | None]:
    """Countersign the peer's latest state when nothing waits (R4)."""
    if channel.theirs.version <= channel.mine.version or not channel.phase.signs_states:
        return channel, None
    channel = replace(channel, mine=channel.theirs, unanswered=())
    return channel, Ack(channel.channel_id, channel.mine.version)


def receive_update(channel: Channel, update: Update, world: World, verify: Verify) -> Progress:
    """Accept, ignore or refuse the peer's batch (R5). Raises PeerViolation, changes nothing.

    The caller has harvested the preimages before, whatever happens here.
    """
    if not channel.phase.signs_states:
        return Progress(channel)
    if update.version <= channel.theirs.version or update.version <= channel.mine.version:
        return Progress(channel)  # it lost the race, or is a duplicate: the higher version wins
    peer = channel.me.other
    if not 0 < len(update.operations) <= MAX_OPERATIONS:
        raise PeerViolation(
            f"update: expected 1 to {MAX_OPERATIONS} operations, got {len(update.operations)}"
        )
    on_mine = update.parent == channel.mine.version
    # `theirs` is a parent only once we signed it: else the peer builds on what it alone has signed, and
    # an older proposal of its own would come back as a new one (variant ok4 of the model).
    if not on_mine and not (update.parent == channel.theirs.version and _signed_by_me(channel)):
        raise PeerViolation(
            f"update {update.version}: its parent {update.parent} is no state that we signed "
            f"(ours is {channel.mine.version}, yours {channel.theirs.version})"
        )
    expected = child_version(update.parent, peer)
    # R8: or it refuses our proposal by a higher version without it. No other leaps: versions are finite.
    refusal = 0 if on_mine or channel.answered else child_version(channel.mine.version, peer)
    if update.version not in (expected, refusal):
        raise PeerViolation(
            f"update: expected version {expected} on parent {update.parent}, got {update.version}"
        )
    parent = channel.mine if on_mine else channel.theirs
    state = apply_operations(parent, update.version, peer, update.operations, world)
    require_solvent(state, channel.deposits.a, channel.deposits.b, state.exposure)
    if not verify(channel.channel_id, state, update.signature):
        raise PeerViolation(
            f"update {update.version}: the signature is not the peer's over the resulting state"
        )
    unanswered = channel.unanswered if not channel.answered else ()
    if on_mine:
        accepted = replace(channel, theirs=state, their_signature=update.signature, unanswered=())
        return Progress(accepted, accepted=update.operations, final=unanswered)
    # Our proposal lost: what it carried goes back to the front of the queue.
    accepted = replace(
        channel,
        theirs=state,
        their_signature=update.signature,
        unanswered=(),
        waiting=unanswered + channel.waiting,
    )
    return Progress(accepted, accepted=update.operations)


def _signed_by_me(channel: Channel) -> bool:
    """Whether we countersigned `theirs`, if need be before we proposed on top of it."""
    if channel.mine.version > channel.theirs.version:
        return channel.parent_signed
    return channel.mine.version == channel.theirs.version


def receive_ack(channel: Channel, ack: Ack, verify: Verify) -> Progress:
    """The peer countersigned our proposal: it is now the only enforceable state."""
    if channel.answered or ack.version != channel.mine.version or not channel.phase.signs_states:
        return Progress(channel)
    if not verify(channel.channel_id, channel.mine, ack.signature):
        raise PeerViolation(f"ack {ack.version}: the signature is not the peer's over our state")
    accepted = replace(channel, theirs=channel.mine, their_signature=ack.signature, unanswered=())
    return Progress(accepted, final=channel.unanswered)


def reestablish(channel: Channel) -> Reestablish:
    """What we tell the peer when a connection begins."""
    return Reestablish(
        channel.channel_id,
        channel.mine.version,
        channel.theirs.version,
        channel.deposits.a,
        channel.deposits.b,
    )


def resend(channel: Channel, peer_holds: int) -> tuple[Channel, list[tuple[Update | Ack, State]]]:
    """The same content again if what we signed last is above what the peer holds (R12), and the states.

    What we built on the peer's own proposal answers it only if the peer takes it; meanwhile it may have
    come too late for that. So the proposal is countersigned first: the peer can then refuse ours (R8).
    """
    if channel.mine.version <= peer_holds:
        return channel, []
    if channel.answered:
        return channel, [(Ack(channel.channel_id, channel.mine.version), channel.mine)]
    again: list[tuple[Update | Ack, State]] = []
    if channel.parent == channel.theirs.version > peer_holds:
        channel = replace(channel, parent_signed=True)
        again.append((Ack(channel.channel_id, channel.parent), channel.theirs))
    update = Update(channel.channel_id, channel.mine.version, channel.parent, channel.unanswered)
    return channel, [*again, (update, channel.mine)]
