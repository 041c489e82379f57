"""The core and the model held against each other: states, versions, what waits, is held and is known."""

from channeld.core.claims import Side, State
from channeld.core.operations import Add, Expire, Fail, Fulfil
from channeld.core.records import Secret
from tests.model.moving import BACK, FORTH, GONE, OPEN, PAID, at, enforceable
from tests.model.play import Play
from tests.model.product import UNIT, Product, hash_of
from tests.model.reacting import NEVER
from tests.model.scenes import CALL
from tests.model.world import Move, World


class Compared(Product):
    """Bob's core beside the model."""

    def differences(self, world: World) -> list[str]:
        """Where the core and the model disagree."""
        found = []
        for end, (channel, node) in enumerate(self.stage.ends):
            found += self.compare_end(world, end, channel)
            for place, number in enumerate(self.stage.claims_of[channel]):
                lock = self.scene.claims[number].lock
                if lock is None or self.stage.books[end].pays[place]:
                    continue
                if at(world.views[end].theirs, place) != OPEN:
                    continue  # the core forgets a secret as soon as nobody owes bob anything for it
                knows = self.bob.tables.records[Secret].get(hash_of(lock)) is not None
                if knows != bool(world.mind.know & self.stage.bit(node, lock)):
                    found.append(f"lock {lock}: the core {'knows' if knows else 'does not know'} its secret")
        for key, (lock, _) in enumerate(self.stage.keys):
            if (hash_of(lock) in self.bob.tables.registered_s) != (world.mind.regs[key] != NEVER):
                found.append(f"lock {lock}: registered in one of the two only")
        return found

    def compare_end(self, world: World, end: int, channel: int) -> list[str]:
        view, record = world.views[end], self.channel(channel)
        pending = view.mine_v > view.theirs_v
        facts: list[tuple[str, object, object]] = [
            ("unanswered", not record.answered, pending),
            ("countersigned", record.mine.version == record.theirs.version, view.mine_v == view.theirs_v),
            ("theirs", self.holds(channel, record.theirs), self.told(channel, view.theirs)),
            ("waiting", self.waiting(world, end, channel), self.expected(world, end, channel)),
        ]
        held = self.bob.tables.held.get(record.channel_id)
        offset = record.theirs.version - view.theirs_v
        counts = held is not None and held.update.version > max(record.mine.version, record.theirs.version)
        facts.append(
            ("held", held.update.version - offset if counts and held else None, view.held and view.held[0])
        )
        if pending:
            facts += [
                ("mine", self.holds(channel, record.mine), self.told(channel, view.mine)),
                ("version", record.mine.version - offset, view.mine_v),
                ("parent signed", record.parent_signed, view.parent_signed),
            ]
        return [
            f"channel {channel}, {what}: {core} / {model}" for what, core, model in facts if core != model
        ]

    def holds(self, channel: int, state: State) -> tuple[int, dict[int, bool]]:
        """What a state of the core holds: what bob has gained, in thousands; what is open, locked or not."""
        sign = -1 if self.channel(channel).me is Side.A else 1
        is_open = {self.number_of(channel, c): c.hashlock is not None for c in state.claims.values()}
        return round(sign * state.net / UNIT), {n: locked for n, locked in is_open.items() if n is not None}

    def told(self, channel: int, holds: int) -> tuple[int, dict[int, bool]]:
        gained, is_open = 0, {}
        for place, number in enumerate(self.stage.claims_of[channel]):
            claim, state = self.scene.claims[number], at(holds, place)
            option = claim.pays[0][0] == CALL
            if state == OPEN or (state == PAID and option):
                is_open[number] = state == OPEN
            if state == PAID and not option:
                gained += (-1 if claim.payer == self.bob_number else 1) * self.amount(number) // UNIT
        return gained, is_open

    def waiting(self, world: World, end: int, channel: int) -> set[tuple[int, int]]:
        """What waits in the core, without fulfilments that it would drop because they are too late."""
        record = self.channel(channel)
        claims = {c.claim_id: c for state in record.enforceable for c in state.claims.values()}
        found: set[tuple[int, int]] = set()
        for operation in record.waiting:
            if isinstance(operation, Add):
                number = self.number_of(channel, operation.claim)
            elif isinstance(operation, Fulfil | Fail | Expire) and operation.claim_id in claims:
                number = self.number_of(channel, claims[operation.claim_id])
            else:
                continue
            if number is not None:
                found.add((number, FORTH if isinstance(operation, Add | Fulfil) else BACK))
        return self.lively(world, end, channel, found)

    def expected(self, world: World, end: int, channel: int) -> set[tuple[int, int]]:
        waiting = world.views[end].waiting
        found = {
            (number, op)
            for place, number in enumerate(self.stage.claims_of[channel])
            for op in (FORTH, BACK)
            if at(waiting, place) & op
        }
        return self.lively(world, end, channel, found)

    def lively(
        self, world: World, end: int, channel: int, found: set[tuple[int, int]]
    ) -> set[tuple[int, int]]:
        """Without what nobody could propose any more."""
        view, sight = world.views[end], self.play.sight(world, end)
        kept = set()
        for number, op in found:
            place = self.stage.claims_of[channel].index(number)
            bobs = self.scene.claims[number].payer == self.bob_number
            if op == FORTH and not bobs and not sight.give >> place & 1:
                continue
            if not (bobs and op == FORTH) and all(at(h, place) != OPEN for h in enforceable(view)):
                continue
            kept.add((number, op))
        return kept


def has_counterpart(play: Play, move: Move) -> bool:
    """Whether the product can be led along a move: a single offer is dropped only with its connection, and an
    expiry long before its time is no update to be kept but a violation."""
    if move.label[0] in ("no room", "hangs up"):
        return False
    if move.label[0] == "peer signs" and move.label[4] == "held":
        end = int(move.label[1])  # type: ignore[call-overload]
        held = move.world.views[end].held
        return held is not None and not any(
            at(held[2], place) == GONE and not pays for place, pays in enumerate(play.stage.books[end].pays)
        )
    if move.label[0] == "peer signs" and play.scene.begins:
        # A batch that lets the premium go and brings the option means what its order says.
        return not {OPEN, GONE} <= {at(int(move.label[3]), place) for place in range(2)}  # type: ignore[call-overload]
    return True
