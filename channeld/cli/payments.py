"""Invoices and payments."""

from typing import TextIO

import click

from channeld.api import endpoints as api
from channeld.api.commands import Commands, InvoiceInfo, PaymentInfo
from channeld.api.requests import MAX_INVOICE_EXPIRY_S, PAYMENT_TIMEOUT_S, PayMany
from channeld.cli import tables
from channeld.cli.amounts import WrittenAmount, choose_asset, read_positive, read_written
from channeld.cli.batch import pay_batch, read_batch
from channeld.cli.channels import asset_option
from channeld.cli.names import read_hash
from channeld.cli.outcome import TransferFailed
from channeld.cli.reading import checks, read_invoice, reads, require_one_asset, units_of
from channeld.cli.session import Command, Session, page_options, pass_session
from channeld.core.errors import OperationalError, Rejected
from channeld.wire.invoice import MAX_DESCRIPTION_BYTES

INVOICES_AT_ONCE = 1_000
"""The API's limit of one request."""


def _check_description(text: str) -> None:
    size = len(text.encode(errors="replace"))
    if size > MAX_DESCRIPTION_BYTES:
        raise Rejected(f"expected a description of at most {MAX_DESCRIPTION_BYTES} bytes, got {size}")


# Invoices ------------------------------------------------------------------------------------------


@click.command(cls=Command)
@click.argument("amount", required=False, callback=reads(read_written))
@asset_option
@click.option(
    "--description", default="", metavar="TEXT", callback=checks(_check_description),
    help="Shown to the payer.",
)  # fmt: skip
@click.option(
    "--expiry", "expiry_s", type=click.IntRange(1, MAX_INVOICE_EXPIRY_S), metavar="SECONDS",
    help="[default: as configured]",
)  # fmt: skip
@click.option("--count", type=click.IntRange(1, 100_000), default=1, help="So many alike.")
@click.option("--list", "listed", is_flag=True, help="List the invoices of this node.")
@click.option(
    "--show", "hashlock", metavar="HASH", callback=reads(read_hash), help="Show an invoice of this node."
)
@click.option(
    "--decode", "text", metavar="INVOICE", callback=reads(read_invoice),
    help="Show what anybody's invoice says.",
)  # fmt: skip
@page_options
@pass_session
def invoice(
    session: Session,
    amount: WrittenAmount | None,
    asset: str,
    description: str,
    expiry_s: int | None,
    count: int,
    listed: bool,
    hashlock: bytes | None,
    text: str | None,
    limit: int,
    before: int | None,
) -> None:
    """Make an invoice for AMOUNT, or list or read invoices.

    An amount of 0 leaves it to the payer. Several are printed one a line.
    """
    if sum((amount is not None, listed, hashlock is not None, text is not None)) != 1:
        raise click.UsageError("expected one of AMOUNT, --list, --show HASH and --decode INVOICE")
    if amount is not None:
        _create(session, amount, asset, description, expiry_s, count)
    elif listed:
        page = session.ask(lambda client: client.invoices(before, limit))
        session.show(api.INVOICES.answer.encode(page), tables.invoices(page[0]), *tables.more(page[1]))
    elif hashlock is not None:
        found = session.ask(lambda client: client.invoice(hashlock))
        session.show(api.INVOICE.answer.encode(found), tables.invoice(found), *_line(found))
    elif text is not None:
        decoded = session.ask(lambda client: client.decode_invoice(text))
        session.show(api.DECODE_INVOICE.answer.encode(decoded), tables.decoded(decoded))


def _line(invoice: InvoiceInfo) -> list[str]:
    return ["", invoice.text] if invoice.text else []


def _create(
    session: Session, amount: WrittenAmount, asset: str, description: str, expiry_s: int | None, count: int
) -> None:
    require_one_asset(amount, asset)

    async def create(client: Commands) -> list[InvoiceInfo]:
        chosen = choose_asset((await client.info()).assets, amount.symbol, asset)
        units = units_of(amount, chosen.symbol, chosen.decimals)
        made: list[InvoiceInfo] = []
        while len(made) < count:
            some = min(count - len(made), INVOICES_AT_ONCE)
            named = f"0x{chosen.address.hex()}"
            made += await client.create_invoice(named, units, description, expiry_s, some)
        return made

    made = session.ask(create)
    document = api.CREATE_INVOICE.answer.encode(made)
    if count == 1:
        session.show(document, tables.invoice(made[0]), *_line(made[0]))
    else:
        session.show(document, *(one.text for one in made))


# Paying --------------------------------------------------------------------------------------------


@click.command(cls=Command)
@click.argument("invoice", required=False, callback=reads(read_invoice))
@click.option(
    "--amount", metavar="AMOUNT", callback=reads(read_positive), help="Where the invoice leaves it to you."
)
@click.option(
    "--max-fee", metavar="AMOUNT", callback=reads(read_written),
    help="Most paid to hops.  [default: the configured share]",
)  # fmt: skip
@click.option("--batch", type=click.File("r"), metavar="FILE", help="Invoices, one a line; - reads stdin.")
@click.option(
    "--in-flight", type=click.IntRange(1, 1_000), default=PayMany().in_flight, show_default=True,
    help="Most at once, of a batch.",
)  # fmt: skip
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0.01, 3_600), default=PAYMENT_TIMEOUT_S,
    show_default=True, help="Seconds to wait; a payment in flight goes on.",
)  # fmt: skip
@pass_session
def pay(
    session: Session,
    invoice: str | None,
    amount: WrittenAmount | None,
    max_fee: WrittenAmount | None,
    batch: TextIO | None,
    in_flight: int,
    timeout_s: float,
) -> None:
    """Pay INVOICE and show the receipt, or pay all of a FILE.

    Exit code 4: it failed for good, nothing was spent. 3: still in flight, see `channeld payments`.
    """
    if (invoice is None) == (batch is None):
        raise click.UsageError("expected an INVOICE or --batch FILE")
    if batch is not None:
        if amount is not None or max_fee is not None:
            raise click.UsageError("expected --amount and --max-fee with a single INVOICE only")
        pay_batch(session, read_batch(batch, timeout_s), in_flight)
    elif invoice is not None:
        if amount is not None and max_fee is not None:
            require_one_asset(amount, max_fee.symbol)
        _pay_one(session, invoice, amount, max_fee, timeout_s)


def _pay_one(
    session: Session,
    invoice: str,
    amount: WrittenAmount | None,
    max_fee: WrittenAmount | None,
    timeout_s: float,
) -> None:
    async def paying(client: Commands) -> PaymentInfo:
        units = most = None
        if amount is not None or max_fee is not None:
            asked = await client.decode_invoice(invoice)
            units = None if amount is None else units_of(amount, asked.symbol, asked.decimals)
            most = None if max_fee is None else units_of(max_fee, asked.symbol, asked.decimals)
        return await client.pay(invoice, units, most, timeout_s)

    payment = session.ask(paying, "paying")
    session.show(api.PAY.answer.encode(payment), tables.payment(payment))
    if payment.status == "failed":
        raise TransferFailed(f"the payment did not go through: {payment.failure}")
    if payment.status == "pending":
        raise OperationalError(
            f"the payment is still in flight after {timeout_s:g} s: "
            f"look again with `channeld payments 0x{payment.hashlock.hex()}`"
        )


@click.command(cls=Command)
@click.argument("hashlock", metavar="[HASH]", required=False, callback=reads(read_hash))
@click.option("--status", type=click.Choice(["pending", "succeeded", "failed"]), help="Only such.")
@page_options
@pass_session
def payments(
    session: Session, hashlock: bytes | None, status: str | None, limit: int, before: int | None
) -> None:
    """List payments, newest first, or show the one of HASH."""
    if hashlock is not None:
        found = session.ask(lambda client: client.payment(hashlock))
        session.show(api.PAYMENT.answer.encode(found), tables.payment(found))
        return
    page = session.ask(lambda client: client.payments(before, limit, status or ""))
    session.show(api.PAYMENTS.answer.encode(page), tables.payments(page[0]), *tables.more(page[1]))
