"""What a liar says in her own name: signed with her own key over whatever she likes.

She knows the whole record of the honest end: nothing of it is a secret to somebody who may guess.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from channeld.core.channel import Ack, Channel, Reestablish, Update, child_version
from channeld.core.claims import State, canonical_order
from channeld.core.errors import PeerViolation
from channeld.core.messages import CloseOffer, StateCopy
from channeld.core.operations import Operation, apply_operations
from channeld.core.solvency import require_solvent
from channeld.wire.eip712 import claims_hash, close_digest, state_digest
from tests.core.mallory import lenient
from tests.simulator.chain import DOMAIN

if TYPE_CHECKING:
    from tests.simulator.node import SimulatedNode


class Forger:
    """`liar` speaks to `victim` about one of their channels."""

    def __init__(self, liar: "SimulatedNode", victim: "SimulatedNode", channel_id: bytes) -> None:
        self.liar = liar
        self.victim = victim
        self.channel_id = channel_id

    @property
    def view(self) -> Channel:
        return self.victim.channel(self.channel_id)

    @property
    def current(self) -> State:
        """What the victim signed or accepted last."""
        view = self.view
        return view.theirs if view.theirs.version > view.mine.version else view.mine

    def states(self) -> list[State]:
        """Everything that the victim ever signed here, and what it holds."""
        signed = [state for known, state in self.victim.signed[-60:] if known == self.channel_id]
        return [State(), self.view.theirs, self.view.mine, *signed]

    def sign(self, state: State) -> bytes:
        claims = state.claims.values()
        self.liar.life.chain.lists[claims_hash(claims)] = tuple(canonical_order(claims))
        return self.liar.signer.sign_digest(state_digest(DOMAIN, self.channel_id, state))

    def update(self, parent: State, operations: Sequence[Operation], version: int | None = None) -> Update:
        """A batch, signed over what it would make of `parent`, legal or not."""
        side = self.view.me.other
        version = child_version(parent.version, side) if version is None else version
        state = lenient(parent, version, operations)
        return Update(self.channel_id, version, parent.version, tuple(operations), self.sign(state))

    def legal_among(self, parent: State, operations: Sequence[Operation]) -> list[Operation]:
        """Those that the victim would take now, one after the other."""
        view = self.view
        legal: list[Operation] = []
        for operation in operations:
            try:
                state = apply_operations(parent, 1, view.me.other, [*legal, operation], self.victim.tables)
                require_solvent(state, view.deposits.a, view.deposits.b)
            except PeerViolation:
                continue
            legal.append(operation)
        return legal

    def ack(self, state: State) -> Ack:
        return Ack(self.channel_id, state.version, self.sign(state))

    def reestablish(self, mine: int = 0, theirs: int = 0) -> Reestablish:
        """What fits the victim's record, and what is added to it to lie."""
        view = self.view
        return Reestablish(
            self.channel_id,
            max(0, view.theirs.version + mine),
            max(0, view.mine.version + theirs),
            view.deposits.a,
            view.deposits.b,
        )

    def close_offer(self, net: int, until_s: int, counter: int) -> CloseOffer:
        digest = close_digest(DOMAIN, self.channel_id, counter, net, until_s)
        return CloseOffer(self.channel_id, counter, net, until_s, self.liar.signer.sign_digest(digest))

    def copy(self, state: State, *, forged: bool) -> StateCopy:
        """A copy of a state; the victim's signature on it is real unless `forged`."""
        own = self.sign(state)
        digest = state_digest(DOMAIN, self.channel_id, state)
        yours = own if forged else self.victim.signer.sign_digest(digest)
        return StateCopy(self.channel_id, state, yours, own)

    def next_id(self, parent: State, after: int = 0) -> int:
        return parent.last_ids[self.view.me.other] + 2 * (after + 1)


def spoilt(message: Update | Ack) -> Update | Ack:
    """The same with a signature that is not hers."""
    return replace(message, signature=bytes(64))
