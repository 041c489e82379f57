"""What an honest node does about what its channels hold: R6, R7, R10, R13 and R14.

All of it happens in the very step that gave rise to it, as in the core: so it costs no states.
"""

from typing import NamedTuple

from tests.model.moving import (
    BACK,
    FORTH,
    NEW,
    OPEN,
    PAID,
    Book,
    Rules,
    Sight,
    View,
    at,
    enforceable,
    put,
    unanswered,
)
from tests.model.scenes import CALL, Scene

IDLE, CARRIED, LET_GO, DONE = range(4)
"""What became of a link: nothing yet, carried on, answered backwards, paid."""

NEVER = 99
"""The phase at which a secret was registered that was not."""


class Mind(NamedTuple):
    """What the honest nodes know beside their channels, and what the chain holds.

    `know` has a bit for each node and lock; `told` one for each lock whose owner has let it out; `links` two
    bits each. `regs` and `sent` are the phases at which each key was registered, and at which an honest node
    first submitted it.
    """

    now: int
    regs: tuple[int, ...]
    sent: tuple[int, ...]
    know: int = 0
    told: int = 0
    links: int = 0


class Stage:
    """A scene and rules, with everything that follows from them looked up once."""

    def __init__(self, scene: Scene, rules: Rules) -> None:
        self.scene, self.rules = scene, rules
        self.keys = scene.keys
        self.locks = len(scene.owners)
        self.claims_of = [
            [number for number, claim in enumerate(scene.claims) if claim.channel == channel]
            for channel in range(len(scene.channels))
        ]
        self.ends = [
            (channel, node)
            for channel, pair in enumerate(scene.channels)
            for node in dict.fromkeys(pair)
            if node in scene.honest
        ]
        self.end_of = {end: number for number, end in enumerate(self.ends)}
        self.books = [self._book(channel, node) for channel, node in self.ends]
        self.ends_at = {node: [self.end_of[e] for e in self.ends if e[1] == node] for node in scene.honest}
        self._sights: dict[tuple[int, int, tuple[int, ...]], Sight] = {}

    def _book(self, channel: int, node: int) -> Book:
        claims = [self.scene.claims[number] for number in self.claims_of[channel]]
        odd = int(self.scene.channels[channel][1] == node) ^ int(channel in self.scene.flipped)
        pays = tuple(claim.payer == node for claim in claims)
        return Book(odd, pays, tuple(claim.lock is None for claim in claims))

    def place(self, node: int, claim: int) -> tuple[int, int]:
        """Where a node finds a claim: which end, and which of its claims."""
        channel = self.scene.claims[claim].channel
        return self.end_of[channel, node], self.claims_of[channel].index(claim)

    def bit(self, node: int, lock: int) -> int:
        return 1 << node * self.locks + lock

    def sight(self, end: int, now: int, regs: tuple[int, ...]) -> Sight:
        """What an end sees at phase `now` of its own clock."""
        found = self._sights.get((end, now, regs))
        if found is None:
            found = self._sights[end, now, regs] = self._look(end, now, regs)
        return found

    def _look(self, end: int, now: int, regs: tuple[int, ...]) -> Sight:
        scene, rules = self.scene, self.rules
        masks = [0] * 6
        channel = self.ends[end][0]
        seen = now if rules.trust_head else now - scene.depth
        over = now if rules.expire_at_head else now - scene.depth
        for place, number in enumerate(self.claims_of[channel]):
            claim = scene.claims[number]
            if claim.lock is None:
                masks[3] |= 1 << place
                continue
            reg = regs[self.keys.index((claim.lock, scene.chain_of(channel)))]
            in_time = reg <= min(claim.deadline, seen)
            early = claim.deadline - scene.margin
            facts = (
                in_time or now <= early,
                in_time or now + scene.skew <= early,
                over > claim.deadline and not (reg <= claim.deadline and reg <= over),
                now <= claim.deadline,
                now <= early - scene.margin,
                any(r <= seen for key, r in zip(self.keys, regs, strict=True) if key[0] == claim.lock),
            )
            for kind, fact in enumerate(facts):
                masks[kind] |= fact << place
        return Sight(*masks)


def interested(stage: Stage, views: list[View], node: int, lock: int) -> bool:
    """Whether some claim under this lock is open for a node, or an offer of its own waits."""
    for end in stage.ends_at[node]:
        for place, number in enumerate(stage.claims_of[stage.ends[end][0]]):
            if stage.scene.claims[number].lock != lock:
                continue
            view = views[end]
            if any(at(holds, place) == OPEN for holds in enforceable(view)):
                return True
            if stage.books[end].pays[place] and at(view.waiting, place) & FORTH:
                return True
    return False


def learn(stage: Stage, views: list[View], mind: Mind, keys: list[int]) -> Mind:
    """The chain has shown these secrets for good (R10): whoever has a claim under one takes it."""
    know = mind.know
    for key in keys:
        lock = stage.keys[key][0]
        for node in stage.scene.honest:
            if interested(stage, views, node, lock):
                know |= stage.bit(node, lock)
    return mind._replace(know=know)


class _Step:
    """One reaction of one node, to its fixed point."""

    def __init__(
        self, stage: Stage, views: list[View], mind: Mind, node: int, now: int, offline: tuple[int, ...]
    ) -> None:
        self.stage, self.views, self.mind, self.node, self.now = stage, views, mind, node, now
        self.offline = offline
        self.know, self.told, self.links = mind.know, mind.told, mind.links

    def sight(self, end: int) -> Sight:
        return self.stage.sight(end, self.now, self.mind.regs)

    def knows(self, lock: int | None) -> bool:
        return lock is not None and bool(self.know & self.stage.bit(self.node, lock))

    def queue(self, end: int, place: int, op: int) -> None:
        view = self.views[end]
        self.views[end] = view._replace(waiting=view.waiting | op << 2 * place)

    def answering(self, end: int, place: int) -> bool:
        """Whether an answer to a claim is on its way: unanswered or waiting."""
        view, book = self.views[end], self.stage.books[end]
        answers = BACK if book.pays[place] else FORTH | BACK
        return bool((at(view.waiting, place) | at(unanswered(view, book), place)) & answers)

    def let_go(self, claim: int) -> None:
        """Fail a claim that we are owed, unless it is answered already or its secret is known."""
        end, place = self.stage.place(self.node, claim)
        owed = at(self.views[end].theirs, place) == OPEN
        if owed and not self.answering(end, place) and not self.knows(self.stage.scene.claims[claim].lock):
            self.queue(end, place, BACK)

    def run(self) -> None:
        for number, link in enumerate(self.stage.scene.links):
            if link.at == self.node:
                self.follow(number)
        for node, claim in self.stage.scene.reveals:
            if node == self.node:
                self.reveal(claim)
        for end in self.stage.ends_at[self.node]:
            self.expire(end)
        for number, link in enumerate(self.stage.scene.links):
            if link.at == self.node and at(self.links, number) == CARRIED:
                self.answer_back(number)
        for end in self.stage.ends_at[self.node]:
            self.collect(end)
        for lock in range(self.stage.locks):
            if self.knows(lock) and not interested(self.stage, self.views, self.node, lock):
                self.know &= ~self.stage.bit(self.node, lock)

    def follow(self, number: int) -> None:
        """R6: carry on what is accepted, the moment it is."""
        stage, link = self.stage, self.stage.scene.links[number]
        end, place = stage.place(self.node, link.incoming)
        if at(self.links, number) != IDLE:
            return
        states = enforceable(self.views[end]) if stage.rules.act_on_all else (self.views[end].theirs,)
        if link.onward is None:
            if all(at(holds, place) == PAID for holds in states):
                self.links = put(self.links, number, DONE)
            return
        if not all(at(holds, place) == OPEN for holds in states):
            return
        far, spot = stage.place(self.node, link.onward)
        if self.knows(stage.scene.claims[link.incoming].lock):
            self.links = put(self.links, number, DONE)
            return
        lone = link.needs is not None and at(self.links, link.needs) != CARRIED
        room = self.sight(far).room >> spot & 1 and far not in self.offline
        if self.sight(end).public >> place & 1 or lone or not room:
            self.links = put(self.links, number, LET_GO)
            self.let_go(link.incoming)
            return
        self.links = put(self.links, number, CARRIED)
        self.queue(far, spot, FORTH)

    def reveal(self, claim: int) -> None:
        """The payee of its own secret takes what has arrived, or lets it go when it is too late for that."""
        end, place = self.stage.place(self.node, claim)
        lock = self.stage.scene.claims[claim].lock
        assert lock is not None
        if at(self.views[end].theirs, place) != OPEN or self.knows(lock) or self.answering(end, place):
            return
        option = self.stage.scene.claims[claim].pays[0][0] == CALL
        timely = self.sight(end).give if option else self.sight(end).room
        if timely >> place & 1 and self.still_pays(lock):
            self.know |= self.stage.bit(self.node, lock)
            self.told |= 1 << lock
        else:
            self.let_go(claim)

    def still_pays(self, lock: int) -> bool:
        """Whether the premium that this node offered is not gone: else there is no trade any more."""
        for claim in self.stage.scene.begins:
            known = self.stage.scene.claims[claim]
            if known.payer == self.node and known.lock == lock:
                end, place = self.stage.place(self.node, claim)
                view, book = self.views[end], self.stage.books[end]
                offered = (at(view.waiting, place) | at(unanswered(view, book), place)) & FORTH
                return bool(offered) or at(view.theirs, place) == OPEN
        return True

    def expire(self, end: int) -> None:
        """What we owe and nobody claimed in time comes back; what was never signed is off."""
        book, sight = self.stage.books[end], self.sight(end)
        if not sight.expire:
            return
        for place, pays in enumerate(book.pays):
            if not pays or not sight.expire >> place & 1:
                continue
            view = self.views[end]
            if at(view.waiting, place) == FORTH:
                self.views[end] = view._replace(waiting=put(view.waiting, place, 0))
            elif any(at(holds, place) == OPEN for holds in enforceable(view)) and not self.answering(
                end, place
            ):
                self.queue(end, place, BACK)

    def answer_back(self, number: int) -> None:
        """R7: only when the onward claim is nowhere any more, or over for good."""
        stage, rules, link = self.stage, self.stage.rules, self.stage.scene.links[number]
        assert link.onward is not None
        far, spot = stage.place(self.node, link.onward)
        view, book = self.views[far], stage.books[far]
        if at(view.theirs, spot) == PAID:
            self.links = put(self.links, number, DONE)
            return
        offered = at(view.waiting, spot) & FORTH
        if rules.back_early:
            gone = not offered and at(view.theirs, spot) != OPEN
        else:
            offered |= at(unanswered(view, book), spot) & FORTH
            gone = not offered and all(at(holds, spot) not in (OPEN, PAID) for holds in enforceable(view))
        if not gone and not self.sight(far).expire >> spot & 1:
            return
        self.give_up(number)

    def give_up(self, number: int) -> None:
        """An onward claim is dead: its incoming one goes back, and that alone."""
        stage, rules, link = self.stage, self.stage.rules, self.stage.scene.links[number]
        self.links = put(self.links, number, LET_GO)
        self.let_go(link.incoming)
        if rules.back_whole_trade and link.needs is not None:
            self.let_go(stage.scene.links[link.needs].incoming)
        if rules.back_by_lock:
            lock = stage.scene.claims[link.incoming].lock
            for other in stage.scene.links:
                if other.at == self.node and stage.scene.claims[other.incoming].lock == lock:
                    self.let_go(other.incoming)

    def collect(self, end: int) -> None:
        """R10: a known secret opens at once whatever it opens for us."""
        book, channel = self.stage.books[end], self.stage.ends[end][0]
        for place, number in enumerate(self.stage.claims_of[channel]):
            if book.pays[place] or at(self.views[end].theirs, place) != OPEN:
                continue
            timely = self.sight(end).give >> place & 1
            if timely and self.knows(self.stage.scene.claims[number].lock) and not self.answering(end, place):
                self.queue(end, place, FORTH)


def react(
    stage: Stage, views: list[View], mind: Mind, node: int, late: int = 0, offline: tuple[int, ...] = ()
) -> Mind:
    """Let one node act on what it holds; changes `views` in place. Its clock is `late` phases behind; on the
    ends in `offline` nothing can be offered."""
    while True:
        step = _Step(stage, views, mind, node, mind.now - late, offline)
        before = list(views)
        step.run()
        after = mind._replace(know=step.know, told=step.told, links=step.links)
        if after == mind and before == views:
            return after
        mind = after


def unsigned_offers(view: View, book: Book) -> int:
    """The offers and pushes among what waits, as bits of `waiting`: they go when the connection does."""
    offers = 0
    for place, pays in enumerate(book.pays):
        if pays and at(view.waiting, place) & FORTH and at(view.theirs, place) == NEW:
            offers |= FORTH << 2 * place
    return offers
