"""Answers as tables. Others' texts are shown as text, never as markup or control characters."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

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
from channeld.cli.amounts import CONTRACT_DECIMALS
from channeld.cli.names import clean, short, short_node
from channeld.wire.address import checksummed
from channeld.wire.decimals import from_units, shown

STYLES = {
    "open": "green",
    "paid": "green",
    "succeeded": "green",
    "bound": "green",
    "yes": "green",
    "failed": "red",
    "disputed": "red",
    "expired": "red",
    "pending": "yellow",
    "no": "yellow",
}


def when(time_s: int) -> str:
    """A unix time in UTC; empty for 0, which means never."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if time_s else ""


def yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def listing(*columns: str, empty: str, rows: Sequence[Sequence[str]]) -> Table | str:
    """A table; columns that begin with > are right-aligned. Without rows, the sentence `empty`."""
    if not rows:
        return empty
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    return table


def facts(*pairs: tuple[str, str]) -> Text:
    """Names and values, without the empty ones; long ids stay on one line, to be copied."""
    there = [(name, value) for name, value in pairs if value]
    width = max(len(name) for name, _ in there)
    lines = [
        Text.assemble((name.ljust(width), "bold"), "  ", (value, STYLES.get(value, "")))
        for name, value in there
    ]
    return Text("\n").join(lines)


def more(page: Page | PeerPage) -> list[str]:
    """How to go on, if this is not the last page."""
    match page:
        case Page(int() as place):
            return ["", f"there is more: --before {place}"]
        case PeerPage(bytes() as node_id):
            return ["", f"there is more: --after {node_id.hex()}"]
    return []


# The node ------------------------------------------------------------------------------------------


def node(info: NodeInfo) -> Text:
    chain = f"{info.chain_id}, block {info.block_number} of {when(info.block_time_s)}"
    return facts(
        ("node", info.node_id.hex()),
        ("alias", clean(info.alias)),
        ("account", checksummed(info.address)),
        ("version", info.version),
        ("chain", chain),
        ("adjudicator", checksummed(info.adjudicator)),
        ("synced", yes_or_no(info.synced)),
        ("chain error", clean(info.chain_error)),
        ("clock trusted", yes_or_no(info.clock_trusted)),
        ("listens on", str(info.listen_port)),
        ("peers", str(info.peers)),
        ("channels", str(info.channels)),
    )


def balances(info: NodeInfo) -> Table | str:
    rows = [
        (
            asset.symbol,
            _if_known(asset.on_chain, asset.decimals),
            from_units(asset.in_channels, asset.decimals),
            _if_known(asset.credit, asset.decimals),
        )
        for asset in info.assets
    ]
    return listing(
        "asset", ">on chain", ">in channels", ">credit", empty="no assets are configured", rows=rows
    )


def _if_known(units: int | None, decimals: int) -> str:
    return "unknown" if units is None else from_units(units, decimals)


def credits(items: Sequence[CreditInfo]) -> Table | str:
    rows = [
        (credit.symbol, from_units(credit.amount, credit.decimals), checksummed(credit.asset))
        for credit in items
    ]
    return listing("asset", ">amount", "address", empty="no credits: every payout arrived", rows=rows)


def peers(items: Sequence[PeerInfo]) -> Table | str:
    rows = [
        (
            clean(peer.alias),
            short(peer.node_id),
            yes_or_no(peer.connected),
            str(peer.channels),
            clean(peer.url),
        )
        for peer in items
    ]
    return listing(
        "alias",
        "node",
        "connected",
        ">channels",
        "address",
        empty="no peers; see `channeld connect`",
        rows=rows,
    )


def peer(item: PeerInfo) -> Text:
    return facts(
        ("node", item.node_id.hex()),
        ("alias", clean(item.alias)),
        ("account", checksummed(item.address)),
        ("connected", yes_or_no(item.connected)),
        ("address", clean(item.url)),
        ("channels", str(item.channels)),
    )


# Channels ------------------------------------------------------------------------------------------


def channels(items: Sequence[ChannelInfo]) -> Table | str:
    rows = []
    for channel in items:
        columns = (channel.ours, channel.theirs, channel.locked_ours, channel.spendable, channel.receivable)
        amounts = [from_units(amount, channel.decimals) for amount in columns]
        peer = short_node(channel.peer, channel.peer_alias)
        state = (channel.phase, yes_or_no(channel.online), channel.symbol)
        rows.append((short(channel.channel_id), peer, *state, *amounts, clean(channel.note)))
    return listing(
        *("channel", "peer", "phase", "online", "asset"),
        *(">ours", ">theirs", ">locked", ">can send", ">can receive", ""),
        empty="no channels; see `channeld open`",
        rows=rows,
    )


def channel(item: ChannelInfo) -> Text:
    def amount(units: int) -> str:
        return shown(units, item.decimals, item.symbol)

    return facts(
        ("channel", f"0x{item.channel_id.hex()}"),
        ("peer", f"{clean(item.peer_alias)} {item.peer.hex()}".strip()),
        ("phase", item.phase),
        ("online", yes_or_no(item.online)),
        ("waits", clean(item.note)),
        ("asset", f"{item.symbol} {checksummed(item.asset)}"),
        ("deposits", f"{amount(item.deposit_ours)} ours, {amount(item.deposit_theirs)} theirs"),
        ("balances", f"{amount(item.ours)} ours, {amount(item.theirs)} theirs"),
        ("locked", f"{amount(item.locked_ours)} ours, {amount(item.locked_theirs)} theirs"),
        ("can send", amount(item.spendable)),
        ("can receive", amount(item.receivable)),
        ("open claims", str(item.open_claims)),
        ("version", str(item.version)),
        ("challenge period", f"{item.challenge_period_s} s"),
    )


# Invoices and payments -----------------------------------------------------------------------------


def invoices(items: Sequence[InvoiceInfo]) -> Table | str:
    rows = [
        (
            short(invoice.hashlock),
            _asked(invoice.amount, invoice.decimals, invoice.symbol),
            invoice.status,
            from_units(invoice.received, invoice.decimals),
            when(invoice.expires_s),
            clean(invoice.description),
        )
        for invoice in items
    ]
    return listing(
        "hash", ">amount", "status", ">received", "expires", "description", empty="no invoices", rows=rows
    )


def _asked(amount: int, decimals: int, symbol: str) -> str:
    return shown(amount, decimals, symbol) if amount else f"any {symbol}"


def invoice(item: InvoiceInfo) -> Text:
    return facts(
        ("hash", f"0x{item.hashlock.hex()}"),
        ("amount", _asked(item.amount, item.decimals, item.symbol)),
        ("description", clean(item.description)),
        ("status", item.status),
        ("received", shown(item.received, item.decimals, item.symbol) if item.received else ""),
        ("made", when(item.created_s)),
        ("expires", when(item.expires_s)),
        ("paid", when(item.paid_s)),
    )


def decoded(item: DecodedInvoice) -> Text:
    return facts(
        ("payee", item.payee.hex()),
        ("hash", f"0x{item.hashlock.hex()}"),
        ("amount", _asked(item.amount, item.decimals, item.symbol)),
        ("description", clean(item.description)),
        ("made", when(item.created_s)),
        ("expires", when(item.expires_s)),
    )


def payments(items: Sequence[PaymentInfo]) -> Table | str:
    rows = [
        (
            short(payment.hashlock),
            payment.destination.hex()[:10],
            shown(payment.amount, payment.decimals, payment.symbol),
            from_units(payment.fee, payment.decimals),
            payment.status,
            when(payment.created_s),
            clean(payment.failure),
        )
        for payment in items
    ]
    return listing("hash", "to", ">amount", ">fee", "status", "begun", "", empty="no payments", rows=rows)


def payment(item: PaymentInfo) -> Text:
    return facts(
        ("hash", f"0x{item.hashlock.hex()}"),
        ("to", item.destination.hex()),
        ("amount", shown(item.amount, item.decimals, item.symbol)),
        ("fee", shown(item.fee, item.decimals, item.symbol)),
        ("status", item.status),
        ("failure", clean(item.failure)),
        ("receipt", f"0x{item.preimage.hex()}" if item.preimage else ""),
        ("hops", str(item.hops) if item.hops else ""),
        ("attempts", str(item.attempts)),
        ("begun", when(item.created_s)),
    )


# Options -------------------------------------------------------------------------------------------


def quote(item: QuoteInfo, expires_s: int) -> Text:
    """`expires_s` is the option's expiry, which stands in its name."""
    return facts(
        ("option", clean(item.name)),
        ("expires", when(expires_s)),
        ("contracts", from_units(item.size_e8, CONTRACT_DECIMALS)),
        ("writer", item.writer.hex()),
        ("premium", shown(item.premium, item.decimals, item.symbol)),
        ("fees of hubs", shown(item.fee, item.decimals, item.symbol)),
        ("collateral", f"{shown(item.collateral, item.decimals, item.symbol)}, the most it can pay"),
        ("hops", str(item.hops)),
        ("good until", when(item.accept_by_s)),
        ("quote", f"0x{item.quote_id.hex()}"),
    )


def trade(item: TradeInfo) -> Text:
    return facts(
        ("option", clean(item.name)),
        ("role", item.role),
        ("contracts", from_units(item.size_e8, CONTRACT_DECIMALS)),
        ("premium", shown(item.premium, item.decimals, item.symbol)),
        ("fee", shown(item.fee, item.decimals, item.symbol)),
        ("status", item.status),
        ("failure", clean(item.failure)),
        ("hash", f"0x{item.hashlock.hex()}"),
    )


def trades(items: Sequence[TradeInfo]) -> Table | str:
    rows = [
        (
            short(item.hashlock),
            clean(item.name),
            item.role,
            from_units(item.size_e8, CONTRACT_DECIMALS),
            shown(item.premium, item.decimals, item.symbol),
            from_units(item.fee, item.decimals),
            item.status,
            clean(item.failure),
        )
        for item in items
    ]
    return listing(
        "hash", "option", "role", ">contracts", ">premium", ">fee", "status", "", empty="no trades", rows=rows
    )


def positions(items: Sequence[PositionInfo], empty: str) -> Table | str:
    rows = []
    for item in items:
        price = "" if item.price_e8 is None else from_units(item.price_e8, CONTRACT_DECIMALS)
        value = "" if item.value is None else shown(item.value, item.decimals, item.symbol)
        rows.append(
            (
                clean(item.name),
                item.side,
                from_units(item.size_e8, CONTRACT_DECIMALS),
                short_node(item.peer, item.peer_alias),
                short(item.channel_id),
                shown(item.locked, item.decimals, item.symbol),
                "pending" if item.pending else when(item.expires_s),
                price,
                value,
            )
        )
    return listing(
        *("option", "side", ">contracts", "with", "channel", ">collateral", "expires", ">price", ">value"),
        empty=empty,
        rows=rows,
    )
