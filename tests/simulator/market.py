"""What is traded: a menu of options on one feed, what they cost, who asks whom, and who says the price."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.evm import party
from channeld.core.claims import Claim, OptionTerms, PayoffKind
from channeld.core.errors import OperationalError
from channeld.core.events import QuoteGiven
from channeld.core.messages import QuoteReply, QuoteRequest, Relay
from channeld.core.records import OptionLeg, Quote, SignedPriceRecord
from channeld.wire.eip712 import Feed, price_digest
from channeld.wire.messages import decode_relay_body, encode_relay_body
from channeld.wire.prices import assembled
from tests.core.town import worth
from tests.dice import Dice

if TYPE_CHECKING:
    from tests.simulator.life import Life
    from tests.simulator.node import SimulatedNode

USD = 10**8
POSSIBLE_USD = ((3_900, 4_200, 5_000, 600), (4_000, 4_100, 4_300, 5_200))
"""Never the same at both expiries: a price tells whose it is."""
EARLY_S, LATE_S = 660, 1_200
"""From the start to the first expiry."""
ORACLES = sorted((party(f"price of {n}") for n in range(3)), key=lambda who: who.address)
FEED = Feed("ETH/USD", 8, 1, 2, 1, tuple(oracle.address for oracle in ORACLES))
FEED_ID = FEED.feed_id


@dataclass(frozen=True, slots=True)
class Offer:
    """An option and what it costs; until there is a price the judge counts it for that."""

    leg: OptionLeg
    mark: int


class Market:
    """`prices` and `spoken_s` by expiry; None: the oracles are silent for ever."""

    def __init__(self, dice: Dice, t0_s: int, now_s: Callable[[], int], *, early: bool) -> None:
        """`early`: the first expiry is in any case while people still lie and links break."""
        self._now_s = now_s
        self._dice = dice
        self.expiries = (t0_s + (EARLY_S if early else dice.pick((LATE_S, EARLY_S))), t0_s + 2_400)
        self.prices: dict[int, int] = {}
        self.spoken_s: dict[int, int | None] = {}
        self._records: dict[int, SignedPriceRecord] = {}
        self.menu: list[Offer] = []
        self._asked: dict[bytes, Callable[[QuoteReply], None]] = {}
        self._number = 0
        for expiry_s, possible in zip(self.expiries, POSSIBLE_USD, strict=True):
            usd = dice.pick(possible)
            self.prices[expiry_s] = usd * USD
            delay_s = dice.pick((0, 0, 0, 40, 600, 2_400))
            self.spoken_s[expiry_s] = None if dice.one_in(6) else expiry_s + delay_s
            self._records[expiry_s] = _signed(expiry_s, usd * USD)
            for _ in range(4):
                leg = _leg(dice, expiry_s, usd)
                if all(leg != offer.leg for offer in self.menu):
                    self.menu.append(Offer(leg, 30 + dice.below(80)))

        self.marks = {offer.leg: offer.mark for offer in self.menu}

    def fresh(self, what: str) -> bytes:
        """32 bytes that nobody has had before."""
        self._number += 1
        return b"".join(bytes([self._dice.below(256)]) for _ in range(24)) + self._number.to_bytes(8, "big")

    async def signed_price(self, feed_id: bytes, expiry_s: int) -> SignedPriceRecord | None:
        """What an oracle answers: nothing yet, nothing at all, or the price."""
        spoken_s = self.spoken_s.get(expiry_s)
        if self._dice.one_in(4):
            raise OperationalError("the oracle does not answer")
        if feed_id != FEED_ID or spoken_s is None or self._now_s() < spoken_s:
            return None
        return self._records[expiry_s]

    # --- quotes ---------------------------------------------------------------------------------------

    def ask(
        self,
        life: "Life",
        buyer: "SimulatedNode",
        path: list[bytes],
        offer: Offer,
        asset: bytes,
        then: Callable[[QuoteReply], None],
    ) -> bool:
        """A question along `path`, the buyer's neighbour first."""
        request_id = self.fresh("question")[-16:]
        self._asked[request_id] = then
        body = encode_relay_body(QuoteRequest(request_id, offer.leg, asset))
        return buyer.peering.send(path[0], Relay(tuple(path[1:]), (buyer.node_id,), body))

    def heard(self, life: "Life", node: "SimulatedNode", relay: Relay) -> None:
        body = decode_relay_body(relay.body)
        if isinstance(body, QuoteReply):
            then = self._asked.pop(body.request_id, None)
            if then is not None and not body.refusal:
                then(body)
            return
        mark = next((offer.mark for offer in self.menu if offer.leg == body.leg), 0)
        reply = QuoteReply(body.request_id, bytes(16), 0, 0, "not today")
        if mark and not self._dice.one_in(12):
            accept_by_s = node.engine.clock.now_s + self._dice.pick((5, 30, 60))
            quote = Quote(self.fresh("quote")[-16:], body.leg, body.asset, mark, accept_by_s, relay.back[0])
            node.post(QuoteGiven(quote))
            reply = QuoteReply(body.request_id, quote.quote_id, mark, accept_by_s)
        way = tuple(reversed(relay.back))
        node.peering.send(way[0], Relay(way[1:], (node.node_id,), encode_relay_body(reply)))


class Prices:
    """What options count for at one instant: their premium until there is a price, then what they pay."""

    def __init__(self, market: Market, known: dict[int, int | None]) -> None:
        self._marks = market.marks
        self._known = known

    def of(self, leg: OptionLeg) -> int:
        price = self._known.get(leg.terms.expiry_s)
        if price is None:
            return self._marks.get(leg, 0)
        return worth(leg, price) if price else 0

    def of_claim(self, claim: Claim) -> int:
        if claim.terms is None:
            return claim.amount
        return self.of(OptionLeg(claim.terms, claim.amount))


def _leg(dice: Dice, expiry_s: int, usd: int) -> OptionLeg:
    """Options that are worth whole units at the price that there will be, at most some hundreds."""
    strike = dice.pick((3_800, 4_000, 4_200, 4_400))
    kind = dice.pick(
        (
            PayoffKind.CALL,
            PayoffKind.PUT,
            PayoffKind.DIGITAL_CALL,
            PayoffKind.DIGITAL_PUT,
            PayoffKind.COIN_CALL,
            PayoffKind.COIN_PUT,
        )
    )
    size, bound = 1, 0
    match kind:
        case PayoffKind.CALL:
            size, bound = dice.pick((1, 2)), strike + dice.pick((100, 300))
        case PayoffKind.PUT:
            size, bound = dice.pick((1, 2)), strike - dice.pick((100, 300))
        case PayoffKind.DIGITAL_CALL | PayoffKind.DIGITAL_PUT:
            size = dice.pick((40, 150))
        case _:
            size, bound = usd // 10, 2_000
    return OptionLeg(OptionTerms(kind, FEED_ID, expiry_s, strike * USD, bound * USD), size)


def _signed(expiry_s: int, price: int) -> SignedPriceRecord:
    digest = price_digest(FEED_ID, expiry_s, price)
    signatures = {oracle.address: b"".join(oracle.sign(digest)) for oracle in ORACLES[:2]}
    record = assembled(FEED, expiry_s, price, signatures)
    assert record is not None
    return record
