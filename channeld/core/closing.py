"""Leaving together: shut down, agree on the last net, close with one transaction.

A cooperative close, once signed, is an outcome that the peer can enforce until its `until` has
passed and is confirmed; from the signature to then no state is signed any more.
"""

from dataclasses import replace

from channeld.core.channel import Channel, Phase
from channeld.core.draft import Draft, Toolbox
from channeld.core.effects import Notify, Send, SendClose, SubmitClose, WakeChannel
from channeld.core.errors import PeerViolation, Rejected
from channeld.core.messages import CloseOffer, Shutdown


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
    draft.put(replace(channel, phase=_shutting(channel), initiator=True))
    draft.emit(Send(channel.peer, Shutdown(channel_id)))


def _shutting(channel: Channel) -> Phase:
    return Phase.RECOVERED if channel.phase is Phase.RECOVERED else Phase.SHUTTING


def shutdown_received(draft: Draft, channel: Channel) -> None:
    """The peer wants to close: we add no more claims."""
    if channel.phase is Phase.OPEN:
        draft.put(replace(channel, phase=Phase.SHUTTING))
        draft.emit(Notify("channel", channel.channel_id))


def is_quiet(channel: Channel) -> bool:
    """Whether both have signed the same state, nothing is open in it and nothing waits."""
    agreed = channel.mine.version == channel.theirs.version
    return agreed and not channel.theirs.claims and not channel.waiting


def offer_close(draft: Draft, channel: Channel, tools: Toolbox) -> None:
    """If we asked for the close and the channel has become quiet: sign it."""
    shutting = channel.phase in (Phase.SHUTTING, Phase.RECOVERED)
    if not (shutting and channel.initiator and is_quiet(channel) and draft.is_online(channel.channel_id)):
        return
    until_s = draft.world.now_s + tools.close_validity_s
    _sign_close(draft, channel, until_s)


def _sign_close(draft: Draft, channel: Channel, until_s: int) -> Channel:
    channel = replace(channel, phase=Phase.CLOSING, close_until_s=until_s)
    draft.put(channel)
    offer = CloseOffer(channel.channel_id, channel.deposits.counter, channel.theirs.net, until_s)
    draft.emit(
        SendClose(channel.peer, offer),
        WakeChannel(until_s + draft.world.margins.reorg_s + 1, channel.channel_id),
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
    if not now_s < offer.until_s <= now_s + 2 * tools.close_validity_s:
        raise PeerViolation(
            f"close: expected `until` within {2 * tools.close_validity_s} s of {now_s}, got {offer.until_s}"
        )
    if not tools.verify_close(offer.channel_id, offer.counter, offer.net, offer.until_s, offer.signature):
        raise PeerViolation("close: the signature is not the peer's")
    if channel.phase is not Phase.CLOSING:
        channel = _sign_close(draft, channel, offer.until_s)
    # Both of us may have asked at once: each offer is valid until its own time, the later one binds us.
    until_s = max(channel.close_until_s, offer.until_s)
    draft.put(replace(channel, close_signature=offer.signature, close_until_s=until_s))
    if channel.initiator:
        draft.emit(SubmitClose(channel.channel_id, offer.net, offer.until_s, offer.signature))


def resume_close(draft: Draft, channel: Channel) -> None:
    """After a reconnection: say again what a close had come to."""
    if channel.phase is Phase.CLOSING:
        offer = CloseOffer(
            channel.channel_id, channel.deposits.counter, channel.theirs.net, channel.close_until_s
        )
        draft.emit(SendClose(channel.peer, offer))
    elif channel.initiator and channel.phase in (Phase.SHUTTING, Phase.RECOVERED):
        draft.emit(Send(channel.peer, Shutdown(channel.channel_id)))


def closing_due(draft: Draft, channel: Channel) -> None:
    """A signed close was not mined in time: its outcome is dead, so the channel may move again."""
    if draft.world.now_s > channel.close_until_s + draft.world.margins.reorg_s:
        draft.put(replace(channel, phase=Phase.SHUTTING, close_until_s=0, close_signature=b""))
        draft.emit(Notify("channel", channel.channel_id))
