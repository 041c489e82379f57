"""Payments: what we ask for (invoices) and what we pay."""

from channeld.core.channel import Channel, Phase
from channeld.core.claims import Claim
from channeld.core.copying import replace
from channeld.core.draft import Draft
from channeld.core.effects import Notify
from channeld.core.errors import Rejected
from channeld.core.events import PaymentRequested
from channeld.core.forwarding import leaves_room
from channeld.core.messages import Deliver
from channeld.core.offers import fail_back, has_room, offer, release_secret
from channeld.core.records import (
    ClaimRef,
    Failure,
    FailureCode,
    Invoice,
    InvoiceStatus,
    Payment,
    PaymentStatus,
    Secret,
    Trade,
)


def require_ready(draft: Draft, channel_id: bytes) -> Channel:
    """The channel, if new claims can be offered in it now; else Rejected."""
    if not draft.tables.clock_trusted:
        raise Rejected("the chain's clock and this computer's disagree: no new claims until they agree")
    channel = draft.get(Channel, channel_id)
    if channel is None:
        raise Rejected(f"no channel {channel_id.hex()}")
    if channel.phase is not Phase.OPEN:
        raise Rejected(f"channel {channel_id.hex()} is {channel.phase.name.lower()}, expected open")
    if not draft.is_online(channel_id):
        raise Rejected(f"the peer of channel {channel_id.hex()} is not connected")
    if not has_room(channel):
        raise Rejected(f"channel {channel_id.hex()} has {len(channel.waiting)} operations waiting; try later")
    return channel


def request_payment(draft: Draft, event: PaymentRequested) -> None:
    """Offer a payment along a chosen route. Raises Rejected if it is under way or was made already.

    Also if it succeeded a moment ago: a second offer under a known secret is any hub's to take.
    """
    if draft.get(Payment, event.hashlock) is not None:
        raise Rejected(f"a payment with hash {event.hashlock.hex()} is already under way")
    if event.hashlock in draft.tables.just_paid or event.hashlock in draft.tables.paid:
        raise Rejected(f"the invoice {event.hashlock.hex()} is paid already")
    known = draft.get(Secret, event.hashlock) is not None or draft.get(Trade, event.hashlock) is not None
    # Whoever knows the secret collects: a payment under a hash that is not the payee's alone is lost.
    if known or event.hashlock in draft.world.registered_s:
        raise Rejected(f"the secret of {event.hashlock.hex()} is public already; ask for a new invoice")
    require_ready(draft, event.channel_id)
    claim = offer(
        draft, event.channel_id, event.amount + event.fee, event.hashlock, event.deadline_s, event.packet
    )
    draft.put(
        Payment(
            event.hashlock,
            event.destination,
            event.asset,
            event.amount,
            event.fee,
            event.now_s,
            event.description,
            claim=claim,
            attempts=event.attempt,
            hops=event.hops,
        )
    )


def deliver(draft: Draft, ref: ClaimRef, claim: Claim, order: Deliver) -> None:
    """A claim arrived that pays an invoice of ours: take it if it is what we asked for.

    Attacks stopped: a hop that probes for the payee (the payment secret is in the invoice alone), one
    that forwards less than was asked, one that leaves us no time to register the secret.
    """
    assert claim.hashlock is not None
    invoice = draft.get(Invoice, claim.hashlock)
    asset = draft.channel(ref.channel_id).params.asset
    if (
        invoice is None
        or invoice.payment_secret != order.payment_secret
        or invoice.asset != asset
        or draft.world.now_s > invoice.expires_s
    ):
        fail_back(draft, ref, Failure(FailureCode.UNKNOWN_HASH))
    elif claim.terms is not None or claim.amount < max(invoice.amount, order.total, 1):
        fail_back(draft, ref, Failure(FailureCode.WRONG_AMOUNT))
    elif not leaves_room(draft, claim):
        fail_back(draft, ref, Failure(FailureCode.TOO_LATE))
    else:
        draft.put(
            replace(invoice, status=InvoiceStatus.PAID, received=claim.amount, paid_s=draft.world.now_s)
        )
        draft.emit(Notify("invoice", invoice.hashlock))
        release_secret(draft, invoice.hashlock, invoice.preimage)


def invoice_lapsed(draft: Draft, hashlock: bytes) -> None:
    """An invoice that cannot be paid any more becomes history; one that was paid meanwhile is already.

    Not by a clock that is not trusted: that is for good, and the time may be far too late.
    """
    invoice = draft.get(Invoice, hashlock)
    world = draft.world
    if invoice is not None and world.clock_trusted and world.now_s > invoice.expires_s:
        draft.put(replace(invoice, status=InvoiceStatus.EXPIRED))
        draft.emit(Notify("invoice", hashlock))


def payment_succeeded(draft: Draft, hashlock: bytes, preimage: bytes) -> None:
    """The secret is the receipt: the payment is done, however its claim is cleared."""
    payment = draft.get(Payment, hashlock)
    if payment is not None:
        draft.put(replace(payment, status=PaymentStatus.SUCCEEDED, preimage=preimage, claim=None))
        draft.emit(Notify("payment", hashlock))


def payment_gone(draft: Draft, hashlock: bytes, ref: ClaimRef, failure: Failure) -> None:
    """Our offer is in no enforceable state any more: the payment failed and may be tried again."""
    payment = draft.get(Payment, hashlock)
    if payment is not None and payment.claim == ref:
        draft.put(replace(payment, status=PaymentStatus.FAILED, failure=failure, claim=None))
        draft.emit(Notify("payment", hashlock))
