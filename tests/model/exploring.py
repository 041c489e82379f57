"""The search: every state once, breadth first, each packed into one number; and random walks."""

import gc
import random
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from time import process_time

from tests.model.judging import Judge, is_settled
from tests.model.moving import at
from tests.model.play import Play
from tests.model.reacting import Mind
from tests.model.world import Label, World

STUCK = "nothing can happen any more, and a channel is not settled"
ROUND = "honest nodes can go round for ever"


@dataclass
class Found:
    """What a search came to. `complete`: every state that can be reached was looked at."""

    states: int = 0
    moves: int = 0
    complete: bool = True
    depth: int = 0
    fault: str = ""
    trace: list[Label] = field(default_factory=list)
    seconds: float = 0.0

    def told(self) -> str:
        how = "complete" if self.complete else f"all to depth {self.depth}" if self.depth else "random walks"
        what = self.fault or "none"
        return f"{self.states:>9,} states {self.moves:>10,} moves, {how}, {self.seconds:.0f} s: {what}"


class Packer:
    """A world as one number: each part by its place in a table of the parts seen so far."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self._numbers: dict[Hashable, int] = {}
        self._swapped: dict[tuple[int, Hashable], Hashable] = {}

    def number(self, part: Hashable) -> int:
        return self._numbers.setdefault(part, len(self._numbers))

    def pack(self, world: World) -> int:
        packed = self._pack(world)
        for swap in range(len(self.play.scene.swaps)):
            packed = min(packed, self._pack(self.swap(world, swap)))
        return packed

    def _pack(self, world: World) -> int:
        packed = world.drops
        for part in (*world.views, world.mind, world.wires, world.late):
            packed = packed << 22 | self.number(part)
        return packed

    def swap(self, world: World, swap: int) -> World:
        """The same world with claims that are alike in each other's places: it has the same future."""
        views = tuple(self._swap_view(view, end, swap) for end, view in enumerate(world.views))
        key = (swap, world.mind)
        if key not in self._swapped:
            self._swapped[key] = self._swap_mind(world.mind, self.play.scene.swaps[swap])
        mind = self._swapped[key]
        assert isinstance(mind, Mind)
        return world._replace(views=views, mind=mind)

    def _swap_view(self, view: object, end: int, swap: int) -> object:
        key = (swap << 8 | end, view)
        if key not in self._swapped:
            order = self.play.scene.swaps[swap]
            numbers = self.play.stage.claims_of[self.play.stage.ends[end][0]]
            places = [numbers.index(order[number]) for number in numbers]

            def moved(bits: int) -> int:
                return sum(at(bits, place) << 2 * to for place, to in enumerate(places))

            held = view.held and (view.held[0], view.held[1], moved(view.held[2]))
            self._swapped[key] = view._replace(
                mine=moved(view.mine), theirs=moved(view.theirs), waiting=moved(view.waiting), held=held
            )
        return self._swapped[key]

    def _swap_mind(self, mind: Mind, order: tuple[int, ...]) -> Mind:
        """Locks and links follow from their claims."""
        scene, stage = self.play.scene, self.play.stage
        lock_of = {c.lock: scene.claims[order[number]].lock for number, c in enumerate(scene.claims)}
        keys = [stage.keys.index((lock_of[lock], chain)) for lock, chain in stage.keys]
        incoming = [link.incoming for link in scene.links]
        links, know, told = 0, 0, 0
        for number, link in enumerate(scene.links):
            links |= at(mind.links, number) << 2 * incoming.index(order[link.incoming])
        for node in range(len(scene.nodes)):
            for lock in range(stage.locks):
                if mind.know & stage.bit(node, lock):
                    know |= stage.bit(node, lock_of[lock])
        for lock in range(stage.locks):
            told |= (mind.told >> lock & 1) << lock_of[lock]
        regs, sent = list(mind.regs), list(mind.sent)
        for key, to in enumerate(keys):
            regs[to], sent[to] = mind.regs[key], mind.sent[key]
        return Mind(mind.now, tuple(regs), tuple(sent), know, told, links)


class Search:
    """Breadth first over a play. With `onward` it also collects where honest moves lead."""

    def __init__(self, play: Play, *, onward: bool = False) -> None:
        self.play, self.judge, self.packer = play, Judge(play), Packer(play)
        self.parents: dict[int, int] = {}
        self.onward: dict[int, list[int]] | None = {} if onward else None
        self.found = Found()

    def run(self, limit: int) -> Found:
        gc.disable()  # nothing here is part of a circle, and there are millions of tuples
        try:
            return self._run(limit)
        finally:
            gc.enable()

    def _run(self, limit: int) -> Found:
        started, found = process_time(), self.found
        first = self.play.begin()
        self.parents[self.packer.pack(first)] = -1
        queue = deque([(first, self.packer.pack(first), 0)])
        while queue and not found.fault:
            world, key, found.depth = queue.popleft()
            if loss := self.judge.loss(world):
                self.caught(key, f"{loss[0]} ends with {loss[1]}")
            elif found.complete:
                for after, there in self.expand(world, key):
                    queue.append((there, after, found.depth + 1))
                found.complete = len(self.parents) < limit
        found.complete &= not found.fault
        found.states, found.seconds = len(self.parents), process_time() - started
        return found

    def expand(self, world: World, key: int) -> list[tuple[int, World]]:
        """The worlds that nobody has been to yet."""
        fresh: list[tuple[int, World]] = []
        honest: list[int] = []
        for move in self.play.moves(world):
            self.found.moves += 1
            if move.fault:
                self.caught(key, move.fault, move.label)
                return []
            after = self.packer.pack(move.world)
            if not move.plot and after != key:
                honest.append(after)
            if after not in self.parents:
                self.parents[after] = key
                fresh.append((after, move.world))
        if self.onward is not None:
            self.onward[key] = honest
            if not honest and _stuck(self.play, world):
                self.caught(key, STUCK)
        return fresh

    def caught(self, key: int, fault: str, *last: Label) -> None:
        """Tell how it came to this."""
        path = [key]
        while self.parents[path[-1]] >= 0:
            path.append(self.parents[path[-1]])
        self.found.fault = fault
        self.found.trace = [*self.retrace(path[::-1]), *last]

    def retrace(self, path: list[int]) -> list[Label]:
        world, labels = self.play.begin(), []
        for key in path[1:]:
            move = next(move for move in self.play.moves(world) if self.packer.pack(move.world) == key)
            labels.append(move.label)
            world = move.world
        return labels


def explore(play: Play, limit: int = 10**9) -> Found:
    """To a fixed point, or to `limit` states; stops at the first fault."""
    return Search(play).run(limit)


def walk(play: Play, runs: int, steps: int, seed: int = 1) -> Found:
    """Seeded random walks: not exhaustive. Time passes seldom, so that the stories are long."""
    started, chance = process_time(), random.Random(seed)
    judge, packer, seen, found = Judge(play), Packer(play), set(), Found(complete=False)
    for _ in range(runs):
        world, trace = play.begin(), []
        for _ in range(steps):
            moves = list(play.moves(world))
            if not moves:
                break
            calm = [move for move in moves if move.label[0] not in ("tick", "register")]
            move = chance.choice(calm if calm and chance.random() < 0.9 else moves)
            world = move.world
            trace.append(move.label)
            found.moves += 1
            seen.add(packer.pack(world))
            loss = judge.loss(world)
            if move.fault or loss:
                found.fault, found.trace = move.fault or f"{loss[0]} ends with {loss[1]}", trace
                found.states = len(seen)
                return found
    found.states, found.seconds = len(seen), process_time() - started
    return found


def resolves(play: Play, limit: int = 10**9) -> Found:
    """Liveness: from every state, whatever happens without an adversary or more bad luck ends, and ends well.

    Without those moves the states must have no circle; then every story comes to a state that has no move,
    and in each of these the channels between honest nodes must be settled. That needs no fairness beyond
    "something happens as long as something can".
    """
    search = Search(play, onward=True)
    found = search.run(limit)
    assert search.onward is not None
    if found.complete and (circles := _on_circles(search.onward)):
        search.caught(min(circles, key=list(search.parents).index), ROUND)
    return found


def _stuck(play: Play, world: World) -> bool:
    wired = [channel for channel, wired in enumerate(play.wired) if wired]
    return not all(is_settled(play.stage, world, channel) for channel in wired)


def _on_circles(onward: dict[int, list[int]]) -> set[int]:
    """What is left when states that nothing leads to are taken away again and again, and those that lead
    nowhere: the circles, and what lies between them."""
    left = set(onward)
    for graph in (onward, _backward(onward)):
        leading = dict.fromkeys(left, 0)
        for key in left:
            for after in graph[key]:
                if after in left:
                    leading[after] += 1
        ready = [key for key in left if leading[key] == 0]
        while ready:
            key = ready.pop()
            left.discard(key)
            for after in graph[key]:
                if after in left:
                    leading[after] -= 1
                    if leading[after] == 0:
                        ready.append(after)
    return left


def _backward(onward: dict[int, list[int]]) -> dict[int, list[int]]:
    turned: dict[int, list[int]] = {key: [] for key in onward}
    for key, successors in onward.items():
        for after in successors:
            turned[after].append(key)
    return turned
