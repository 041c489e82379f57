"""Option trades: a premium one way, an option the other way, one hashlock (R14).

The buyer made the secret. It offers the premium; the writer, seeing the premium in the only
enforceable state, offers the option; the buyer, seeing the option there, reveals. Nobody countersigns
a bundle: every variant of that lost money.
"""

from channeld.core.claims import Claim
from channeld.core.copying import replace
from channeld.core.draft import Draft, Toolbox
from channeld.core.effects import Notify
from channeld.core.errors import Rejected
from channeld.core.events import OptionRequested
from channeld.core.forwarding import crowded, leaves_room, locks_too_long
from channeld.core.messages import WriteOption
from channeld.core.offers import fail_back, has_room, offer, release_secret
from channeld.core.paying import require_ready
from channeld.core.records import (
    ClaimRef,
    Failure,
    FailureCode,
    OptionLeg,
    Trade,
    TradeRole,
    TradeStatus,
)


def request_option(draft: Draft, event: OptionRequested) -> None:
    """Offer the premium of a quote along a chosen route."""
    if draft.get(Trade, event.hashlock) is not None:
        raise Rejected(f"a trade with hash {event.hashlock.hex()} is already under way")
    if event.deadline_s > event.leg.terms.expiry_s:
        raise Rejected(
            f"the option expires at {event.leg.terms.expiry_s}, before a trade could be bound "
            f"({event.deadline_s})"
        )
    require_ready(draft, event.channel_id)
    premium_claim = offer(
        draft, event.channel_id, event.premium + event.fee, event.hashlock, event.deadline_s, event.packet
    )
    draft.put(
        Trade(
            event.hashlock,
            TradeRole.BUYER,
            event.leg,
            event.asset,
            event.premium,
            event.fee,
            event.deadline_s,
            event.writer,
            event.now_s,
            preimage=event.preimage,
            premium_claim=premium_claim,
        )
    )


def premium_arrived(draft: Draft, ref: ClaimRef, claim: Claim, order: WriteOption, tools: Toolbox) -> None:
    """Somebody pays the premium of a quote of ours: offer the option back on the same channel."""
    assert claim.hashlock is not None
    channel = draft.channel(ref.channel_id)
    quote = draft.tables.quotes.get(order.quote_id)
    if quote is None or order.quote_id in draft.used_quotes or draft.world.now_s > quote.accept_by_s:
        fail_back(draft, ref, Failure(FailureCode.NO_QUOTE))
        return
    if claim.terms is not None or claim.amount < quote.premium or channel.params.asset != quote.asset:
        fail_back(draft, ref, Failure(FailureCode.WRONG_AMOUNT))
        return
    # A hash-locked option that outlives its expiry would let the buyer decide after the fact.
    if not leaves_room(draft, claim) or claim.deadline_s > quote.leg.terms.expiry_s:
        fail_back(draft, ref, Failure(FailureCode.TOO_LATE))
        return
    if locks_too_long(draft, claim):
        fail_back(draft, ref, Failure(FailureCode.TOO_FAR))
        return
    if not has_room(channel):
        fail_back(draft, ref, Failure(FailureCode.NO_CAPACITY, ref.channel_id))
        return
    if draft.get(Trade, claim.hashlock) is not None:
        fail_back(draft, ref, Failure(FailureCode.UNKNOWN_HASH))
        return
    option = Claim(0, quote.leg.size, None, 0, quote.leg.terms)
    refusal = crowded(draft, ref, channel, option, tools)
    if refusal is not None:
        fail_back(draft, ref, Failure(refusal, ref.channel_id))
        return
    draft.used_quotes.append(order.quote_id)
    option_claim = offer(
        draft, ref.channel_id, quote.leg.size, claim.hashlock, claim.deadline_s, b"", quote.leg.terms
    )
    draft.flight.take(option_claim, channel.counterparty, option)
    draft.put(
        Trade(
            claim.hashlock,
            TradeRole.WRITER,
            quote.leg,
            quote.asset,
            claim.amount,
            0,
            claim.deadline_s,
            quote.buyer,
            draft.world.now_s,
            premium_claim=ref,
            option_claim=option_claim,
        )
    )


def option_arrived(draft: Draft, ref: ClaimRef, claim: Claim) -> bool:
    """The option of a trade of ours is in the only enforceable state: reveal. False if it is not ours."""
    assert claim.hashlock is not None and claim.terms is not None
    trade = draft.get(Trade, claim.hashlock)
    if trade is None or trade.role is not TradeRole.BUYER:
        return False
    premium_claim = trade.premium_claim
    assert premium_claim is not None
    if (
        trade.leg != OptionLeg(claim.terms, claim.amount)
        or claim.deadline_s != trade.deadline_s
        or ref.channel_id != premium_claim.channel_id
    ):
        fail_back(draft, ref, Failure(FailureCode.WRONG_TERMS))
    elif not _can_reveal(draft, claim):
        fail_back(draft, ref, Failure(FailureCode.TOO_LATE))
    else:
        draft.put(replace(trade, status=TradeStatus.BOUND, option_claim=ref))
        draft.emit(Notify("trade", trade.hashlock))
        release_secret(draft, trade.hashlock, trade.preimage)
    return True


def _can_reveal(draft: Draft, claim: Claim) -> bool:
    """Whether the secret of an option can still reach its writer before it would be refused as late."""
    margins = draft.world.margins
    return draft.world.now_s + margins.register_s + margins.skew_s <= claim.deadline_s


def trade_bound(draft: Draft, hashlock: bytes, preimage: bytes) -> None:
    """The secret is out: a trade in which we are the writer is done."""
    trade = draft.get(Trade, hashlock)
    if trade is not None:
        draft.put(replace(trade, status=TradeStatus.BOUND, preimage=preimage))
        if trade.option_claim is not None:
            draft.flight.let_go(trade.option_claim)
        draft.emit(Notify("trade", hashlock))


def trade_claim_gone(draft: Draft, hashlock: bytes, ref: ClaimRef, failure: Failure) -> bool:
    """A claim that we owed in a trade is in no enforceable state any more; False if it was no trade's.

    The writer then lets the premium go. The buyer's premium came back: the trade failed.
    """
    trade = draft.get(Trade, hashlock)
    if trade is None:
        return False
    owed = trade.option_claim if trade.role is TradeRole.WRITER else trade.premium_claim
    if owed != ref:
        return False
    draft.put(replace(trade, status=TradeStatus.FAILED, failure=failure))
    draft.flight.let_go(ref)
    draft.emit(Notify("trade", hashlock))
    if trade.role is TradeRole.WRITER:
        assert trade.premium_claim is not None
        fail_back(draft, trade.premium_claim, failure)
    return True
