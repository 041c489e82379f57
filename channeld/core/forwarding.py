"""Carrying other people's claims: we owe onwards because somebody owes us, and never the reverse.

A claim is carried on as soon as it is in the only enforceable state (R6); its answer goes back when
the onward one is final (R7). Options travel back along the premium's path under the premium's
hashlock, with identical terms, so that a hub ends with back-to-back positions (R14).
"""

from channeld.core.channel import Channel, Phase, withdraw_waiting
from channeld.core.claims import Claim
from channeld.core.copying import replace
from channeld.core.draft import Draft, HubPolicy, Toolbox
from channeld.core.effects import Notify
from channeld.core.messages import ForwardTo
from channeld.core.offers import fail_back, has_room, offer
from channeld.core.payoff import most
from channeld.core.records import (
    ClaimRef,
    Failure,
    FailureCode,
    Forward,
    ForwardStatus,
    OptionLeg,
)

PPM = 1_000_000
DAY_S = 86_400

FEE_STEP_S = 3_600
"""Locked collateral is paid by the hour: who pays rounds up and who is paid rounds down, so that two ends
whose clocks differ by less (a block not seen yet, a daemon just started) agree about every fee."""


def hub_fee(policy: HubPolicy, amount: int, leg: OptionLeg | None, now_s: int) -> int:
    """What we ask for forwarding `amount`, in the asset's smallest unit; every division rounds up.

    Carrying a trade locks our collateral until the option expires: that costs per amount and time.
    """
    fee = policy.base_fee + -(-amount * policy.fee_ppm // PPM)
    if leg is not None:
        locked = most(Claim(0, leg.size, None, 0, leg.terms))
        seconds = max(0, leg.terms.expiry_s - now_s) // FEE_STEP_S * FEE_STEP_S
        fee += -(-locked * policy.collateral_ppm_per_day * seconds // (PPM * DAY_S))
    return fee


def paid_time_s(expiry_s: int, now_s: int) -> int:
    """For how long whoever buys an option pays the hubs on the way."""
    return -(-max(1, expiry_s - now_s) // FEE_STEP_S) * FEE_STEP_S


def forward(draft: Draft, ref: ClaimRef, claim: Claim, order: ForwardTo, tools: Toolbox) -> None:
    """Carry a FIXED claim on to the channel that its packet names, or let it go with the reason why not."""
    refusal = _refusal(draft, ref, claim, order, tools)
    if refusal is not None:
        fail_back(draft, ref, Failure(refusal, order.channel_id))
        return
    assert claim.hashlock is not None
    _carry(draft, ref, claim, order.channel_id, order.amount, order.onward, order.leg)


def _refusal(
    draft: Draft, ref: ClaimRef, claim: Claim, order: ForwardTo, tools: Toolbox
) -> FailureCode | None:
    onward = draft.get(Channel, order.channel_id)
    incoming = draft.channel(ref.channel_id)
    world = draft.world
    if claim.terms is not None or order.channel_id == ref.channel_id:
        return FailureCode.BAD_PACKET
    if onward is None or not _carries(draft, onward):
        return FailureCode.NO_CHANNEL
    # The same hashlock in two assets is a swap; its exchange rate is not ours to guess.
    if onward.params.asset != incoming.params.asset:
        return FailureCode.NO_CHANNEL
    if order.amount <= 0 or claim.amount - order.amount < hub_fee(
        tools.policy_of(incoming.params.asset), order.amount, order.leg, world.now_s
    ):
        return FailureCode.FEE_TOO_LOW
    # One deadline for all hops of a chain (R13): its registry is shared, a staircase buys nothing, and
    # an onward deadline above ours would let the secret come when we can no longer collect.
    if order.deadline_s != claim.deadline_s or not leaves_room(draft, claim):
        return FailureCode.TOO_LATE
    if locks_too_long(draft, claim):
        return FailureCode.TOO_FAR
    if not has_room(onward):
        return FailureCode.NO_CAPACITY
    return crowded(draft, ref, onward, Claim(0, order.amount), tools)


def crowded(draft: Draft, ref: ClaimRef, onward: Channel, claim: Claim, tools: Toolbox) -> FailureCode | None:
    """Why one more claim may not be in flight for the neighbour who offered `ref`; None if it may."""
    peer = draft.channel(ref.channel_id).counterparty
    return draft.flight.refusal(onward, peer, claim, tools.policy_of(onward.params.asset).limits)


def locks_too_long(draft: Draft, claim: Claim) -> bool:
    """Whether a claim ties our money for longer than we allow.

    Attacks stopped: two neighbours that freeze a hub's channel for years with a claim that neither of them
    answers; a buyer whose premium leaves it months to decide whether it wants the option.
    """
    return claim.deadline_s > draft.world.now_s + draft.world.margins.longest_s


def leaves_room(draft: Draft, claim: Claim) -> bool:
    """Whether there is time to carry a claim and to register its secret (R13)."""
    return draft.world.now_s + 2 * draft.world.margins.register_s <= claim.deadline_s


def _carries(draft: Draft, channel: Channel) -> bool:
    return channel.phase is Phase.OPEN and draft.is_online(channel.channel_id)


def _carry(
    draft: Draft,
    ref: ClaimRef,
    claim: Claim,
    channel_id: bytes,
    amount: int,
    packet: bytes,
    leg: OptionLeg | None,
) -> None:
    assert claim.hashlock is not None
    outgoing = offer(draft, channel_id, amount, claim.hashlock, claim.deadline_s, packet, claim.terms)
    owed = Claim(outgoing.claim_id, amount, None, 0, claim.terms)
    draft.flight.take(outgoing, draft.channel(ref.channel_id).counterparty, owed)
    fee = claim.amount - amount
    draft.put(Forward(ref, outgoing, claim.hashlock, claim.deadline_s, fee, leg=leg))


def return_option(draft: Draft, ref: ClaimRef, claim: Claim, tools: Toolbox) -> bool:
    """Carry an option back to where the premium of its hashlock came from; False if none did.

    Attack stopped: a neighbour that sends an option nobody asked for would lock our collateral for
    free; terms and size must be those that the premium's packet announced and paid for.
    """
    premium = _premium_forward(draft, ref, claim)
    if premium is None:
        return False
    assert claim.terms is not None
    if premium.leg != OptionLeg(claim.terms, claim.amount) or premium.deadline_s != claim.deadline_s:
        fail_back(draft, ref, Failure(FailureCode.WRONG_TERMS, ref.channel_id))
        return True
    onward = draft.get(Channel, premium.incoming.channel_id)
    if onward is None or not _carries(draft, onward):
        fail_back(draft, ref, Failure(FailureCode.NO_CHANNEL, premium.incoming.channel_id))
    elif not leaves_room(draft, claim):
        fail_back(draft, ref, Failure(FailureCode.TOO_LATE, premium.incoming.channel_id))
    elif not has_room(onward):
        fail_back(draft, ref, Failure(FailureCode.NO_CAPACITY, premium.incoming.channel_id))
    elif (refusal := crowded(draft, ref, onward, claim, tools)) is not None:
        fail_back(draft, ref, Failure(refusal, premium.incoming.channel_id))
    else:
        _carry(draft, ref, claim, premium.incoming.channel_id, claim.amount, b"", None)
        # One option for one premium: a second one under the same hashlock finds no leg any more.
        draft.put(replace(premium, leg=None))
    return True


def _premium_forward(draft: Draft, ref: ClaimRef, claim: Claim) -> Forward | None:
    assert claim.hashlock is not None
    for other in draft.refs_of(claim.hashlock):
        forwarded = draft.get(Forward, other.key)
        if (
            forwarded is not None
            and forwarded.outgoing.channel_id == ref.channel_id
            and forwarded.leg is not None
        ):
            return forwarded
    return None


def forward_fulfilled(draft: Draft, outgoing: ClaimRef) -> bool:
    """The onward claim was paid. Its secret has been passed back already; this only keeps the books."""
    return _finish(draft, outgoing, ForwardStatus.FULFILLED) is not None


def forward_gone(draft: Draft, outgoing: ClaimRef, failure: Failure) -> bool:
    """The onward claim is in no enforceable state any more, and unpaid: pass the failure back (R7)."""
    forwarded = _finish(draft, outgoing, ForwardStatus.FAILED)
    if forwarded is None:
        return False
    fail_back(draft, forwarded.incoming, failure)
    return True


def _finish(draft: Draft, outgoing: ClaimRef, status: ForwardStatus) -> Forward | None:
    forwarded = draft.get(Forward, outgoing.key)
    if forwarded is None:
        return None
    draft.put(replace(forwarded, status=status))
    draft.flight.let_go(outgoing)
    draft.emit(Notify("forward", forwarded.key))
    return forwarded


def abandon_unsigned(draft: Draft, outgoing: ClaimRef) -> bool:
    """Drop an onward offer that no signed state contains; True if it was still waiting (R7)."""
    channel = draft.channel(outgoing.channel_id)
    without = withdraw_waiting(channel, outgoing.claim_id)
    if without is None:
        return False
    draft.put(without)
    return True
