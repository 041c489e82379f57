"""The operations that a liar puts into her batches: mostly right, some of them wrong."""

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from channeld.core.claims import Claim, OptionTerms, PayoffKind, State
from channeld.core.messages import Deliver, ForwardTo, WriteOption
from channeld.core.operations import Add, Expire, Fail, Fulfil, Operation, Push, Settle
from channeld.core.records import Forward, Invoice
from channeld.wire.packet import encode_instruction
from tests.simulator.forging import Forger
from tests.simulator.market import FEED_ID

if TYPE_CHECKING:
    from tests.simulator.life import Life

AMOUNTS = (1, 3, 50, 200, 1_000, 2_990, 9_000)
LIVES_S = (600, 600, 600, 260, 130, 3_000, 7_000, -1)


class Repertoire:
    """`secrets` is what all liars know together; `hashes` are those that they have met."""

    def __init__(self, life: "Life") -> None:
        self._life = life
        self._dice = life.dice
        self.secrets: dict[bytes, bytes] = {}
        self.hashes: list[bytes] = []

    def fresh(self) -> bytes:
        """The hash of a secret that they have just made up."""
        return self.know(self._life.market.fresh("lie"))

    def know(self, preimage: bytes) -> bytes:
        hashlock = sha256(preimage).digest()
        if hashlock not in self.secrets:
            self.secrets[hashlock] = preimage
            self.meet(hashlock)
        return hashlock

    def meet(self, hashlock: bytes | None) -> None:
        if hashlock is not None and hashlock not in self.hashes:
            self.hashes.append(hashlock)

    def batch(self, forger: Forger, parent: State) -> list[Operation]:
        count = self._dice.pick((1, 1, 1, 2, 4))
        operations = [self.operation(forger, parent, number) for number in range(count)]
        if self._dice.below(5):
            return forger.legal_among(parent, operations) or operations
        return operations

    def operation(self, forger: Forger, parent: State, number: int) -> Operation:
        makers: list[Callable[[Forger, State, int], Operation]] = [
            self._payment_on,
            self._payment_on,
            self._premium_on,
            self._to_victim,
            self._option,
            self._option,
            self._wrong_claim,
            self._makes_victim_pay,
            self._push,
        ]
        if parent.claims:
            makers += [self._answer] * 6
        return self._dice.pick(makers)(forger, parent, number)

    def wishes(self, forger: Forger, parent: State) -> list[Operation]:
        """Everything of one kind that she may do: so that stories go far."""
        me = forger.view.me
        owed = [claim for claim in parent.claims.values() if claim.payer is me and claim.hashlock]
        match self._dice.below(6):
            case 0 | 1 | 2:
                known = [(claim, self.secrets.get(claim.hashlock or b"")) for claim in owed]
                wishes: list[Operation] = [Fulfil(c.claim_id, secret) for c, secret in known if secret]
            case 3:
                wishes = [self._option(forger, parent, number) for number in range(2)]
            case 4:
                prices = self._life.market.prices.items()
                wishes = [Settle(FEED_ID, at_s, price) for at_s, p in prices for price in (p, 0)]
            case _:
                wishes = [Fail(claim.claim_id, b"") for claim in owed]
                wishes += [Expire(c.claim_id) for c in parent.claims.values() if c.payer is not me]
        return forger.legal_among(parent, wishes)

    def _hash(self) -> bytes:
        if self._dice.one_in(3) or not self.hashes:
            return self.fresh()
        return self._dice.pick(self.hashes[-6:])

    def _deadline_s(self, forger: Forger) -> int:
        return max(100, forger.victim.tables.now_s + self._dice.pick(LIVES_S))

    def _onward(self, forger: Forger) -> bytes:
        others = [c.channel_id for c in forger.victim.channels() if c.channel_id != forger.channel_id]
        return self._dice.pick(others) if others and self._dice.below(10) else forger.channel_id

    def _payment_on(self, forger: Forger, parent: State, number: int) -> Operation:
        """Through the victim to somebody."""
        amount, deadline_s = self._dice.pick(AMOUNTS), self._deadline_s(forger)
        fee = self._dice.pick((100, 100, 2, 0, -5))
        inner_s = deadline_s + self._dice.pick((0, 0, 0, 0, 60, -60))
        last = encode_instruction(Deliver(bytes(32), amount))
        order = ForwardTo(self._onward(forger), amount, inner_s, last)
        claim_id = forger.next_id(parent, number)
        claim = Claim(claim_id, max(1, amount + fee), self._hash(), deadline_s)
        return Add(claim, encode_instruction(order))

    def _premium_on(self, forger: Forger, parent: State, number: int) -> Operation:
        """A premium through the victim, with an option that shall come back."""
        offer = self._dice.pick(self._life.market.menu)
        deadline_s = self._deadline_s(forger)
        last = encode_instruction(WriteOption(bytes(16)))
        order = ForwardTo(self._onward(forger), offer.mark, deadline_s, last, offer.leg)
        claim = Claim(forger.next_id(parent, number), offer.mark + 5, self._hash(), deadline_s)
        return Add(claim, encode_instruction(order))

    def _to_victim(self, forger: Forger, parent: State, number: int) -> Operation:
        """For an invoice or a quote of the victim's, or with a packet that nobody can read."""
        tables, dice = forger.victim.tables, self._dice
        invoices = [bill for bill in tables.records[Invoice].values() if isinstance(bill, Invoice)]
        quotes = list(tables.quotes.values())
        hashlock, amount = self._hash(), dice.pick(AMOUNTS)
        packet = dice.pick((b"", b"\x00", b"\xff" * 40, b"\x91\x03"))
        if invoices and dice.below(3):
            bill = dice.pick(invoices)
            hashlock = bill.hashlock
            amount = max(1, bill.amount + dice.pick((0, 0, -1, 1)))
            packet = encode_instruction(Deliver(dice.pick((bill.payment_secret, bytes(32))), amount))
        elif quotes and dice.below(3):
            quote = dice.pick(quotes)
            amount = quote.premium + dice.pick((0, 0, -1))
            packet = encode_instruction(WriteOption(quote.quote_id))
        claim = Claim(forger.next_id(parent, number), amount, hashlock, self._deadline_s(forger))
        return Add(claim, packet)

    def _option(self, forger: Forger, parent: State, number: int) -> Operation:
        """The option of a premium that the victim has offered or carried on, or another one."""
        dice, view = self._dice, forger.view
        premiums = [claim for claim in parent.claims.values() if claim.payer is view.me and not claim.terms]
        leg, hashlock, deadline_s = (
            dice.pick(self._life.market.menu).leg,
            self._hash(),
            self._deadline_s(forger),
        )
        if premiums and dice.below(5):
            like = dice.pick(premiums)
            hashlock, deadline_s = like.hashlock or hashlock, like.deadline_s
            forwards = [f for f in forger.victim.tables.records[Forward].values() if isinstance(f, Forward)]
            legs = [each.leg for each in forwards if each.hashlock == hashlock and each.leg is not None]
            leg = dice.pick(legs) if legs and dice.below(6) else leg
        packet = dice.pick((b"", b"", b"", b"\x91\x03"))
        claim_id = forger.next_id(parent, number)
        return Add(Claim(claim_id, leg.size, hashlock, deadline_s, leg.terms), packet)

    def _wrong_claim(self, forger: Forger, parent: State, number: int) -> Operation:
        """An id used before or of the other side, an amount or terms out of range."""
        claim_id = forger.next_id(parent, number)
        claim = Claim(claim_id, 10, self._hash(), forger.victim.tables.now_s + 600)
        leg = self._life.market.menu[0].leg
        uncapped = OptionTerms(PayoffKind.CALL, FEED_ID, leg.terms.expiry_s, 5, 1)
        wrong = (
            Claim(max(0, parent.last_ids[claim_id & 1]), 10, claim.hashlock, claim.deadline_s),
            Claim(claim_id + 1, 10, claim.hashlock, claim.deadline_s),
            Claim(claim_id, 0, claim.hashlock, claim.deadline_s),
            Claim(claim_id, 2**94, claim.hashlock, claim.deadline_s),
            Claim(claim_id, 1, claim.hashlock, claim.deadline_s, uncapped),
            Claim(claim_id, 1, claim.hashlock, leg.terms.expiry_s + 1, leg.terms),
        )
        return Add(self._dice.pick(wrong), b"")

    def _makes_victim_pay(self, forger: Forger, parent: State, number: int) -> Operation:
        """A claim of the victim's, added by her."""
        claim_id = max(0, parent.last_ids[forger.view.me] + 2)
        return Add(Claim(claim_id, 70, self.fresh(), forger.victim.tables.now_s + 600), b"")

    def _push(self, forger: Forger, parent: State, number: int) -> Operation:
        return Push(bytes(16), self._dice.pick((1, 40, 500, 9_000)))

    def _answer(self, forger: Forger, parent: State, number: int) -> Operation:
        """To some open claim, hers or the victim's: rightly if she can."""
        claim = self._dice.pick(list(parent.claims.values()))
        claim_id, market = claim.claim_id, self._life.market
        preimage = self.secrets.get(claim.hashlock or b"", bytes(32))
        at_s = claim.terms.expiry_s if claim.terms is not None else market.expiries[0]
        price = self._dice.pick((market.prices.get(at_s, 1), market.prices.get(at_s, 1), 0, 1))
        settle = Settle(FEED_ID, at_s, price)
        right: list[Operation] = [Expire(claim_id)]
        if claim.payer is forger.view.me:
            right = [Fulfil(claim_id, preimage), Fail(claim_id, b"")]
        if claim.hashlock is None:
            right = [settle]
        wrong: list[Operation] = [Fulfil(claim_id, bytes(32)), Expire(claim_id), Fail(claim_id, b"x"), settle]
        return self._dice.pick(right * 4 + wrong)
