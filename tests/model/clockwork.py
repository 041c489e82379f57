"""Time, the chain's registry of secrets, and blocks that are undone."""

from collections.abc import Iterator

from tests.model.moving import OPEN, at
from tests.model.reacting import NEVER, Mind, learn
from tests.model.wires import WireMoves
from tests.model.world import Move, World


class ChainMoves(WireMoves):
    def chain_moves(self, world: World) -> Iterator[Move]:
        mind, depth = world.mind, self.scene.depth
        for key, (lock, _) in enumerate(self.stage.keys):
            last = max(claim.deadline for claim in self.scene.claims if claim.lock == lock)
            mined = mind.sent[key] != NEVER
            known = self.adversary and self.can_tell(lock, mind.told) and mind.now <= last + depth
            if mind.regs[key] == NEVER:
                if mined and mind.now <= mind.sent[key] + self.scene.delay:
                    yield Move(("mined", key), self.registered(world, key, mind.now), plot=False)
                for phase in range(max(0, mind.now - depth + 1), mind.now) if known else ():
                    yield Move(("registered before", key, phase), self.registered(world, key, phase))
                if known and not mined:
                    yield Move(("register", key), self.registered(world, key, mind.now))
            elif mind.regs[key] > mind.now - depth and (
                not mined or mind.now < mind.sent[key] + self.scene.delay
            ):
                yield Move(("undone", key), self.registered(world, key, NEVER))

    def registered(self, world: World, key: int, phase: int) -> World:
        regs = list(world.mind.regs)
        regs[key] = phase
        return self.seen(world._replace(mind=world.mind._replace(regs=tuple(regs))), world.mind)

    def seen(self, world: World, before: Mind) -> World:
        """The chain or the clock has moved: everybody looks, and learns the secrets that are final now."""
        mind, views = world.mind, list(world.views)
        depth = 0 if self.rules.trust_head else self.scene.depth
        fresh = [
            key
            for key, phase in enumerate(mind.regs)
            if phase <= mind.now - depth and before.regs[key] > before.now - depth
        ]
        world = world._replace(mind=learn(self.stage, views, mind, fresh))
        return self.settle(world, views, self.scene.honest)

    def time_moves(self, world: World) -> Iterator[Move]:
        mind, skew = world.mind, self.scene.skew
        for node in self.scene.honest:
            if world.late[node]:
                late = list(world.late)
                late[node] = 0
                yield Move(("clock", node), self.seen(world._replace(late=tuple(late)), mind), plot=False)
        if mind.now >= self.scene.last or (skew and any(lag >= skew for lag in world.late)):
            return
        if self.scene.prompt and any(wire is not None and (wire.right or wire.left) for wire in world.wires):
            return
        waited = self.waited_enough(world)
        yield Move(("tick", mind.now + 1), self.ticked(waited, awake=True), plot=False)
        if self.scene.sleepy:
            yield Move(("overslept", mind.now + 1), self.ticked(waited, awake=False))

    def ticked(self, world: World, *, awake: bool) -> World:
        """A phase later. Whoever is awake registers what it must (R10), and what was submitted is mined."""
        mind, skew = world.mind, self.scene.skew
        regs, sent = list(mind.regs), list(mind.sent)
        for key in range(len(regs)):
            shown = regs[key] <= mind.now - (0 if self.rules.rest_on_head else self.scene.depth)
            if awake and not shown and sent[key] == NEVER and self.must_register(world, key):
                sent[key] = mind.now
            if regs[key] == NEVER and sent[key] != NEVER and mind.now >= sent[key] + self.scene.delay:
                regs[key] = mind.now
            if regs[key] != NEVER and regs[key] <= mind.now + 1 - self.scene.depth:
                sent[key] = NEVER  # it is final; who submitted it no longer matters
        ticked = mind._replace(now=mind.now + 1, regs=tuple(regs), sent=tuple(sent))
        honest = self.scene.honest
        late = tuple(lag + 1 if skew and node in honest else lag for node, lag in enumerate(world.late))
        return self.seen(world._replace(mind=ticked, late=late), mind)

    def must_register(self, world: World, key: int) -> bool:
        """R10: somebody is owed under a secret that it knows, no state signed by its peer pays it, and the
        last moment has come."""
        lock, chain = self.stage.keys[key]
        for end, (channel, node) in enumerate(self.stage.ends):
            now = world.mind.now - world.late[node]
            if self.scene.chain_of(channel) != chain or not world.mind.know & self.stage.bit(node, lock):
                continue
            for place, number in enumerate(self.stage.claims_of[channel]):
                claim = self.scene.claims[number]
                if claim.lock != lock or self.stage.books[end].pays[place]:
                    continue
                owed = at(world.views[end].theirs, place) == OPEN
                if owed and claim.deadline - self.scene.margin <= now <= claim.deadline:
                    return True
        return False
