"""Two honest ends of a channel, what is on its way between them, and connections that are lost (R12)."""

from collections.abc import Iterator

from tests.model.moving import (
    OPEN,
    PAID,
    Update,
    answered,
    at,
    enforceable,
    flush,
    receive,
    receive_ack,
    resend,
)
from tests.model.world import EARLY, LIAR, LOST, Board, Label, Move, Wire, World, unsound


class WireMoves(Board):
    def side(self, end: int) -> int:
        channel, node = self.stage.ends[end]
        return int(self.scene.channels[channel][1] == node)

    def post(self, world: World, end: int, *messages: tuple) -> tuple[Wire | None, ...]:
        """The wires with messages of one end on their way."""
        wires = list(world.wires)
        wire = wires[self.stage.ends[end][0]]
        assert wire is not None
        if self.side(end) == 0:
            wire = wire._replace(right=wire.right + messages)
        else:
            wire = wire._replace(left=wire.left + messages)
        wires[self.stage.ends[end][0]] = wire
        return tuple(wires)

    def honest_moves(self, world: World, end: int) -> Iterator[Move]:
        wire = world.wires[self.stage.ends[end][0]]
        assert wire is not None
        online = wire.online[self.side(end)] or not self.rules.wait_online
        if not wire.up or not online or wire.awaits[self.side(end)]:
            return
        view = world.views[end]
        after, what = flush(view, self.stage.books[end], self.sight(world, end), self.rules)
        if what == "update":
            wires = self.post(world, end, ("update", after.mine_v, view.theirs_v, after.mine))
        elif what == "ack":
            wires = self.post(world, end, ("ack", after.mine_v))
        else:
            wires = world.wires
        if what:
            label = (what, end, after.mine_v)
            yield Move(label, self.change(world, end, after, wires=wires), unsound(view, after), plot=False)

    def wire_moves(self, world: World, channel: int) -> Iterator[Move]:
        wire = world.wires[channel]
        assert wire is not None
        ends = [self.stage.end_of[channel, node] for node in self.scene.channels[channel]]
        if not wire.up:
            yield Move(("connect", channel), self.connected(world, channel, ends), plot=False)
            return
        if wire.right:
            rest = wire._replace(right=wire.right[1:])
            yield self.delivered(world, ends[1], wire.right[0], rest)
        if wire.left:
            rest = wire._replace(left=wire.left[1:])
            yield self.delivered(world, ends[0], wire.left[0], rest)
        if world.drops:
            unlucky = world._replace(drops=world.drops - 1)
            yield Move(("drop", channel), self.dropped(unlucky, channel, ends))

    def connected(self, world: World, channel: int, ends: list[int]) -> World:
        says = [("reestablish", world.views[end].mine_v, world.views[end].theirs_v) for end in ends]
        wire = Wire(True, (False, False), right=(says[0],), left=(says[1],))
        if not self.rules.wait_online:
            wire = Wire(True, (False, False))
        world = self.rewire(world, channel, wire)
        return self.shift(world, list(world.views), world.mind)

    def rewire(self, world: World, channel: int, wire: Wire) -> World:
        wires = list(world.wires)
        wires[channel] = wire
        return world._replace(wires=tuple(wires))

    def dropped(self, world: World, channel: int, ends: list[int]) -> World:
        """Everything on its way is lost; so it is if one end crashes, before or after it wrote."""
        views = list(world.views)
        for end in ends:
            views[end] = self.hung_up(views[end], end)
            if not self.rules.durable:
                views[end] = views[end]._replace(mine_v=views[end].theirs_v, mine=views[end].theirs)
        world = self.rewire(world, channel, Wire(False, (False, False)))
        nodes = tuple(self.stage.ends[end][1] for end in ends)
        return self.settle(world, views, nodes)

    def waited_enough(self, world: World) -> World:
        """A phase is longer than anybody waits for an answer on a live connection: then it is dropped.

        Where everything arrives within a phase there is nothing that this would bring.
        """
        if self.scene.prompt or not self.rules.hangs_up:
            return world
        for channel, wire in enumerate(world.wires):
            if wire is not None and wire.up:
                ends = [self.stage.end_of[channel, node] for node in self.scene.channels[channel]]
                if any(wire.awaits) or not all(answered(world.views[end]) for end in ends):
                    world = self.dropped(world, channel, ends)
        return world

    def delivered(self, world: World, end: int, message: tuple, wire: Wire) -> Move:
        channel, node = self.stage.ends[end]
        label = ("hears", end, message)
        world = self.rewire(world, channel, wire)
        view, side = world.views[end], self.side(end)
        if message[0] == "reestablish":
            return self.reestablished(world, end, message, label)
        if not wire.online[side]:
            return Move(label, world, EARLY, plot=False)
        mind = world.mind
        if message[0] == "ack":
            after, _ = receive_ack(view, message[1])
            wires = world.wires if not self.rules.echo else self.post(world, end, ("ack", after.mine_v))
            return Move(label, self.change(world, end, after, wires=wires), plot=False)
        update = Update(*message[1:])
        world = self.rewire(world, channel, wire._replace(awaits=both(wire.awaits, side, False)))
        sight, book = self.sight(world, end), self.stage.books[end]
        after, verdict = receive(view, update, book, sight, self.rules)
        for place, number in enumerate(self.stage.claims_of[channel]):
            lock = self.scene.claims[number].lock
            shown = book.pays[place] and at(update.holds, place) == PAID and lock is not None
            if shown and any(at(holds, place) == OPEN for holds in enforceable(view)):
                assert lock is not None
                mind = mind._replace(know=mind.know | self.stage.bit(node, lock))
        fault = LIAR if verdict == "violation" else ""
        return Move((*label, verdict), self.change(world, end, after, mind=mind), fault, plot=False)

    def reestablished(self, world: World, end: int, message: tuple, label: Label) -> Move:
        channel, _ = self.stage.ends[end]
        view, side = world.views[end], self.side(end)
        _, mine, theirs = message
        if mine < view.theirs_v or theirs > view.mine_v:
            return Move(label, world, LOST, plot=False)
        after, again = resend(view, theirs, self.rules)
        wire = world.wires[channel]
        assert wire is not None
        newest = max(view.mine_v, view.theirs_v, view.held[0] if view.held else 0)
        awaits = both(wire.awaits, side, mine > newest and self.rules.await_resend)
        if not wire.online[side]:
            again = [*again, ("reestablish", after.mine_v, after.theirs_v)]
        wire = wire._replace(online=both(wire.online, side, True), awaits=awaits)
        world = self.rewire(world, channel, wire)
        wires = self.post(world, end, *again)
        return Move(label, self.change(world, end, after, wires=wires), plot=False)


def both(flags: tuple[bool, bool], side: int, flag: bool) -> tuple[bool, bool]:
    """The flags of two sides with one of them set."""
    return (flag, flags[1]) if side == 0 else (flags[0], flag)
