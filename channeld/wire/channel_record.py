"""A channel as an array for the journal: everything that rule R1 says must survive.

It is written at every step of the channel. Once a state has both signatures `mine` is `theirs`; it is
then packed once, and read back as one object.
"""

from dataclasses import replace
from functools import lru_cache

from channeld.core.channel import Channel, Deposits, Phase
from channeld.core.claims import Side, State
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
    NODE_ID_OR_EMPTY,
    TIME_S,
    VERSION,
    Codec,
    Layout,
    choice,
    fixed_or_empty,
    list_of,
    optional,
    uint,
    wide_uint,
)
from channeld.wire.operations import OPERATION

MAX_WAITING = 4_096
"""Operations that no signed state contains yet: with 2 kB packets in all of them a record has 9 MB, and it
is rewritten at every step. Whoever enqueues must refuse long before."""

PARAMS = Layout(
    ChannelParams,
    "params",
    a=ADDRESS,
    b=ADDRESS,
    asset=ADDRESS,
    challenge_period_s=uint(40),
    salt=wide_uint(216, 2**216 - 1),
)

_DEPOSITS = Layout(Deposits, "deposits", a=DEPOSIT, b=DEPOSIT, counter=uint(64))

# What seldom changes is packed once, not at every step: 4,096 are the parameters and deposits of a
# thousand busy channels.
_packed_params = lru_cache(maxsize=4_096)(PARAMS.pack)
_packed_deposits = lru_cache(maxsize=4_096)(_DEPOSITS.pack)


def _pack_nothing(_state: State, _name: str) -> None:
    """`pack_channel` puts the state here where it is another than `theirs`."""


_CHANNEL = Layout(
    Channel,
    "channel",
    channel_id=HASH,
    params=Codec(_packed_params, PARAMS.read),
    me=choice(Side),
    peer=NODE_ID_OR_EMPTY,
    phase=choice(Phase),
    next_id=CLAIM_ID,
    deposits=Codec(_packed_deposits, _DEPOSITS.read),
    announced=Codec(_packed_deposits, _DEPOSITS.read),
    mine=Codec(_pack_nothing, optional(STATE).read),
    theirs=STATE,
    their_signature=fixed_or_empty(64),
    parent=VERSION,
    parent_signed=BOOL,
    unanswered=list_of(OPERATION, MAX_OPERATIONS),
    waiting=list_of(OPERATION, MAX_WAITING),
    initiator=BOOL,
    close_until_s=TIME_S,
    close_signature=fixed_or_empty(64),
)
_MINE_AT = 8


def pack_channel(channel: Channel) -> tuple[object, ...]:
    """The array of a channel's fields, in the order of its class; `mine` is nil where it is `theirs`."""
    items = _CHANNEL.pack(channel)
    if channel.mine == channel.theirs:
        return items
    return (*items[:_MINE_AT], STATE.pack(channel.mine, "channel.mine"), *items[_MINE_AT + 1 :])


def read_channel(value: object, name: str) -> Channel:
    """The channel that `pack_channel` wrote. Raises MalformedMessage."""
    items = read_record(value, name, _CHANNEL.size)
    channel = _CHANNEL.read_items(items)
    return replace(channel, mine=channel.theirs) if items[_MINE_AT] is None else channel
