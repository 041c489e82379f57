"""Transactions that wait for a block, and the conditions for joining them (those of go-ethereum's pool)."""

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from channeld.services.devchain.errors import TransactionRejected
from channeld.services.devchain.transactions import INITCODE_LIMIT_BYTES, Transaction

# As in go-ethereum, and for the same reason: a client that floods the pool is told so, not served to death.
POOL_LIMIT = 4096
# Theirs is lower; a reorganisation test wants a whole burst of one sender back.
SENDER_LIMIT = 1024
# A replacement pays at least a tenth more, or spamming replacements would be free.
REPLACEMENT_PERCENT = 10


@dataclass(frozen=True, slots=True)
class SenderState:
    nonce: int
    balance_wei: int


class Pool:
    def __init__(self) -> None:
        self._by_hash: dict[bytes, Transaction] = {}
        self._by_sender: dict[bytes, dict[int, Transaction]] = {}

    def __len__(self) -> int:
        return len(self._by_hash)

    def __iter__(self) -> Iterator[Transaction]:
        return iter(self._by_hash.values())

    def get(self, transaction_hash: bytes) -> Transaction | None:
        return self._by_hash.get(transaction_hash)

    def next_nonce(self, sender: bytes, mined_nonce: int) -> int:
        """The first nonce for which nothing waits."""
        waiting = self._by_sender.get(sender, {})
        return next(nonce for nonce in itertools.count(mined_nonce) if nonce not in waiting)

    def admit(self, transaction: Transaction, sender: SenderState, block_gas_limit: int) -> None:
        """Take it in, or raise TransactionRejected with go-ethereum's words."""
        if transaction.hash in self._by_hash:
            raise TransactionRejected("already known")
        check_gas(transaction, block_gas_limit)
        if transaction.nonce < sender.nonce:
            raise TransactionRejected(
                f"nonce too low: next nonce {sender.nonce}, tx nonce {transaction.nonce}"
            )
        waiting = self._by_sender.get(transaction.sender, {})
        replaced = waiting.get(transaction.nonce)
        if replaced is not None:
            _check_replacement(transaction, replaced)
        elif len(self._by_hash) >= POOL_LIMIT:
            raise TransactionRejected(f"txpool is full: {POOL_LIMIT} transactions wait")
        elif len(waiting) >= SENDER_LIMIT:
            raise TransactionRejected(f"account limit exceeded: {SENDER_LIMIT} transactions wait")
        others_wei = sum(one.cost_limit_wei for nonce, one in waiting.items() if nonce != transaction.nonce)
        check_funds(transaction, sender.balance_wei, others_wei)
        if replaced is not None:
            self.remove(replaced.hash)
        self._by_hash[transaction.hash] = transaction
        self._by_sender.setdefault(transaction.sender, {})[transaction.nonce] = transaction

    def remove(self, transaction_hash: bytes) -> Transaction | None:
        transaction = self._by_hash.pop(transaction_hash, None)
        if transaction is not None:
            waiting = self._by_sender[transaction.sender]
            del waiting[transaction.nonce]
            if not waiting:
                del self._by_sender[transaction.sender]
        return transaction

    def forget_mined(self, sender: bytes, mined_nonce: int) -> None:
        """Drop what can never be mined any more: nonces below the sender's."""
        for nonce, transaction in list(self._by_sender.get(sender, {}).items()):
            if nonce < mined_nonce:
                self.remove(transaction.hash)

    def best_first(self, mined_nonce: Callable[[bytes], int], base_fee_wei: int) -> list[Transaction]:
        """Executable transactions: each sender's in order of nonce, senders by tip, then by arrival."""
        arrival = {transaction_hash: index for index, transaction_hash in enumerate(self._by_hash)}
        heap: list[tuple[int, int, Transaction]] = []

        def offer(sender: bytes, nonce: int) -> None:
            transaction = self._by_sender[sender].get(nonce)
            if transaction is not None and transaction.max_fee_per_gas >= base_fee_wei:
                tip = transaction.gas_price_wei(base_fee_wei) - base_fee_wei
                heapq.heappush(heap, (-tip, arrival[transaction.hash], transaction))

        for sender in self._by_sender:
            offer(sender, mined_nonce(sender))
        ordered = []
        while heap:
            _, _, transaction = heapq.heappop(heap)
            ordered.append(transaction)
            offer(transaction.sender, transaction.nonce + 1)
        return ordered


def check_gas(transaction: Transaction, block_gas_limit: int) -> None:
    """The gas limit must cover what is charged before the first opcode, and fit in a block."""
    if not transaction.to and len(transaction.data) > INITCODE_LIMIT_BYTES:
        raise TransactionRejected(
            f"max initcode size exceeded: code size {len(transaction.data)}, limit {INITCODE_LIMIT_BYTES}"
        )
    if transaction.gas > block_gas_limit:
        raise TransactionRejected(f"exceeds block gas limit: have {transaction.gas}, limit {block_gas_limit}")
    if transaction.gas < transaction.entry_gas:
        raise TransactionRejected(
            f"intrinsic gas too low: gas {transaction.gas}, minimum needed {transaction.entry_gas}"
        )
    if transaction.gas < transaction.floor_gas:
        raise TransactionRejected(
            "insufficient gas for floor data gas cost: "
            f"gas {transaction.gas}, minimum needed {transaction.floor_gas}"
        )


def check_funds(transaction: Transaction, balance_wei: int, others_wei: int = 0) -> None:
    """The sender must afford the most that this and its other waiting transactions can cost."""
    need_wei = transaction.cost_limit_wei
    if balance_wei < need_wei:
        raise TransactionRejected(
            "insufficient funds for gas * price + value: "
            f"balance {balance_wei}, tx cost {need_wei}, overshot {need_wei - balance_wei}"
        )
    if balance_wei < need_wei + others_wei:
        raise TransactionRejected(
            "insufficient funds for gas * price + value: "
            f"balance {balance_wei}, queued cost {others_wei}, tx cost {need_wei}, "
            f"overshot {need_wei + others_wei - balance_wei}"
        )


def _check_replacement(new: Transaction, old: Transaction) -> None:
    for offered, present in (
        (new.max_fee_per_gas, old.max_fee_per_gas),
        (new.max_priority_fee_per_gas, old.max_priority_fee_per_gas),
    ):
        # Strictly more as well, or a price of a few wei could be replaced by itself.
        if offered * 100 < present * (100 + REPLACEMENT_PERCENT) or offered <= present:
            raise TransactionRejected("replacement transaction underpriced")
