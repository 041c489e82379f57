"""The EVM: one transaction or call at a time, by the rules of Prague, on a ledger.

py-evm interprets the bytecode. Its block and chain classes are not used: they rebuild Merkle tries for every
block, and a development chain reads none of them.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from eth import EVM_RECURSION_LIMIT
from eth.exceptions import (
    ContractCreationCollision,
    InsufficientFunds,
    InvalidInstruction,
    InvalidJumpDestination,
    OutOfGas,
    Revert,
    StackDepthLimit,
    VMError,
    WriteProtection,
)
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun.constants import BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CONTRACT_CODE
from eth.vm.forks.prague.constants import (
    HISTORY_SERVE_WINDOW,
    HISTORY_STORAGE_ADDRESS,
    HISTORY_STORAGE_CONTRACT_CODE,
)
from eth.vm.forks.prague.state import PragueState

from channeld.services.devchain.errors import CallFailed
from channeld.services.devchain.ledger import Ledger, Mark
from channeld.services.devchain.transactions import Transaction

# py-evm needs this much for the EVM's 1024 nested calls. Importing it raises the limit to 100,000, at which
# other recursive code (the JSON parser, for one) overflows the C stack: a crash instead of an exception.
sys.setrecursionlimit(EVM_RECURSION_LIMIT)

# go-ethereum's words, first match wins.
FAILURES: tuple[tuple[type[VMError], str], ...] = (
    (Revert, "execution reverted"),
    (OutOfGas, "out of gas"),
    (InvalidInstruction, "invalid opcode"),
    (InvalidJumpDestination, "invalid jump destination"),
    (InsufficientFunds, "insufficient balance for transfer"),
    (StackDepthLimit, "max call depth exceeded"),
    (WriteProtection, "write protection"),
    (ContractCreationCollision, "contract address collision"),
)


@dataclass(frozen=True, slots=True)
class BlockContext:
    """What bytecode can ask about its block. `prev_hashes` starts with the parent's hash."""

    chain_id: int
    number: int
    timestamp_s: int
    coinbase: bytes
    gas_limit: int
    base_fee_wei: int
    prev_randao: bytes
    prev_hashes: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class EmittedLog:
    """A log before its block is known; topics are 32 bytes each."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one transaction or call did. `failure` is None on success; `output` may be revert data.

    `contract_address` is where a creation would have gone, failed or not, as other nodes have it in receipts.
    """

    failure: str | None
    reverted: bool
    output: bytes
    gas_used: int
    gas_refunded: int
    logs: tuple[EmittedLog, ...]
    contract_address: bytes | None


class _State(PragueState):  # type: ignore[misc]  # the base class has no types
    """py-evm's state on our ledger; the original opens a trie here."""

    def __init__(self, ledger: Ledger, context: ExecutionContext) -> None:
        self._db = None
        self.execution_context = context
        self._account_db = ledger

    # Transient storage lives in the ledger too, so that one undo log takes everything back.

    def snapshot(self) -> tuple[bytes, Mark]:
        return b"", self._account_db.mark()

    def revert(self, snapshot: tuple[bytes, Mark]) -> None:
        self._account_db.rewind(snapshot[1])

    def commit(self, snapshot: tuple[bytes, Mark]) -> None:
        """The notes stay: an outer snapshot may still be reverted."""

    def get_transient_storage(self, address: bytes, slot: int) -> bytes:
        word: int = self._account_db.get_transient(address, slot)
        return word.to_bytes(32, "big")

    def set_transient_storage(self, address: bytes, slot: int, value: bytes) -> None:
        self._account_db.set_transient(address, slot, int.from_bytes(value, "big"))

    def clear_transient_storage(self) -> None:
        """The ledger forgets it when the next transaction begins."""


class Evm:
    """Executes on one ledger in one block."""

    def __init__(self, ledger: Ledger, block: BlockContext) -> None:
        self._ledger = ledger
        self._state = _State(
            ledger,
            ExecutionContext(
                coinbase=block.coinbase,
                timestamp=block.timestamp_s,
                block_number=block.number,
                difficulty=0,
                mix_hash=block.prev_randao,
                gas_limit=block.gas_limit,
                prev_hashes=block.prev_hashes,
                chain_id=block.chain_id,
                base_fee_per_gas=block.base_fee_wei,
                excess_blob_gas=0,
            ),
        )

    def execute(self, transaction: Transaction) -> Outcome:
        """Run it and leave its effects in the ledger.

        The caller has checked nonce, funds and gas: a transaction that fails here still pays. CallFailed if
        it nests deeper than the interpreter can; the caller then rewinds the ledger.
        """
        self._ledger.lock_changes()
        executor = self._state.get_transaction_executor()
        message = executor.build_evm_message(transaction)
        try:
            computation = executor.build_computation(message, transaction)
        except RecursionError as deep:
            # Python 3.12 counts nested C calls and stops at some 490 levels; the others reach 1024.
            raise CallFailed("contract calls nest deeper than this Python can follow") from deep
        executor.finalize_computation(transaction, computation)
        created = message.storage_address if message.is_create else None
        return _outcome(transaction, executor, computation, created)


def _outcome(transaction: Transaction, executor: Any, computation: Any, created: bytes | None) -> Outcome:
    gas_spent = transaction.gas - computation.get_gas_remaining()
    refund = executor.calculate_gas_refund(computation, gas_spent)
    failed = computation.is_error
    return Outcome(
        failure=_failure(computation.error) if failed else None,
        reverted=failed and isinstance(computation.error, Revert),
        output=bytes(computation.output),
        gas_used=gas_spent - refund + computation.data_floor_gas,
        gas_refunded=refund,
        logs=tuple(
            EmittedLog(address, tuple(topic.to_bytes(32, "big") for topic in topics), bytes(data))
            for address, topics, data in computation.get_log_entries()
        ),
        contract_address=created,
    )


def _failure(error: VMError) -> str:
    for kind, words in FAILURES:
        if isinstance(error, kind):
            return words
    return str(error) or type(error).__name__


def install_system_contracts(ledger: Ledger) -> None:
    """The contracts that serve block hashes [EIP-2935] and beacon roots [EIP-4788], there from genesis on."""
    for address, code in (
        (HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CONTRACT_CODE),
        (BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CONTRACT_CODE),
    ):
        ledger.set_code(address, code)
        ledger.set_nonce(address, 1)


def open_block(ledger: Ledger, number: int, parent_hash: bytes) -> None:
    """Store the parent's hash where [EIP-2935] serves it (the effect of its system call)."""
    slot = (number - 1) % HISTORY_SERVE_WINDOW
    ledger.set_storage(HISTORY_STORAGE_ADDRESS, slot, int.from_bytes(parent_hash, "big"))
