"""An honest end of a channel whose other end is the adversary's, and everything that she may do to it.

She keeps every state that was signed, knows every secret of hers, proposes any legal batch of any version
that is not ignored, on any parent that is one, tells secrets, countersigns or does not, hangs up; or she is
silent.
"""

from collections.abc import Iterator
from itertools import product

from tests.model.moving import (
    FORTH,
    GONE,
    NEW,
    OPEN,
    PAID,
    Sight,
    Update,
    View,
    answered,
    at,
    child,
    enforceable,
    flush,
    put,
    receive,
    receive_ack,
    signed_by_me,
    unanswered,
)
from tests.model.reacting import CARRIED, DONE, Mind, unsigned_offers
from tests.model.world import LEAPS, Board, Label, Move, World, unsound


class AdversaryMoves(Board):
    def own_moves(self, world: World, end: int) -> Iterator[Move]:
        """What an honest node does towards the adversary: sign, countersign, lose a connection."""
        view, book, sight = world.views[end], self.stage.books[end], self.sight(world, end)
        for traffic in (False, True) if self.scene.traffic else (False,):
            if traffic and view.waiting:
                continue
            after, what = flush(view, book, sight, self.rules, traffic)
            if what and not self.withheld(world, end, after):
                fault = unsound(view, after)
                label = (what, end, after.mine_v, traffic)
                yield Move(label, self.change(world, end, after), fault, plot=traffic)
            if what == "update" and not self.rules.durable:
                forgotten = view._replace(ghost=(after.mine_v, after.mine))
                yield Move(("forgotten", end, after.mine_v), self.change(world, end, forgotten))
        if not self.scene.gives_up:
            return
        offers = unsigned_offers(view, book)
        lost = self.hung_up(view, end)
        if offers or lost != view:
            yield Move(("hang up", end), self.change(world, end, lost))
        if not answered(view) and not view.parent_signed:
            said = lost._replace(parent_signed=True)
            yield Move(("parent said again", end), self.change(world, end, said))
        if offers.bit_count() > 1:
            for place in range(len(book.pays)):
                if offers >> 2 * place & FORTH:
                    less = view._replace(waiting=view.waiting & ~(FORTH << 2 * place))
                    yield Move(("no room", end, place), self.change(world, end, less))

    def withheld(self, world: World, end: int, after: View) -> bool:
        """The bundle's hub signs nothing of the incoming bundle before the onward one is bound."""
        if not self.rules.withhold:
            return False
        for link in self.scene.links:
            node_end, place = self.stage.place(link.at, link.incoming)
            if node_end != end or at(after.mine, place) not in (OPEN, PAID) or link.onward is None:
                continue
            far, spot = self.stage.place(link.at, link.onward)
            if not all(at(holds, spot) in (OPEN, PAID) for holds in enforceable(world.views[far])):
                return True
            if len(enforceable(world.views[far])) > 1:
                return True
        return False

    def peer_moves(self, world: World, end: int) -> Iterator[Move]:
        view, node = world.views[end], self.stage.ends[end][1]
        book = self.stage.books[end]
        acked, done = receive_ack(view, view.mine_v)
        if done:
            yield Move(("peer acks", end, view.mine_v), self.change(world, end, acked))
            if self.rules.unsigned_no:
                yield from self.unsigned_refusals(world, end)
        sight = self.sight(world, end)
        key = (end, view, sight, world.mind.told)
        if key not in self._updates:
            self._updates[key] = list(self.peer_updates(end, view, sight, world.mind.told))
        for label, after, locks, fault in self._updates[key]:
            mind = world.mind
            for lock in locks:
                mind = mind._replace(know=mind.know | self.stage.bit(node, lock))
            if self.rules.sell_on_sight:
                mind = self.sold(mind, end, label[3])  # type: ignore[arg-type]
            if after is not view or mind != world.mind:
                yield Move(label, self.change(world, end, after, mind=mind), fault)
        for place, number in enumerate(self.stage.claims_of[self.stage.ends[end][0]]):
            lock = self.scene.claims[number].lock
            if lock is None or not self.can_tell(lock, world.mind.told):
                continue
            is_open = any(at(holds, place) == OPEN for holds in enforceable(view))
            if is_open and book.pays[place] and not world.mind.know & self.stage.bit(node, lock):
                mind = world.mind._replace(know=world.mind.know | self.stage.bit(node, lock))
                yield Move(("peer tells", end, place), self.change(world, end, view, mind=mind))

    def can_tell(self, lock: int, told: int) -> bool:
        return self.scene.owners[lock] is None or bool(told >> lock & 1)

    def peer_updates(
        self, end: int, view: View, sight: Sight, told: int
    ) -> Iterator[tuple[Label, View, tuple[int, ...], str]]:
        """Every update that is taken or kept, if the peer signs it: (label, after, secrets in it, fault)."""
        parents = {view.mine_v: view.mine}
        if signed_by_me(view) or not self.rules.parent_signed or self.rules.accept_lost:
            parents[view.theirs_v] = view.theirs
        top = max(view.mine_v, view.theirs_v)
        for parent, holds in parents.items():
            for after, locks in self.batches(end, holds, told):
                for version in self.versions(end, view, parent):
                    update = Update(version, parent, after)
                    taken, verdict = receive(view, update, self.stage.books[end], sight, self.rules)
                    if verdict in ("accepted", "held") or (self.rules.sell_on_sight and after != holds):
                        leap = version > top + 2 and verdict == "accepted"
                        fault = LEAPS if leap else ""
                        yield ("peer signs", end, tuple(update), after, verdict), taken, locks, fault

    def versions(self, end: int, view: View, parent: int) -> list[int]:
        """Every version that the peer could use and that is not ignored whatever it holds."""
        odd = 1 - self.stage.books[end].odd
        top = max(view.mine_v, view.theirs_v)
        if self.rules.accept_lost or self.rules.sell_on_sight:
            return [v for v in range(view.theirs_v + 1, top + 3) if v & 1 == odd or not self.rules.parity]
        legal = {child(parent, odd, self.rules), child(view.mine_v, odd, self.rules)}
        if self.rules.refusal == "unbounded":
            legal |= {version + 4 for version in legal}
        return sorted(version for version in legal if version > view.theirs_v)

    def batches(self, end: int, holds: int, told: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """What a batch of the peer's may make of a state, and the locks whose secrets it shows."""
        book, numbers = self.stage.books[end], self.stage.claims_of[self.stage.ends[end][0]]
        choices: list[list[int]] = []
        for place, number in enumerate(numbers):
            now, lock = at(holds, place), self.scene.claims[number].lock
            options = [now]
            if book.pays[place]:
                if now == OPEN:
                    options += [GONE, PAID] if lock is not None and self.can_tell(lock, told) else [GONE]
            elif book.push[place]:
                options += [PAID] if now == NEW else []
            elif now in (NEW, OPEN):
                options += [OPEN, GONE] if now == NEW else [GONE]
            choices.append(options)
        for chosen in product(*choices):
            after = sum(value << 2 * place for place, value in enumerate(chosen))
            if after == holds and not self.scene.traffic:
                continue
            locks = {
                self.scene.claims[numbers[place]].lock
                for place, value in enumerate(chosen)
                if book.pays[place] and value == PAID != at(holds, place)
            }
            yield after, tuple(lock for lock in locks if lock is not None)

    def unsigned_refusals(self, world: World, end: int) -> Iterator[Move]:
        """The variant in which an unsigned "no" counts: the onward claim is taken for dead."""
        node = self.stage.ends[end][1]
        for number, link in enumerate(self.scene.links):
            if link.at != node or link.onward is None or at(world.mind.links, number) != CARRIED:
                continue
            far, spot = self.stage.place(node, link.onward)
            near, place = self.stage.place(node, link.incoming)
            waits = world.views[near].waiting
            if far == end and at(unanswered(world.views[end], self.stage.books[end]), spot) and not waits:
                mind = world.mind._replace(links=put(world.mind.links, number, DONE))
                failing = world.views[near]._replace(waiting=put(waits, place, 2))
                yield Move(("peer says no", end), self.change(world, near, failing, mind=mind))

    def sold(self, mind: Mind, end: int, holds: int) -> Mind:
        links = mind.links
        for number, link in enumerate(self.scene.links):
            near, place = self.stage.place(link.at, link.incoming)
            if link.onward is None and near == end and at(holds, place) == PAID:
                links = put(links, number, DONE)
        return mind._replace(links=links)
