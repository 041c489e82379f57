"""Leaving alone: what must be submitted to the chain for a channel, and when.

`duties` is the one place that decides it; the daemon and the watchtower call the same function.
"""

from collections.abc import Collection, Iterable
from itertools import chain, combinations, islice

from channeld.core.channel import Channel, Phase, find_claim
from channeld.core.claims import Claim, State
from channeld.core.copying import replace
from channeld.core.draft import Draft, Toolbox
from channeld.core.effects import (
    Effect,
    Notify,
    PublishPrice,
    SubmitChallenge,
    SubmitResponse,
    SubmitSettlement,
    WakeChannel,
)
from channeld.core.errors import Rejected
from channeld.core.events import ChallengeSeen, PartialSettlementSeen
from channeld.core.payoff import is_void
from channeld.core.reactions import PUBLISH_MARGIN_S
from channeld.core.records import Dispute, SignedPriceRecord
from channeld.core.world import World

RETRY_S = 30
"""How often a channel in dispute is looked at: transactions may be lost or outbid."""

MAX_EXPLANATIONS = 500
"""How many orders of one second's registrations and a partial settlement are tried: each costs the hash
of a claim list, a millisecond at most. All subsets of eight, or all pairs of thirty."""

WORTH_WAITING_S = 3_600
"""A settlement waits this long for claims that are still open, rather than settle twice."""


def force_close(draft: Draft, channel_id: bytes) -> None:
    """Start the clock with the newest state that the peer signed; sign nothing from here on."""
    channel = draft.channel(channel_id)
    if channel.phase in (Phase.DISPUTED, Phase.CLOSED):
        raise Rejected(f"channel {channel_id.hex()} is already {channel.phase.name.lower()}")
    if channel.phase is Phase.RECOVERED:
        # R12: nothing proves that the peer gave us its newest state; an old one would be answered.
        raise Rejected(
            f"channel {channel_id.hex()} was recovered from the peer's copy after a loss of data; "
            f"only a cooperative close is safe"
        )
    draft.put(replace(channel, phase=Phase.DISPUTED))
    draft.put(Dispute(channel_id))
    look_after(draft, channel_id)
    draft.emit(Notify("channel", channel_id))


def challenge_seen(draft: Draft, event: ChallengeSeen) -> None:
    """A dispute stands on chain: note it, stop signing, and do what must be done."""
    channel = draft.get(Channel, event.channel_id)
    if channel is None or channel.phase is Phase.CLOSED:
        return
    draft.put(replace(channel, phase=Phase.DISPUTED))
    draft.put(
        Dispute(
            event.channel_id,
            True,
            event.version,
            event.net,
            event.claims_hash,
            event.salt,
            event.expires_s,
        )
    )
    look_after(draft, event.channel_id)
    draft.emit(Notify("channel", event.channel_id))


def partial_settlement_seen(draft: Draft, event: PartialSettlementSeen, tools: Toolbox) -> None:
    """Part of a disputed channel was paid out: keep what remains, proven by the hash on chain."""
    dispute = draft.get(Dispute, event.channel_id)
    if dispute is None:
        return
    channel = draft.channel(event.channel_id)
    state = state_on_chain(channel, dispute)
    if state is None:
        return
    left = _left_on_chain(state.claims.values(), event, draft.world, tools)
    if left is None:
        return
    draft.put(
        replace(
            dispute,
            net=event.net,
            claims_hash=event.claims_hash,
            remaining=tuple(claim.claim_id for claim in left),
        )
    )
    look_after(draft, event.channel_id)


def _left_on_chain(
    claims: Collection[Claim], event: PartialSettlementSeen, world: World, tools: Toolbox
) -> list[Claim] | None:
    """The claims that a partial settlement has left, or None if none of our explanations has its hash.

    A secret or a price of that very second may have come after it in the block; the hash tells. Attack
    stopped: a peer that settles and registers in one block and thereby stops us.
    """
    present = {key for claim in claims for key in _evidence(claim) if _evidence_s(key, world) == event.at_s}
    ordered = sorted(present, key=str)
    subsets = chain.from_iterable(combinations(ordered, size) for size in range(len(ordered) + 1))
    for later in islice(subsets, MAX_EXPLANATIONS):
        left = [claim for claim in claims if is_pending(claim, world, event.at_s, later)]
        if tools.claims_hash(left) == event.claims_hash:
            return left
    return None


def look_after(draft: Draft, channel_id: bytes) -> None:
    """Emit what a disputed channel needs now, and come back to it."""
    channel = draft.channel(channel_id)
    dispute = draft.get(Dispute, channel_id)
    if channel.phase is not Phase.DISPUTED or dispute is None:
        return
    prices = {
        key: record
        for claim in _enforceable_claims(channel)
        if claim.terms is not None
        and (record := draft.get(SignedPriceRecord, key := _price_key(claim))) is not None
    }
    draft.emit(*duties(channel, dispute, draft.world, prices.values()))
    at_s = draft.world.now_s + RETRY_S
    if draft.world.now_s < dispute.expires_s:
        at_s = min(at_s, dispute.expires_s)
    draft.emit(WakeChannel(at_s, channel_id))


def _price_key(claim: Claim) -> bytes:
    assert claim.terms is not None
    return claim.terms.feed + claim.terms.expiry_s.to_bytes(8, "big")


def duties(
    channel: Channel, dispute: Dispute, world: World, prices: Iterable[SignedPriceRecord]
) -> list[Effect]:
    """What must be submitted for a channel in dispute, in this order. Pure."""
    if not dispute.known:
        return [SubmitChallenge(channel.channel_id, channel.theirs, channel.their_signature)]
    if world.now_s < dispute.expires_s:
        # Attack stopped: an old state on chain. The newest that the peer signed answers it, in the one
        # window there is.
        urgent: list[Effect] = [
            PublishPrice(price)
            for price in prices
            if _is_wanted(price, _enforceable_claims(channel), world)
            and price.expiry_s + price.feed[31] * 3600 < dispute.expires_s + PUBLISH_MARGIN_S
        ]
        # A grace that ends before the window does would void an option while we wait.
        if dispute.version < channel.theirs.version:
            return [SubmitResponse(channel.channel_id, channel.theirs, channel.their_signature), *urgent]
        return urgent
    state = state_on_chain(channel, dispute)
    if state is None:
        return []
    todo: list[Effect] = [
        PublishPrice(price) for price in prices if _is_wanted(price, state.claims.values(), world)
    ]
    pending = [claim for claim in state.claims.values() if is_pending(claim, world, world.now_s)]
    if todo:
        return todo  # settling before the price is there would leave the options pending
    # The first time pays out what the worst case of the pending claims cannot need, even if none is decided.
    worth = dispute.remaining is None or len(pending) < len(state.claims)
    if not pending or (worth and _longest_wait_s(pending, world) > WORTH_WAITING_S):
        todo.append(SubmitSettlement(channel.channel_id, state, dispute.salt))
    return todo


def _enforceable_claims(channel: Channel) -> list[Claim]:
    return [claim for state in channel.enforceable for claim in state.claims.values()]


def state_on_chain(channel: Channel, dispute: Dispute) -> State | None:
    """The state that a settlement must show, or None if an old one stands there that we cannot show."""
    for known in (State(), channel.theirs, channel.mine):
        if known.version == dispute.version:
            claims = known.claims
            if dispute.remaining is not None:
                claims = {claim_id: claims[claim_id] for claim_id in dispute.remaining}
            return State(dispute.version, dispute.net, claims)
    if dispute.claims_hash == bytes(32):
        return State(dispute.version, dispute.net)
    return None


_Evidence = bytes | tuple[bytes, int]
"""What the registries are asked for: a hashlock, or (feed, expiry)."""


def _evidence(claim: Claim) -> list[_Evidence]:
    keys: list[_Evidence] = [] if claim.hashlock is None else [claim.hashlock]
    return keys if claim.terms is None else [*keys, (claim.terms.feed, claim.terms.expiry_s)]


def _evidence_s(key: _Evidence, world: World) -> int | None:
    """Block time at which a registry got its entry; None if it has none."""
    if isinstance(key, bytes):
        return world.registered_s.get(key)
    published = world.published.get(key)
    return None if published is None else published.published_s


def is_pending(claim: Claim, world: World, at_s: int, later: Collection[_Evidence] = ()) -> bool:
    """Whether the contract would leave a claim open at block time `at_s` [contracts/claim_list.vy].

    Judged by what the registries held then; `later` is what they got in that second but afterwards.
    """

    def seen_by(key: _Evidence, last_s: int) -> bool:
        seen_s = _evidence_s(key, world)
        return seen_s is not None and seen_s <= min(last_s, at_s) and key not in later

    terms = claim.terms
    if claim.hashlock is not None:
        if terms is not None and claim.deadline_s > terms.expiry_s:
            return False  # void
        if not seen_by(claim.hashlock, claim.deadline_s) and at_s > claim.deadline_s:
            return False
        if terms is None:
            return not seen_by(claim.hashlock, claim.deadline_s)
    if terms is None or is_void(terms):
        return False
    last_s = terms.expiry_s + terms.grace_s
    priced = seen_by((terms.feed, terms.expiry_s), last_s) and at_s > terms.expiry_s
    return not priced and at_s <= last_s


def _longest_wait_s(pending: list[Claim], world: World) -> int:
    ends = (
        claim.terms.expiry_s + claim.terms.grace_s if claim.terms is not None else claim.deadline_s
        for claim in pending
    )
    return max(ends) - world.now_s


def _is_wanted(price: SignedPriceRecord, claims: Iterable[Claim], world: World) -> bool:
    """Whether a price that we can prove is needed on chain and still counts there."""
    if (price.feed, price.expiry_s) in world.published:
        return False
    return any(
        claim.terms is not None
        and (claim.terms.feed, claim.terms.expiry_s) == (price.feed, price.expiry_s)
        and price.expiry_s <= world.now_s <= price.expiry_s + claim.terms.grace_s
        for claim in claims
    )


def hash_locked(channel: Channel) -> list[int]:
    """Ids of the claims in any enforceable state that still wait for a secret."""
    ids: dict[int, None] = {}
    for state in channel.enforceable:
        for claim_id in state.claims:
            claim = find_claim(state, claim_id)
            if claim is not None and claim.hashlock is not None:
                ids[claim_id] = None
    return list(ids)
