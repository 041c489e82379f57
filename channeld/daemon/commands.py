"""The daemon as the API sees it: each command asks the engine and waits for what follows."""

import asyncio
from dataclasses import dataclass
from importlib.metadata import version

from channeld.adapters.signer import Signer, address_of
from channeld.adapters.transport.address import parse_peer_address
from channeld.api.commands import (
    ChannelInfo,
    CreditInfo,
    DecodedInvoice,
    InvoiceInfo,
    NodeInfo,
    Page,
    PaymentInfo,
    PeerInfo,
    PeerPage,
    PositionInfo,
    QuoteInfo,
    TradeInfo,
)
from channeld.config.settings import AssetSettings, Config
from channeld.core.channel import Channel, Phase
from channeld.core.claims import Claim
from channeld.core.draft import Tables
from channeld.core.errors import OperationalError, Rejected
from channeld.core.events import CloseRequested, SettlementRequested
from channeld.core.identity import ETH
from channeld.core.payoff import most
from channeld.core.records import Dispute, OptionLeg, Trade
from channeld.daemon.census import Census, holdings
from channeld.daemon.engine import Engine
from channeld.daemon.feeds import Feeds
from channeld.daemon.funding import Funding
from channeld.daemon.history import LONGEST_INVOICE_S, page_of, payments_page
from channeld.daemon.invoicing import Invoicing
from channeld.daemon.listing import ChannelPages, peer_page
from channeld.daemon.paying import Payer
from channeld.daemon.peering import KnownPeer, Peering
from channeld.daemon.push_commands import PushCommands
from channeld.daemon.pushing import PushDesk
from channeld.daemon.quotes import QuoteDesk
from channeld.daemon.views import (
    Catalogue,
    channel_info,
    payment_info,
    positions_of,
    trade_info,
)
from channeld.daemon.waiting import Waiters
from channeld.daemon.watching import ChainWatch
from channeld.market.instruments import claim_size, contracts_e8, instrument_name, parse_instrument
from channeld.wire.eip712 import channel_id as id_of

GREETING_S = 10.0
"""What a peer has to say hello in after the handshake: a slow link's round trip, many times."""


@dataclass(slots=True)
class Daemon(PushCommands):
    """Implements `channeld.api.commands.Commands` (the protocol documents the methods)."""

    config: Config
    signer: Signer
    domain: bytes
    engine: Engine
    watch: ChainWatch
    peering: Peering
    payer: Payer
    desk: QuoteDesk
    feeds: Feeds
    funding: Funding
    invoicing: Invoicing
    pushes: PushDesk
    waiters: Waiters
    catalogue: Catalogue
    census: Census
    pages: ChannelPages
    stopping: asyncio.Event
    listen_port: int = 0
    api_url: str = ""

    @property
    def _tables(self) -> Tables:
        return self.engine.tables

    # --- the node and its peers ---------------------------------------------------------------------

    async def info(self) -> NodeInfo:
        head = self.watch.head
        unreachable, assets = await holdings(self.config.asset, self.census, self.funding, self.watch.lost)
        assert self.config.chain.adjudicator is not None
        return NodeInfo(
            node_id=self.signer.public_key,
            address=self.signer.address,
            alias=self.config.node.alias,
            version=version("channeld"),
            chain_id=self.config.chain.chain_id,
            adjudicator=self.config.chain.adjudicator,
            block_number=head.number if head is not None else 0,
            block_time_s=head.timestamp_s if head is not None else 0,
            synced=head is not None and not unreachable,
            chain_error=unreachable,
            clock_trusted=self.engine.clock.trusted,
            listen_port=self.listen_port,
            peers=len(self.peering.connected()),
            channels=self.census.channels,
            assets=assets,
        )

    async def peers(
        self, named: str = "", after: bytes | None = None, limit: int = 100
    ) -> tuple[list[PeerInfo], PeerPage]:
        return peer_page(
            self.peering.everybody(), self.peering.alias_of, self._peer_info, named, after, limit
        )

    def _peer_info(self, node_id: bytes) -> PeerInfo:
        known = self.peering.known.get(node_id)
        address = address_of(node_id)
        return PeerInfo(
            node_id,
            address,
            self.peering.alias_of(node_id),
            self.peering.is_connected(node_id),
            known.url if known is not None else "",
            len(self._tables.channels_of.get(address, ())),
        )

    async def connect(self, address: str) -> PeerInfo:
        target = parse_peer_address(address)
        known = self.peering.known.get(target.peer_id)
        if known and known.url not in ("", target.url) and self.peering.is_connected(target.peer_id):
            # The live connection proves the address that we have, and nothing about the new one.
            raise Rejected(
                f"{target.peer_id.hex()} is connected at {known.url}: disconnect before you name another"
            )
        await self.peering.transport.connect(target.peer_id, target.url)
        greeted = await self.waiters.until(
            "peer", target.peer_id, lambda: self.peering.has_greeted(target.peer_id), GREETING_S
        )
        if not greeted:
            raise OperationalError(f"{address} did not answer the greeting; is it on the same chain?")
        self.peering.remember(KnownPeer(target.peer_id, target.url, self.peering.alias_of(target.peer_id)))
        return self._peer_info(target.peer_id)

    async def disconnect(self, node_id: bytes) -> None:
        if node_id not in self.peering.known and not self.peering.is_connected(node_id):
            raise Rejected(f"no peer {node_id.hex()}")
        self.peering.forget(node_id)
        await self.peering.transport.disconnect(node_id, "asked by the operator")

    async def stop(self) -> None:
        self.stopping.set()

    # --- channels -----------------------------------------------------------------------------------

    async def channels(
        self, closed: bool, begins: str = "", before: int | None = None, limit: int = 100
    ) -> tuple[list[ChannelInfo], Page]:
        return self.pages.page(self._view, closed, begins, before, limit)

    async def channel(self, channel_id: bytes) -> ChannelInfo:
        return self._view(self._channel(channel_id))

    def _channel(self, channel_id: bytes) -> Channel:
        channel = self._tables.records[Channel].get(channel_id)
        if not isinstance(channel, Channel):
            raise Rejected(f"no channel 0x{channel_id.hex()}")
        return channel

    def _view(self, channel: Channel) -> ChannelInfo:
        return channel_info(channel, self._tables, self.catalogue, self.peering.alias_of(channel.peer))

    def _asset(self, text: str) -> AssetSettings:
        asset = self.catalogue.named(text)
        if asset is None:
            known = ", ".join(asset.symbol for asset in self.config.asset)
            raise Rejected(f"expected one of the configured assets ({known}), got {text!r}")
        return asset

    async def open_channel(
        self, peer: bytes, asset: str, amount: int, challenge_period_s: int | None, timeout_s: float
    ) -> ChannelInfo:
        settings = self.config.channel
        period_s = settings.challenge_period_s if challenge_period_s is None else challenge_period_s
        if not settings.min_challenge_period_s <= period_s <= settings.max_challenge_period_s:
            raise Rejected(
                f"expected a challenge period of {settings.min_challenge_period_s} to "
                f"{settings.max_challenge_period_s} s, got {period_s}"
            )
        if not self.peering.is_connected(peer):
            raise Rejected(f"expected a connected peer, {peer.hex()} is not; connect to it first")
        params = self.funding.new_params(address_of(peer), self._asset(asset).address, period_s)
        channel_id = id_of(params, self.domain)
        known = self.peering.known.get(peer)
        if known is None:
            self.peering.remember(KnownPeer(peer, "", self.peering.alias_of(peer)))
        await self.funding.deposit(params, amount)

        def usable() -> Channel | None:
            channel = self._tables.records[Channel].get(channel_id)
            online = channel_id in self._tables.online
            ready = isinstance(channel, Channel) and channel.phase is Phase.OPEN and online
            return channel if isinstance(channel, Channel) and ready and _announced(channel) else None

        opened = await self.waiters.until("channel", channel_id, usable, timeout_s)
        if opened is None:
            raise OperationalError(
                f"the deposit is mined, channel 0x{channel_id.hex()} is not open yet; see `channels`"
            )
        return self._view(opened)

    async def deposit(self, channel_id: bytes, amount: int, timeout_s: float) -> ChannelInfo:
        channel = self._channel(channel_id)
        if channel.phase is not Phase.OPEN:
            raise Rejected(f"channel 0x{channel_id.hex()} is {channel.phase.name.lower()}, expected open")
        before = channel.deposits
        await self.funding.deposit(channel.params, amount)

        def counted() -> Channel | None:
            now = self._channel(channel_id)
            return now if now.deposits != before and _announced(now) else None

        if await self.waiters.until("channel", channel_id, counted, timeout_s) is None:
            raise OperationalError("the deposit is mined and does not count yet; see `channels`")
        return self._view(self._channel(channel_id))

    async def close_channel(self, channel_id: bytes, unilateral: bool, timeout_s: float) -> ChannelInfo:
        if self._channel(channel_id).phase is Phase.CLOSED:
            raise Rejected(f"channel 0x{channel_id.hex()} is closed already")
        await self.engine.ask(CloseRequested(channel_id, unilateral))

        def done() -> Channel | None:
            channel = self._channel(channel_id)
            dispute = self._tables.records[Dispute].get(channel_id)
            challenged = unilateral and isinstance(dispute, Dispute) and dispute.known
            return channel if challenged or channel.phase is Phase.CLOSED else None

        if await self.waiters.until("channel", channel_id, done, timeout_s) is None:
            phase = self._channel(channel_id).phase.name.lower()
            raise OperationalError(f"the channel is {phase}: its close was begun and goes on; see `channels`")
        return self._view(self._channel(channel_id))

    # --- credits ------------------------------------------------------------------------------------

    async def credits(self) -> list[CreditInfo]:
        found = [
            CreditInfo(asset.address, asset.symbol, asset.decimals, await self.funding.credit(asset.address))
            for asset in self.config.asset
        ]
        return [credit for credit in found if credit.amount]

    async def claim_credit(self, asset: str, to: bytes | None, timeout_s: float) -> CreditInfo:
        chosen = self._asset(asset)
        amount = await self.funding.claim_credit(chosen.address, to, timeout_s)
        return CreditInfo(chosen.address, chosen.symbol, chosen.decimals, amount)

    # --- invoices and payments ----------------------------------------------------------------------

    async def create_invoice(
        self, asset: str, amount: int, description: str, expiry_s: int | None, count: int
    ) -> list[InvoiceInfo]:
        address = self._asset(asset).address
        return await self.invoicing.create(address, amount, description, expiry_s, count)

    async def invoices(self, before: int | None, limit: int) -> tuple[list[InvoiceInfo], Page]:
        return self.invoicing.page(before, limit)

    async def invoice(self, hashlock: bytes) -> InvoiceInfo:
        return self.invoicing.show(hashlock)

    async def decode_invoice(self, text: str) -> DecodedInvoice:
        return self.invoicing.describe(text)

    async def pay(
        self,
        invoice: str,
        amount: int | None,
        max_fee: int | None,
        timeout_s: float,
        channel_id: bytes | None = None,
    ) -> PaymentInfo:
        fields = self.invoicing.decode(invoice)
        if fields.payee == self.signer.public_key:
            raise Rejected("this invoice is our own")
        if self._tables.now_s > fields.expires_s:
            raise Rejected(f"the invoice expired at {fields.expires_s}, it is {self._tables.now_s}")
        if fields.expires_s > self._tables.now_s + LONGEST_INVOICE_S:
            days = LONGEST_INVOICE_S // 86_400
            raise Rejected(f"expected an invoice that expires within {days} days, got {fields.expires_s}")
        if amount is not None and fields.amount and amount != fields.amount:
            asked, got = (self.catalogue.amount(fields.asset, units) for units in (fields.amount, amount))
            raise Rejected(f"the invoice asks for {asked}, got {got}")
        value = fields.amount or amount
        if not value:
            raise Rejected("the invoice leaves the amount open; say how much to pay")
        payment = await self.payer.pay(fields, value, max_fee, timeout_s, channel_id)
        return payment_info(payment, self.catalogue)

    async def payments(
        self, before: int | None, limit: int, status: str = ""
    ) -> tuple[list[PaymentInfo], Page]:
        rows, page = payments_page(self.engine.journal, before, limit, status)
        return [payment_info(payment, self.catalogue) for payment in rows], page

    async def payment(self, hashlock: bytes) -> PaymentInfo:
        payment = self.payer.payment(hashlock)
        if payment is None:
            raise Rejected(f"no payment 0x{hashlock.hex()}")
        return payment_info(payment, self.catalogue)

    # --- options ------------------------------------------------------------------------------------

    async def quote_option(
        self, name: str, size_e8: int, asset: str, writer: bytes, timeout_s: float
    ) -> QuoteInfo:
        instrument = parse_instrument(name)
        feed = self.feeds.of_base(instrument.base)
        if feed is None:
            raise Rejected(f"no [[feed]] for {instrument.base} is configured")
        settings = self._asset(asset)
        terms = instrument.terms(feed, coin=settings.address == ETH)
        leg = OptionLeg(terms, claim_size(size_e8, settings.decimals))
        # The way is chosen before the premium is known; buying looks for one again with it.
        way = self.payer.routes.to_writer(writer, settings.address, 1, leg)
        path = [hop.to_node for hop in way.hops]
        quote = await self.desk.ask(self.peering, path, leg, settings.address, timeout_s)
        route = self.payer.routes.to_writer(writer, settings.address, quote.premium, leg)
        return QuoteInfo(
            quote.quote_id,
            writer,
            instrument_name(instrument.base, terms),
            contracts_e8(leg.size, settings.decimals),
            settings.address,
            settings.symbol,
            settings.decimals,
            quote.premium,
            route.fee,
            most(Claim(0, leg.size, None, 0, terms)),
            len(route.hops),
            quote.accept_by_s,
        )

    async def buy_option(self, quote_id: bytes, max_premium: int | None, timeout_s: float) -> TradeInfo:
        quote = self.desk.held.get(quote_id)
        if quote is None:
            raise Rejected(f"no quote 0x{quote_id.hex()}; ask for one first")
        if max_premium is not None and quote.premium > max_premium:
            raise Rejected(f"the premium is {quote.premium}, above the limit of {max_premium}")
        trade = await self.payer.buy(quote, timeout_s)
        return trade_info(trade, self.catalogue, self.feeds)

    async def trades(self, before: int | None, limit: int) -> tuple[list[TradeInfo], Page]:
        rows, page = page_of(self.engine.journal, "trade", Trade, before, limit)
        return [trade_info(trade, self.catalogue, self.feeds) for trade in rows], page

    async def positions(self, before: int | None = None, limit: int = 100) -> tuple[list[PositionInfo], Page]:
        return self.pages.positions(self._positions, before, limit)

    def _positions(self, channel: Channel) -> list[PositionInfo]:
        alias = self.peering.alias_of(channel.peer)
        return positions_of(channel, self._tables, self.catalogue, self.feeds, alias)

    async def settle_options(self, channel_id: bytes | None, timeout_s: float) -> list[PositionInfo]:
        expired = [
            position
            for each in list(self._tables.with_claims)
            if channel_id in (None, each) and self._channel(each).phase is not Phase.CLOSED
            for position in self._positions(self._channel(each))
            if position.price_e8 is not None
        ]
        if not expired:
            raise Rejected("no option here has expired with a signed price")
        for position in expired:
            claim = self._channel(position.channel_id).theirs.claims.get(position.claim_id)
            if claim is not None and claim.terms is not None:
                event = SettlementRequested(position.channel_id, claim.terms.feed, claim.terms.expiry_s)
                await self.engine.ask(event)
        for position in expired:
            await self._settled(position, timeout_s)
        return expired

    async def _settled(self, position: PositionInfo, timeout_s: float) -> None:
        def gone() -> bool | None:
            claims = self._channel(position.channel_id).theirs.claims
            return True if position.claim_id not in claims else None

        if await self.waiters.until("channel", position.channel_id, gone, timeout_s) is None:
            raise OperationalError(
                f"the peer has not settled {position.name} yet; it goes on by itself, "
                f"or leave with `close --unilateral`"
            )


def _announced(channel: Channel) -> bool:
    """Whether the peer counts the same deposits as we do."""
    seen, said = channel.deposits, channel.announced
    return (seen.a, seen.b) == (said.a, said.b)
