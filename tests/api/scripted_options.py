"""The options of the scripted node: bob writes them at once, carol far away."""

from channeld.api.commands import Page, PositionInfo, QuoteInfo, TradeInfo
from channeld.core.errors import OperationalError, Rejected
from tests.api.cast import ADDRESSES, BOB, CAROL, DECIMALS, T0_S, digest, named, page_of


class ScriptedOptions:
    """Quotes, trades and positions."""

    def __init__(self) -> None:
        self.quotes: dict[bytes, QuoteInfo] = {}
        self._trades: list[TradeInfo] = []
        self._positions: list[PositionInfo] = []

    def _check(self) -> None:
        """Fail if the node is told to."""
        raise NotImplementedError

    async def quote_option(
        self, name: str, size_e8: int, asset: str, writer: bytes, timeout_s: float
    ) -> QuoteInfo:
        self._check()
        asset = named(asset)
        if writer not in (BOB, CAROL):
            raise OperationalError("no answer from the writer; ask another one")
        quote = QuoteInfo(
            quote_id=digest("quote", len(self.quotes))[:16],
            writer=writer,
            name=name,
            size_e8=size_e8,
            asset=ADDRESSES[asset],
            symbol=asset,
            decimals=DECIMALS[asset],
            premium=size_e8 // 10,
            fee=size_e8 // 1_000,
            collateral=size_e8,
            hops=1 if writer == BOB else 2,
            accept_by_s=T0_S + 10,
        )
        self.quotes[quote.quote_id] = quote
        return quote

    async def buy_option(self, quote_id: bytes, max_premium: int | None, timeout_s: float) -> TradeInfo:
        """A size of 13 contracts fails for good."""
        self._check()
        quote = self.quotes.get(quote_id)
        if quote is None:
            raise Rejected(f"no quote 0x{quote_id.hex()}; ask for one first")
        if max_premium is not None and quote.premium > max_premium:
            raise Rejected(f"the premium is {quote.premium}, above the limit of {max_premium}")
        lost = quote.size_e8 == 13 * 10**8
        trade = TradeInfo(
            hashlock=digest("trade", quote_id),
            name=quote.name,
            role="buyer",
            size_e8=quote.size_e8,
            symbol=quote.symbol,
            decimals=quote.decimals,
            premium=quote.premium,
            fee=quote.fee,
            status="failed" if lost else "bound",
            failure="the writer did not answer in time" if lost else "",
        )
        self._trades.append(trade)
        if not lost:
            self._positions.append(self._position(quote))
        return trade

    def _position(self, quote: QuoteInfo) -> PositionInfo:
        return PositionInfo(
            channel_id=digest("channel", 0),
            peer=BOB,
            peer_alias="bob",
            claim_id=len(self._positions),
            name=quote.name,
            side="long",
            size_e8=quote.size_e8,
            symbol=quote.symbol,
            decimals=quote.decimals,
            locked=quote.collateral,
            expires_s=T0_S,
            pending=False,
            price_e8=3_500 * 10**8,
            value=quote.collateral // 2,
        )

    async def trades(self, before: int | None, limit: int) -> tuple[list[TradeInfo], Page]:
        self._check()
        return page_of(self._trades, before, limit)

    async def positions(self, before: int | None = None, limit: int = 100) -> tuple[list[PositionInfo], Page]:
        self._check()
        return page_of(self._positions, before, limit)

    async def settle_options(self, channel_id: bytes | None, timeout_s: float) -> list[PositionInfo]:
        settled = [p for p in self._positions if channel_id in (None, p.channel_id)]
        if not settled:
            raise Rejected("no option here has expired with a signed price")
        self._positions = [p for p in self._positions if p not in settled]
        return settled
