"""Paying: find a route, offer along it, and try another one when a hub says no."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from channeld.adapters.journal.records import Journal
from channeld.config.settings import Config
from channeld.core.channel import Channel
from channeld.core.claims import Claim, Side
from channeld.core.draft import Tables
from channeld.core.errors import OperationalError, Rejected
from channeld.core.events import OptionRequested, PaymentRequested
from channeld.core.forwarding import paid_time_s
from channeld.core.messages import Deliver, Instruction, WriteOption
from channeld.core.payoff import most
from channeld.core.records import (
    Failure,
    FailureCode,
    OptionLeg,
    Payment,
    PaymentStatus,
    Trade,
    TradeRole,
    TradeStatus,
)
from channeld.daemon.engine import Engine
from channeld.daemon.gossip import Gossip
from channeld.daemon.quotes import HeldQuote
from channeld.daemon.views import spendable_now
from channeld.daemon.waiting import Waiters
from channeld.wire.invoice import InvoiceFields
from channeld.wire.packet import Hop, build_packet
from channeld.wire.records import decode_record
from routing.edge import Asset
from routing.errors import NoRoute, RoutingError
from routing.route import Collateral, EdgeKey, Query, Route
from routing.search import find_route

MAX_ATTEMPTS = 6
"""Routes tried for one payment. Each failure excludes a channel, so more seldom helps."""

FINAL_FAILURES = (
    FailureCode.UNKNOWN_HASH,
    FailureCode.WRONG_AMOUNT,
    FailureCode.NO_QUOTE,
    FailureCode.WRONG_TERMS,
    FailureCode.DEADLINE_PASSED,
    FailureCode.BAD_PACKET,
)
"""Said by the payee, or by nobody in time: another route would not change them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A payment as far as it has come, with the number of routes tried and the hops of the last."""

    payment: Payment
    attempts: int
    hops: int


class Payer:
    """Payments and option purchases of this node."""

    def __init__(
        self, config: Config, engine: Engine, gossip: Gossip, waiters: Waiters, own_id: bytes
    ) -> None:
        self._config = config
        self._engine = engine
        self._gossip = gossip
        self._waiters = waiters
        self._own_id = own_id

    @property
    def _tables(self) -> Tables:
        return self._engine.tables

    def route(
        self,
        destination: bytes,
        asset: bytes,
        amount: int,
        max_fee: int | None,
        excluded: frozenset[EdgeKey] = frozenset(),
        leg: OptionLeg | None = None,
    ) -> Route:
        """The cheapest route from us over channels that are up now. Raises Rejected, saying why not."""
        limit = self._fee_limit(amount) if max_fee is None and leg is None else max_fee
        ours = [c for c in self._tables.channels() if c.params.asset == asset]
        collateral = None
        if leg is not None:
            locked = most(Claim(0, leg.size, None, 0, leg.terms))
            duration_s = paid_time_s(leg.terms.expiry_s, self._tables.now_s)
            remote = self._liquidity(ours, remote=True)
            collateral = Collateral(locked, duration_s, remote)
        try:
            query = Query(
                self._own_id,
                destination,
                Asset(self._config.chain.chain_id, asset),
                amount,
                deadline_budget_s=0,
                max_fee=limit,
                local_liquidity=self._liquidity(ours, remote=False),
                excluded_edges=excluded,
                collateral=collateral,
            )
            return find_route(self._gossip.graph, query)
        except NoRoute as error:
            raise Rejected(f"no route to {destination.hex()[:16]}: {error}") from error
        except RoutingError as error:
            raise Rejected(str(error)) from error

    def _fee_limit(self, amount: int) -> int:
        base = max((asset.fee_base_units for asset in self._config.asset), default=0)
        return amount * self._config.payment.max_fee_ppm // 1_000_000 + 10 * base

    def _liquidity(self, channels: Sequence[Channel], *, remote: bool) -> dict[bytes, int]:
        result = {}
        for channel in channels:
            if channel.channel_id in self._tables.online:
                side: Side = channel.me.other if remote else channel.me
                result[channel.channel_id] = spendable_now(channel, side)
        return result

    async def pay(
        self, invoice: InvoiceFields, amount: int, max_fee: int | None, timeout_s: float
    ) -> Outcome:
        """Pay an invoice: route after route until it succeeds, fails for good, or the time is over."""
        known = self.payment(invoice.hashlock)
        if known is not None and known.status is PaymentStatus.SUCCEEDED:
            raise Rejected(f"the invoice {invoice.hashlock.hex()} is paid already")
        excluded: set[EdgeKey] = set()
        outcome: Outcome | None = None
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                route = self.route(invoice.payee, invoice.asset, amount, max_fee, frozenset(excluded))
            except Rejected:
                if outcome is None:
                    raise
                return outcome
            payment = await self._attempt(invoice, amount, route, timeout_s)
            outcome = Outcome(payment, attempt, len(route.hops))
            failure = payment.failure
            if payment.status is not PaymentStatus.FAILED or failure is None:
                return outcome
            blamed = _blamed(route, failure)
            if not blamed:
                return outcome
            excluded.update(blamed)
        assert outcome is not None
        return outcome

    async def _attempt(self, invoice: InvoiceFields, amount: int, route: Route, timeout_s: float) -> Payment:
        deadline_s = self._deadline_s()
        last = Deliver(invoice.payment_secret, amount)
        await self._engine.ask(
            PaymentRequested(
                invoice.hashlock,
                invoice.payee,
                invoice.asset,
                amount,
                route.fee,
                route.hops[0].channel_id,
                deadline_s,
                _packet(route, deadline_s, last, None),
                invoice.description,
                self._tables.now_s,
            )
        )

        def resolved() -> Payment | None:
            payment = self.payment(invoice.hashlock)
            return payment if payment is not None and payment.archived else None

        payment = await self._waiters.until("payment", invoice.hashlock, resolved, timeout_s)
        payment = payment or self.payment(invoice.hashlock)
        assert payment is not None
        return payment

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
        """Buy at a quote: the premium out, the option back, one hashlock of ours (R14)."""
        if self._tables.now_s > quote.accept_by_s:
            raise Rejected("the quote has lapsed; ask for a new one")
        excluded: set[EdgeKey] = set()
        trade: Trade | None = None
        for _ in range(MAX_ATTEMPTS):
            try:
                route = self.route(
                    quote.writer, quote.asset, quote.premium, None, frozenset(excluded), quote.leg
                )
            except Rejected:
                if trade is None:
                    raise
                return trade
            trade = await self._attempt_trade(quote, route, timeout_s)
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
