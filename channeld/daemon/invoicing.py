"""Our invoices: made, listed, shown; anybody's read."""

import asyncio
import secrets
from hashlib import sha256

from channeld.adapters.signer import Signer, verify_node
from channeld.api.commands import DecodedInvoice, InvoiceInfo, Page
from channeld.config.settings import Config
from channeld.core.errors import Rejected
from channeld.core.events import InvoiceCreated
from channeld.core.records import Invoice
from channeld.daemon.engine import Engine
from channeld.daemon.history import page_of
from channeld.daemon.paying import archived
from channeld.daemon.views import Catalogue, invoice_info
from channeld.wire.invoice import InvoiceFields, decode_invoice, encode_invoice

MAX_INVOICES_AT_ONCE = 1_000
"""One commit makes them all durable; more would hold up the loop for longer than a turn."""


class Invoicing:
    """Secrets come from the operating system; an invoice is durable before its text is given out."""

    def __init__(self, config: Config, signer: Signer, engine: Engine, catalogue: Catalogue) -> None:
        self._config = config
        self._signer = signer
        self._engine = engine
        self._catalogue = catalogue

    async def create(
        self, asset: bytes, amount: int, description: str, expiry_s: int | None, count: int
    ) -> list[InvoiceInfo]:
        """`count` invoices in an asset (20-byte address). Raises Rejected."""
        if not 1 <= count <= MAX_INVOICES_AT_ONCE:
            raise Rejected(f"expected 1 to {MAX_INVOICES_AT_ONCE} invoices at once, got {count}")
        valid_s = self._config.payment.invoice_expiry_s if expiry_s is None else expiry_s
        now_s = self._engine.tables.now_s
        made: list[Invoice] = []
        for _ in range(count):
            preimage, payment_secret = secrets.token_bytes(32), secrets.token_bytes(32)
            hashlock = sha256(preimage).digest()
            expires_s = now_s + valid_s
            made.append(
                Invoice(hashlock, preimage, payment_secret, asset, amount, description, now_s, expires_s)
            )
        texts = [self._text(invoice) for invoice in made]
        await asyncio.gather(*(self._engine.ask(InvoiceCreated(invoice)) for invoice in made))
        return [
            invoice_info(invoice, self._catalogue, now_s, text)
            for invoice, text in zip(made, texts, strict=True)
        ]

    def _text(self, invoice: Invoice) -> str:
        """Deterministic, so that history can show an invoice again."""
        assert self._config.chain.adjudicator is not None
        fields = InvoiceFields(
            chain_id=self._config.chain.chain_id,
            adjudicator=self._config.chain.adjudicator,
            hashlock=invoice.hashlock,
            payment_secret=invoice.payment_secret,
            payee=self._signer.public_key,
            created_s=invoice.created_s,
            asset=invoice.asset,
            amount=invoice.amount,
            valid_for_s=invoice.expires_s - invoice.created_s,
            description=invoice.description,
        )
        return encode_invoice(fields, self._signer.sign_digest)

    def _info(self, invoice: Invoice) -> InvoiceInfo:
        return invoice_info(invoice, self._catalogue, self._engine.tables.now_s, self._text(invoice))

    def page(self, before: int | None, limit: int) -> tuple[list[InvoiceInfo], Page]:
        """Newest first; see `channeld.daemon.history`."""
        rows, page = page_of(self._engine.journal, "invoice", Invoice, before, limit)
        now_s = self._engine.tables.now_s
        return [
            invoice_info(invoice, self._catalogue, now_s, "" if invoice.archived else self._text(invoice))
            for invoice in rows
        ], page

    def show(self, hashlock: bytes) -> InvoiceInfo:
        """One invoice, live or history. Raises Rejected."""
        found: object = self._engine.tables.records[Invoice].get(hashlock)
        found = found or archived(self._engine.journal, "invoice", hashlock)
        if not isinstance(found, Invoice):
            raise Rejected(f"no invoice 0x{hashlock.hex()}")
        return self._info(found)

    def decode(self, text: str) -> InvoiceFields:
        """Anybody's invoice, if it is of this chain and adjudicator. Raises Rejected."""
        fields = decode_invoice(text, verify_node)
        ours = (self._config.chain.chain_id, self._config.chain.adjudicator)
        if (fields.chain_id, fields.adjudicator) != ours:
            raise Rejected(
                f"expected an invoice of chain {ours[0]} and this node's adjudicator, "
                f"got one of chain {fields.chain_id} and 0x{fields.adjudicator.hex()}"
            )
        return fields

    def describe(self, text: str) -> DecodedInvoice:
        """What an invoice says. Raises Rejected."""
        fields = self.decode(text)
        asset = self._catalogue.of(fields.asset)
        return DecodedInvoice(
            fields.payee,
            fields.hashlock,
            fields.asset,
            asset.symbol,
            asset.decimals,
            fields.amount,
            fields.description,
            fields.created_s,
            fields.expires_s,
        )
