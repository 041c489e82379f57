"""Paying: find a route, offer along it, and try another one when a hub says no."""

import asyncio
import logging
import secrets
from collections import deque
from hashlib import sha256

from channeld.adapters.journal.records import Journal
from channeld.config.settings import Config
from channeld.core.draft import Record, Tables
from channeld.core.errors import OperationalError, Rejected
from channeld.core.events import OptionRequested, PaymentRequested
from channeld.core.messages import Deliver, Instruction, WriteOption
from channeld.core.records import (
    Failure,
    FailureCode,
    Forward,
    Invoice,
    OptionLeg,
    Payment,
    PaymentStatus,
    Trade,
    TradeRole,
    TradeStatus,
)
from channeld.daemon.engine import Engine
from channeld.daemon.quotes import HeldQuote
from channeld.daemon.routes import Routes
from channeld.daemon.waiting import Waiters
from channeld.wire.invoice import InvoiceFields
from channeld.wire.packet import Hop, build_packet
from channeld.wire.records import decode_record
from routing.route import EdgeKey, Route

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 6
"""Routes tried for one payment. Each failure excludes a channel, so more seldom helps."""

WOKEN_AT_ONCE = 64
"""Payments whose callers are woken between two turns: enough for a batch that is worth its signature and
its fsync, few enough that the peer has work while we prepare the next one."""

FINAL_FAILURES = (
    FailureCode.UNKNOWN_HASH,
    FailureCode.WRONG_AMOUNT,
    FailureCode.NO_QUOTE,
    FailureCode.WRONG_TERMS,
    FailureCode.DEADLINE_PASSED,
    FailureCode.BAD_PACKET,
)
"""Said by the payee, or by nobody in time: another route would not change them."""


class Payer:
    """Payments and option purchases of this node."""

    def __init__(self, config: Config, engine: Engine, routes: Routes, waiters: Waiters) -> None:
        self.routes = routes
        self._config = config
        self._engine = engine
        self._waiters = waiters
        # By hashlock, who waits for the end of a payment: whoever asks while it is under way is rejected
        # by the core, and waits for that here too.
        self._ends: dict[bytes, list[asyncio.Future[Payment | None]]] = {}
        self._ended: deque[tuple[asyncio.Future[Payment | None], Payment]] = deque()
        engine.on_archived = self._archived

    @property
    def _tables(self) -> Tables:
        return self._engine.tables

    async def pay(
        self,
        invoice: InvoiceFields,
        amount: int,
        max_fee: int | None,
        timeout_s: float,
        channel_id: bytes | None = None,
    ) -> Payment:
        """Pay an invoice: route after route until it succeeds, fails for good, or their time is over.

        With a `channel_id`, over that channel of ours alone. Raises Rejected, also if it is paid already.
        """
        excluded: set[EdgeKey] = set()
        payment: Payment | None = None
        end_s = _clock_s() + timeout_s
        for attempt in range(1, MAX_ATTEMPTS + 1):
            left_s = end_s - _clock_s()
            if payment is not None and left_s <= 0:
                return payment
            try:
                route = self.routes.to_payee(
                    invoice.payee, invoice.asset, amount, max_fee, frozenset(excluded), channel_id
                )
            except Rejected:
                if payment is None:
                    raise
                return payment
            payment = await self._attempt(invoice, amount, route, attempt, left_s)
            failure = payment.failure
            if payment.status is not PaymentStatus.FAILED or failure is None:
                return payment
            blamed = _blamed(route, failure)
            if not blamed:
                return payment
            excluded.update(blamed)
        assert payment is not None
        return payment

    async def _attempt(
        self, invoice: InvoiceFields, amount: int, route: Route, attempt: int, timeout_s: float
    ) -> Payment:
        hashlock = invoice.hashlock
        deadline_s = self._deadline_s()
        last = Deliver(invoice.payment_secret, amount)
        loop = asyncio.get_running_loop()
        end: asyncio.Future[Payment | None] = loop.create_future()
        self._ends.setdefault(hashlock, []).append(end)
        self._engine.post_for(
            PaymentRequested(
                hashlock,
                invoice.payee,
                invoice.asset,
                amount,
                route.fee,
                route.hops[0].channel_id,
                deadline_s,
                _packet(route, deadline_s, last, None),
                invoice.description,
                self._tables.now_s,
                attempt,
                len(route.hops),
            ),
            end,
        )
        timer = loop.call_later(timeout_s, self._give_up, end)
        try:
            payment = await end
        finally:
            timer.cancel()
            self._forget(hashlock, end)
        payment = payment or self.payment(hashlock)
        assert payment is not None, "it was begun before its time was over"
        return payment

    def _give_up(self, end: asyncio.Future[Payment | None]) -> None:
        """The time is over: the caller hears how far it has come, once that is known."""

        def caught_up(place: asyncio.Future[None]) -> None:
            if not end.done():
                error = place.exception()
                end.set_result(None) if error is None else end.set_exception(error)

        self._engine.caught_up().add_done_callback(caught_up)

    def _forget(self, hashlock: bytes, end: asyncio.Future[Payment | None]) -> None:
        ends = self._ends.get(hashlock)
        if ends is not None and end in ends:
            ends.remove(end)
            if not ends:
                del self._ends[hashlock]

    def _archived(self, records: list[Record]) -> None:
        """Records have become history, durably: whoever waits for the end of a payment may go on."""
        if log.isEnabledFor(logging.DEBUG):
            _note(records)
        busy = bool(self._ended)
        for record in records:
            if isinstance(record, Payment):
                self._ended.extend((end, record) for end in self._ends.pop(record.hashlock, ()))
        if not busy:
            self._release()

    def _release(self) -> None:
        """Wake a few of those whose payments have ended, and the others after the next turn.

        Whoever is woken may pay again at once. If all were, the peers would idle until the last of the
        new payments is prepared, and then we would until all of them are answered.
        """
        for _ in range(min(len(self._ended), WOKEN_AT_ONCE)):
            end, payment = self._ended.popleft()
            if not end.done():
                end.set_result(payment)
        if self._ended:
            asyncio.get_running_loop().call_soon(self._release)

    def _deadline_s(self) -> int:
        return self._tables.now_s + self._config.payment.deadline_s

    def payment(self, hashlock: bytes) -> Payment | None:
        """A payment, live or history."""
        live = self._tables.records[Payment].get(hashlock)
        if isinstance(live, Payment):
            return live
        past = archived(self._engine.journal, "payment", hashlock)
        return past if isinstance(past, Payment) else None

    def trade(self, hashlock: bytes) -> Trade | None:
        """A trade, live or history."""
        live = self._tables.records[Trade].get(hashlock)
        if isinstance(live, Trade):
            return live
        past = archived(self._engine.journal, "trade", hashlock)
        return past if isinstance(past, Trade) else None

    async def buy(self, quote: HeldQuote, timeout_s: float) -> Trade:
        """Buy at a quote: the premium out, the option back, one hashlock of ours (R14).

        `timeout_s` is the time of all routes together.
        """
        if self._tables.now_s > quote.accept_by_s:
            raise Rejected("the quote has lapsed; ask for a new one")
        excluded: set[EdgeKey] = set()
        trade: Trade | None = None
        end_s = _clock_s() + timeout_s
        for _ in range(MAX_ATTEMPTS):
            left_s = end_s - _clock_s()
            if trade is not None and left_s <= 0:
                return trade
            try:
                route = self.routes.to_writer(
                    quote.writer, quote.asset, quote.premium, quote.leg, frozenset(excluded)
                )
            except Rejected:
                if trade is None:
                    raise
                return trade
            trade = await self._attempt_trade(quote, route, left_s)
            blamed = _blamed(route, trade.failure)
            if trade.status is not TradeStatus.FAILED or not blamed:
                return trade
            excluded.update(blamed)
        assert trade is not None
        return trade

    async def _attempt_trade(self, quote: HeldQuote, route: Route, timeout_s: float) -> Trade:
        """One try along one route, with a secret of its own: an old one may be known by now."""
        preimage = secrets.token_bytes(32)
        hashlock = sha256(preimage).digest()
        deadline_s = min(self._deadline_s(), quote.leg.terms.expiry_s)
        await self._engine.ask(
            OptionRequested(
                preimage,
                hashlock,
                quote.leg,
                quote.asset,
                quote.premium,
                route.fee,
                quote.writer,
                route.hops[0].channel_id,
                deadline_s,
                _packet(route, deadline_s, WriteOption(quote.quote_id), quote.leg),
                self._tables.now_s,
            )
        )

        def resolved() -> Trade | None:
            trade = self.trade(hashlock)
            return trade if trade is not None and trade.status is not TradeStatus.OFFERED else None

        trade = await self._waiters.until("trade", hashlock, resolved, timeout_s) or self.trade(hashlock)
        if trade is None:
            raise OperationalError(f"the trade {hashlock.hex()} left no record")
        assert trade.role is TradeRole.BUYER
        return trade


def _clock_s() -> float:
    return asyncio.get_running_loop().time()


def _note(records: list[Record]) -> None:
    """A line for each end, without amounts and secrets: those are in the journal."""
    for record in records:
        if isinstance(record, Payment | Invoice | Forward | Trade):
            log.debug(
                "%s %s: %s", type(record).__name__.lower(), record.key.hex(), record.status.name.lower()
            )


def _blamed(route: Route, failure: Failure | None) -> list[EdgeKey]:
    """What another try should avoid; empty if it would change nothing."""
    if failure is None or failure.code in FINAL_FAILURES:
        return []
    return [(hop.channel_id, hop.from_node) for hop in route.hops if hop.channel_id == failure.channel_id]


def _packet(route: Route, deadline_s: int, last: Instruction, leg: OptionLeg | None) -> bytes:
    """Instructions for every hub: what to owe onwards, and in a trade which option will come back."""
    hops = [Hop(hop.channel_id, hop.amount, deadline_s, leg) for hop in route.hops[1:]]
    return build_packet(hops, last)


def archived(journal: Journal, kind: str, key: bytes) -> object | None:
    """A record that is history, or None."""
    value = journal.get(f"{kind}_done", key)
    return None if value is None else decode_record(kind, value)
