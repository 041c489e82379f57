"""A node's past, written by the daemon's own packing code: channels, the network's policies, payments.

What a daemon would have written in months, in one go: the same tables and the same bytes, only without
an fsync for each. Keys are hashes in no order, so the indexes are as full and as scattered as real ones.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

import msgpack

from channeld.adapters.journal.records import Identity, Put
from channeld.adapters.journal.sqlite import FILE_NAME, TABLE_PREFIX, SqliteJournal
from channeld.adapters.signer import Signer
from channeld.core.channel import Channel, Deposits, Phase
from channeld.core.claims import OptionTerms, PayoffKind, Side, State
from channeld.core.identity import ETH, ChannelParams
from channeld.core.messages import PolicyAnnouncement
from channeld.core.records import (
    ClaimRef,
    Failure,
    FailureCode,
    Forward,
    ForwardStatus,
    Invoice,
    InvoiceStatus,
    OptionLeg,
    Payment,
    PaymentStatus,
    Trade,
    TradeRole,
    TradeStatus,
)
from channeld.services.devchain.accounts import development_account
from channeld.wire.eip712 import channel_id, state_digest
from channeld.wire.messages import encode
from channeld.wire.policies import sign_policy
from channeld.wire.records import Record, encode_record

DEPOSIT_WEI = 10**18
FEED = sha256(b"ETH/USD").digest()[:31] + b"\x18"
SPAN_S = 2 * 365 * 86_400
"""The past is two years long."""

INVOICES_PER_PAYMENT = FORWARDS_PER_PAYMENT = 10
TRADES_PER_PAYMENT = 100
"""One invoice and one forward for so many payments, and one trade."""

BUILD_CACHE_KIB = 3 * 2**20
"""The indexes of 10 million payments while they are built."""

Row = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Past:
    """How much happened: `channels` open and idle ones, `payments` made."""

    channels: int
    payments: int


def write_past(directory: Path, us: Signer, chain_id: int, domain: bytes, past: Past, now_s: int) -> int:
    """Make the journal of a daemon with this past; bytes on disk for each payment, other records left out."""
    with closing(SqliteJournal(directory, Identity(chain_id, us.public_key))) as journal:
        kinds = ["channel", "graph_channel", "graph_policy", "peer"]
        kinds += ["payment_done", "invoice_done", "forward_done", "trade_done"]
        journal.commit([Put(kind, b"first", b"") for kind in kinds])
    with closing(sqlite3.connect(directory / FILE_NAME, isolation_level=None)) as database:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{BUILD_CACHE_KIB}"):
            database.execute(f"PRAGMA {pragma}")
        for kind in kinds:
            database.execute(f"DELETE FROM {TABLE_PREFIX}{kind}")
        for kind, rows in idle_channels(us, domain, past.channels, now_s).items():
            _insert(database, kind, rows)
        _insert(database, "invoice_done", _packed(_invoices(past.payments // INVOICES_PER_PAYMENT, now_s)))
        _insert(database, "forward_done", _packed(_forwards(past.payments // FORWARDS_PER_PAYMENT, now_s)))
        _insert(database, "trade_done", _packed(_trades(past.payments // TRADES_PER_PAYMENT, now_s)))
        before = _pages(database)
        _insert(database, "payment_done", _packed(_payments(past.payments, now_s)))
        after = _pages(database)
    return (after - before) // max(1, past.payments)


def share_network(source: Path, target: Path, us: Signer, chain_id: int) -> None:
    """Make the journal of a node that has no past, but knows the network as the one in `source` does."""
    kinds = ("graph_channel", "graph_policy")
    with closing(SqliteJournal(target, Identity(chain_id, us.public_key))) as journal:
        journal.commit([Put(kind, b"first", b"") for kind in kinds])
    with closing(sqlite3.connect(target / FILE_NAME, isolation_level=None)) as database:
        database.execute("ATTACH ? AS source", (str(source / FILE_NAME),))
        for kind in kinds:
            database.execute(f"DELETE FROM {TABLE_PREFIX}{kind}")
            database.execute(f"INSERT INTO {TABLE_PREFIX}{kind} SELECT * FROM source.{TABLE_PREFIX}{kind}")


def _pages(database: sqlite3.Connection) -> int:
    (count,) = database.execute("PRAGMA page_count").fetchone()
    (size,) = database.execute("PRAGMA page_size").fetchone()
    return int(count * size)


def _insert(database: sqlite3.Connection, kind: str, rows: Iterable[Row]) -> None:
    rows = iter(rows)
    statement = f"INSERT INTO {TABLE_PREFIX}{kind} (key, value) VALUES (?, ?)"
    while batch := list(islice(rows, 100_000)):
        database.execute("BEGIN")
        database.executemany(statement, batch)
        database.execute("COMMIT")


def _packed(records: Iterable[Record]) -> Iterator[Row]:
    return (encode_record(record)[1:] for record in records)


# Channels and the network --------------------------------------------------------------------------


def idle_channels(us: Signer, domain: bytes, count: int, now_s: int) -> dict[str, list[Row]]:
    """Open channels with `count` peers, each with a state of version 2 that the peer has signed: by kind."""
    channels: list[Row] = []
    graph: list[Row] = []
    policies: list[Row] = []
    peers: list[Row] = []
    for n in range(count):
        peer = Signer(development_account(f"idle peer {n}").key)
        a, b = sorted((us.address, peer.address))
        params = ChannelParams(a, b, ETH, 3_600, n)
        name = channel_id(params, domain)
        state = State(2, 1_000 + n)
        signature = peer.sign_digest(state_digest(domain, name, state))
        deposits = Deposits(DEPOSIT_WEI, DEPOSIT_WEI, 2)
        me = Side.A if a == us.address else Side.B
        channel = Channel(
            name,
            params,
            me,
            peer.public_key,
            Phase.OPEN,
            int(me),
            deposits,
            deposits,
            state,
            state,
            signature,
        )
        channels.append(encode_record(channel)[1:])
        capacity = (2 * DEPOSIT_WEI).to_bytes(16, "big")
        graph.append((name, msgpack.packb((a, b, ETH, capacity))))
        for signer in (us, peer):
            policy = PolicyAnnouncement(
                name, signer.public_key, now_s - SPAN_S, 0, 100, 1_000, 1, 2**94, 0, True
            )
            signed = sign_policy(policy, domain, signer.sign_digest)
            policies.append((name + signer.public_key, encode(signed)))
        peers.append((peer.public_key, msgpack.packb(("", f"peer {n}"))))
    return {"channel": channels, "graph_channel": graph, "graph_policy": policies, "peer": peers}


# History -------------------------------------------------------------------------------------------


def _secrets(label: bytes, count: int) -> Iterator[tuple[int, bytes, bytes]]:
    """(number, preimage, hashlock)"""
    for n in range(count):
        preimage = sha256(label + n.to_bytes(8, "big")).digest()
        yield n, preimage, sha256(preimage).digest()


def _at(n: int, count: int, now_s: int) -> int:
    return now_s - SPAN_S + n * SPAN_S // max(1, count)


def _payments(count: int, now_s: int) -> Iterator[Payment]:
    """One in a hundred failed."""
    destination = Signer(development_account("somebody").key).public_key
    failure = Failure(FailureCode.NO_CAPACITY, bytes(32))
    for n, preimage, hashlock in _secrets(b"payment", count):
        failed = n % 100 == 50
        yield Payment(
            hashlock,
            destination,
            ETH,
            1_000_000 + n,
            n % 1_000,
            _at(n, count, now_s),
            "a coffee",
            PaymentStatus.FAILED if failed else PaymentStatus.SUCCEEDED,
            preimage=b"" if failed else preimage,
            failure=failure if failed else None,
        )


def _invoices(count: int, now_s: int) -> Iterator[Invoice]:
    for n, preimage, hashlock in _secrets(b"invoice", count):
        at_s = _at(n, count, now_s)
        yield Invoice(
            hashlock,
            preimage,
            preimage,
            ETH,
            1_000,
            "tea",
            at_s,
            at_s + 3_600,
            InvoiceStatus.PAID,
            1_000,
            at_s,
        )


def _forwards(count: int, now_s: int) -> Iterator[Forward]:
    for n, preimage, hashlock in _secrets(b"forward", count):
        incoming, outgoing = ClaimRef(preimage, 2 * n), ClaimRef(hashlock, 2 * n + 1)
        yield Forward(incoming, outgoing, hashlock, _at(n, count, now_s), 10, ForwardStatus.FULFILLED)


def _trades(count: int, now_s: int) -> Iterator[Trade]:
    writer = Signer(development_account("somebody").key).public_key
    for n, preimage, hashlock in _secrets(b"trade", count):
        at_s = _at(n, count, now_s)
        terms = OptionTerms(PayoffKind.CALL, FEED, at_s + 86_400, 4_000 * 10**8, 5_000 * 10**8)
        yield Trade(
            hashlock,
            TradeRole.BUYER,
            OptionLeg(terms, 10**6),
            ETH,
            1_000,
            0,
            at_s + 600,
            writer,
            at_s,
            TradeStatus.BOUND,
            preimage,
        )
