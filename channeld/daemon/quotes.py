"""Asking for quotes and giving them, over relayed messages; the trade itself is the core's."""

import asyncio
import logging
import secrets
from collections import OrderedDict
from dataclasses import dataclass

from channeld.config.settings import Config
from channeld.core.claims import Claim
from channeld.core.errors import OperationalError, PeerViolation, Rejected
from channeld.core.events import QuoteGiven
from channeld.core.messages import QuoteReply, QuoteRequest, Relay
from channeld.core.payoff import is_void, most
from channeld.core.records import OptionLeg, Quote
from channeld.daemon.engine import Engine
from channeld.daemon.feeds import Feeds
from channeld.daemon.peering import Peering
from channeld.market.quoting import QuoterSettings, premium
from channeld.wire.decimals import shown
from channeld.wire.messages import decode_relay_body, encode_relay_body

log = logging.getLogger(__name__)

MAX_HELD_QUOTES = 1_000
"""Quotes received and not used yet; they lapse within minutes anyway, the oldest go first."""


@dataclass(frozen=True, slots=True)
class HeldQuote:
    """A quote that a writer gave us."""

    quote_id: bytes
    writer: bytes
    leg: OptionLeg
    asset: bytes
    premium: int
    accept_by_s: int


class QuoteDesk:
    """Both sides of a quote. `own_id` is our node id."""

    def __init__(self, config: Config, engine: Engine, feeds: Feeds, own_id: bytes) -> None:
        self._config = config
        self._engine = engine
        self._feeds = feeds
        self._own_id = own_id
        self._questions: dict[bytes, asyncio.Future[QuoteReply]] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self.held: OrderedDict[bytes, HeldQuote] = OrderedDict()

    async def ask(
        self, peering: Peering, path: list[bytes], leg: OptionLeg, asset: bytes, timeout_s: float
    ) -> HeldQuote:
        """Ask the last node of `path` (our neighbour first) for a premium. Raises Rejected if it
        refuses, OperationalError if no answer comes."""
        request_id = secrets.token_bytes(16)
        question = encode_relay_body(QuoteRequest(request_id, leg, asset))
        answer: asyncio.Future[QuoteReply] = asyncio.get_running_loop().create_future()
        self._questions[request_id] = answer
        try:
            if not peering.send(path[0], Relay(tuple(path[1:]), (self._own_id,), question)):
                raise OperationalError(f"the peer {path[0].hex()} is not connected")
            async with asyncio.timeout(timeout_s):
                reply = await answer
        except TimeoutError:
            raise OperationalError(
                f"no quote from {path[-1].hex()} within {timeout_s:g} s; it or a node between is away"
            ) from None
        finally:
            del self._questions[request_id]
        if reply.refusal:
            raise Rejected(f"{path[-1].hex()} does not write this option: {reply.refusal}")
        quote = HeldQuote(reply.quote_id, path[-1], leg, asset, reply.premium, reply.accept_by_s)
        self.held[quote.quote_id] = quote
        if len(self.held) > MAX_HELD_QUOTES:
            self.held.popitem(last=False)
        return quote

    def heard(self, message: Relay, peering: Peering) -> None:
        """A relayed message reached its end here."""
        try:
            body = decode_relay_body(message.body)
        except PeerViolation as violation:
            # Written by somebody far away: no reason to part from the neighbour who passed it on.
            log.debug("a relayed message that cannot be read: %s", violation)
            return
        if isinstance(body, QuoteReply):
            waiting = self._questions.get(body.request_id)
            if waiting is not None and not waiting.done():
                waiting.set_result(body)
            return
        task = asyncio.create_task(self._answer(body, message.back, peering))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, request: QuoteRequest, back: tuple[bytes, ...], peering: Peering) -> None:
        reply = await self._reply(request, back[0])
        way = tuple(reversed(back))
        body = encode_relay_body(reply)
        peering.send(way[0], Relay(way[1:], (self._own_id,), body))

    async def _reply(self, request: QuoteRequest, buyer: bytes) -> QuoteReply:
        try:
            quote = await self._quote(request, buyer)
        except (Rejected, OperationalError, PeerViolation) as refusal:
            return QuoteReply(request.request_id, bytes(16), 0, 0, str(refusal)[:200])
        await self._engine.ask(QuoteGiven(quote))
        return QuoteReply(request.request_id, quote.quote_id, quote.premium, quote.accept_by_s)

    async def _quote(self, request: QuoteRequest, buyer: bytes) -> Quote:
        settings = self._config.option
        terms = request.leg.terms
        feed = self._feeds.settings_of(terms.feed)
        if not settings.quoting:
            raise Rejected("this node writes no options")
        if is_void(terms):
            raise Rejected("these terms are void: strike, cap or floor are out of bounds")
        if feed is None or feed.pair not in settings.underlyings:
            raise Rejected("this node does not write options on this feed")
        asset = next((asset for asset in self._config.asset if asset.address == request.asset), None)
        collateral = most(Claim(0, request.leg.size, None, 0, terms))
        if asset is None:
            raise Rejected(f"this node writes no options in the asset 0x{request.asset.hex()}")
        if collateral > asset.max_size_units:
            limit, needed = (
                shown(units, asset.decimals, asset.symbol) for units in (asset.max_size_units, collateral)
            )
            raise Rejected(f"this node locks at most {limit} for one option, this needs {needed}")
        now_s = self._engine.clock.now_s
        # The premium may come at the last moment, and must then leave room for its secret (`leaves_room`).
        shortest_s = settings.quote_lifetime_s + 2 * self._config.payment.secret_margin_s
        if terms.expiry_s < now_s + shortest_s:
            raise Rejected(f"the option expires too soon: the trade needs {shortest_s} s before it")
        price = await self._feeds.index_price(terms.feed)
        quoter = QuoterSettings(settings.vol_percent / 100, settings.spread_percent / 100)
        asked = premium(request.leg, price, now_s, quoter)
        accept_by_s = now_s + settings.quote_lifetime_s
        return Quote(secrets.token_bytes(16), request.leg, request.asset, asked, accept_by_s, buyer)
