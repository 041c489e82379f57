"""The transactions of this node as records of its journal: what PostgreSQL daemons use.

The successor of a leader must find what it sent, and a leader that was replaced must send nothing new:
both follow from keeping its transactions where its states are, under the same lease.
"""

from hashlib import sha256
from typing import Any

import msgpack

from channeld.adapters.chain.fees import Fees
from channeld.adapters.chain.outbox import Entry, Request, Stage, Store, Version
from channeld.adapters.journal.records import Delete, Journal, Put, Write
from channeld.core.errors import OperationalError, Rejected

LIVE, DONE, CHAIN = "transaction", "transaction_done", "transaction_chain"
"""Kinds: what is sent or mined, what is final or displaced, and whose transactions they are."""

FORMAT = 1
_CHAIN_KEY = b"identity"


class JournalOutbox(Store):
    """Entries under the hash of their intention, because an intention may be longer than a key."""

    def __init__(self, journal: Journal, identity: bytes) -> None:
        """`identity` names chain and key. Raises Rejected if the entries belong to another one."""
        self._journal = journal
        found = journal.get(CHAIN, _CHAIN_KEY)
        if found is None:
            journal.commit([Put(CHAIN, _CHAIN_KEY, identity)])
        elif found != identity:
            raise Rejected("expected the journal's transactions to belong to this key and chain, not others")

    def put(self, entry: Entry) -> None:
        self._journal.commit(_replacing(entry))

    def rename(self, intention: str, entry: Entry) -> None:
        self._journal.commit([*_removing(intention), *_replacing(entry)])

    def get(self, intention: str) -> Entry | None:
        key = _key(intention)
        value = self._journal.get(LIVE, key) or self._journal.get(DONE, key)
        return None if value is None else decode_entry(value)

    def unfinished(self) -> list[Entry]:
        entries = [decode_entry(value) for _, value in self._journal.load(LIVE)]
        return sorted(entries, key=lambda entry: entry.nonce)

    def forget(self, intention: str) -> None:
        self._journal.commit(_removing(intention))

    def close(self) -> None:
        """The journal is closed by whoever opened it."""


def _key(intention: str) -> bytes:
    return sha256(intention.encode()).digest()


def _removing(intention: str) -> list[Write]:
    return [Delete(LIVE, _key(intention)), Delete(DONE, _key(intention))]


def _replacing(entry: Entry) -> list[Write]:
    live = entry.stage in (Stage.SENT, Stage.MINED)
    kind, other = (LIVE, DONE) if live else (DONE, LIVE)
    key = _key(entry.intention)
    return [Delete(other, key), Put(kind, key, _encode(entry))]


def _encode(entry: Entry) -> bytes:
    """Amounts of wei as text: they exceed 64 bits."""
    request = entry.request
    versions = [(v.hash, v.raw, str(v.fees.tip_wei), str(v.fees.max_fee_wei)) for v in entry.versions]
    packed: bytes = msgpack.packb(
        (
            FORMAT,
            entry.intention,
            entry.stage.value,
            entry.nonce,
            (request.to, request.data, str(request.value_wei)),
            entry.gas_limit,
            versions,
            entry.mined_hash,
        )
    )
    return packed


def decode_entry(value: bytes) -> Entry:
    """What a record holds. Raises OperationalError if it is damaged."""
    try:
        items: tuple[Any, ...] = msgpack.unpackb(value, use_list=False)
        _, intention, stage, nonce, (to, data, value_wei), gas_limit, versions, mined_hash = items
        if items[0] != FORMAT:
            raise ValueError(f"format {items[0]}")
        return Entry(
            intention,
            Stage(stage),
            nonce,
            Request(to, data, int(value_wei)),
            gas_limit,
            tuple(Version(digest, raw, Fees(int(tip), int(most))) for digest, raw, tip, most in versions),
            mined_hash,
        )
    except (ValueError, TypeError) as error:
        raise OperationalError(
            f"the journal's transaction of {len(value)} bytes is damaged: expected format {FORMAT}: {error}"
        ) from error
