"""Invoices and payments."""

from typing import TextIO

import click

from channeld.api import endpoints as api
from channeld.api.commands import Commands, InvoiceInfo, PaymentInfo
from channeld.api.requests import PAYMENT_TIMEOUT_S, PayMany
from channeld.cli import tables
from channeld.cli.amounts import choose_asset, read_amount, read_written, to_units
from channeld.cli.batch import pay_batch, read_batch
from channeld.cli.names import read_hash
from channeld.cli.outcome import TransferFailed
from channeld.cli.session import Command, Session, page_options, pass_session
from channeld.core.errors import OperationalError

INVOICES_AT_ONCE = 1_000
"""The API's limit of one request."""


# Invoices ------------------------------------------------------------------------------------------


@click.command(cls=Command)
@click.argument("amount", required=False)
@click.option("--asset", default="", metavar="SYMBOL", help="If not behind the amount.")
@click.option("--description", default="", metavar="TEXT", help="Shown to the payer.")
@click.option("--expiry", "expiry_s", type=int, metavar="SECONDS", help="[default: as configured]")
@click.option("--count", type=click.IntRange(1, 100_000), default=1, help="So many alike.")
@click.option("--list", "listed", is_flag=True, help="List the invoices of this node.")
@click.option("--show", "shown", metavar="HASH", help="Show an invoice of this node.")
@click.option("--decode", "text", metavar="INVOICE", help="Show what anybody's invoice says.")
@page_options
@pass_session
def invoice(
    session: Session,
    amount: str | None,
    asset: str,
    description: str,
    expiry_s: int | None,
    count: int,
    listed: bool,
    shown: str | None,
    text: str | None,
    limit: int,
    before: int | None,
) -> None:
    """Make an invoice for AMOUNT, or list or read invoices.

    An amount of 0 leaves it to the payer. Several are printed one a line.
    """
    if sum((amount is not None, listed, shown is not None, text is not None)) != 1:
        raise click.UsageError("expected one of AMOUNT, --list, --show HASH and --decode INVOICE")
    if amount is not None:
        _create(session, amount, asset, description, expiry_s, count)
    elif listed:
        page = session.ask(lambda client: client.invoices(before, limit))
        session.show(api.INVOICES.answer.encode(page), tables.invoices(page[0]), *tables.more(page[1]))
    elif shown is not None:
        hashlock = read_hash(shown)
        found = session.ask(lambda client: client.invoice(hashlock))
        session.show(api.INVOICE.answer.encode(found), tables.invoice(found), *_line(found))
    elif text is not None:
        invoice_text = text.strip()
        decoded = session.ask(lambda client: client.decode_invoice(invoice_text))
        session.show(api.DECODE_INVOICE.answer.encode(decoded), tables.decoded(decoded))


def _line(invoice: InvoiceInfo) -> list[str]:
    return ["", invoice.text] if invoice.text else []


def _create(
    session: Session, amount: str, asset: str, description: str, expiry_s: int | None, count: int
) -> None:
    async def create(client: Commands) -> list[InvoiceInfo]:
        written = read_written(amount)
        chosen = choose_asset((await client.info()).assets, written.symbol, asset)
        units = to_units(written.number, chosen.decimals, chosen.symbol)
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
@click.argument("invoice", required=False)
@click.option("--amount", metavar="AMOUNT", help="Where the invoice leaves it to you.")
@click.option("--max-fee", metavar="AMOUNT", help="Most paid to hops.  [default: the configured share]")
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
    amount: str | None,
    max_fee: str | None,
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
        _pay_one(session, invoice.strip(), amount, max_fee, timeout_s)


def _pay_one(
    session: Session, invoice: str, amount: str | None, max_fee: str | None, timeout_s: float
) -> None:
    async def paying(client: Commands) -> PaymentInfo:
        units = most = None
        if amount is not None or max_fee is not None:
            asked = await client.decode_invoice(invoice)
            units = None if amount is None else read_amount(amount, asked.symbol, asked.decimals)
            most = None if max_fee is None else read_amount(max_fee, asked.symbol, asked.decimals)
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
@click.argument("hash", required=False)
@click.option("--status", type=click.Choice(["pending", "succeeded", "failed"]), help="Only such.")
@page_options
@pass_session
def payments(session: Session, hash: str | None, status: str | None, limit: int, before: int | None) -> None:
    """List payments, newest first, or show the one of HASH."""
    if hash is not None:
        hashlock = read_hash(hash)
        found = session.ask(lambda client: client.payment(hashlock))
        session.show(api.PAYMENT.answer.encode(found), tables.payment(found))
        return
    page = session.ask(lambda client: client.payments(before, limit, status or ""))
    session.show(api.PAYMENTS.answer.encode(page), tables.payments(page[0]), *tables.more(page[1]))
