"""Plots: one thing, aimed at the one moment at which it would pay; nothing else is done meanwhile.

Liars who act at random hardly ever meet such a moment: the last seconds before a deadline, those after a
signed close has run out, those after an expiry. A plot has its channels to itself while it lasts; what
befalls everybody goes on.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from channeld.core.channel import Phase, child_version
from channeld.core.claims import Claim, Side
from channeld.core.events import CloseRequested, InvoiceCreated, QuoteGiven
from channeld.core.forwarding import hub_fee
from channeld.core.messages import (
    Deliver,
    DepositsSeen,
    ForwardTo,
    Instruction,
    Message,
    Shutdown,
    WriteOption,
)
from channeld.core.operations import NO_STREAM, Add, Expire, Fail, Fulfil, Operation, Push, Settle
from channeld.core.records import Invoice, Quote
from channeld.wire.packet import encode_instruction
from tests.contracts.model.calls import Call
from tests.core.town import worth
from tests.simulator.chain import SLOT_S
from tests.simulator.forging import Forger
from tests.simulator.market import FEED_ID, USD, Offer
from tests.simulator.schemes import accomplice, acknowledge_now, alive, answer_all, over_all
from tests.simulator.suing import submit_close

if TYPE_CHECKING:
    from tests.simulator.mischief import Mischief

SHORTEST_S = 258
"""From an offer to its deadline: just above what a hub still carries on."""

SOON_MS = (500, 2_000, 8_000, 30_000)
"""When she countersigns what a victim has proposed: more than once, for a link may be slow or down."""


class Plot:
    """A liar, her victim and one of their channels; what she does later she does only if both are there."""

    def __init__(self, mischief: "Mischief", forger: Forger) -> None:
        self.mischief = mischief
        self.forger = forger
        self.life = forger.liar.life
        self.victim = forger.victim

    def begin(self, until_s: int) -> None:
        """The connection is up, what the victim has proposed is answered, and everybody else keeps out."""
        forger = self.forger
        self.mischief.take(forger)
        self.mischief.reserve(forger, until_s)
        link = self.life.network.link(forger.liar.node_id, forger.victim.node_id)
        if link is not None:
            self.life.network.connect(link)
        acknowledge_now(self.mischief, forger)

    def at(self, at_ms: int, act: Callable[[], object]) -> None:
        self.life.at(at_ms, lambda: act() if alive(self.mischief, self.forger) else None)

    def after(self, wait_ms: int, act: Callable[[], object]) -> None:
        self.at(self.life.now_ms + wait_ms, act)

    def say(self, message: Message) -> None:
        self.mischief.say(self.forger, message)

    def propose(self, *operations: Operation) -> None:
        parent = self.forger.current
        self.say(self.forger.update(parent, operations))

    def offer(self, amount: int, hashlock: bytes, deadline_s: int, order: Instruction) -> Claim:
        """A claim that she pays, on what the victim signed last."""
        claim = Claim(self.forger.next_id(self.forger.current), amount, hashlock, deadline_s)
        self.propose(Add(claim, encode_instruction(order)))
        return claim

    def countersign(self) -> None:
        for wait_ms in SOON_MS:
            self.after(wait_ms, lambda: acknowledge_now(self.mischief, self.forger))

    def crash_the_victim(self) -> None:
        self.victim.doomed = True

    def is_idle(self) -> bool:
        view = self.forger.view
        return not (view.theirs.claims or view.mine.claims or view.close_until_s)


def plot(mischief: "Mischief", forger: Forger) -> bool:
    if not forger.view.phase.signs_states:
        return False
    name, begin = forger.liar.life.dice.pick(list(PLOTS.items()))
    if not begin(Plot(mischief, forger)):
        return False
    forger.liar.life.ledger.count("plot", name)
    forger.liar.life.note("plot", f"{forger.liar.name} to {forger.victim.name}: {name}")
    return True


# --- through the victim ---------------------------------------------------------------------------------


def _through(go_on: Callable[[Plot, Plot, Claim], None]) -> Callable[[Plot], bool]:
    """First a payment to an accomplice on the victim's other side, where the victim's offer is countersigned.

    `go_on` is told the plot on either side of the victim, and the claim on hers.
    """

    def begin(first: Plot) -> bool:
        beyond = accomplice(first.mischief, first.forger)
        if beyond is None or not beyond.view.phase.signs_states:
            return False
        second, victim = Plot(first.mischief, beyond), first.victim
        deadline_s, amount = victim.tables.now_s + SHORTEST_S, first.life.dice.pick((50, 400, 1_500))
        for each in (first, second):
            each.begin(deadline_s + 150)
        inner = encode_instruction(Deliver(bytes(32), amount))
        order = ForwardTo(beyond.channel_id, amount, deadline_s, inner)
        owed = amount + hub_fee(victim.policy, amount, None, victim.tables.now_s)
        claim = first.offer(owed, first.mischief.repertoire.fresh(), deadline_s, order)
        second.countersign()
        go_on(first, second, claim)
        return True

    return begin


@_through
def collect_at_the_last_moment(first: Plot, second: Plot, claim: Claim) -> None:
    """The accomplice takes it when the victim has no time left to be paid itself (b4)."""
    collects_s = claim.deadline_s + first.life.dice.pick((-12, -6, -2, 1, 3, 9))
    second.at(collects_s * 1000, lambda: answer_all(first.mischief, second.forger, claim, fails=False))


@_through
def never_answer(first: Plot, second: Plot, claim: Claim) -> None:
    """The accomplice takes it at once; the victim, which hears no more of her, is to be paid by the chain."""
    for wait_ms in (4_000, 12_000, 45_000):
        second.after(wait_ms, lambda: answer_all(first.mischief, second.forger, claim, fails=False))


@_through
def take_it_back(first: Plot, _second: Plot, claim: Claim) -> None:
    """What she has offered and the victim has carried on, let go or taken by herself."""
    secret = first.mischief.repertoire.secrets[claim.hashlock or b""]
    ways: list[Operation] = [
        Fail(claim.claim_id, b""),
        Fulfil(claim.claim_id, secret),
        Expire(claim.claim_id),
    ]
    way = first.life.dice.pick(ways)
    for wait_ms in (3_000, 9_000, 33_000):
        first.after(wait_ms, lambda: first.propose(way))


@_through
def register_twice(first: Plot, second: Plot, claim: Claim) -> None:
    """In time, and again when it is too late: the first time counts, for the victim as for the contract.

    Bad luck helps her: the victim dies, and is to remember it all the same.
    """
    secret = first.mischief.repertoire.secrets[claim.hashlock or b""]

    def register() -> None:
        first.mischief.submit(first.forger, Call("register_secret", (secret,)))

    def expire() -> None:
        first.say(over_all(first.forger, first.forger.view.theirs, [Expire(claim.claim_id)]))

    first.at((claim.deadline_s - 40) * 1000, register)
    first.at((claim.deadline_s + 5) * 1000, register)
    first.at((claim.deadline_s + 80) * 1000, first.crash_the_victim)
    for wait_s in (105, 125):
        first.at((claim.deadline_s + wait_s) * 1000, expire)
    second.at((claim.deadline_s + 130) * 1000, lambda: first.mischief.leave(second.forger))


# --- from the victim ------------------------------------------------------------------------------------


def pay_an_invoice_badly(her: Plot) -> bool:
    """One unit less than was asked for, or so late that the victim cannot collect any more."""
    life, victim = her.life, her.victim
    preimage, secret = life.market.fresh("invoice"), life.market.fresh("payment secret")
    now_s = victim.tables.now_s
    hashlock, asset = sha256(preimage).digest(), her.forger.view.params.asset
    if not victim.ask(
        InvoiceCreated(Invoice(hashlock, preimage, secret, asset, 300, "", now_s, now_s + 900))
    ):
        return False
    amount, deadline_s = life.dice.pick(((299, now_s + 600), (300, now_s - 1), (300, now_s + 9)))
    her.begin(now_s + 60)
    her.offer(amount, hashlock, deadline_s, Deliver(secret, amount))
    her.countersign()
    return True


def _buy(her: Plot, offer: Offer, premium: int) -> Claim:
    """An option that the victim has just quoted to her."""
    life, victim = her.life, her.victim
    quote_id, asset = life.market.fresh("quote")[-16:], her.forger.view.params.asset
    accept_by_s = victim.tables.now_s + 60
    victim.post(
        QuoteGiven(Quote(quote_id, offer.leg, asset, offer.mark, accept_by_s, her.forger.liar.node_id))
    )
    deadline_s = victim.tables.now_s + SHORTEST_S
    claim = her.offer(premium, her.mischief.repertoire.fresh(), deadline_s, WriteOption(quote_id))
    her.countersign()
    for wait_ms in (12_000, 40_000):
        her.after(wait_ms, lambda: answer_all(her.mischief, her.forger, claim, fails=False))
        her.after(wait_ms + 6_000, lambda: acknowledge_now(her.mischief, her.forger))
    return claim


def buy_below_the_price(her: Plot) -> bool:
    offer = her.life.dice.pick(her.life.market.menu)
    her.begin(her.victim.tables.now_s + 60)
    _buy(her, offer, offer.mark - 7)
    return True


def settle_as_it_suits(her: Plot) -> bool:
    """An option, honestly bought; when it has expired, the price at which it pays most."""
    market, now_s = her.life.market, her.victim.tables.now_s
    expiry_s = market.expiries[0]
    if not expiry_s - now_s > SHORTEST_S + 10 or her.mischief.end_ms < (expiry_s + 20) * 1000:
        return False
    offer = her.life.dice.pick([each for each in market.menu if each.leg.terms.expiry_s == expiry_s])
    her.begin(expiry_s + 60)
    _buy(her, offer, offer.mark)
    dearest = max((1, market.prices[expiry_s], 10_000 * USD), key=lambda price: worth(offer.leg, price))
    for wait_s in (3, 9, 16, 31, 46):
        her.at((expiry_s + wait_s) * 1000, lambda: her.propose(Settle(FEED_ID, expiry_s, dearest)))
    return True


def spend_what_nobody_paid_in(her: Plot) -> bool:
    """Deposits that the chain has never seen, and a push out of them."""
    view = her.forger.view
    her.begin(her.victim.tables.now_s + 20)
    her.after(300, lambda: her.say(DepositsSeen(her.forger.channel_id, 10**9, 10**9)))
    has = view.deposits.a - view.theirs.net if view.me is Side.B else view.deposits.b + view.theirs.net
    her.after(800, lambda: her.propose(Push(NO_STREAM, max(1, has + 700))))
    return True


def use_up_the_versions(her: Plot) -> bool:
    her.begin(her.victim.tables.now_s + 5)
    parent, side = her.forger.current, her.forger.view.me.other
    her.say(her.forger.update(parent, [Push(NO_STREAM, 1)], child_version(2**63, side)))
    return True


# --- around a close -------------------------------------------------------------------------------------


def _offer_a_close(her: Plot, until_s: int) -> bool:
    if not her.is_idle():
        return False
    her.begin(until_s + 40)
    her.after(300, lambda: her.say(Shutdown(her.forger.channel_id)))

    def offer() -> None:
        acknowledge_now(her.mischief, her.forger)
        view = her.forger.view
        her.say(her.forger.close_offer(view.theirs.net, until_s, view.deposits.counter))

    her.after(900, offer)
    return True


def _pay(her: Plot) -> None:
    view = her.forger.view
    her.say(her.forger.update(view.theirs if view.answered else view.mine, [Push(NO_STREAM, 40)]))


def pay_after_a_close(her: Plot) -> bool:
    """A close that both have signed, then money that it does not know of."""
    if not _offer_a_close(her, her.victim.tables.now_s + 250):
        return False
    her.after(3_000, lambda: _pay(her))
    her.after(6_000, lambda: submit_close(her.mischief, her.forger))
    return True


def pay_when_a_close_runs_out(her: Plot) -> bool:
    """The close is mined in the last block that it is good for; who believes it dead takes money above it."""
    last_slot_s = (her.victim.tables.now_s + 80) // SLOT_S * SLOT_S
    until_s = last_slot_s + her.life.dice.pick((0, 2, 8))
    if not _offer_a_close(her, until_s):
        return False
    her.at(last_slot_s * 1000 - 100, lambda: submit_close(her.mischief, her.forger))
    for wait_ms in (2_000, 5_000, 9_000, 20_000):
        her.at(until_s * 1000 + wait_ms, lambda: _pay(her))
    return True


def answer_a_close_with_another(her: Plot) -> bool:
    """The victim wants to close, and is offered less than it has."""
    view, now_s = her.forger.view, her.victim.tables.now_s
    if not her.is_idle() or view.phase is not Phase.OPEN:
        return False
    her.begin(now_s + 60)
    if not her.victim.ask(CloseRequested(view.channel_id, False)):
        return False
    net = view.theirs.net + (500 if view.me is Side.A else -500)
    offer = her.forger.close_offer(net, now_s + 250, view.deposits.counter)
    her.after(200, lambda: her.say(Shutdown(view.channel_id)))
    her.after(700, lambda: her.say(offer))
    return True


PLOTS: dict[str, Callable[[Plot], bool]] = {
    "collect at the last moment": collect_at_the_last_moment,
    "never answer": never_answer,
    "take it back": take_it_back,
    "register twice": register_twice,
    "pay an invoice badly": pay_an_invoice_badly,
    "buy below the price": buy_below_the_price,
    "settle as it suits": settle_as_it_suits,
    "spend what nobody paid in": spend_what_nobody_paid_in,
    "use up the versions": use_up_the_versions,
    "pay after a close": pay_after_a_close,
    "pay when a close runs out": pay_when_a_close_runs_out,
    "answer a close with another": answer_a_close_with_another,
}
