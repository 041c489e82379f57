"""Leaving together: both say so, agree on the last net, and close with one transaction.

A side that has said Shutdown adds no more claims. Whoever asked for the close signs it when the peer has
said so too, on this connection: then no update of the peer's is under way that would cross the offer.
A cooperative close, once signed, is an outcome that the peer can enforce until its `until` has passed
and is confirmed; from the signature to then no state is signed any more.
"""

from channeld.core.channel import Channel, Phase
from channeld.core.copying import replace
from channeld.core.draft import Draft, Toolbox
from channeld.core.effects import Notify, Send, SendClose, SubmitClose, WakeChannel
from channeld.core.errors import PeerViolation, Rejected
from channeld.core.messages import CloseOffer, Shutdown
from channeld.core.reactions import drop_unsigned_offers

CLOSE_RETRY_S = 30
"""How often a close that ran out is looked at: the chain's confirmations are tens of seconds behind."""


def request_close(draft: Draft, channel_id: bytes) -> None:
    """Ask the peer for a cooperative close; it follows once no claim is open."""
    channel = draft.channel(channel_id)
    if channel.phase not in (Phase.OPEN, Phase.SHUTTING, Phase.RECOVERED):
        raise Rejected(f"channel {channel_id.hex()} is {channel.phase.name.lower()}, expected open")
    if not draft.is_online(channel_id):
        raise Rejected(
            f"the peer of channel {channel_id.hex()} is not connected; "
            f"wait for it, or leave alone with a unilateral close"
        )
    draft.put(replace(channel, initiator=True))
    _shut(draft, channel_id)


def _shut(draft: Draft, channel_id: bytes) -> None:
    """Add no more claims, and say so."""
    drop_unsigned_offers(draft, draft.channel(channel_id))
    channel = draft.channel(channel_id)
    if channel.phase is Phase.OPEN:
        draft.put(replace(channel, phase=Phase.SHUTTING))
    draft.emit(Send(channel.peer, Shutdown(channel_id)), Notify("channel", channel_id))


def shutdown_received(draft: Draft, channel: Channel) -> None:
    """The peer adds no more claims and wants to close; neither do we from here on."""
    draft.shutting.add(channel.channel_id)
    draft.put(channel)  # so that the end of this turn looks at it: it may be quiet already
    if channel.phase is Phase.OPEN:
        _shut(draft, channel.channel_id)


def is_quiet(channel: Channel) -> bool:
    """Whether both have signed the same state, nothing is open in it and nothing waits."""
    agreed = channel.mine.version == channel.theirs.version
    return agreed and not channel.theirs.claims and not channel.waiting


def offer_close(draft: Draft, channel: Channel, tools: Toolbox) -> None:
    """If we asked for the close, both have shut down and the channel has become quiet: sign it."""
    shutting = channel.phase in (Phase.SHUTTING, Phase.RECOVERED) and not channel.close_until_s
    if not (shutting and channel.initiator and is_quiet(channel)):
        return
    if not (draft.is_online(channel.channel_id) and draft.is_shutting(channel.channel_id)):
        return
    until_s = draft.world.now_s + tools.close_validity_s
    _sign_close(draft, channel, until_s)


def _sign_close(draft: Draft, channel: Channel, until_s: int) -> Channel:
    # R12: a channel that was recovered stays so, whatever becomes of its close.
    phase = channel.phase if channel.phase is Phase.RECOVERED else Phase.CLOSING
    channel = replace(channel, phase=phase, close_until_s=until_s)
    draft.put(channel)
    offer = CloseOffer(channel.channel_id, channel.deposits.counter, channel.theirs.net, until_s)
    draft.emit(
        SendClose(channel.peer, offer),
        WakeChannel(until_s + 1, channel.channel_id),
        Notify("channel", channel.channel_id),
    )
    return channel


def close_offer_received(draft: Draft, channel: Channel, offer: CloseOffer, tools: Toolbox) -> None:
    """The peer signed a cooperative close: check it, sign it too, and let the initiator submit it."""
    if channel.phase not in (Phase.OPEN, Phase.SHUTTING, Phase.RECOVERED, Phase.CLOSING):
        return
    if not is_quiet(channel):
        raise PeerViolation("close: a claim is open or a state is unanswered")
    if (offer.counter, offer.net) != (channel.deposits.counter, channel.theirs.net):
        raise PeerViolation(
            f"close: expected counter {channel.deposits.counter} and net {channel.theirs.net}, "
            f"got {offer.counter} and {offer.net}"
        )
    now_s = draft.world.now_s
    if offer.until_s <= now_s:
        return  # it ran out on its way, or before it was said again: nobody can use it any more
    if offer.until_s > now_s + 2 * tools.close_validity_s:
        if not draft.world.clock_trusted:
            return  # it is our time that may be wrong: after a start, or when the node hides blocks
        raise PeerViolation(
            f"close: expected `until` within {2 * tools.close_validity_s} s of {now_s}, got {offer.until_s}"
        )
    if not tools.verify_close(offer.channel_id, offer.counter, offer.net, offer.until_s, offer.signature):
        raise PeerViolation("close: the signature is not the peer's")
    if not channel.close_until_s:
        channel = _sign_close(draft, channel, offer.until_s)
    # Both of us may have asked at once: each offer is valid until its own time, the later one binds us.
    until_s = max(channel.close_until_s, offer.until_s)
    draft.put(replace(channel, close_signature=offer.signature, close_until_s=until_s))
    if channel.initiator:
        draft.emit(SubmitClose(channel.channel_id, offer.net, offer.until_s, offer.signature))


def resume_close(draft: Draft, channel: Channel) -> None:
    """After a reconnection: say again what a close had come to."""
    if channel.phase not in (Phase.SHUTTING, Phase.CLOSING, Phase.RECOVERED):
        return
    if not channel.close_until_s:
        draft.emit(Send(channel.peer, Shutdown(channel.channel_id)))
        return
    offer = CloseOffer(
        channel.channel_id, channel.deposits.counter, channel.theirs.net, channel.close_until_s
    )
    draft.emit(SendClose(channel.peer, offer))


def closing_due(draft: Draft, channel: Channel) -> None:
    """A signed close was not mined in time: its outcome is dead, so the channel may move again."""
    if channel.phase not in (Phase.CLOSING, Phase.RECOVERED) or not channel.close_until_s:
        return
    if draft.world.confirmed_s <= channel.close_until_s:
        draft.emit(WakeChannel(draft.world.now_s + CLOSE_RETRY_S, channel.channel_id))
        return
    phase = Phase.SHUTTING if channel.phase is Phase.CLOSING else channel.phase
    draft.put(replace(channel, phase=phase, close_until_s=0, close_signature=b""))
    draft.emit(Notify("channel", channel.channel_id))
    if draft.is_online(channel.channel_id):
        draft.emit(Send(channel.peer, Shutdown(channel.channel_id)))
