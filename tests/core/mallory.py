"""Mallory: every node around bob, colluding, with every key but his and every state that he ever signed."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256

from channeld.core.channel import Ack, Channel, Reestablish, Update, child_version
from channeld.core.claims import Claim, GroupKey, Side, State
from channeld.core.effects import Disconnect
from channeld.core.errors import PeerViolation
from channeld.core.events import MessageReceived
from channeld.core.messages import CloseOffer, Message, PushTerms, StateCopy
from channeld.core.operations import Add, Expire, Fail, Fulfil, Operation, Push, Settle, apply_operations
from channeld.core.payoff import group_payout
from channeld.core.solvency import require_solvent
from channeld.wire.eip712 import state_digest
from tests.core.network import Node, close_bytes, signature
from tests.core.town import Town

SECRETS = tuple(sha256(f"mallory {number}".encode()).digest() for number in range(4))
"""Few, so that one hash is used again and again."""


def hash_of(preimage: bytes) -> bytes:
    return sha256(preimage).digest()


def lenient(parent: State, version: int, operations: Iterable[Operation]) -> State:
    """What the operations are meant to do, legal or not: bob refuses for the rule, not for the signature."""
    claims, net, last_ids = dict(parent.claims), parent.net, list(parent.last_ids)
    for operation in operations:
        match operation:
            case Add(claim, _):
                claims[claim.claim_id] = claim
                last_ids[claim.payer] = max(last_ids[claim.payer], claim.claim_id)
            case Fulfil(claim_id, _) if claim_id in claims:
                claim = claims.pop(claim_id)
                if claim.terms is not None:
                    claims[claim_id] = claim.unlocked()
                else:
                    net += -claim.amount if claim.claim_id & 1 else claim.amount
            case Fail(claim_id, _) | Expire(claim_id):
                claims.pop(claim_id, None)
            case Push(_, amount):
                net += amount if version & 1 == Side.A else -amount
            case Settle(feed, expiry_s, price):
                groups: dict[GroupKey, list[Claim]] = defaultdict(list)
                for claim in list(claims.values()):
                    terms = claim.terms
                    if terms is not None and (terms.feed, terms.expiry_s) == (feed, expiry_s):
                        groups[terms.group].append(claims.pop(claim.claim_id))
                net -= sum(group_payout(group, price) for group in groups.values()) if price else 0
    return State(version, net, claims, (last_ids[0], last_ids[1]))


class Mallory:
    """Speaks for both neighbours of bob. `said` and `heard` are the messages of each channel."""

    def __init__(self, town: Town, name: str) -> None:
        self.town = town
        self.bob: Node = town[name]
        self.faces = {channel_id: min(link - {name}) for link, channel_id in town.links.items()}
        town.chain.asleep.update(self.faces.values())
        for face in self.faces.values():
            town[face].outbox.clear()
        self.said: dict[bytes, list[Message]] = defaultdict(list)
        self.heard: list[tuple[bytes, Message]] = []
        self.secrets: list[bytes] = list(SECRETS)
        self.hashes: list[bytes] = [hash_of(secret) for secret in SECRETS]
        self._effects_seen = 0

    def fresh(self) -> bytes:
        """A secret that she has just made up."""
        preimage = sha256(f"mallory {len(self.hashes)} {len(self.secrets)}".encode()).digest()
        self.secrets.append(preimage)
        self.hashes.append(hash_of(preimage))
        return preimage

    def view(self, channel_id: bytes) -> Channel:
        """Bob's own record: nothing of it is a secret to somebody who may guess."""
        return self.bob.channel(channel_id)

    def states(self, channel_id: bytes) -> list[State]:
        """Everything that bob ever signed in a channel, and what he holds now."""
        channel = self.view(channel_id)
        signed = [state for known, state in self.bob.signed if known == channel_id]
        return [State(), channel.theirs, channel.mine, *signed]

    def _key(self, channel_id: bytes) -> bytes:
        return self.town[self.faces[channel_id]].address

    def sign(self, channel_id: bytes, state: State) -> bytes:
        return signature(self._key(channel_id), state_digest(bytes(32), channel_id, state))

    # --- talking --------------------------------------------------------------------------------------

    def say(self, channel_id: bytes, message: Message) -> bool:
        """Bob hears it; if it makes him drop the connection, it is dropped. True if he did not."""
        self.said[channel_id].append(message)
        refusals = len(self.bob.refused)
        self.bob.happen(MessageReceived(self.town[self.faces[channel_id]].node_id, message))
        refused = len(self.bob.refused) > refusals
        if refused:
            self.hang_up(channel_id)
        self.listen()
        return not refused

    def listen(self) -> None:
        """Take what bob has sent, learn from it, and drop the connections that he dropped."""
        for effect in self.bob.effects[self._effects_seen :]:
            if isinstance(effect, Disconnect):
                for channel_id, name in self.faces.items():
                    if self.town[name].node_id == effect.peer:
                        self.hang_up(channel_id)
        self._effects_seen = len(self.bob.effects)
        while self.bob.outbox:
            _, message = self.bob.outbox.popleft()
            if isinstance(message, Update):
                self.heard.append((message.channel_id, message))
                self._learn(message)

    def _learn(self, update: Update) -> None:
        for operation in update.operations:
            if isinstance(operation, Fulfil):
                self._know(operation.preimage)
            elif isinstance(operation, Add):
                hashlock = operation.claim.hashlock
                if hashlock is not None and hashlock not in self.hashes:
                    self.hashes.append(hashlock)

    def _know(self, preimage: bytes) -> None:
        if preimage not in self.secrets:
            self.secrets.append(preimage)

    def hang_up(self, channel_id: bytes) -> None:
        face = self.town[self.faces[channel_id]]
        self.bob.forget(face.node_id)
        self.bob.lost(face)

    def call(self, channel_id: bytes, *, lie: tuple[int, int] = (0, 0)) -> bool:
        """A new connection and what it begins with; `lie` is added to what mallory holds."""
        face = self.town[self.faces[channel_id]]
        self.bob.met(face)
        channel = self.view(channel_id)
        mine = max(0, channel.theirs.version + lie[0])
        theirs = max(0, channel.mine.version + lie[1])
        deposits = channel.deposits
        taken = self.say(channel_id, Reestablish(channel_id, mine, theirs, deposits.a, deposits.b))
        return taken and self.say(channel_id, PushTerms(channel_id, True, 1))

    def is_on(self, channel_id: bytes) -> bool:
        return channel_id in self.bob.tables.online

    # --- what the messages are made of ----------------------------------------------------------------

    def update(
        self, channel_id: bytes, parent: State, operations: Sequence[Operation], version: int | None = None
    ) -> Update:
        """A batch, signed over what it would make of `parent`."""
        side = self.view(channel_id).me.other
        version = child_version(parent.version, side) if version is None else version
        state = lenient(parent, version, operations)
        sig = self.sign(channel_id, state)
        return Update(channel_id, version, parent.version, tuple(operations), sig)

    def legal_among(
        self, channel_id: bytes, parent: State, operations: Sequence[Operation]
    ) -> list[Operation]:
        """Those that bob would take now, one after the other."""
        channel = self.view(channel_id)
        legal: list[Operation] = []
        for operation in operations:
            try:
                state = apply_operations(parent, 1, channel.me.other, [*legal, operation], self.bob.tables)
                require_solvent(state, channel.deposits.a, channel.deposits.b)
            except PeerViolation:
                continue
            legal.append(operation)
        return legal

    def ack(self, channel_id: bytes, state: State) -> Ack:
        return Ack(channel_id, state.version, self.sign(channel_id, state))

    def close_offer(self, channel_id: bytes, net: int, until_s: int, counter: int) -> CloseOffer:
        sig = signature(self._key(channel_id), close_bytes(channel_id, counter, net, until_s))
        return CloseOffer(channel_id, counter, net, until_s, sig)

    def copy(self, channel_id: bytes, state: State, *, forged: bool) -> StateCopy:
        """A copy of a state; bob's signature on it is real unless `forged`."""
        digest = state_digest(bytes(32), channel_id, state)
        own = self.sign(channel_id, state)
        yours = own if forged else signature(self.bob.address, digest)
        return StateCopy(channel_id, state, yours, own)

    def next_id(self, channel_id: bytes, parent: State, after: int = 0) -> int:
        return parent.last_ids[self.view(channel_id).me.other] + 2 * (after + 1)

    def spoil(self, message: Message) -> Message:
        """The same with a signature that is not hers."""
        return replace(message, signature=bytes(64)) if isinstance(message, Update | Ack) else message
