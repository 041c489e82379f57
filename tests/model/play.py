"""All moves together."""

from collections.abc import Iterator

from tests.model.adversary import AdversaryMoves
from tests.model.clockwork import ChainMoves
from tests.model.moving import Update, receive
from tests.model.world import LIAR, Move, World


class Play(AdversaryMoves, ChainMoves):
    """The moves of a scene under some rules."""

    def moves(self, world: World) -> Iterator[Move]:
        for end, (channel, _) in enumerate(self.stage.ends):
            if self.wired[channel]:
                yield from self.honest_moves(world, end)
            else:
                yield from self.own_moves(world, end)
                yield from self.peer_moves(world, end)
            yield from self.look_again(world, end)
        for channel, wired in enumerate(self.wired):
            if wired:
                yield from self.wire_moves(world, channel)
        yield from self.chain_moves(world)
        yield from self.time_moves(world)

    def look_again(self, world: World, end: int) -> Iterator[Move]:
        """R5: an update that came at the wrong time may be right now."""
        view = world.views[end]
        if view.held is None:
            return
        update = Update(*view.held)
        after, verdict = receive(view, update, self.stage.books[end], self.sight(world, end), self.rules)
        fault = LIAR if self.wired[self.stage.ends[end][0]] else ""
        if verdict == "violation":
            dropped = view._replace(held=None)
            yield Move(("looks again", end, verdict), self.change(world, end, dropped), fault, plot=False)
        elif after != view:
            yield Move(("looks again", end, verdict), self.change(world, end, after), plot=False)
