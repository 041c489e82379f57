"""What the chain writes to its state file, and how it is rebuilt from there.

Automine, the interval and snapshots are not kept: the first two are settings, the last belong to a test run.
"""

from collections.abc import Iterable
from pathlib import Path

from channeld.services.devchain.builder import Built
from channeld.services.devchain.clock import Clock
from channeld.services.devchain.errors import StateFileRefused
from channeld.services.devchain.hashing import keccak256
from channeld.services.devchain.history import History
from channeld.services.devchain.ledger import Diff
from channeld.services.devchain.records import (
    Began,
    BlockMined,
    CellsSet,
    ClockSet,
    Fact,
    Pooled,
    Rewound,
    Waits,
    decode_fact,
    encode_fact,
)
from channeld.services.devchain.statelog import StateLog
from channeld.services.devchain.transactions import Transaction, decode_transaction


class Archive:
    """Without a path it saves nothing and restores nothing."""

    def __init__(self, path: Path | None, chain_id: int, history: History, clock: Clock) -> None:
        self._log = None if path is None else StateLog(path)
        self._chain_id = chain_id
        self._history = history
        self._clock = clock
        self._saved_codes: set[bytes] = set()

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    # -- saving --

    def began(self) -> None:
        self._save(Began(self._chain_id))

    def mined(self, built: Built) -> None:
        if self._log is not None:
            self._save(BlockMined(built.block, built.after, self._new_codes(built.after)))

    def cells_set(self, after: Diff) -> None:
        if self._log is not None:
            self._save(CellsSet(after, self._new_codes(after)))

    def rewound(self, depth: int) -> None:
        self._save(Rewound(depth))

    def clock_set(self) -> None:
        self._save(ClockSet(self._clock.offset_s, self._clock.forced_timestamp_s))

    def waits(self, transaction: Transaction) -> None:
        self._save(Waits(transaction.raw))

    def pooled(self, waiting: Iterable[Transaction]) -> None:
        if self._log is not None:
            self._save(Pooled(tuple(transaction.raw for transaction in waiting)))

    def _save(self, fact: Fact) -> None:
        if self._log is not None:
            self._log.append(encode_fact(fact))

    def _new_codes(self, after: Diff) -> tuple[bytes, ...]:
        """Code that the file does not hold yet."""
        hashes = {
            value.code_hash for value in after.values() if value is not None and not isinstance(value, int)
        }
        new = sorted(hashes - self._saved_codes)
        self._saved_codes.update(new)
        return tuple(self._history.ledger.codes[code_hash] for code_hash in new)

    # -- restoring --

    def restore(self) -> list[Transaction]:
        """Apply every record to the empty history and the clock; the transactions that waited.

        StateFileRefused if the file is of another chain. The history stays empty if the file is.
        """
        waiting: dict[bytes, Transaction] = {}
        if self._log is not None:
            for record in self._log.records():
                self._apply(decode_fact(record), waiting)
        return list(waiting.values())

    def _apply(self, fact: Fact, waiting: dict[bytes, Transaction]) -> None:
        match fact:
            case Began(chain_id):
                if chain_id != self._chain_id:
                    raise StateFileRefused(
                        f"the state file is of chain {chain_id}, this is to be chain {self._chain_id}"
                    )
            case BlockMined(block, after, codes):
                self._learn(codes)
                self._history.add_block(block, self._history.ledger.apply(after))
                for receipt in block.receipts:
                    waiting.pop(receipt.transaction_hash, None)
            case CellsSet(after, codes):
                self._learn(codes)
                self._history.add_patch(self._history.ledger.apply(after))
            case Rewound(depth):
                self._history.rewind(depth)
            case ClockSet(offset_s, forced_s):
                self._clock.offset_s, self._clock.forced_timestamp_s = offset_s, forced_s
            case Waits(raw):
                self._remember(raw, waiting)
            case Pooled(raws):
                waiting.clear()
                for raw in raws:
                    self._remember(raw, waiting)

    def _remember(self, raw: bytes, waiting: dict[bytes, Transaction]) -> None:
        transaction = decode_transaction(raw, self._chain_id)
        waiting[transaction.hash] = transaction

    def _learn(self, codes: Iterable[bytes]) -> None:
        for code in codes:
            code_hash = keccak256(code)
            self._history.ledger.codes[code_hash] = code
            self._saved_codes.add(code_hash)
