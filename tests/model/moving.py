"""One end of one channel, as small numbers: R1 to R5, R8, R9 and R12 of the design.

What the state of a channel holds is two bits a claim: nothing yet, open, paid, gone. From it follow the
running total (what is paid) and the list of claims (what is open). `channeld.core.channel` does the same
with money, signatures and bytes; a test drives the two side by side.
"""

from dataclasses import dataclass
from typing import NamedTuple

NEW, OPEN, PAID, GONE = range(4)
"""A claim in a state. A push goes from NEW to PAID at once; an option that is PAID has lost its hashlock."""

FORTH, BACK = 1, 2
"""What waits for a claim: to add or fulfil it, or to expire or fail it (two bits; both may wait)."""


@dataclass(frozen=True)
class Rules:
    """The rules as they are; each field that departs from its default is a variant that must be caught."""

    parity: bool = True  #             R2; else both sides sign the version after the parent's
    refusal: str = "bounded"  #        R8: "none" or "unbounded" leaps
    parent_signed: bool = True  #      R5: the parent is a state that we signed
    accept_lost: bool = False  #       a proposal below our own signature is taken
    act_on_all: bool = False  #        act on what is in every enforceable state, not on what is accepted
    durable: bool = True  #            R11; else what was sent may be forgotten
    unsigned_no: bool = False  #       a refusal that nobody signed counts
    late_fulfil: bool = False  #       a fulfilment may come when its secret can no longer be registered
    back_early: bool = False  #        answer backwards when the peer's newest state lacks the claim
    back_by_lock: bool = False  #      an answer lets go of every claim under the same hashlock
    back_whole_trade: bool = False  #  an option that is let go lets its premium go
    trust_head: bool = False  #        an unconfirmed registration counts
    expire_at_head: bool = False  #    what the newest block does not show has not happened
    rest_on_head: bool = False  #      do not register what the newest block shows already
    withhold: bool = False  #          do not countersign a bundle before the onward one is bound
    deaf_to_fail: bool = False  #      and take no failure of the onward one
    push_again: bool = False  #        a push that was not answered is pushed once more
    sell_on_sight: bool = False  #     deliver when a push is seen, accepted or not
    rebase: bool = True  #             R5: what lost goes back to those that wait
    resend: bool = True  #             R12
    ack_parent_first: bool = True  #   R12: countersign the parent before saying the same again
    echo: bool = False  #              answer an answer
    wait_online: bool = True  #        R12: say what one holds before anything else
    await_resend: bool = True  #       R12: sign nothing before a proposal that the peer announces is here
    hangs_up: bool = True  #           R3: a connection on which an answer does not come is dropped


class View(NamedTuple):
    """What one end stores of a channel (R1): `mine` and `theirs` are a version and what it holds.

    `waiting` has two bits a claim. `held` is an update that came at the wrong time; `ghost` a state that
    was signed and forgotten (only where nothing is durable).
    """

    mine_v: int = 0
    mine: int = 0
    theirs_v: int = 0
    theirs: int = 0
    parent_signed: bool = True
    waiting: int = 0
    held: tuple[int, int, int] | None = None
    ghost: tuple[int, int] | None = None


class Update(NamedTuple):
    version: int
    parent: int
    holds: int


class Book(NamedTuple):
    """What an end knows of a channel's claims: whether it signs odd versions, and for each claim whether it
    pays it and whether it is a push."""

    odd: int
    pays: tuple[bool, ...]
    push: tuple[bool, ...]


class Sight(NamedTuple):
    """What an end sees of the world, one bit a claim.

    `fulfil`: a fulfilment by the peer would be legal; `give`: one of ours, which travels first; `expire`: the
    claim is over, and the chain is known so far; `add`: an offer still makes sense; `room`: it can be carried
    on; `public`: its secret is on chain.
    """

    fulfil: int
    give: int
    expire: int
    add: int
    room: int
    public: int


def child(parent: int, odd: int, rules: Rules) -> int:
    """R2: the version follows from the parent and from who signs."""
    if not rules.parity:
        return parent + 1
    return parent + 2 if parent & 1 == odd else parent + 1


def at(bits: int, claim: int) -> int:
    return bits >> 2 * claim & 3


def put(bits: int, claim: int, value: int) -> int:
    return bits & ~(3 << 2 * claim) | value << 2 * claim


def answered(view: View) -> bool:
    return view.mine_v <= view.theirs_v


def signed_by_me(view: View) -> bool:
    return view.parent_signed if view.mine_v > view.theirs_v else view.mine_v == view.theirs_v


def enforceable(view: View) -> tuple[int, ...]:
    """R6: what each state that could still end on chain holds, as far as this end remembers."""
    if view.mine_v > view.theirs_v or (view.mine_v == view.theirs_v and view.mine != view.theirs):
        return view.theirs, view.mine
    return (view.theirs,)


def unanswered(view: View, book: Book) -> int:
    """The operations in `mine` while it is unanswered, as they would wait."""
    if answered(view) or view.mine == view.theirs:
        return 0
    ops = 0
    for claim in range(len(book.pays)):
        after = at(view.mine, claim)
        if after != at(view.theirs, claim):
            ops = put(ops, claim, BACK if after == GONE else FORTH)
    return ops


def legal_of_mine(book: Book, sight: Sight, claim: int, before: int, op: int) -> int | None:
    """What a waiting operation makes of a claim; None if it can no longer be proposed."""
    if op == FORTH:
        if book.pays[claim]:
            if before == NEW and sight.add >> claim & 1:
                return PAID if book.push[claim] else OPEN
        elif before == OPEN and sight.give >> claim & 1:
            return PAID
    elif before == OPEN and (not book.pays[claim] or sight.expire >> claim & 1):
        return GONE
    return None


def propose(view: View, book: Book, sight: Sight, rules: Rules, traffic: bool = False) -> tuple[View, bool]:
    """R3: sign what waits on top of `theirs`; whether anything was signed. What is not legal is dropped.

    `traffic` stands for operations about claims that nobody looks at.
    """
    if not answered(view) or not (view.waiting or traffic):
        return view, False
    holds = view.theirs
    for claim in range(len(book.pays)):
        for op in (FORTH, BACK):
            if at(view.waiting, claim) & op:
                after = legal_of_mine(book, sight, claim, at(holds, claim), op)
                if after is not None:
                    holds = put(holds, claim, after)
    if holds == view.theirs and not traffic:
        return view._replace(waiting=0), False
    refused = 0 if view.held is None or rules.refusal == "none" else view.held[0]
    version = child(max(view.theirs_v, refused), book.odd, rules)
    both = view.mine_v == view.theirs_v
    return view._replace(
        mine_v=version, mine=holds, parent_signed=both, waiting=0, held=None if refused else view.held
    ), True


def acknowledge(view: View) -> tuple[View, bool]:
    """R4: countersign when nothing waits."""
    if view.theirs_v <= view.mine_v:
        return view, False
    return view._replace(mine_v=view.theirs_v, mine=view.theirs, parent_signed=True), True


def flush(view: View, book: Book, sight: Sight, rules: Rules, traffic: bool = False) -> tuple[View, str]:
    """The end of a turn: sign what waits, else countersign. "update", "ack", "dropped" or ""."""
    after, signed = propose(view, book, sight, rules, traffic)
    if signed:
        return after, "update"
    acked, done = acknowledge(after)
    return (acked, "ack") if done else (after, "dropped" if after != view else "")


LEGAL, LATE, ILLEGAL = range(3)


def judge_step(book: Book, sight: Sight, rules: Rules, claim: int, before: int, after: int) -> int:
    """R9: whether the peer may turn a claim from `before` into `after`, and now."""
    if book.pays[claim]:  # the peer is its payee
        if before != OPEN or after not in (PAID, GONE):
            return ILLEGAL
        if after == GONE:
            return ILLEGAL if rules.deaf_to_fail else LEGAL
        return LEGAL if sight.fulfil >> claim & 1 or rules.late_fulfil else LATE
    if book.push[claim]:
        return LEGAL if (before, after) == (NEW, PAID) else ILLEGAL
    if (before, after) == (NEW, OPEN):
        return LEGAL
    if after == GONE and before in (NEW, OPEN):
        return LEGAL if sight.expire >> claim & 1 else LATE
    return ILLEGAL


def judge_batch(book: Book, sight: Sight, rules: Rules, before: int, after: int) -> int:
    worst = LEGAL
    for claim in range(len(book.pays)):
        old, new = at(before, claim), at(after, claim)
        if old != new:
            worst = max(worst, judge_step(book, sight, rules, claim, old, new))
    return worst


def legal_version(view: View, update: Update, book: Book, rules: Rules) -> bool:
    """R2, R5 and R8: whether the parent is one that we signed, and the version the one that follows."""
    on_mine = update.parent == view.mine_v
    on_theirs = update.parent == view.theirs_v and (signed_by_me(view) or not rules.parent_signed)
    if rules.accept_lost:
        return on_theirs or (on_mine and not answered(view))
    if not on_mine and not on_theirs:
        return False
    if rules.refusal == "unbounded" and not on_mine:
        return update.version & 1 != book.odd
    legal = {child(update.parent, 1 - book.odd, rules)}
    if rules.refusal == "bounded" and not on_mine and not answered(view):
        legal.add(child(view.mine_v, 1 - book.odd, rules))
    return update.version in legal


def receive(view: View, update: Update, book: Book, sight: Sight, rules: Rules) -> tuple[View, str]:
    """R5: "ignored", "accepted", "held" (it came at the wrong time) or "violation"."""
    bar = view.theirs_v + 1 if rules.accept_lost else max(view.theirs_v + 1, view.mine_v + rules.parity)
    if update.version < bar:
        return (view if view.held is None else view._replace(held=None)), "ignored"
    if not legal_version(view, update, book, rules):
        return view, "violation"
    on_mine = update.parent == view.mine_v
    parent = view.mine if on_mine else view.theirs
    verdict = judge_batch(book, sight, rules, parent, update.holds)
    if verdict == ILLEGAL:
        return view, "violation"
    if verdict == LATE:
        return view._replace(held=tuple(update)), "held"
    waiting = view.waiting
    if not on_mine and not answered(view) and rules.rebase and update.version > view.mine_v:
        waiting |= unanswered(view, book)
    return view._replace(theirs_v=update.version, theirs=update.holds, waiting=waiting, held=None), "accepted"


def receive_ack(view: View, version: int) -> tuple[View, bool]:
    if answered(view) or version != view.mine_v:
        return view, False
    return view._replace(theirs_v=view.mine_v, theirs=view.mine), True


def resend(view: View, peer_holds: int, rules: Rules) -> tuple[View, list[tuple]]:
    """R12: the same again if the peer does not hold what we signed last; then it stands on `theirs`."""
    if view.mine_v <= peer_holds or not rules.resend:
        return view, []
    if answered(view):
        return view, [("ack", view.mine_v)]
    again: list[tuple] = []
    if view.theirs_v > peer_holds and rules.ack_parent_first:
        view = view._replace(parent_signed=True)
        again.append(("ack", view.theirs_v))
    return view, [*again, ("update", view.mine_v, view.theirs_v, view.mine)]
