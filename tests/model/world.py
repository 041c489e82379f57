"""Everything that can happen next: honest ends, an adversary around them, the chain, time, and bad luck.

Versions matter only by order and parity, so each channel's are shifted down: the space is finite without a
bound on how long the story is.
"""

from typing import NamedTuple

from tests.model.moving import FORTH, Rules, Sight, View, at, child, unanswered
from tests.model.reacting import NEVER, Mind, Stage, react, unsigned_offers
from tests.model.scenes import Scene


class Wire(NamedTuple):
    """Between two honest ends: whether it is up, who is online on it (left, right), who waits for a proposal
    that the other has announced, and what is on its way."""

    up: bool = True
    online: tuple[bool, bool] = (True, True)
    awaits: tuple[bool, bool] = (False, False)
    right: tuple[tuple, ...] = ()
    left: tuple[tuple, ...] = ()


class World(NamedTuple):
    views: tuple[View, ...]
    mind: Mind
    wires: tuple[Wire | None, ...] = ()
    late: tuple[int, ...] = ()
    drops: int = 0


Label = tuple[object, ...]

TWICE = "a version is signed twice"
LEAPS = "a version leaps"
LIAR = "an honest peer breaks the protocol"
EARLY = "an honest peer speaks before it is online"
LOST = "an honest peer has lost what it signed"


class Move(NamedTuple):
    """What happens and what is then; `fault` says which rule it shows broken. `plot`: it needs an adversary,
    or bad luck; a story must end well without any more of these."""

    label: Label
    world: World
    fault: str = ""
    plot: bool = True


class Board:
    """A scene under some rules: how it begins, and what follows from a change."""

    def __init__(self, scene: Scene, rules: Rules | None = None) -> None:
        self.scene = scene
        self.rules = rules or Rules()
        self.stage = Stage(scene, self.rules)
        self._updates: dict[tuple[int, View, Sight, int], list[tuple[Label, View, tuple[int, ...], str]]] = {}
        self._shifted: dict[tuple[int, View], View] = {}
        self._reactions: dict[tuple[object, ...], tuple[tuple[View, ...], Mind]] = {}
        self.wired = [
            all(node in scene.honest for node in pair) and pair[0] != pair[1] for pair in scene.channels
        ]
        self.adversary = any(node not in scene.honest for node in range(len(scene.nodes)))

    def begin(self) -> World:
        views = [View() for _ in self.stage.ends]
        for claim in self.scene.begins:
            end, place = self.stage.place(self.scene.claims[claim].payer, claim)
            views[end] = views[end]._replace(waiting=views[end].waiting | FORTH << 2 * place)
        never = (NEVER,) * len(self.stage.keys)
        wires = tuple(Wire() if wired else None for wired in self.wired)
        late = (0,) * len(self.scene.nodes)
        world = World(tuple(views), Mind(0, never, never), wires, late, self.scene.drops)
        return self.settle(world, list(views), self.scene.honest)

    # --- after each move ------------------------------------------------------------------------------

    def settle(self, world: World, views: list[View], nodes: tuple[int, ...]) -> World:
        """Let the nodes that something happened to act, and write the versions down anew."""
        mind = world.mind
        for node in nodes:
            ends = self.stage.ends_at[node]
            offline = self.offline(world, node)
            key = (node, tuple(views[end] for end in ends), mind, world.late[node], offline)
            known = self._reactions.get(key)
            if known is None:
                mind = react(self.stage, views, mind, node, world.late[node], offline)
                self._reactions[key] = (tuple(views[end] for end in ends), mind)
            else:
                for end, view in zip(ends, known[0], strict=True):
                    views[end] = view
                mind = known[1]
        return self.shift(world, views, mind)

    def offline(self, world: World, node: int) -> tuple[int, ...]:
        """The ends of a node on which its honest peer has not yet said what it holds."""
        found = []
        for end in self.stage.ends_at[node]:
            channel = self.stage.ends[end][0]
            wire = world.wires[channel] if self.wired[channel] else None
            side = int(self.scene.channels[channel][1] == node)
            if wire is not None and not (wire.up and wire.online[side]):
                found.append(end)
        return tuple(found)

    def shift(self, world: World, views: list[View], mind: Mind) -> World:
        """The world with these views and minds, its versions written down anew."""
        wires = world.wires
        for channel, wired in enumerate(self.wired):
            if wired:
                left, right = (self.stage.end_of[channel, node] for node in self.scene.channels[channel])
                views[left], views[right], wire = shift_wired(views[left], views[right], wires[channel])
                wires = (*wires[:channel], wire, *wires[channel + 1 :])
        for end, (channel, _) in enumerate(self.stage.ends):
            if not self.wired[channel]:
                view = views[end]
                known = self._shifted.get((end, view))
                if known is None:
                    known = shift_alone(view, self.stage.books[end].odd, self.rules)
                    self._shifted[end, view] = known
                views[end] = known
        return World(tuple(views), mind, wires, world.late, world.drops)

    def change(self, world: World, end: int, view: View, **other: object) -> World:
        """One end has changed: its node acts."""
        views = list(world.views)
        views[end] = view
        node = self.stage.ends[end][1]
        return self.settle(world._replace(**other), views, (node,))  # type: ignore[arg-type]

    def sight(self, world: World, end: int) -> Sight:
        now = world.mind.now - world.late[self.stage.ends[end][1]]
        return self.stage.sight(end, now, world.mind.regs)

    def hung_up(self, view: View, end: int) -> View:
        """Without the offers that nobody signed, and without what was held."""
        book = self.stage.books[end]
        dropped = unsigned_offers(view, book)
        waiting = view.waiting & ~dropped
        for claim, repeated in self.scene.again:
            place, spot = (self.stage.claims_of[self.stage.ends[end][0]].index(c) for c in (claim, repeated))
            doubtful = at(unanswered(view, book), place) & FORTH and self.rules.push_again
            if dropped >> 2 * place & FORTH or doubtful:
                waiting |= FORTH << 2 * spot  # whoever asked for it is told, and asks once more
        return view._replace(waiting=waiting, held=None)


def unsound(before: View, after: View) -> str:
    """R2, R3: never two states of one version, never more than the next one."""
    signed = [(before.mine_v, before.mine), *([] if before.ghost is None else [before.ghost])]
    if any(after.mine_v <= version and after.mine != holds for version, holds in signed):
        return TWICE
    known = max(before.theirs_v, before.mine_v, before.held[0] if before.held else before.theirs_v)
    return LEAPS if after.mine_v > known + 2 else ""


def shift_alone(view: View, odd: int, rules: Rules) -> View:
    """Versions towards an adversary: only the order counts, and an old `mine` is no parent any more."""
    mine_v, mine, held, ghost = view.mine_v, view.mine, view.held, view.ghost
    if mine_v < view.theirs_v and child(mine_v, 1 - odd, rules) <= view.theirs_v:
        mine_v, mine = view.theirs_v - 1, 0
    down = view.theirs_v // 2 * 2 if rules.parity else view.theirs_v
    if held is not None:
        held = None if held[0] <= max(mine_v, view.theirs_v) else (held[0] - down, held[1] - down, held[2])
    if ghost is not None:
        ghost = None if ghost[0] < view.theirs_v else (ghost[0] - down, ghost[1])
    signed = view.parent_signed or view.mine_v <= view.theirs_v
    return View(mine_v - down, mine, view.theirs_v - down, view.theirs, signed, view.waiting, held, ghost)


def shift_wired(left: View, right: View, wire: Wire | None) -> tuple[View, View, Wire]:
    """Versions between two honest ends: all of them, also those on their way, by the same even number."""
    assert wire is not None
    versions = [v for view in (left, right) for v in (view.mine_v, view.theirs_v)]
    versions += [view.held[1] for view in (left, right) if view.held is not None]
    for message in wire.right + wire.left:
        versions += message[1:3] if message[0] in ("update", "reestablish") else message[1:2]
    down = min(versions) // 2 * 2
    if down == 0:
        return left, right, wire

    def lower(view: View) -> View:
        held = None if view.held is None else (view.held[0] - down, view.held[1] - down, view.held[2])
        return view._replace(mine_v=view.mine_v - down, theirs_v=view.theirs_v - down, held=held)

    def less(message: tuple) -> tuple:
        if message[0] == "ack":
            return ("ack", message[1] - down)
        return (message[0], message[1] - down, message[2] - down, *message[3:])

    right_way, left_way = tuple(map(less, wire.right)), tuple(map(less, wire.left))
    return lower(left), lower(right), wire._replace(right=right_way, left=left_way)
