"""Links between nodes: bytes in order in each direction, late, twice, or lost with the connection."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from channeld.core.errors import PeerViolation
from channeld.wire.messages import decode
from tests.dice import Dice

USUAL_MS = (1, 2, 5, 20, 60, 150)
SLOW_MS = (700, 2_500, 6_000)
STUCK_MS = 25_000
AGAIN_MS = (500, 500, 2_000, 10_000, 60_000)
"""When one of the two dials again."""
TAG_POLICY = b"\t"
GOSSIP = 8
"""Of so many policies one arrives: no money hangs on them, and they would be half of what is said."""


class Speaker(Protocol):
    """What a link needs of a node."""

    name: str
    node_id: bytes
    alive: bool

    def connected(self, peer_id: bytes) -> None: ...
    def heard(self, peer_id: bytes, data: bytes) -> None: ...
    def lost(self, peer_id: bytes, reason: str) -> None: ...
    def says(self, peer_id: bytes, data: bytes) -> list[bytes]: ...


@dataclass(eq=False)
class Link:
    """`number` counts connections: what belongs to an earlier one never arrives."""

    ends: tuple[Speaker, Speaker]
    up: bool = False
    number: int = 0
    last_ms: dict[bytes, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return "-".join(end.name for end in self.ends)

    def other(self, node_id: bytes) -> Speaker:
        one, two = self.ends
        return two if one.node_id == node_id else one


class Network:
    """`at` schedules; `accuse` is told whom a node drops for what it sent; `note` writes the trace."""

    def __init__(
        self,
        dice: Dice,
        now_ms: Callable[[], int],
        at: Callable[[int, Callable[[], None]], None],
        accuse: Callable[[Speaker, Speaker, str], None],
        note: Callable[[str, str], None],
    ) -> None:
        self._dice = dice
        self._now_ms = now_ms
        self._at = at
        self._accuse = accuse
        self._note = note
        self.links: dict[frozenset[bytes], Link] = {}
        self.troubled = True

    def add(self, one: Speaker, two: Speaker) -> None:
        self.links.setdefault(frozenset((one.node_id, two.node_id)), Link((one, two)))

    def link(self, one: bytes, two: bytes) -> Link | None:
        return self.links.get(frozenset((one, two)))

    def links_of(self, node_id: bytes) -> list[Link]:
        return [link for ends, link in self.links.items() if node_id in ends]

    def connect(self, link: Link) -> None:
        one, two = link.ends
        if link.up or not (one.alive and two.alive):
            return
        link.up = True
        link.number += 1
        link.last_ms.clear()
        self._note("connected", link.name)
        one.connected(two.node_id)
        if link.up and two.alive:
            two.connected(one.node_id)

    def disconnect(self, link: Link, reason: str) -> None:
        if not link.up:
            return
        link.up = False
        link.number += 1
        self._note("disconnected", f"{link.name}: {reason}")
        for end in link.ends:
            if end.alive:
                end.lost(link.other(end.node_id).node_id, reason)
        again_ms = self._now_ms() + self._dice.pick(AGAIN_MS)
        self._at(again_ms, lambda: self.connect(link))

    def send(self, source: Speaker, target_id: bytes, data: bytes) -> bool:
        link = self.link(source.node_id, target_id)
        if link is None or not link.up:
            return False
        if data[1:2] == TAG_POLICY and not self._dice.one_in(GOSSIP):
            return True  # lost, for all we care
        for piece in source.says(target_id, data):
            self.carry(link, source, piece)
        return True

    def carry(self, link: Link, source: Speaker, data: bytes) -> None:
        """Put bytes on the way, whatever they are."""
        dice = self._dice
        delay_ms = dice.pick(USUAL_MS)
        copies = 1
        if self.troubled:
            if dice.one_in(25):
                delay_ms = STUCK_MS if dice.one_in(12) else dice.pick(SLOW_MS)
            if dice.one_in(30) and is_about_a_channel(data):  # whoever greets twice breaks the protocol
                copies = 2
                self._note("duplicated", link.name)
        number = link.number
        for _ in range(copies):
            at_ms = max(link.last_ms.get(source.node_id, 0), self._now_ms() + delay_ms)
            link.last_ms[source.node_id] = at_ms
            self._at(at_ms, lambda: self._deliver(link, number, source, data))

    def _deliver(self, link: Link, number: int, source: Speaker, data: bytes) -> None:
        target = link.other(source.node_id)
        if link.number != number or not target.alive:
            return
        try:
            target.heard(source.node_id, data)
        except PeerViolation as violation:
            self._accuse(target, source, str(violation))
            self.disconnect(link, str(violation))


class Wires:
    """What a daemon takes for its transport."""

    def __init__(self, network: Network, node: Speaker, dropped: Callable[[bytes, str], None]) -> None:
        self._network = network
        self._node = node
        self._dropped = dropped

    def send(self, node_id: bytes, data: bytes) -> bool:
        return self._network.send(self._node, node_id, data)

    def want(self, node_id: bytes, url: str | None) -> None:
        """Links are made by the simulator."""

    def forget(self, node_id: bytes) -> None:
        """Nor are they ended."""

    async def disconnect(self, node_id: bytes, reason: str) -> None:
        self._dropped(node_id, reason)


def message_name(data: bytes) -> str:
    try:
        return type(decode(data)).__name__
    except PeerViolation:
        return "garbage"


def is_about_a_channel(data: bytes) -> bool:
    try:
        return hasattr(decode(data), "channel_id")
    except PeerViolation:
        return False
