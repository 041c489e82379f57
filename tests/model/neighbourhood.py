"""Honest nodes only: several real cores and the wires between them, led along a path of the model."""

from collections import deque

from channeld.core.channel import Ack, Reestablish, Update
from channeld.core.draft import Draft
from channeld.core.effects import RegisterSecret
from channeld.core.events import (
    ChannelDue,
    ClaimDue,
    Event,
    InvoiceCreated,
    MessageReceived,
    PaymentRequested,
    PeerConnected,
    PeerDisconnected,
)
from channeld.core.messages import Deliver, ForwardTo, Message
from channeld.core.records import Invoice
from channeld.wire.packet import encode_instruction
from tests.core.network import T0_S, Network
from tests.model.comparing import Compared
from tests.model.play import Play
from tests.model.product import BEFORE_S, ETH, UNIT, hash_of, secret
from tests.model.reacting import NEVER
from tests.model.world import Label, World


class Face(Compared):
    """One of the nodes, as the comparison knows them."""

    def __init__(self, play: Play, network: Network, number: int, channels: list[bytes]) -> None:
        self.play, self.scene, self.stage, self.network = play, play.scene, play.stage, network
        self.bob_number, self.bob, self.channels = number, network[play.scene.nodes[number]], channels
        self._effects = 0

    def commit(self, draft: Draft) -> None:
        self.bob._commit(draft)
        self.bob.tables.dirty.clear()


class Neighbourhood:
    """All nodes of a scene; `wires` holds what is on its way in each channel, to the right and the left."""

    def __init__(self, play: Play, network: Network) -> None:
        self.play, self.scene, self.stage = play, play.scene, play.stage
        names = self.scene.nodes
        channels = [network.open(names[a], names[b], 50 * UNIT, 50 * UNIT) for a, b in self.scene.channels]
        self.faces = [Face(play, network, number, channels) for number in self.scene.honest]
        self.wires: list[tuple[deque[Message], deque[Message]]] = [(deque(), deque()) for _ in channels]
        for face in self.faces:
            face.bob.tables.now_s = face.bob.tables.confirmed_s = face.time_s(0)
            face.bob.outbox.clear()
        for node, claim in self.scene.reveals:
            self.bill(node, claim)
        for claim in self.scene.begins:
            self.pay(claim)

    def bill(self, node: int, claim: int) -> None:
        lock = self.scene.claims[claim].lock
        assert lock is not None
        bill = Invoice(
            hash_of(lock), secret(lock), bytes(32), ETH, self.faces[0].amount(claim), "", T0_S, T0_S + 86_400
        )
        self.faces[node].happen(InvoiceCreated(bill))

    def pay(self, claim: int) -> None:
        face = self.faces[self.scene.claims[claim].payer]
        deadline_s, amount = face.claim(claim, 0).deadline_s, face.amount(claim)
        way = [claim]
        while onward := [link.onward for link in self.scene.links if link.incoming == way[-1]]:
            assert onward[0] is not None
            way.append(onward[0])
        packet = encode_instruction(Deliver(bytes(32), amount))
        for number in reversed(way[1:]):
            channel_id = face.channels[self.scene.claims[number].channel]
            packet = encode_instruction(ForwardTo(channel_id, amount, deadline_s, packet))
        lock = self.scene.claims[claim].lock
        assert lock is not None
        channel_id, now_s = face.channels[self.scene.claims[claim].channel], face.bob.tables.now_s
        request = PaymentRequested(
            hash_of(lock), b"", ETH, amount, 0, channel_id, deadline_s, packet, "", now_s
        )
        face.happen(request)

    # --- the moves ------------------------------------------------------------------------------------

    def act(self, node: int, *events: Event) -> None:
        for event in events:
            assert self.faces[node].happen(event) == "", "an honest peer is refused"
        self.post(node)

    def post(self, node: int) -> None:
        """What a node has sent is on its way."""
        outbox = self.faces[node].bob.outbox
        while outbox:
            _, message = outbox.popleft()
            if not isinstance(message, Update | Ack | Reestablish):
                continue  # the model knows of nothing else
            channel = self.faces[node].channels.index(message.channel_id)
            self.wires[channel][self.scene.channels[channel][1] == node].append(message)

    def move(self, label: Label) -> None:
        match label[0]:
            case "update" | "ack":
                channel, node = self.stage.ends[int(label[1])]  # type: ignore[call-overload]
                self.faces[node].turn_ends(channel, traffic=False)
                self.post(node)
            case "hears":
                channel, node = self.stage.ends[int(label[1])]  # type: ignore[call-overload]
                message = self.wires[channel][self.scene.channels[channel][0] == node].popleft()
                self.act(node, MessageReceived(self.peer(node, channel).bob.node_id, message))
            case "drop" | "connect":
                self.reconnect(int(label[1]), up=label[0] == "connect")  # type: ignore[call-overload]
            case "looks again":
                channel, node = self.stage.ends[int(label[1])]  # type: ignore[call-overload]
                self.act(node, ChannelDue(self.faces[node].channels[channel]))
            case "tick":
                self.tick(int(label[1]))  # type: ignore[call-overload]
            case _:
                raise AssertionError(f"nothing among the nodes is {label}")

    def peer(self, node: int, channel: int) -> Face:
        left, right = self.scene.channels[channel]
        return self.faces[left + right - node]

    def reconnect(self, channel: int, *, up: bool) -> None:
        for queue in self.wires[channel]:
            queue.clear()
        for node in self.scene.channels[channel]:
            peer = self.peer(node, channel).bob
            event = PeerConnected if up else PeerDisconnected
            self.act(node, event(peer.node_id, peer.address))

    def tick(self, phase: int) -> None:
        wanted: set[bytes] = set()
        for face in self.faces:
            face.bob.tables.now_s = face.time_s(phase - 1) + BEFORE_S
            self.ring(face)
            effects = face.bob.effects[face._effects :]
            wanted |= {effect.preimage for effect in effects if isinstance(effect, RegisterSecret)}
            face._effects = len(face.bob.effects)
        for lock in range(self.stage.locks):
            if secret(lock) in wanted and hash_of(lock) not in self.faces[0].bob.tables.registered_s:
                for face in self.faces:
                    face.register(lock)
        for face in self.faces:
            face.bob.tables.now_s = face.bob.tables.confirmed_s = face.time_s(phase)
            self.ring(face)

    def ring(self, face: Face) -> None:
        due = [event for at_s, event in face.bob.timers if at_s <= face.bob.tables.now_s]
        face.bob.timers = [timer for timer in face.bob.timers if timer[0] > face.bob.tables.now_s]
        self.act(face.bob_number, *(event for event in due if isinstance(event, ClaimDue)))

    # --- the comparison -------------------------------------------------------------------------------

    def differences(self, world: World) -> list[str]:
        found = []
        for end, (channel, node) in enumerate(self.stage.ends):
            unlike = self.faces[node].compare_end(world, end, channel)
            found += [f"{self.scene.nodes[node]}: {what}" for what in unlike]
        for channel, wire in enumerate(world.wires):
            assert wire is not None
            right, left = (
                [type(message).__name__.lower() for message in queue] for queue in self.wires[channel]
            )
            if (right, left) != ([m[0] for m in wire.right], [m[0] for m in wire.left]):
                found.append(f"channel {channel}: {right}, {left} are under way")
        registered = self.faces[0].bob.tables.registered_s
        for key, (lock, _) in enumerate(self.stage.keys):
            if (hash_of(lock) in registered) != (world.mind.regs[key] != NEVER):
                found.append(f"lock {lock}: registered in one of the two only")
        return found
