"""What mallory may put into a batch: claims and answers of every kind, mostly right, some of them wrong."""

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from channeld.core.claims import Claim, State
from channeld.core.messages import Deliver, ForwardTo, WriteOption
from channeld.core.operations import (
    NO_STREAM,
    STREAM_BYTES,
    Add,
    Expire,
    Fail,
    Fulfil,
    Operation,
    Push,
    Settle,
)
from channeld.core.records import Forward, Invoice
from channeld.wire.packet import encode_instruction
from tests.core.mallory import Mallory, hash_of
from tests.core.network import Node
from tests.core.town import EXPIRY_S, FEED, LEGS, MARKS, PRICE

FEE = 2
PAYMENT_SECRET = bytes([7]) * 32
AMOUNTS = st.sampled_from([1, 3, 50, 200, 1_000, 2_990, 3_000, 9_000])
PREMIUM_AMOUNTS = st.sampled_from([*MARKS, 30, 300])


def chance(data: st.DataObject, of: int) -> bool:
    """True but once in so many."""
    return data.draw(st.integers(1, of)) != of


@dataclass(frozen=True, slots=True)
class Repertoire:
    """Draws one operation at a time; `ids` are the two channels around bob."""

    mallory: Mallory
    bob: Node
    ids: list[bytes]

    def operation(self, data: st.DataObject, channel_id: bytes, parent: State, number: int) -> Operation:
        makers: list[Callable[[st.DataObject, bytes, State, int], Operation]] = [
            self._payment_on,
            self._payment_on,
            self._premium_on,
            self._premium_on,
            self._to_bob,
            self.option,
            self.option,
            self._wrong_claim,
            self._push,
        ]
        if parent.claims:
            makers += [self._answer, self._answer, self._answer, self._answer, self._answer]
        return data.draw(st.sampled_from(makers))(data, channel_id, parent, number)

    def _deadline_s(self, data: st.DataObject) -> int:
        usual = [600, 600, 600, 260, 130, 3_000, 40_000, -1]
        return self.bob.tables.now_s + data.draw(st.sampled_from(usual))

    def hash(self, data: st.DataObject) -> bytes:
        """One that is used again and again, one that came up lately, or a new one."""
        which = data.draw(st.integers(0, 7))
        if which > 5:
            return hash_of(self.mallory.fresh())
        pool = self.mallory.hashes[:2] + self.mallory.hashes[-3:]
        return pool[which % len(pool)]

    def _add(
        self, channel_id: bytes, parent: State, number: int, claim: tuple[int, bytes, int], packet: bytes
    ) -> Add:
        amount, hashlock, deadline_s = claim
        claim_id = self.mallory.next_id(channel_id, parent, number)
        return Add(Claim(claim_id, amount, hashlock, deadline_s), packet)

    def onward(self, channel_id: bytes) -> bytes:
        return next(other for other in self.ids if other != channel_id)

    def _payment_on(self, data: st.DataObject, channel_id: bytes, parent: State, number: int) -> Operation:
        """Through bob to herself."""
        amount, deadline_s = data.draw(AMOUNTS), self._deadline_s(data)
        fee = data.draw(st.sampled_from([FEE, FEE, FEE, 0, -5]))
        target = self.onward(channel_id) if chance(data, 10) else channel_id
        inner_s = deadline_s + data.draw(st.sampled_from([0, 0, 0, 0, 60, -60]))
        order = ForwardTo(target, amount, inner_s, encode_instruction(Deliver(PAYMENT_SECRET, amount)))
        claim = (max(1, amount + fee), self.hash(data), deadline_s)
        return self._add(channel_id, parent, number, claim, encode_instruction(order))

    def _premium_on(self, data: st.DataObject, channel_id: bytes, parent: State, number: int) -> Operation:
        """A premium through bob to herself, with an option that shall come back."""
        leg = data.draw(st.sampled_from(LEGS))
        amount, deadline_s = data.draw(PREMIUM_AMOUNTS), self._deadline_s(data)
        order = ForwardTo(
            self.onward(channel_id), amount, deadline_s, encode_instruction(WriteOption(bytes(16))), leg
        )
        claim = (amount + FEE, self.hash(data), deadline_s)
        return self._add(channel_id, parent, number, claim, encode_instruction(order))

    def _to_bob(self, data: st.DataObject, channel_id: bytes, parent: State, number: int) -> Operation:
        """For an invoice or a quote of bob's, or with a packet that nobody can read."""
        invoices = list(self.bob.tables.records[Invoice].values())
        quotes = list(self.bob.tables.quotes.values())
        hashlock, amount = self.hash(data), data.draw(AMOUNTS)
        packet = data.draw(st.sampled_from([b"", b"\x00", b"\xff" * 40, b"\x91\x03"]))
        if invoices and chance(data, 3):
            bill = data.draw(st.sampled_from(invoices))
            assert isinstance(bill, Invoice)
            hashlock = bill.hashlock
            amount = data.draw(st.sampled_from([bill.amount, bill.amount, bill.amount - 1, bill.amount + 1]))
            secret = data.draw(st.sampled_from([PAYMENT_SECRET, PAYMENT_SECRET, bytes(32)]))
            packet = encode_instruction(Deliver(secret, amount))
        elif quotes and chance(data, 3):
            quote = data.draw(st.sampled_from(quotes))
            amount = data.draw(st.sampled_from([quote.premium, quote.premium, quote.premium - 1]))
            packet = encode_instruction(WriteOption(quote.quote_id))
        claim = (max(1, amount), hashlock, self._deadline_s(data))
        return self._add(channel_id, parent, number, claim, packet)

    def option(self, data: st.DataObject, channel_id: bytes, parent: State, number: int) -> Operation:
        """The option of a premium that bob has offered or carried on, or another one."""
        channel = self.mallory.view(channel_id)
        offered = [claim for claim in parent.claims.values() if claim.payer is channel.me and not claim.terms]
        leg = data.draw(st.sampled_from(LEGS))
        hashlock, deadline_s = self.hash(data), self._deadline_s(data)
        if offered and chance(data, 5):
            like = data.draw(st.sampled_from(offered))
            hashlock, deadline_s = like.hashlock or hashlock, like.deadline_s
            forwards = [f for f in self.bob.tables.records[Forward].values() if isinstance(f, Forward)]
            legs = [f.leg for f in forwards if f.hashlock == hashlock and f.leg is not None]
            leg = data.draw(st.sampled_from(legs)) if legs and chance(data, 6) else leg
        claim_id = self.mallory.next_id(channel_id, parent, number)
        packet = data.draw(st.sampled_from([b"", b"", b"", b"\x91\x03"]))
        return Add(Claim(claim_id, leg.size, hashlock, deadline_s, leg.terms), packet)

    def _wrong_claim(self, data: st.DataObject, channel_id: bytes, parent: State, number: int) -> Operation:
        """An id used before or of bob's side, no hashlock, an amount or terms out of range."""
        claim_id = self.mallory.next_id(channel_id, parent, number)
        claim = Claim(claim_id, 10, self.hash(data), self.bob.tables.now_s + 600)
        kind = LEGS[0].terms
        wrong = [
            Claim(parent.last_ids[claim_id & 1], 10, claim.hashlock, claim.deadline_s),
            Claim(claim_id + 1, 10, claim.hashlock, claim.deadline_s),
            Claim(claim_id, 10),
            Claim(claim_id, 0, claim.hashlock, claim.deadline_s),
            Claim(claim_id, 2**96, claim.hashlock, claim.deadline_s),
            Claim(claim_id, 1, claim.hashlock, claim.deadline_s, kind.__class__(kind.kind, FEED, 1, 5, 1)),
            Claim(claim_id, 1, claim.hashlock, EXPIRY_S + 1, kind),
            Claim(claim_id, 2**90, claim.hashlock, claim.deadline_s),
        ]
        return Add(data.draw(st.sampled_from(wrong)), b"")

    def _push(self, data: st.DataObject, _channel_id: bytes, _parent: State, _number: int) -> Operation:
        """Money for bob, or what looks like it: nothing, less than nothing, more than there is."""
        amounts = [1, 1, 1, 40, 40, 500, 0, -500, 9_000, 2**96]
        streams = [NO_STREAM, b"s" * STREAM_BYTES, b"", bytes(32)]
        stream = data.draw(st.sampled_from(streams if not chance(data, 8) else streams[:2]))
        return Push(stream, data.draw(st.sampled_from(amounts)))

    def _answer(self, data: st.DataObject, channel_id: bytes, parent: State, number: int) -> Operation:
        """To some open claim, hers or bob's: rightly if she can."""
        claim = data.draw(st.sampled_from(list(parent.claims.values())))
        channel = self.mallory.view(channel_id)
        known = {hash_of(secret): secret for secret in self.mallory.secrets}
        preimage = known.get(claim.hashlock or b"", bytes(32))
        settle = Settle(FEED, EXPIRY_S, data.draw(st.sampled_from([PRICE, PRICE, PRICE, 0, PRICE + 1])))
        if claim.payer is channel.me:
            right: list[Operation] = [Fulfil(claim.claim_id, preimage), Fail(claim.claim_id, b"")]
        else:
            right = [Expire(claim.claim_id)]
        if claim.hashlock is None:
            right = [settle]
        claim_id = claim.claim_id
        wrong: list[Operation] = [Fulfil(claim_id, bytes(32)), Expire(claim_id), Fail(claim_id, b"x"), settle]
        return data.draw(st.sampled_from(right * 4 + wrong))
