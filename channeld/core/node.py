"""One node: (what it holds, an event) -> what changes and what shall be done.

The caller commits the draft to the tables, makes it durable, and only then runs the effects; it
calls `flush` when no event is left in this turn, so that batches grow with load and an idle link
has no delay (R3, R4).
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import assert_never

from channeld.core.channel import (
    Ack,
    Channel,
    Phase,
    Progress,
    Reestablish,
    Update,
    acknowledge,
    propose,
    receive_ack,
    receive_update,
    reestablish,
)
from channeld.core.claims import Claim
from channeld.core.closing import (
    close_offer_received,
    closing_due,
    offer_close,
    request_close,
    shutdown_received,
)
from channeld.core.copying import replace
from channeld.core.disputing import (
    challenge_seen,
    force_close,
    hash_locked,
    look_after,
    partial_settlement_seen,
)
from channeld.core.draft import Draft, HeldUpdate, Tables, Toolbox, open_claims
from channeld.core.effects import Disconnect, Notify, Send, SendSigned, WakeChannel
from channeld.core.errors import PeerViolation, Rejected, Untimely
from channeld.core.events import (
    ChallengeSeen,
    ChannelDue,
    ChannelOpened,
    ClaimDue,
    CloseRequested,
    CloseSeen,
    DepositsConfirmed,
    Event,
    InvoiceCreated,
    InvoiceLapsed,
    MessageReceived,
    OptionRequested,
    PartialSettlementSeen,
    PaymentRequested,
    PeerConnected,
    PeerDisconnected,
    PriceLearnt,
    PushesRequested,
    QuoteGiven,
    SecretSeen,
    SettlementRequested,
)
from channeld.core.messages import (
    CloseOffer,
    Complaint,
    DepositsSeen,
    Hello,
    Message,
    PoliciesKnown,
    PolicyAnnouncement,
    PushTerms,
    Relay,
    Shutdown,
    StateCopy,
)
from channeld.core.operations import Fulfil
from channeld.core.paying import invoice_lapsed, request_payment
from channeld.core.pushing import pushes_decided_on_chain, request_pushes
from channeld.core.reactions import (
    claim_due,
    drop_unsigned_offers,
    progress_made,
    queue_settlement,
    secret_learnt,
)
from channeld.core.reconnecting import peer_connected, peer_disconnected, recover, reestablished
from channeld.core.records import ClaimRef, Dispute, Secret, SignedPriceRecord
from channeld.core.trading import request_option

HELD_RETRY_S = 1
"""How often an update that came at the wrong time is looked at again: a block or a price is seconds away."""


def harvest(tables: Tables, message: Message) -> Draft:
    """R5, first of all: take the secrets out of a batch, whatever may be wrong with the rest of it.

    Only secrets that some open claim waits for are kept, so that nobody can fill our memory.
    """
    draft = Draft(tables)
    channel = draft.get(Channel, message.channel_id) if isinstance(message, Update) else None
    if isinstance(message, Update) and channel is not None:
        open_claims = [state.claims for state in channel.enforceable]
        for operation in message.operations:
            if isinstance(operation, Fulfil):
                _harvest_one(draft, operation, open_claims)
    return draft


def _harvest_one(draft: Draft, operation: Fulfil, open_claims: list[Mapping[int, Claim]]) -> None:
    hashlock = sha256(operation.preimage).digest()
    if draft.get(Secret, hashlock) is not None or not draft.refs_of(hashlock):
        return  # said before: whatever it opens is being collected; or too late: it is over
    for claims in open_claims:
        claim = claims.get(operation.claim_id)
        if claim is not None and claim.hashlock == hashlock:
            secret_learnt(draft, hashlock, operation.preimage)
            return


def step(tables: Tables, event: Event, tools: Toolbox) -> Draft:
    """One event. Raises Rejected or PeerViolation with nothing changed."""
    draft = Draft(tables)
    match event:
        case PeerConnected(peer, address):
            peer_connected(draft, peer, address)
        case PeerDisconnected(_, address):
            peer_disconnected(draft, address)
        case MessageReceived(peer, message):
            _message(draft, peer, message, tools)
        case ChannelOpened():
            _channel_opened(draft, event)
        case DepositsConfirmed():
            _deposits_confirmed(draft, event)
        case ChallengeSeen():
            challenge_seen(draft, event)
            _collect_on_chain(draft, event.channel_id)
        case PartialSettlementSeen():
            partial_settlement_seen(draft, event, tools)
        case CloseSeen(channel_id):
            _close_seen(draft, channel_id)
        case SecretSeen(preimage):
            secret_learnt(draft, sha256(preimage).digest(), preimage)
        case PriceLearnt(record):
            # The first one stands: signers that sign two values must not make us settle at both.
            if draft.get(SignedPriceRecord, record.key) is None:
                draft.put(record)
        case ClaimDue(claim):
            claim_due(draft, claim)
        case ChannelDue(channel_id):
            _channel_due(draft, channel_id, tools)
        case InvoiceCreated(invoice):
            draft.put(invoice)
        case InvoiceLapsed(hashlock):
            invoice_lapsed(draft, hashlock)
        case PaymentRequested():
            request_payment(draft, event)
        case PushesRequested():
            request_pushes(draft, event)
        case OptionRequested():
            request_option(draft, event)
        case QuoteGiven(quote):
            draft.quotes.append(quote)
        case SettlementRequested(channel_id, feed, expiry_s):
            if not queue_settlement(draft, _required(draft, channel_id), feed, expiry_s):
                raise Rejected(
                    "nothing to settle yet: the option is not expired, its price is not signed, "
                    "or a trade in it is still pending"
                )
        case CloseRequested(channel_id, unilateral):
            _required(draft, channel_id)
            if unilateral:
                _stop_offers(draft, channel_id)
                force_close(draft, channel_id)
                _collect_on_chain(draft, channel_id)
            else:
                request_close(draft, channel_id)
        case _:
            assert_never(event)
    return draft


def flush(tables: Tables, channel_id: bytes, tools: Toolbox) -> Draft:
    """End of a turn for a channel that has changed: sign what waits, else countersign, else close."""
    draft = Draft(tables)
    channel = draft.get(Channel, channel_id)
    if channel is None or not draft.is_online(channel_id) or channel_id in tables.awaited:
        return draft
    held = tables.held.get(channel_id)
    progress, update = propose(channel, tables, 0 if held is None else held.update.version)
    if progress.channel is not channel:
        progress_made(draft, channel, progress, tools)
        channel = draft.channel(channel_id)
    if update is not None:
        draft.emit(SendSigned(channel.peer, update, progress.channel.mine))
        draft.flushed = channel_id  # nothing more can be signed before the peer answers
        return draft
    acknowledged, ack = acknowledge(channel)
    if ack is not None:
        draft.put(acknowledged)
        draft.emit(SendSigned(channel.peer, ack, acknowledged.mine))
        channel = acknowledged
        if not channel.waiting:
            draft.flushed = channel_id
    offer_close(draft, channel, tools)
    return draft


def _required(draft: Draft, channel_id: bytes) -> Channel:
    channel = draft.get(Channel, channel_id)
    if channel is None:
        raise Rejected(f"no channel {channel_id.hex()}")
    return channel


def _message(draft: Draft, peer: bytes, message: Message, tools: Toolbox) -> None:
    if isinstance(message, Hello | PolicyAnnouncement | PoliciesKnown | Relay | Complaint):
        return  # the daemon's business: they move no money
    channel = draft.get(Channel, message.channel_id)
    if channel is None or channel.peer != peer:
        return  # not confirmed here yet, or not this peer's channel; nothing of it counts
    progress: Progress | None = None
    match message:
        case Reestablish():
            reestablished(draft, channel, message)
            if channel.channel_id in draft.came_online:
                wanted = tools.push_policy_of(channel.params.asset)
                terms = PushTerms(channel.channel_id, wanted.accept, wanted.min_amount)
                draft.emit(Send(channel.peer, terms))
        case Update():
            _require_online(draft, channel)
            progress = _updated(draft, channel, message, tools)
        case Ack():
            _require_online(draft, channel)
            progress = receive_ack(channel, message, tools.verify)
        case DepositsSeen(_, deposit_a, deposit_b):
            announced = replace(channel.announced, a=deposit_a, b=deposit_b)
            draft.put(replace(channel, announced=announced))
            draft.emit(Notify("channel", channel.channel_id))
        case Shutdown():
            shutdown_received(draft, channel)
        case CloseOffer():
            close_offer_received(draft, channel, message, tools)
        case StateCopy():
            recover(draft, channel, message, tools)
        case PushTerms():
            draft.terms[channel.channel_id] = message
        case _:
            assert_never(message)
    if progress is not None and progress.channel is not channel:
        progress_made(draft, channel, progress, tools)


def _updated(draft: Draft, channel: Channel, update: Update, tools: Toolbox) -> Progress:
    """Take a batch; keep one that came at the wrong time, and look again soon.

    At most one is kept for each channel: its sender may sign nothing else before it is answered.
    """
    channel_id = channel.channel_id
    if channel_id in draft.tables.awaited:
        draft.arrived.add(channel_id)
        draft.put(channel)  # what waited for it is looked at when this turn ends
    try:
        progress = receive_update(channel, update, draft.world, tools.verify)
    except Untimely:
        again_s = draft.world.now_s + HELD_RETRY_S
        draft.held[channel_id] = HeldUpdate(update, again_s)
        draft.emit(WakeChannel(again_s, channel_id))
        return Progress(channel)
    draft.released.add(channel_id)
    return progress


def _look_again(draft: Draft, channel: Channel, tools: Toolbox) -> None:
    """An update that came at the wrong time may be right now, or turn out to be wrong after all."""
    held = draft.tables.held.get(channel.channel_id)
    if held is None or draft.world.now_s < held.again_s:
        return
    try:
        progress = _updated(draft, channel, held.update, tools)
    except PeerViolation as violation:
        draft.released.add(channel.channel_id)
        draft.emit(Disconnect(channel.peer, str(violation)))
        return
    if progress.channel is not channel:
        progress_made(draft, channel, progress, tools)


def _require_online(draft: Draft, channel: Channel) -> None:
    """Before both have said what they hold, nobody may move the channel.

    Where we have left alone meanwhile, the peer cannot know yet: what it signs is heard for its secrets only.
    """
    if channel.phase.signs_states and not draft.is_online(channel.channel_id):
        raise PeerViolation(f"channel {channel.channel_id.hex()}: expected a reestablish message first")


def _channel_opened(draft: Draft, event: ChannelOpened) -> None:
    if draft.get(Channel, event.channel_id) is not None:
        return
    # Claim ids are even when side A pays, odd when B does.
    draft.put(Channel(event.channel_id, event.params, event.me, event.peer, Phase.OPENING, int(event.me)))
    draft.emit(Notify("channel", event.channel_id))


def _deposits_confirmed(draft: Draft, event: DepositsConfirmed) -> None:
    channel = draft.get(Channel, event.channel_id)
    if channel is None or channel.deposits == event.deposits:
        return
    fresh = channel.phase is Phase.OPENING
    phase = Phase.OPEN if fresh else channel.phase
    channel = replace(channel, deposits=event.deposits, phase=phase)
    draft.put(channel)
    if phase in (Phase.DISPUTED, Phase.CLOSED):
        pass  # it goes on on chain: whoever is told that it is up would sign states for it
    elif channel.peer and not draft.is_online(channel.channel_id):
        draft.emit(Send(channel.peer, reestablish(channel)))
    elif channel.peer:
        deposits = event.deposits
        draft.emit(Send(channel.peer, DepositsSeen(channel.channel_id, deposits.a, deposits.b)))
    draft.emit(Notify("channel", event.channel_id))


def _stop_offers(draft: Draft, channel_id: bytes) -> None:
    drop_unsigned_offers(draft, draft.channel(channel_id))
    draft.put(replace(draft.channel(channel_id), waiting=()))


def _collect_on_chain(draft: Draft, channel_id: bytes) -> None:
    """A channel goes to the chain: whatever we can collect in it, the registry must hear of."""
    channel = draft.get(Channel, channel_id)
    if channel is None or channel.phase is not Phase.DISPUTED:
        return
    _stop_offers(draft, channel_id)
    for claim_id in hash_locked(channel):
        claim_due(draft, ClaimRef(channel_id, claim_id))


def _close_seen(draft: Draft, channel_id: bytes) -> None:
    channel = draft.get(Channel, channel_id)
    if channel is None or channel.phase is Phase.CLOSED:
        return
    _stop_offers(draft, channel_id)
    draft.put(replace(draft.channel(channel_id), phase=Phase.CLOSED))
    pushes_decided_on_chain(draft, channel)
    if draft.get(Dispute, channel_id) is not None:
        draft.changes[Dispute, channel_id] = None
    for claim_id in hash_locked(channel):
        claim_due(draft, ClaimRef(channel_id, claim_id))
    draft.emit(Notify("channel", channel_id))


def _channel_due(draft: Draft, channel_id: bytes, tools: Toolbox) -> None:
    channel = draft.get(Channel, channel_id)
    if channel is None:
        return
    _look_again(draft, channel, tools)
    channel = draft.channel(channel_id)
    closing_due(draft, channel)
    look_after(draft, channel_id)


def wake_all(tables: Tables) -> list[ClaimDue | ChannelDue]:
    """After a start: look once at every open claim and offer, and every channel on its way out."""
    due: list[ClaimDue | ChannelDue] = []
    for channel in tables.channels():
        claims = dict.fromkeys(claim.claim_id for claim in open_claims(channel))
        due += [ClaimDue(ClaimRef(channel.channel_id, claim_id)) for claim_id in claims]
        if channel.phase is Phase.DISPUTED or channel.close_until_s:
            due.append(ChannelDue(channel.channel_id))
    return due
