"""Bob's real core led along a path of the model.

One phase of the model is 120 s, the margin for registering a secret; amounts are thousands, so that
other people's traffic (pushes of 1) can be told from them.
"""

from copy import copy
from dataclasses import fields, replace
from hashlib import sha256
from typing import Self

from channeld.core.channel import Ack, Channel, Reestablish, Update, enqueue
from channeld.core.claims import Claim, OptionTerms, PayoffKind, Side, State
from channeld.core.draft import Draft
from channeld.core.effects import RegisterSecret
from channeld.core.errors import PeerViolation
from channeld.core.events import (
    ChannelDue,
    ClaimDue,
    Event,
    MessageReceived,
    OptionRequested,
    PeerConnected,
    PeerDisconnected,
    QuoteGiven,
    SecretSeen,
)
from channeld.core.messages import Deliver, ForwardTo, Message, WriteOption
from channeld.core.node import flush, harvest, step
from channeld.core.operations import NO_STREAM, Add, Expire, Fail, Fulfil, Operation, Push, StateDraft
from channeld.core.records import OptionLeg, Quote
from channeld.wire.eip712 import state_digest
from channeld.wire.packet import encode_instruction
from tests.core.network import T0_S, Network, Node, signature
from tests.model.moving import GONE, NEW, PAID, View, at
from tests.model.play import Play
from tests.model.scenes import CALL, Scene
from tests.model.world import Label, World

ETH = bytes(20)
PHASE_S = 120
BEFORE_S = 20
"""How long before a whole phase every step happens, so that the margins are met and not touched."""

UNIT = 1_000
TERMS = OptionTerms(PayoffKind.CALL, bytes(31) + b"\x01", T0_S + 86_400, 4_000 * 10**8, 5_000 * 10**8)
LEG = OptionLeg(TERMS, 1)
QUOTE = b"q" * 16


def secret(lock: int) -> bytes:
    return bytes([lock + 1]) * 32


def hash_of(lock: int) -> bytes:
    return sha256(secret(lock)).digest()


def as_addressed(scene: Scene, names: tuple[str, ...]) -> tuple[Scene, Network]:
    """The scene with the sides that the nodes' addresses give them."""
    network = Network(*names)
    flipped = tuple(
        channel
        for channel, (left, right) in enumerate(scene.channels)
        if network[names[left]].address > network[names[right]].address
    )
    return replace(scene, nodes=names, flipped=flipped), network


class Product:
    """Bob as the core has him; everybody else is played."""

    def __init__(self, play: Play, network: Network) -> None:
        self.play, self.scene, self.stage, self.network = play, play.scene, play.stage, network
        (self.bob_number,) = self.scene.honest
        self.bob: Node = network[self.scene.nodes[self.bob_number]]
        self.channels = [
            network.open(self.scene.nodes[left], self.scene.nodes[right], 50 * UNIT, 50 * UNIT)
            for left, right in self.scene.channels
        ]
        self.submitted: set[bytes] = set()
        self._effects = 0
        self.bob.tables.now_s = self.bob.tables.confirmed_s = self.time_s(0)
        self.bob.happen(QuoteGiven(Quote(QUOTE, LEG, ETH, UNIT, T0_S + 86_400, b"")))
        for number in self.scene.begins:
            self.request(number)

    def fork(self) -> Self:
        """The same moment once more, to go another way from it; records are frozen, tables are copied."""
        other = copy(self)
        other.bob = copy(self.bob)
        tables = other.bob.tables = copy(self.bob.tables)
        for known in fields(tables):
            value = getattr(tables, known.name)
            if isinstance(value, dict | set):
                setattr(tables, known.name, copy(value))
        tables.records = {table: dict(rows) for table, rows in tables.records.items()}
        other.bob.timers, other.bob.effects = list(self.bob.timers), self.bob.effects[self._effects :]
        other.bob.refused, other._effects = [], 0
        return other

    def time_s(self, phase: int) -> int:
        return T0_S + PHASE_S * (phase + 1) - BEFORE_S

    # --- claims ---------------------------------------------------------------------------------------

    def claim(self, number: int, claim_id: int) -> Claim:
        """What a claim of the scene is in the product."""
        claim = self.scene.claims[number]
        assert claim.lock is not None
        deadline_s = T0_S + PHASE_S * (claim.deadline + 1)
        if claim.pays[0][0] == CALL:
            return Claim(claim_id, LEG.size, hash_of(claim.lock), deadline_s, TERMS)
        return Claim(claim_id, self.amount(number), hash_of(claim.lock), deadline_s)

    def amount(self, number: int) -> int:
        """A hub carries what it gets; two payments have two amounts."""
        for link in self.scene.links:
            if link.onward == number and self.scene.claims[link.incoming].pays[0][0] != CALL:
                return self.amount(link.incoming)
        return UNIT * (1 + number)

    def packet(self, number: int) -> bytes:
        """What an incoming claim of the scene asks bob to do."""
        for link in self.scene.links:
            if link.incoming == number and link.onward is not None:
                if self.scene.claims[number].pays[0][0] == CALL:
                    return b""
                onward = self.scene.claims[link.onward]
                if onward.channel == self.scene.claims[number].channel:
                    return encode_instruction(WriteOption(QUOTE))
                leg = LEG if any(other.needs is not None for other in self.scene.links) else None
                last = encode_instruction(Deliver(bytes(32), self.amount(link.onward)))
                deadline_s = self.claim(link.onward, 0).deadline_s
                channel_id = self.channels[onward.channel]
                return encode_instruction(
                    ForwardTo(channel_id, self.amount(link.onward), deadline_s, last, leg)
                )
        return b""

    def request(self, number: int) -> None:
        """Bob buys an option himself."""
        claim = self.claim(number, 0)
        lock = self.scene.claims[number].lock
        assert lock is not None
        channel_id = self.channels[self.scene.claims[number].channel]
        packet = encode_instruction(WriteOption(QUOTE))
        self.happen(
            OptionRequested(
                secret(lock),
                hash_of(lock),
                LEG,
                ETH,
                claim.amount,
                0,
                b"",
                channel_id,
                claim.deadline_s,
                packet,
                self.bob.tables.now_s,
            )
        )

    def number_of(self, channel: int, claim: Claim) -> int | None:
        """The claim of the scene that this one is; None for other people's."""
        me = self.channel(channel).me
        for number in self.stage.claims_of[channel]:
            wanted = self.claim(number, 0)
            bobs = (claim.payer is me) == (self.scene.claims[number].payer == self.bob_number)
            alike = (claim.amount, claim.terms) == (wanted.amount, wanted.terms)
            if bobs and alike and claim.hashlock in (None, wanted.hashlock):
                return number
        return None

    def channel(self, channel: int) -> Channel:
        return self.bob.channel(self.channels[channel])

    # --- the moves ------------------------------------------------------------------------------------

    def commit(self, draft: Draft) -> None:
        self.bob._commit(draft)
        for record in list(self.bob.tables.channels()):
            if any(isinstance(op, Push) for op in record.waiting):  # traffic that lost is not said again
                waiting = tuple(op for op in record.waiting if not isinstance(op, Push))
                self.bob.tables.records[Channel][record.key] = replace(record, waiting=waiting)
        self.bob.tables.dirty.clear()  # a turn ends when the model says so
        self.bob.outbox.clear()

    def happen(self, event: Event) -> str:
        """One event, without the end of the turn; "violation" if bob refuses it."""
        if isinstance(event, MessageReceived):
            self.commit(harvest(self.bob.tables, event.message))
        try:
            self.commit(step(self.bob.tables, event, self.bob.tools()))
        except PeerViolation:
            return "violation"
        return ""

    def hear(self, channel: int, message: Message) -> str:
        return self.happen(MessageReceived(self.bob.channel(self.channels[channel]).peer, message))

    def move(self, label: Label, before: World) -> None:
        kind = label[0]
        if kind in ("update", "ack", "dropped"):
            channel, _ = self.stage.ends[int(label[1])]  # type: ignore[call-overload]
            self.turn_ends(channel, traffic=bool(label[3]))
        elif kind in ("peer signs", "peer acks", "peer tells", "hang up", "parent said again", "looks again"):
            end = int(label[1])  # type: ignore[call-overload]
            self.peer_moves(label, self.stage.ends[end][0], before.views[end])
        elif kind == "register":
            self.register(self.stage.keys[int(label[1])][0])  # type: ignore[call-overload]
        elif kind == "tick":
            self.tick(int(label[1]))  # type: ignore[call-overload]
        else:
            raise AssertionError(f"nothing in the product is {label}")

    def turn_ends(self, channel: int, *, traffic: bool) -> None:
        channel_id = self.channels[channel]
        if traffic:
            record = enqueue(self.bob.channel(channel_id), Push(NO_STREAM, 1))
            self.bob.tables.records[Channel][channel_id] = record
        self.commit(flush(self.bob.tables, channel_id, self.bob.tools()))

    def peer_moves(self, label: Label, channel: int, view: View) -> None:
        record, channel_id = self.channel(channel), self.channels[channel]
        match label[0]:
            case "peer signs":
                self.hear(channel, self.update(channel, view, label[2]))  # type: ignore[arg-type]
            case "peer acks":
                self.hear(channel, Ack(channel_id, record.mine.version, self.sign(channel, record.mine)))
            case "peer tells":
                number = self.stage.claims_of[channel][int(label[2])]  # type: ignore[call-overload]
                ids = [
                    claim.claim_id
                    for state in record.enforceable
                    for claim in state.claims.values()
                    if self.number_of(channel, claim) == number
                ]
                lock = self.scene.claims[number].lock
                assert lock is not None and ids
                told = Update(channel_id, 2**60, 2**59, (Fulfil(ids[0], secret(lock)),))
                assert self.hear(channel, told) == "violation"
            case "hang up" | "parent said again":
                holds = record.mine.version if label[0] == "hang up" else record.theirs.version - 1
                self.happen(PeerDisconnected(record.peer, record.counterparty))
                self.happen(PeerConnected(record.peer, record.counterparty))
                deposits = record.deposits
                said = Reestablish(channel_id, record.theirs.version, holds, deposits.a, deposits.b)
                self.hear(channel, said)
            case "looks again":
                held = self.bob.tables.held[channel_id]
                self.bob.tables.held[channel_id] = replace(held, again_s=0)
                self.happen(ChannelDue(channel_id))

    def sign(self, channel: int, state: State) -> bytes:
        peer = self.channel(channel).counterparty
        return signature(peer, state_digest(bytes(32), self.channels[channel], state))

    def update(self, channel: int, view: View, said: tuple[int, int, int]) -> Update:
        """The batch that turns the parent into what the model says."""
        record = self.channel(channel)
        version, parent_v, holds = said
        on_mine = parent_v == view.mine_v
        parent = record.mine if on_mine else record.theirs
        operations = self.operations(channel, parent, view.mine if on_mine else view.theirs, holds)
        version += record.theirs.version - view.theirs_v
        draft, by = StateDraft(parent), record.me.other
        for operation in operations:
            self.apply(draft, operation, by)
        state = draft.finish(version)
        return Update(
            self.channels[channel], version, parent.version, tuple(operations), self.sign(channel, state)
        )

    def apply(self, draft: StateDraft, operation: Operation, by: Side) -> None:
        """Also what bob would call too late: the adversary signs it all the same."""
        tables = self.bob.tables
        now_s, tables.now_s = tables.now_s, T0_S if isinstance(operation, Fulfil) else tables.now_s
        try:
            draft.apply(operation, by, tables)
        finally:
            tables.now_s = now_s

    def operations(self, channel: int, parent: State, before: int, after: int) -> list[Operation]:
        record = self.channel(channel)
        ids = {self.number_of(channel, claim): claim.claim_id for claim in parent.claims.values()}
        next_id = parent.last_ids[record.me.other] + 2
        operations: list[Operation] = []
        for place, number in enumerate(self.stage.claims_of[channel]):
            old, new = at(before, place), at(after, place)
            if old == new:
                continue
            if old == NEW:
                operations.append(Add(self.claim(number, next_id), self.packet(number)))
                ids[number] = next_id
                next_id += 2
            if new == PAID:
                lock = self.scene.claims[number].lock
                assert lock is not None
                operations.append(Fulfil(ids[number], secret(lock)))
            elif new == GONE:
                bobs = self.scene.claims[number].payer == self.bob_number
                operations.append(Fail(ids[number], b"") if bobs else Expire(ids[number]))
        # The core takes a batch in its order, the model at once: as if what is new came first.
        operations.sort(key=lambda operation: not isinstance(operation, Add))
        return operations or [Push(NO_STREAM, 1)]

    # --- the chain ------------------------------------------------------------------------------------

    def register(self, lock: int) -> None:
        tables = self.bob.tables
        assert isinstance(tables.registered_s, dict)
        tables.registered_s[hash_of(lock)] = tables.now_s
        if tables.refs_of_hash.get(hash_of(lock)):
            self.happen(SecretSeen(secret(lock)))

    def tick(self, phase: int) -> None:
        """The last moment of a phase, with what bob registers in it, and then the next phase."""
        tables = self.bob.tables
        tables.now_s = self.time_s(phase - 1) + BEFORE_S
        self.ring()
        wanted = [e for e in self.bob.effects[self._effects :] if isinstance(e, RegisterSecret)]
        self._effects = len(self.bob.effects)
        for lock in range(self.stage.locks):
            hashlock = hash_of(lock)
            if hashlock not in tables.registered_s and any(e.preimage == secret(lock) for e in wanted):
                self.register(lock)
        tables.now_s = tables.confirmed_s = self.time_s(phase)
        self.ring()

    def ring(self) -> None:
        """Claims' timers; an update that is held is looked at when the model says so."""
        due = [event for at_s, event in self.bob.timers if at_s <= self.bob.tables.now_s]
        self.bob.timers = [timer for timer in self.bob.timers if timer[0] > self.bob.tables.now_s]
        for event in due:
            if isinstance(event, ClaimDue):
                self.happen(event)
