"""The two ends of one channel, as bare machines: no node, no messages in flight, one world for both."""

from dataclasses import dataclass, field, replace
from hashlib import sha256

from channeld.core.channel import (
    Ack,
    Channel,
    Deposits,
    Phase,
    Progress,
    Update,
    acknowledge,
    enqueue,
    propose,
    receive_ack,
    receive_update,
)
from channeld.core.claims import Claim, Side, State
from channeld.core.draft import Tables
from channeld.core.identity import ETH, ChannelParams
from channeld.core.operations import Add, Operation
from tests.core.network import T0_S

ID = b"channel " * 4
SECRET = b"s" * 32
LOCK = sha256(SECRET).digest()
NOBODY = bytes(64)


def sign(side: Side, state: State) -> bytes:
    """A signature that anybody can check and nobody checks the strength of."""
    content = repr((side, state.version, state.net, list(state.claims.values()))).encode()
    return sha256(content).digest() * 2


def verify_from(side: Side):  # type: ignore[no-untyped-def]
    return lambda channel_id, state, signature: channel_id == ID and signature == sign(side, state)


def payment(claim_id: int, amount: int = 10, deadline_s: int = T0_S + 600) -> Add:
    return Add(Claim(claim_id, amount, LOCK, deadline_s), b"")


@dataclass
class End:
    """One end. `say` and `hear` are its mouth and ears; a signature is added on the way out."""

    channel: Channel
    world: Tables = field(default_factory=lambda: Tables(now_s=T0_S, confirmed_s=T0_S))

    @property
    def me(self) -> Side:
        return self.channel.me

    def wants(self, *operations: Operation) -> "End":
        self.channel = enqueue(self.channel, *operations)
        return self

    def say(self, refused: int = 0) -> Update | None:
        progress, update = propose(self.channel, self.world, refused)
        self.channel = progress.channel
        if update is None:
            return None
        return replace(update, signature=sign(self.me, self.channel.mine))

    def nod(self) -> Ack | None:
        self.channel, ack = acknowledge(self.channel)
        return None if ack is None else replace(ack, signature=sign(self.me, self.channel.mine))

    def hear(self, message: Update | Ack | None) -> Progress:
        assert message is not None
        verify = verify_from(self.me.other)
        if isinstance(message, Update):
            progress = receive_update(self.channel, message, self.world, verify)
        else:
            progress = receive_ack(self.channel, message, verify)
        self.channel = progress.channel
        return progress

    @property
    def versions(self) -> tuple[int, int]:
        """(mine, theirs)."""
        return self.channel.mine.version, self.channel.theirs.version


def two_ends(deposit_a: int = 100, deposit_b: int = 100) -> tuple[End, End]:
    """Side A and side B of a channel that both see funded."""
    params = ChannelParams(bytes(20), b"\x01" * 20, ETH, 3_600, 0)
    deposits = Deposits(deposit_a, deposit_b)
    channels = [
        Channel(ID, params, side, b"peer", Phase.OPEN, int(side), deposits, deposits) for side in Side
    ]
    return End(channels[0]), End(channels[1])
