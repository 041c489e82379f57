"""What a connection begins and ends with: each side says what it holds, and hears what it missed (R12)."""

from channeld.core.channel import Channel, Phase, Reestablish, reestablish, resend
from channeld.core.closing import resume_close
from channeld.core.copying import replace
from channeld.core.disputing import look_after
from channeld.core.draft import Draft, Toolbox
from channeld.core.effects import Notify, Send, SendCopy, SendSigned
from channeld.core.errors import PeerViolation
from channeld.core.messages import Shutdown, StateCopy
from channeld.core.pushing import drop_unsigned_pushes
from channeld.core.reactions import claim_due, drop_unsigned_offers
from channeld.core.records import ClaimRef


def peer_connected(draft: Draft, peer: bytes, address: bytes) -> None:
    for channel_id in sorted(draft.tables.channels_of.get(address, ())):
        # Of a connection that this one replaces we may not have heard the end.
        draft.went_offline.add(channel_id)
        channel = draft.channel(channel_id)
        if channel.peer != peer:
            channel = replace(channel, peer=peer)
            draft.put(channel)
        # What waited when this node stopped is from callers of then, who have read the totals since.
        channel = drop_unsigned_pushes(draft, channel, "the connection was lost")
        if channel.phase not in (Phase.DISPUTED, Phase.CLOSED):
            draft.emit(Send(peer, reestablish(channel)))


def peer_disconnected(draft: Draft, address: bytes) -> None:
    for channel_id in sorted(draft.tables.channels_of.get(address, ())):
        if draft.is_online(channel_id):
            draft.went_offline.add(channel_id)
            drop_unsigned_offers(draft, draft.channel(channel_id))
            draft.emit(Notify("channel", channel_id))


def reestablished(draft: Draft, channel: Channel, theirs: Reestablish) -> None:
    if channel.phase in (Phase.DISPUTED, Phase.CLOSED):
        return  # it goes on on chain; the peer may not have seen that yet
    announced = replace(channel.announced, a=theirs.deposit_a, b=theirs.deposit_b)
    channel = replace(channel, announced=announced)
    draft.put(channel)
    if theirs.mine < channel.theirs.version:
        # R12: the peer has lost what it signed; our copy lets it leave cooperatively.
        copy = StateCopy(channel.channel_id, channel.theirs, channel.their_signature, b"")
        draft.emit(SendCopy(channel.peer, copy))
        return
    if theirs.theirs > channel.mine.version:
        return  # it says that we lost data: its StateCopy must prove it
    held = draft.tables.held.get(channel.channel_id)
    known = max(channel.mine.version, channel.theirs.version, 0 if held is None else held.update.version)
    if theirs.mine > known:
        # It says its proposal again now. If that has come too late to be taken, ours must go above it (R8):
        # one below would wait for its answer as it waits for ours, for ever.
        draft.awaited.add(channel.channel_id)
    channel, again = resend(channel, theirs.theirs)
    draft.put(channel)
    for message, state in again:
        draft.emit(SendSigned(channel.peer, message, state))
    if not draft.is_online(channel.channel_id):
        # It may have come before the peer knew the channel and been ignored there: say it again.
        draft.emit(Send(channel.peer, reestablish(channel)))
        draft.came_online.add(channel.channel_id)
    resume_close(draft, channel)
    draft.emit(Notify("channel", channel.channel_id))


def recover(draft: Draft, channel: Channel, copy: StateCopy, tools: Toolbox) -> None:
    """Our own signature proves that we lost data: from here on only a cooperative close (R12)."""
    state = copy.state
    known = max(channel.mine.version, channel.theirs.version)
    if channel.phase is Phase.CLOSED or state.version <= known:
        return
    if not tools.verify_own(channel.channel_id, state, copy.your_signature):
        raise PeerViolation(f"state copy {state.version}: the signature on it is not ours")
    if not tools.verify(channel.channel_id, state, copy.my_signature):
        raise PeerViolation(f"state copy {state.version}: the signature on it is not the peer's")
    # On chain it answers whatever older state stands there; the dispute goes on.
    disputed = channel.phase is Phase.DISPUTED
    channel = replace(
        channel,
        phase=Phase.DISPUTED if disputed else Phase.RECOVERED,
        mine=state,
        theirs=state,
        their_signature=copy.my_signature,
        unanswered=(),
        waiting=(),
        initiator=True,
        close_until_s=0,
        close_signature=b"",
    )
    draft.put(channel)
    for claim in state.claims.values():
        ref = ClaimRef(channel.channel_id, claim.claim_id)
        if claim.hashlock is not None:
            draft.index(claim.hashlock, ref)
        claim_due(draft, ref)
    if disputed:
        look_after(draft, channel.channel_id)
    else:
        draft.emit(Send(channel.peer, reestablish(channel)), Send(channel.peer, Shutdown(channel.channel_id)))
        draft.came_online.add(channel.channel_id)
    draft.emit(Notify("channel", channel.channel_id))
