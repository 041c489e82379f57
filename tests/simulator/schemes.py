"""Two liars, or one with two channels, and an honest node between them: what it carries, they try to keep.

A scheme begins as an honest payment or trade would; then everything that could be done about it happens
at some time or other, in any order, until the deadline is over.
"""

from typing import TYPE_CHECKING

from channeld.core.channel import Update, child_version
from channeld.core.claims import Claim, State
from channeld.core.forwarding import hub_fee
from channeld.core.messages import Complaint, Deliver, ForwardTo, WriteOption
from channeld.core.operations import Add, Fail, Fulfil, Operation
from channeld.wire.packet import encode_instruction
from tests.contracts.model.calls import Call
from tests.simulator.forging import Forger

if TYPE_CHECKING:
    from tests.simulator.mischief import Mischief

MARGIN_S = 120
"""Within which an honest node takes no fulfilment off-chain any more."""


def accomplice(mischief: "Mischief", forger: Forger) -> Forger | None:
    """Another channel of the victim with a liar, in the same asset."""
    life, view = forger.liar.life, forger.view
    others = [
        Forger(life.by_id[channel.peer], forger.victim, channel.channel_id)
        for channel in forger.victim.channels()
        if channel.channel_id != view.channel_id
        and channel.params.asset == view.params.asset
        and channel.peer in life.by_id
        and not life.by_id[channel.peer].honest
    ]
    return life.dice.pick(others) if others else None


def scheme(mischief: "Mischief", first: Forger) -> bool:
    """Money or an option through the victim."""
    second = accomplice(mischief, first)
    life, victim = first.liar.life, first.victim
    if second is None or not (first.view.phase.signs_states and second.view.phase.signs_states):
        return False
    dice, parent = life.dice, first.current
    offer = dice.pick((None, *life.market.menu))
    leg, amount = (None, dice.pick((50, 400, 1_500))) if offer is None else (offer.leg, offer.mark)
    deadline_s = max(0, victim.tables.now_s) + dice.pick((255, 280, 300, 600))
    inner_s = deadline_s + dice.pick((0, 0, 0, 0, 0, 240))
    hashlock = mischief.repertoire.fresh()
    inner = encode_instruction(WriteOption(bytes(16)) if leg else Deliver(bytes(32), amount))
    packet = encode_instruction(ForwardTo(second.channel_id, amount, inner_s, inner, leg))
    owed = amount + hub_fee(victim.policy, amount, leg, victim.tables.now_s)
    for each in (first, second):
        mischief.take(each)
        link = life.network.link(each.liar.node_id, victim.node_id)
        if link is not None and not link.up:
            life.network.connect(link)
    if dice.one_in(12):
        mischief.say(first, first.close_offer(parent.net, victim.tables.now_s + 250, 0))
    claim = Claim(first.next_id(parent), owed, hashlock, deadline_s)
    mischief.say(first, first.update(parent, [Add(claim, packet)]))
    _plan(mischief, first, second, claim, leg is not None)
    return True


def _plan(mischief: "Mischief", first: Forger, second: Forger, claim: Claim, trade: bool) -> None:
    """Steps at random times, some of them around the deadline."""
    life = first.liar.life
    dice = life.dice

    def soon() -> int:
        return life.now_ms + dice.pick((300, 1_000, 4_000, 20_000))

    def late() -> int:
        return (claim.deadline_s + dice.pick((-MARGIN_S - 5, -MARGIN_S + 20, -60, -15, 5, 75, 90))) * 1000

    life.at(soon(), lambda: acknowledge_now(mischief, second))
    if trade:
        life.at(soon(), lambda: _return_option(mischief, second, claim))
    if dice.below(2):
        life.after(dice.pick((20, 100, 200, 600)), lambda: _talk(mischief, second))
    if dice.one_in(3):
        life.at(soon(), lambda: mischief.cut(second))
    when = dice.pick((soon, late, late))
    life.at(when(), lambda: answer_all(mischief, second, claim, fails=dice.below(8) == 0))
    life.at(when() + 500, lambda: answer_all(mischief, second, claim, fails=False))
    life.at(dice.pick((soon, late))(), lambda: acknowledge_now(mischief, first))
    if trade:
        life.at(when() + 900, lambda: answer_all(mischief, first, claim, fails=False))
    if dice.one_in(3):
        life.at(late(), lambda: _register(mischief, first, claim))
    if dice.one_in(6):
        life.at(late(), lambda: mischief.leave(dice.pick((first, second))))


def alive(mischief: "Mischief", forger: Forger) -> bool:
    return not mischief.over and forger.victim.alive and not forger.victim.doomed and forger.liar.alive


def acknowledge_now(mischief: "Mischief", forger: Forger) -> None:
    if alive(mischief, forger):
        mischief.say(forger, forger.ack(forger.view.mine))


def _talk(mischief: "Mischief", forger: Forger) -> None:
    if alive(mischief, forger):
        mischief.say(forger, Complaint(forger.channel_id, "I refuse"))


def _return_option(mischief: "Mischief", forger: Forger, premium: Claim) -> None:
    """The writer's part: the option that the premium was for."""
    if not alive(mischief, forger):
        return
    parent = forger.current
    for offer in forger.liar.life.market.menu:
        claim_id = forger.next_id(parent)
        claim = Claim(claim_id, offer.leg.size, premium.hashlock, premium.deadline_s, offer.leg.terms)
        if forger.legal_among(parent, [Add(claim, b"")]) and _wanted(forger, claim):
            mischief.say(forger, forger.update(parent, [Add(claim, b"")]))
            return


def _wanted(forger: Forger, claim: Claim) -> bool:
    forwards = forger.victim.tables.records
    return any(
        getattr(record, "hashlock", None) == claim.hashlock
        and getattr(getattr(record, "leg", None), "terms", None) == claim.terms
        for table in forwards.values()
        for record in table.values()
    )


def answer_all(mischief: "Mischief", forger: Forger, claim: Claim, *, fails: bool) -> None:
    """Take what the victim owes under the hash, on whichever state has it, over its proposal if need be."""
    if not alive(mischief, forger):
        return
    view, preimage = forger.view, mischief.repertoire.secrets[claim.hashlock or b""]
    states = (forger.current, view.theirs, view.mine)
    for parent in states:
        owed = [
            each
            for each in parent.claims.values()
            if each.hashlock == claim.hashlock and each.payer is view.me
        ]
        if owed:
            answers: list[Operation] = [
                Fail(each.claim_id, b"") if fails else Fulfil(each.claim_id, preimage) for each in owed
            ]
            mischief.say(forger, over_all(forger, parent, answers))
            return


def over_all(forger: Forger, parent: State, operations: list[Operation]) -> Update:
    """On top of a state, or above what the victim has proposed beside it."""
    view = forger.view
    if parent is view.theirs and not view.answered:
        return forger.update(parent, operations, child_version(view.mine.version, view.me.other))
    return forger.update(parent, operations)


def _register(mischief: "Mischief", forger: Forger, claim: Claim) -> None:
    preimage = mischief.repertoire.secrets[claim.hashlock or b""]
    mischief.submit(forger, Call("register_secret", (preimage,)))
