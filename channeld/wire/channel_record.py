"""A channel as an array for the journal: everything that rule R1 says must survive.

It is written at every step of the channel. Once a state has both signatures `mine` is `theirs`; it is
then packed once, and read back as one object.
"""

from typing import Any

from channeld.core.channel import Channel, Deposits, Phase
from channeld.core.claims import Side
from channeld.core.identity import ChannelParams
from channeld.core.operations import MAX_OPERATIONS
from channeld.wire.claims import STATE
from channeld.wire.fields import read_record
from channeld.wire.layout import (
    ADDRESS,
    BOOL,
    CLAIM_ID,
    DEPOSIT,
    HASH,
    NODE_ID,
    VERSION,
    Layout,
    choice,
    fixed_or_empty,
    list_of,
    optional,
    uint,
    wide_uint,
)
from channeld.wire.operations import OPERATION

MAX_WAITING = 1 << 20
"""Only so that a number is there: how many operations may wait is for whoever enqueues them to limit."""

PARAMS = Layout(
    ChannelParams,
    "params",
    a=ADDRESS,
    b=ADDRESS,
    asset=ADDRESS,
    challenge_period_s=uint(40),
    salt=wide_uint(216, 2**216 - 1),
)

_SIDE = choice(Side)
_PHASE = choice(Phase)
_DEPOSITS = Layout(Deposits, "deposits", a=DEPOSIT, b=DEPOSIT, counter=uint(64))
_MINE = optional(STATE)
_SIGNATURE = fixed_or_empty(64)
_UNANSWERED = list_of(OPERATION, MAX_OPERATIONS)
_WAITING = list_of(OPERATION, MAX_WAITING)


def pack_channel(channel: Channel) -> tuple[object, ...]:
    """The array of a channel's fields, in the order of its class; `mine` is nil where it is `theirs`."""
    mine = None if channel.mine == channel.theirs else channel.mine
    return (
        HASH.pack(channel.channel_id, "channel.channel_id"),
        PARAMS.pack(channel.params),
        _SIDE.pack(channel.me, "channel.me"),
        NODE_ID.pack(channel.peer, "channel.peer"),
        _PHASE.pack(channel.phase, "channel.phase"),
        CLAIM_ID.pack(channel.next_id, "channel.next_id"),
        _DEPOSITS.pack(channel.deposits),
        _DEPOSITS.pack(channel.announced),
        _MINE.pack(mine, "channel.mine"),
        STATE.pack(channel.theirs, "channel.theirs"),
        _SIGNATURE.pack(channel.their_signature, "channel.their_signature"),
        VERSION.pack(channel.parent, "channel.parent"),
        BOOL.pack(channel.parent_signed, "channel.parent_signed"),
        _UNANSWERED.pack(channel.unanswered, "channel.unanswered"),
        _WAITING.pack(channel.waiting, "channel.waiting"),
    )


def read_channel(items: tuple[Any, ...]) -> Channel:
    """The channel that `pack_channel` wrote. Raises MalformedMessage."""
    fields = read_record(items, "channel", 15)
    theirs = STATE.read(fields[9], "channel.theirs")
    mine = _MINE.read(fields[8], "channel.mine")
    return Channel(
        channel_id=HASH.read(fields[0], "channel.channel_id"),
        params=PARAMS.read(fields[1], "channel.params"),
        me=_SIDE.read(fields[2], "channel.me"),
        peer=NODE_ID.read(fields[3], "channel.peer"),
        phase=_PHASE.read(fields[4], "channel.phase"),
        next_id=CLAIM_ID.read(fields[5], "channel.next_id"),
        deposits=_DEPOSITS.read(fields[6], "channel.deposits"),
        announced=_DEPOSITS.read(fields[7], "channel.announced"),
        mine=theirs if mine is None else mine,
        theirs=theirs,
        their_signature=_SIGNATURE.read(fields[10], "channel.their_signature"),
        parent=VERSION.read(fields[11], "channel.parent"),
        parent_signed=BOOL.read(fields[12], "channel.parent_signed"),
        unanswered=_UNANSWERED.read(fields[13], "channel.unanswered"),
        waiting=_WAITING.read(fields[14], "channel.waiting"),
    )
