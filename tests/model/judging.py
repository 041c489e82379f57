"""What an honest node could end with if everything went to the chain now, in the worst case.

The adversary picks for each channel one of the states that can still be enforced, and when each secret is
registered, within what the chain allows; the node registers what it knows and is owed, and answers on chain
with the newest state that it holds.
"""

from collections.abc import Iterator
from itertools import product

from tests.model.moving import OPEN, PAID, at, enforceable
from tests.model.play import Play
from tests.model.reacting import DONE, NEVER, Stage
from tests.model.world import World

Choices = tuple[tuple[tuple[int, ...], ...], ...]
Verdict = tuple[str, dict[str, int], tuple[int, ...], tuple[int, ...]]
"""Who, what it has gained of each asset, what each of its channels holds in the end, when secrets came."""


class Judge:
    def __init__(self, play: Play) -> None:
        self.play, self.stage, self.scene = play, play.stage, play.scene
        self._known: dict[tuple[object, ...], Verdict | None] = {}

    def loss(self, world: World) -> Verdict | None:
        """The first loss that an honest node could suffer in this world; who oversleeps may lose."""
        if self.scene.sleepy:
            return None
        for node in self.scene.honest:
            finals = tuple(self.finals(world, end) for end in self.stage.ends_at[node])
            mind = world.mind
            key = (node, finals, mind.now, mind.regs, mind.sent, mind.know, mind.told, mind.links)
            if key not in self._known:
                self._known[key] = self.worst(world, node, finals)
            if self._known[key] is not None:
                return self._known[key]
        return None

    def finals(self, world: World, end: int) -> tuple[tuple[int, ...], ...]:
        """What the adversary can choose between, and for each choice what the node can choose between."""
        view = world.views[end]
        if self.scene.consent:  # the node may keep what it has not countersigned yet to itself
            return ((view.mine, view.theirs),) if view.theirs_v > view.mine_v else ((view.mine,),)
        states = [(holds,) for holds in enforceable(view)]
        if view.ghost is not None and view.ghost[0] >= view.theirs_v:
            states.append((view.ghost[1],))
        return tuple(states)

    def worst(
        self, world: World, node: int, finals: tuple[tuple[tuple[int, ...], ...], ...]
    ) -> Verdict | None:
        for choice in product(*finals):
            for regs in self.registrations(world):
                losses = [self.loses(world, node, held, regs) for held in product(*choice)]
                if all(loss is not None for loss in losses):
                    return losses[0]
        return None

    def registrations(self, world: World) -> Iterator[tuple[int, ...]]:
        """Every outcome of the registry that the adversary can bring about from here."""
        mind, depth = world.mind, self.scene.depth
        options: list[list[int]] = []
        for key, (lock, _) in enumerate(self.stage.keys):
            phase = mind.regs[key]
            submitted = mind.sent[key] + self.scene.delay if mind.sent[key] != NEVER else NEVER
            last = max(claim.deadline for claim in self.scene.claims if claim.lock == lock)
            if phase <= mind.now - depth or (phase != NEVER and submitted <= mind.now):
                options.append([phase])
            elif self.play.can_tell(lock, mind.told) or phase != NEVER:
                first = max(0, mind.now - depth + 1)
                later = [*range(first, last + 1), NEVER]
                options.append(sorted({min(at_s, submitted) for at_s in later}))
            else:
                options.append([submitted])
        yield from product(*options)

    def loses(self, world: World, node: int, held: tuple[int, ...], regs: tuple[int, ...]) -> Verdict | None:
        regs = self.answered_on_chain(world, node, held, regs)
        gained: dict[str, int] = {}
        for end, holds in zip(self.stage.ends_at[node], held, strict=True):
            channel = self.stage.ends[end][0]
            for place, number in enumerate(self.stage.claims_of[channel]):
                claim = self.scene.claims[number]
                state = at(holds, place)
                live = False
                if state == OPEN and claim.lock is not None:
                    key = self.stage.keys.index((claim.lock, self.scene.chain_of(channel)))
                    live = regs[key] <= claim.deadline
                if state == PAID or live:
                    sign = -1 if claim.payer == node else 1
                    for asset, amount in claim.pays:
                        gained[asset] = gained.get(asset, 0) + sign * amount
        for number, link in enumerate(self.scene.links):
            if link.at == node and link.onward is None and at(world.mind.links, number) == DONE:
                for asset, amount in self.scene.claims[link.incoming].pays:
                    gained[asset] = gained.get(asset, 0) - amount
        return (self.scene.nodes[node], gained, held, regs) if self.bad(node, gained) else None

    def bad(self, node: int, gained: dict[str, int]) -> bool:
        if not self.scene.weights:
            own = [
                claim
                for claim in map(self.scene.claims.__getitem__, self.scene.begins)
                if claim.payer == node
            ]
            spent = sum(amount for claim in own for _, amount in claim.pays)
            return any(amount < -spent for amount in gained.values())
        return sum(weight * gained.get(asset, 0) for asset, weight in self.scene.weights) < 0

    def answered_on_chain(
        self, world: World, node: int, held: tuple[int, ...], regs: tuple[int, ...]
    ) -> tuple[int, ...]:
        """The node registers what it is owed as soon as it knows the secret (R10)."""
        mind, final = world.mind, list(regs)
        for key, (lock, chain) in enumerate(self.stage.keys):
            first = min(
                phase + self.scene.depth
                for other, phase in zip(self.stage.keys, regs, strict=True)
                if other[0] == lock
            )
            if mind.know & self.stage.bit(node, lock):
                first = mind.now
            by = max(first, mind.now) + self.scene.delay
            if by < final[key] and self.is_owed(node, held, lock, chain):
                final[key] = by
        return tuple(final)

    def is_owed(self, node: int, held: tuple[int, ...], lock: int, chain: int) -> bool:
        for end, holds in zip(self.stage.ends_at[node], held, strict=True):
            channel = self.stage.ends[end][0]
            if self.scene.chain_of(channel) != chain:
                continue
            for place, number in enumerate(self.stage.claims_of[channel]):
                mine = self.stage.books[end].pays[place]
                if self.scene.claims[number].lock == lock and not mine and at(holds, place) == OPEN:
                    return True
        return False


def is_settled(stage: Stage, world: World, channel: int) -> bool:
    """Whether the two honest ends of a channel agree, nothing is open, waiting or under way, and what was
    pushed has come (no connection was lost)."""
    left, right = (world.views[stage.end_of[channel, node]] for node in stage.scene.channels[channel])
    wire = world.wires[channel]
    assert wire is not None
    agreed = left[:4] == (left.mine_v, left.mine) * 2 and right[:4] == left[:4]
    quiet = not (left.waiting or right.waiting or left.held or right.held or wire.right or wire.left)
    is_open = any(at(left.theirs, place) == OPEN for place in range(len(stage.claims_of[channel])))
    keeps_up = stage.scene.prompt and not stage.scene.drops
    pushed = all(
        at(left.theirs, place) == PAID
        for place, number in enumerate(stage.claims_of[channel])
        if stage.scene.claims[number].lock is None and number in stage.scene.begins and keeps_up
    )
    return wire.up and all(wire.online) and agreed and quiet and not is_open and pushed
