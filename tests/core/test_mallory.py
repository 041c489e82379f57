"""Bob among thieves, played out: as a trader of his own and as a hub, with either side of his channels."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from channeld.core.events import (
    CloseRequested,
    InvoiceCreated,
    OptionRequested,
    PaymentRequested,
    PushesRequested,
    QuoteGiven,
)
from channeld.core.messages import Deliver, WriteOption
from channeld.core.operations import Push
from channeld.core.records import Invoice, Quote
from channeld.wire.packet import encode_instruction
from tests.core.books import Prices
from tests.core.mallory import hash_of
from tests.core.pushes import PUSHES, answered
from tests.core.repertoire import AMOUNTS, PAYMENT_SECRET
from tests.core.soak import Fired, examples
from tests.core.thieves import BobAmongThieves
from tests.core.town import ETH, EXPIRY_S, FEED, GRACE_S, LEGS, MARKS, PRICE


class BobTrades(BobAmongThieves):
    """Bob also pays, sells, buys and writes options himself; the story ends before they expire."""

    @rule(data=st.data())
    def bob_makes_an_invoice(self, data: st.DataObject) -> None:
        self.count += 1
        preimage = hash_of(f"bob {self.count}".encode())
        now_s = self.bob.tables.now_s
        amount = data.draw(st.sampled_from([40, 700]))
        bill = Invoice(hash_of(preimage), preimage, PAYMENT_SECRET, ETH, amount, "", now_s, now_s + 3_600)
        self.bob.happen(InvoiceCreated(bill))
        self.mallory.hashes.append(bill.hashlock)
        self.fired("bob made an invoice")

    @rule(data=st.data())
    def bob_pays(self, data: st.DataObject) -> None:
        """An invoice of mallory's, whose hash she may use elsewhere at the same time."""
        channel_id, amount = self._channel(data, ready=True), data.draw(AMOUNTS)
        now_s = self.bob.tables.now_s
        packet = encode_instruction(Deliver(PAYMENT_SECRET, amount))
        request = PaymentRequested(
            self.repertoire.hash(data), b"m", ETH, amount, 1, channel_id, now_s + 600, packet, "", now_s
        )
        if self.town.ask("bob", request):
            self.fired("bob paid")
        self._turn()

    @rule(data=st.data(), number=st.integers(0, len(LEGS) - 1))
    def bob_quotes(self, data: st.DataObject, number: int) -> None:
        self.count += 1
        quote_id = self.count.to_bytes(16, "big")
        accept_by_s = self.bob.tables.now_s + 60
        self.bob.happen(QuoteGiven(Quote(quote_id, LEGS[number], ETH, MARKS[number], accept_by_s, b"m")))
        self.fired("bob quoted")

    @rule(data=st.data(), number=st.integers(0, len(LEGS) - 1))
    def bob_buys(self, data: st.DataObject, number: int) -> None:
        self.count += 1
        preimage = hash_of(f"bob buys {self.count}".encode())
        now_s = self.bob.tables.now_s
        packet = encode_instruction(WriteOption(bytes(16)))
        request = OptionRequested(
            preimage,
            hash_of(preimage),
            LEGS[number],
            ETH,
            MARKS[number],
            0,
            b"m",
            self._channel(data, ready=True),
            now_s + 600,
            packet,
            now_s,
        )
        if self.town.ask("bob", request):
            self.fired("bob bought")
        self._turn()

    @rule(data=st.data(), pushes=PUSHES)
    def bob_pushes(self, data: st.DataObject, pushes: list[Push]) -> None:
        if self.town.ask("bob", PushesRequested(self._channel(data, ready=True), tuple(pushes))):
            self.fired("bob pushed")
        self._turn()

    @rule(data=st.data(), unilateral=st.booleans(), lucky=st.integers(0, 80))
    def bob_leaves(self, data: st.DataObject, unilateral: bool, lucky: int) -> None:
        if not lucky and self.town.ask("bob", CloseRequested(self._channel(data), unilateral)):
            self._turn()
            self.fired("bob left")

    def teardown(self) -> None:
        if hasattr(self, "town"):
            sent, dropped = answered(self.bob)
            self.fired.counts["push sent"] += sent.total()
            self.fired.counts["push dropped"] += dropped.total()
        super().teardown()


class BobCarries(BobAmongThieves):
    """Bob is only a hub; the options that he carries expire, and mallory knows the price first."""

    def last_s(self) -> int:
        return EXPIRY_S + 40_000

    def prices(self) -> Prices:
        on_chain = self.town.chain.published.get((FEED, EXPIRY_S))
        if on_chain is not None:
            return Prices(on_chain.price)
        if self.town.chain.now_s > EXPIRY_S + GRACE_S:
            return Prices(0)
        return Prices(self.signed_price)

    @rule(lucky=st.integers(0, 4))
    def reach_expiry(self, lucky: int) -> None:
        if not lucky and self.town.chain.now_s < EXPIRY_S:
            self.town.pass_time(EXPIRY_S - self.town.chain.now_s)
            self.mallory.listen()
            self.fired("options expired")

    @precondition(lambda self: self.town.chain.now_s >= EXPIRY_S)
    @rule(seconds=st.sampled_from([1_700, 3_400, 3_550]))
    def nearly_reach_the_end_of_the_grace(self, seconds: int) -> None:
        until_s = EXPIRY_S + seconds
        if self.town.chain.now_s < until_s:
            self.town.pass_time(until_s - self.town.chain.now_s)
            self.mallory.listen()
            self.fired("grace nearly over")

    @precondition(lambda self: self.town.chain.now_s >= EXPIRY_S)
    @rule()
    def bob_learns_the_price(self) -> None:
        self.signed_price = PRICE
        self.town.learn_price("bob")
        self._turn()
        self.fired("bob learnt the price")

    @precondition(lambda self: self.town.chain.now_s >= EXPIRY_S)
    @rule(lucky=st.integers(0, 3))
    def publish_the_price(self, lucky: int) -> None:
        if not lucky and self.town.chain.now_s <= EXPIRY_S + GRACE_S:
            self.signed_price = PRICE
            self.town.chain.publish(FEED, EXPIRY_S, PRICE)
            self._turn()
            self.fired("the price was published")


class TradesBelow(BobTrades):
    path = ("mallory", "bob", "mallet")
    fired = Fired()


class CarriesAbove(BobCarries):
    path = ("ann", "bob", "dan")
    fired = Fired()


TestTradesBelow = TradesBelow.TestCase
TestTradesBelow.settings = examples(150, 60)
TestCarriesAbove = CarriesAbove.TestCase
TestCarriesAbove.settings = examples(150, 60)


def test_pushes_went_both_ways_among_thieves() -> None:
    if not TradesBelow.fired.counts:
        pytest.skip("the machine itself was not selected")
    wanted = ("bob pushed", "push sent", "push dropped", "bob took Push")
    TradesBelow.fired.live_until(TradesBelow, *wanted)
