"""What a journal must look like: every record readable, in its place, and the money in it covered."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from channeld.adapters.journal.records import Journal, JournalFailed
from channeld.adapters.signer import verify
from channeld.core.channel import Channel, Phase
from channeld.core.draft import Record, is_archived
from channeld.core.errors import ChanneldError, PeerViolation
from channeld.core.records import Dispute, Forward, Invoice, Payment, Secret, Trade
from channeld.core.solvency import require_solvent
from channeld.daemon.outbox import DONE, LIVE, decode_entry
from channeld.wire.eip712 import state_digest
from channeld.wire.records import RECORD_KINDS, decode_record

ARCHIVE = "_done"
"""Ends the name of the kind where a kind's history is."""

MAX_FAULTS = 1_000
"""Told one by one; a journal with more is not repaired by reading on."""

Signed = Callable[[Channel], bool]


@dataclass(slots=True)
class Findings:
    """How many records of each kind there are, and what is wrong, in sentences."""

    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def signed_in(domain: bytes) -> Signed:
    """Whether the peer's signature is under the state it is kept for, at the contract of `domain`."""

    def signed(channel: Channel) -> bool:
        digest = state_digest(domain, channel.channel_id, channel.theirs)
        return verify(digest, channel.their_signature, channel.counterparty)

    return signed


def inspect(journal: Journal, signed: Signed | None = None) -> Findings:
    """Read everything. Without `signed`, signatures are not checked. Costs a second for 50,000 records."""
    found = Findings()
    try:
        journal.check()
    except JournalFailed as error:
        found.faults.append(str(error))
        return found  # it accepts no more reading either, or says nonsense
    live: dict[tuple[str, bytes], Record | None] = {}
    for kind in journal.kinds():
        found.counts[kind] = journal.count(kind)
        for fault in _faults_of_kind(journal, kind, live):
            found.faults.append(fault)
            if len(found.faults) >= MAX_FAULTS:
                return found
    disputes = {key for (kind, key), record in live.items() if isinstance(record, Dispute)}
    channels = {key: record for (_, key), record in live.items() if isinstance(record, Channel)}
    for channel in channels.values():
        partly_settled = channel.channel_id in disputes
        found.faults += [
            f"channel 0x{channel.channel_id.hex()}: {fault}"
            for fault in channel_faults(channel, signed, partly_settled)
        ]
    for record in live.values():
        if isinstance(record, Forward):
            for ref in (record.incoming, record.outgoing):
                if ref.channel_id not in channels:
                    found.faults.append(f"forward 0x{record.key.hex()}: expected its channel to be known")
    return found


def _faults_of_kind(
    journal: Journal, kind: str, live: dict[tuple[str, bytes], Record | None]
) -> Iterator[str]:
    """The records of one kind, by themselves. Live ones are remembered; history is too long for that."""
    base = kind.removesuffix(ARCHIVE)
    for key, value in journal.load(kind):
        where = f"{kind} 0x{key.hex()}"
        try:
            if base in RECORD_KINDS:
                record = decode_record(base, value)
                yield from (f"{where}: {fault}" for fault in record_faults(key, record, kind != base))
                if kind == base:
                    live[kind, key] = record
                elif (base, key) in live:
                    yield f"{where}: expected it once, it is among the {base} records too"
            elif kind in (LIVE, DONE):
                decode_entry(value)
        except ChanneldError as error:
            yield f"{where}: {error}"


def record_faults(key: bytes, record: Record, archived: bool) -> Iterator[str]:
    """What is wrong with one record that could be read."""
    if record.key != key:
        yield f"expected its own key, it stands under that of 0x{record.key.hex()}"
    if is_archived(record) != archived:
        yield "expected history in the archive, and nothing else there"
    if isinstance(record, Invoice | Payment | Trade | Secret):
        preimage = record.preimage
        if preimage and sha256(preimage).digest() != record.hashlock:
            yield "expected the secret of its hashlock, got another"


def channel_faults(channel: Channel, signed: Signed | None, partly_settled: bool) -> Iterator[str]:
    """What must hold of a channel at all times (R1 to R3, solvency)."""
    mine, theirs = channel.mine.version, channel.theirs.version
    if theirs and signed is not None and not signed(channel):
        yield f"expected the peer's signature under version {theirs}, got another or none"
    if mine > theirs and mine & 1 != channel.me:
        yield f"expected our own proposal to have our parity, got version {mine}"
    if mine > theirs and not channel.unanswered:
        yield f"expected the operations of the unanswered version {mine}, there are none"
    if channel.phase in (Phase.OPENING, Phase.CLOSED) or partly_settled:
        return
    for state in channel.enforceable:
        try:
            require_solvent(state, channel.deposits.a, channel.deposits.b)
        except PeerViolation as violation:
            yield f"version {state.version} can be enforced and is not covered: {violation}"
