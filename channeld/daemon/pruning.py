"""Forgetting history: what is over for longer than its owner wants to see it.

Only kinds of history are touched, and nothing of them that decides about money:

- *payments*: of one that succeeded, its hash stays (`payment_paid`, 90 bytes instead of 250) until no
  invoice with that hash can be valid any more, so that it is never paid twice;
- *invoices*: a paid or lapsed one is not open, hence can never be paid again, remembered or not;
- *forwards*, *trades*: their claims live in the channels, their secrets in the table of secrets, which stay
  as long as any claim waits for them; a dispute reads these and the channel's states alone;
- *streams* (totals of pushes) of channels that are closed: nothing is counted in them any more. While their
  channel lives they stay, however old: the next push goes on from them.

Never pruned: channels, secrets, disputes, the transactions sent, and what the contract's registries hold:
that a secret is public must be known for ever, or a claim under it would be taken for dead.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgpack

from channeld.adapters.journal.records import Delete, Journal, Put, Write
from channeld.core.channel import Channel, Phase
from channeld.core.errors import Rejected
from channeld.core.records import Forward, Invoice, InvoiceStatus, Payment, PaymentStatus, Stream, Trade
from channeld.daemon.history import LONGEST_INVOICE_S, PAID, typed
from channeld.wire.records import decode_record

HISTORIES = ("payment", "invoice", "forward", "trade", "stream")
"""What can be pruned."""

MIN_AGE_S = 86_400
"""Younger history stays: somebody may still wait for its end, and the longest deadline is far below."""

DISORDER_S = 86_400
"""Histories are in the order in which things ended, more or less. Where nothing in STEP records began before
so much later than what is wanted, nothing that is wanted follows."""

CHANNEL_BYTES = 32
"""The key of a stream begins with its channel's id."""

STEP = 500
"""Records that one commit removes: some ten milliseconds."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one look at a history did. `after` is where the next one begins, None at the end."""

    looked_at: int
    removed: int
    after: int | None


def require_old_enough(before_s: int, now_s: int) -> None:
    """Raises Rejected if somebody would forget what has only just happened."""
    if before_s > now_s - MIN_AGE_S:
        limit = datetime.fromtimestamp(now_s - MIN_AGE_S, UTC)
        raise Rejected(
            f"expected history of at least a day to stay: what ended after {limit:%Y-%m-%d %H:%M} UTC"
        )


def prune_step(
    journal: Journal, kind: str, after: int, before_s: int, now_s: int, *, dry: bool = False
) -> Step:
    """Remove what ended before `before_s` among the next STEP records of a history, in one commit.

    `dry`: only count. Raises JournalFailed, DamagedRecord.
    """
    require_old_enough(before_s, now_s)
    rows = journal.since(f"{kind}_done", after, STEP)
    over: list[tuple[bytes, int, bool]] = []
    older = False
    for row in rows:
        began_s, ended_s, paid = _times(kind, row.value)
        older |= began_s <= before_s + DISORDER_S
        if ended_s < before_s:
            over.append((row.key, began_s, paid))
    if kind == "stream":
        closed = _closed(journal, {key[:CHANNEL_BYTES] for key, _, _ in over})
        over = [each for each in over if each[0][:CHANNEL_BYTES] in closed]
    writes: list[Write] = []
    for key, began_s, paid in over:
        writes.append(Delete(f"{kind}_done", key))
        if paid and began_s + LONGEST_INVOICE_S >= now_s:
            writes.append(Put(PAID, key, msgpack.packb(began_s)))
    if not dry:
        journal.commit(writes)
    return Step(len(rows), len(over), rows[-1].sequence if older and len(rows) == STEP else None)


def forget_paid_step(journal: Journal, after: int, now_s: int) -> Step:
    """The same for hashes of payments that are pruned: those whose invoices are over, whoever made them."""
    rows = journal.since(PAID, after, STEP)
    over = [row for row in rows if msgpack.unpackb(row.value) + LONGEST_INVOICE_S < now_s]
    journal.commit([Delete(PAID, row.key) for row in over])
    return Step(len(rows), len(over), rows[-1].sequence if len(rows) == STEP else None)


def prune(
    journal: Journal, before_s: int, now_s: int, kinds: tuple[str, ...] = HISTORIES, *, dry: bool = False
) -> Iterator[tuple[str, int]]:
    """Everything of these kinds that ended before `before_s`: (kind, how many) for each step that removed."""
    for kind in kinds:
        after: int | None = 0
        while after is not None:
            step = prune_step(journal, kind, after, before_s, now_s, dry=dry)
            after = step.after
            yield kind, step.removed
    after = None if dry else 0
    while after is not None:
        after = forget_paid_step(journal, after, now_s).after


def _closed(journal: Journal, channel_ids: set[bytes]) -> set[bytes]:
    """Those of these channels that are closed, and that for good: it is confirmed."""
    closed: set[bytes] = set()
    for channel_id, row in journal.get_many("channel", channel_ids).items():
        channel = decode_record("channel", row)
        assert isinstance(channel, Channel)
        if channel.phase is Phase.CLOSED:
            closed.add(channel_id)
    return closed


def _times(kind: str, value: bytes) -> tuple[int, int, bool]:
    """When a record began and when it is over (unix seconds), and whether it is a payment that succeeded."""
    match kind:
        case "payment":
            payment = typed(kind, value, Payment)
            return payment.created_s, payment.created_s, payment.status is PaymentStatus.SUCCEEDED
        case "invoice":
            invoice = typed(kind, value, Invoice)
            paid = invoice.status is InvoiceStatus.PAID
            at_s = invoice.paid_s if paid else invoice.expires_s
            return at_s, at_s, False
        case "forward":
            forward = typed(kind, value, Forward)
            return forward.deadline_s, forward.deadline_s, False
        case "trade":
            trade = typed(kind, value, Trade)
            return trade.created_s, max(trade.created_s, trade.leg.terms.expiry_s), False
        case "stream":
            stream = typed(kind, value, Stream)
            return stream.first_s, stream.last_s, False
    raise AssertionError(f"no history of {kind}")
