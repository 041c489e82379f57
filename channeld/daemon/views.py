"""What the API shows of channels, payments and positions: records in, plain answers out. Pure."""

from dataclasses import dataclass

from channeld.api.commands import ChannelInfo, InvoiceInfo, PaymentInfo, PositionInfo, TradeInfo
from channeld.config.settings import AssetSettings
from channeld.core.channel import Channel, Phase
from channeld.core.claims import Claim, Side
from channeld.core.draft import Tables
from channeld.core.payoff import group_payout, most
from channeld.core.records import Dispute, Failure, FailureCode, Invoice, InvoiceStatus, Payment, Trade
from channeld.core.solvency import spendable, worst_case
from channeld.daemon.feeds import Feeds
from channeld.market.instruments import contracts_e8, instrument_name
from channeld.wire.address import checksummed
from channeld.wire.decimals import shown

_REASONS = {
    FailureCode.UNKNOWN_HASH: "the payee does not know this invoice (paid, expired or never made)",
    FailureCode.WRONG_AMOUNT: "the payee was offered another amount than it asked for",
    FailureCode.TOO_LATE: "too little time was left",
    FailureCode.NO_CHANNEL: "the next channel is closed or its peer is away",
    FailureCode.NO_CAPACITY: "a channel could not carry the amount",
    FailureCode.FEE_TOO_LOW: "a hub asks for a higher fee",
    FailureCode.BAD_PACKET: "a hub could not read its instructions",
    FailureCode.NO_QUOTE: "the quote has lapsed",
    FailureCode.WRONG_TERMS: "an option came back with other terms than agreed",
    FailureCode.DEADLINE_PASSED: "nobody answered before the deadline",
    FailureCode.CLOSING: "a channel on the way is closing",
    FailureCode.CLOCK: "a node on the way does not trust its clock",
    FailureCode.TOO_SMALL: "the amount is below what a node on the way takes",
    FailureCode.BUSY: "a node on the way has as much in flight as it allows",
    FailureCode.TOO_FAR: "the deadline lies further ahead than a node on the way allows",
}


def reason(failure: Failure | None) -> str:
    """A failure in words; empty if there was none."""
    if failure is None:
        return ""
    where = "" if failure.channel_id == bytes(32) else f" (channel {failure.channel_id.hex()[:16]})"
    return _REASONS[failure.code] + where


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Assets by address, with a fallback for those that are not configured."""

    assets: tuple[AssetSettings, ...]

    def of(self, address: bytes) -> AssetSettings:
        for asset in self.assets:
            if asset.address == address:
                return asset
        return AssetSettings(address, checksummed(address)[:8], 0)

    def amount(self, address: bytes, units: int) -> str:
        """As people read it: '0.5 ETH'."""
        asset = self.of(address)
        return shown(units, asset.decimals, asset.symbol)

    def named(self, text: str) -> AssetSettings | None:
        """By symbol (any case) or 0x address."""
        wanted = text.lower()
        for asset in self.assets:
            if wanted in (asset.symbol.lower(), "0x" + asset.address.hex()):
                return asset
        return None


def free_balances(channel: Channel) -> tuple[int, int]:
    """(ours, theirs) without what is locked: deposit and net alone, in the newest accepted state."""
    net = channel.theirs.net
    a, b = channel.deposits.a - net, channel.deposits.b + net
    return (a, b) if channel.me is Side.A else (b, a)


def spendable_now(channel: Channel, side: Side) -> int:
    """What `side` could add as one more claim: covered in every state that anyone can enforce."""
    if channel.phase is not Phase.OPEN:
        return 0
    deposits = channel.usable_deposits()
    return max(0, min(spendable(state, deposits, side) for state in channel.enforceable))


def channel_note(channel: Channel, online: bool, dispute: Dispute | None, now_s: int) -> str:
    """What a channel waits for, in a sentence; empty if for nothing."""
    match channel.phase:
        case Phase.OPENING:
            return "waiting for its deposit to be confirmed"
        case Phase.OPEN:
            return "" if online else "the peer is not connected"
        case Phase.SHUTTING:
            claims = len(channel.theirs.claims)
            return f"closing: {claims} open claims to be resolved first" if claims else "closing"
        case Phase.CLOSING:
            return "waiting for the closing transaction"
        case Phase.RECOVERED:
            if not channel.theirs.claims:
                return "data was lost here; only a cooperative close is safe"
            return (
                f"data was lost here; {len(channel.theirs.claims)} open claims are decided on chain only: "
                "waiting for the peer to leave alone"
            )
        case Phase.DISPUTED:
            if dispute is None or not dispute.known:
                return "waiting for the challenge to be mined"
            if now_s < dispute.expires_s:
                return f"in dispute at version {dispute.version}; {dispute.expires_s - now_s} s to answer"
            return "waiting for the settlement"
        case Phase.CLOSED:
            return ""


def channel_info(channel: Channel, tables: Tables, catalogue: Catalogue, alias: str) -> ChannelInfo:
    asset = catalogue.of(channel.params.asset)
    locked = worst_case(channel.theirs.claims.values())
    ours, theirs = free_balances(channel)
    me, deposits = channel.me, (channel.deposits.a, channel.deposits.b)
    dispute = tables.records[Dispute].get(channel.channel_id)
    online = channel.channel_id in tables.online
    assert dispute is None or isinstance(dispute, Dispute)
    return ChannelInfo(
        channel_id=channel.channel_id,
        peer=channel.peer,
        peer_alias=alias,
        phase=channel.phase.name.lower(),
        online=online,
        asset=asset.address,
        symbol=asset.symbol,
        decimals=asset.decimals,
        deposit_ours=deposits[me],
        deposit_theirs=deposits[me.other],
        ours=ours,
        theirs=theirs,
        locked_ours=locked[me],
        locked_theirs=locked[me.other],
        spendable=spendable_now(channel, me),
        receivable=spendable_now(channel, me.other),
        open_claims=len({claim_id for state in channel.enforceable for claim_id in state.claims}),
        version=channel.theirs.version,
        challenge_period_s=channel.params.challenge_period_s,
        note=channel_note(channel, online, dispute, tables.now_s),
    )


def invoice_info(invoice: Invoice, catalogue: Catalogue, now_s: int, text: str) -> InvoiceInfo:
    asset = catalogue.of(invoice.asset)
    status = invoice.status.name.lower()
    if invoice.status is InvoiceStatus.OPEN and now_s > invoice.expires_s:
        status = "expired"
    return InvoiceInfo(
        invoice.hashlock,
        text,
        asset.address,
        asset.symbol,
        asset.decimals,
        invoice.amount,
        invoice.received,
        invoice.description,
        status,
        invoice.created_s,
        invoice.expires_s,
        invoice.paid_s,
    )


def payment_info(payment: Payment, catalogue: Catalogue) -> PaymentInfo:
    asset = catalogue.of(payment.asset)
    return PaymentInfo(
        payment.hashlock,
        payment.destination,
        asset.address,
        asset.symbol,
        asset.decimals,
        payment.amount,
        payment.fee,
        payment.status.name.lower(),
        payment.created_s,
        payment.preimage,
        reason(payment.failure),
        payment.attempts,
        payment.hops,
    )


def trade_info(trade: Trade, catalogue: Catalogue, feeds: Feeds) -> TradeInfo:
    asset = catalogue.of(trade.asset)
    terms = trade.leg.terms
    return TradeInfo(
        trade.hashlock,
        instrument_name(feeds.base_of(terms.feed), terms),
        trade.role.name.lower(),
        contracts_e8(trade.leg.size, asset.decimals),
        asset.symbol,
        asset.decimals,
        trade.premium,
        trade.fee,
        trade.status.name.lower(),
        reason(trade.failure),
    )


def positions_of(
    channel: Channel, tables: Tables, catalogue: Catalogue, feeds: Feeds, alias: str
) -> list[PositionInfo]:
    """Every open option of a channel, in its newest accepted state."""
    return [
        _position(channel, claim, tables, catalogue, feeds, alias)
        for claim in channel.theirs.claims.values()
        if claim.terms is not None
    ]


def _position(
    channel: Channel, claim: Claim, tables: Tables, catalogue: Catalogue, feeds: Feeds, alias: str
) -> PositionInfo:
    terms = claim.terms
    assert terms is not None
    asset = catalogue.of(channel.params.asset)
    price = tables.signed_prices.get((terms.feed, terms.expiry_s))
    value = None
    if price is not None:
        to_a = group_payout([claim.unlocked()], price)
        value = to_a if channel.me is Side.A else -to_a
    return PositionInfo(
        channel.channel_id,
        channel.peer,
        alias,
        claim.claim_id,
        instrument_name(feeds.base_of(terms.feed), terms),
        "short" if claim.payer is channel.me else "long",
        contracts_e8(claim.amount, asset.decimals),
        asset.symbol,
        asset.decimals,
        most(claim),
        terms.expiry_s,
        claim.hashlock is not None,
        price,
        value,
    )
