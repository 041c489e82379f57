"""Making the next block out of waiting transactions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import rlp

from channeld.core.errors import Rejected
from channeld.services.devchain.accounts import COINBASE
from channeld.services.devchain.blocks import (
    Block,
    Header,
    LogEntry,
    Receipt,
    bloom_of,
    commitment,
    next_base_fee_wei,
)
from channeld.services.devchain.evm import BlockContext, Evm, Outcome, open_block
from channeld.services.devchain.hashing import keccak256
from channeld.services.devchain.history import History
from channeld.services.devchain.ledger import Diff, Ledger, encode_diff
from channeld.services.devchain.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Built:
    """A block whose effects are in the ledger and sealed; `before` takes them back, `after` repeats them."""

    block: Block
    before: Diff
    after: Diff


class EngineFailed(Rejected):
    """The engine has a limit or a bug that this transaction met; it must not be tried again."""

    def __init__(self, transaction_hash: bytes, reason: str) -> None:
        super().__init__(f"transaction 0x{transaction_hash.hex()} cannot be executed: {reason}")
        self.transaction_hash = transaction_hash


def context_after(
    history: History, chain_id: int, timestamp_s: int, base_fee_wei: int | None = None
) -> BlockContext:
    """The context of the block that follows the head; its base fee by the rules unless one is given."""
    parent = history.head.header
    number = parent.number + 1
    # Not random, but never the same twice: a block mined anew after a reorganisation differs from the old
    # one even within the same second.
    prev_randao = keccak256(b"prevrandao" + history.sealed.to_bytes(8, "big") + history.head.hash)
    return BlockContext(
        chain_id=chain_id,
        number=number,
        timestamp_s=timestamp_s,
        coinbase=COINBASE,
        gas_limit=parent.gas_limit,
        base_fee_wei=next_base_fee_wei(parent) if base_fee_wei is None else base_fee_wei,
        prev_randao=prev_randao,
        prev_hashes=hashes_below(history, number),
    )


def context_of(history: History, chain_id: int, block: Block) -> BlockContext:
    """The context that an existing block had."""
    header = block.header
    return BlockContext(
        chain_id=chain_id,
        number=header.number,
        timestamp_s=header.timestamp_s,
        coinbase=header.coinbase,
        gas_limit=header.gas_limit,
        base_fee_wei=header.base_fee_wei,
        prev_randao=header.prev_randao,
        prev_hashes=hashes_below(history, header.number),
    )


def hashes_below(history: History, number: int) -> Iterator[bytes]:
    """Block hashes from number-1 downwards, as the engine consumes them for BLOCKHASH."""
    return (history.blocks[below].hash for below in range(number - 1, -1, -1))


def build_block(history: History, context: BlockContext, candidates: Iterable[Transaction]) -> Built:
    """Execute what fits of `candidates`, in order, and seal the block. All of them pay its base fee.

    EngineFailed if the engine cannot execute one of them; the ledger is then as before.
    """
    ledger = history.ledger
    start = ledger.mark()
    try:
        open_block(ledger, context.number, history.head.hash)
        done = _execute(ledger, context, candidates)
    except BaseException:
        ledger.rewind(start)
        raise
    before = ledger.seal()
    after = ledger.current(before)
    header = _header(history.head, context, done, after)
    encoded = header.encode()
    block_hash = keccak256(encoded)
    receipts = _receipts(header, block_hash, done)
    size_bytes = len(encoded) + sum(len(transaction.raw) for transaction, _ in done)
    return Built(Block(block_hash, header, size_bytes, receipts), before, after)


def _execute(
    ledger: Ledger, context: BlockContext, candidates: Iterable[Transaction]
) -> list[tuple[Transaction, Outcome]]:
    evm = Evm(ledger, context)
    room_gas = context.gas_limit
    done: list[tuple[Transaction, Outcome]] = []
    for transaction in candidates:
        fits = (
            transaction.gas <= room_gas
            # Also passes over the later nonces of a sender whose transaction did not fit.
            and transaction.nonce == ledger.get_nonce(transaction.sender)
            and ledger.get_balance(transaction.sender) >= transaction.cost_limit_wei
        )
        if not fits:
            continue
        try:
            outcome = evm.execute(transaction)
        except Exception as failure:
            raise EngineFailed(transaction.hash, str(failure)) from failure
        room_gas -= outcome.gas_used
        done.append((transaction, outcome))
    return done


def _header(
    parent: Block, context: BlockContext, done: list[tuple[Transaction, Outcome]], after: Diff
) -> Header:
    return Header(
        number=context.number,
        parent_hash=parent.hash,
        timestamp_s=context.timestamp_s,
        coinbase=context.coinbase,
        gas_limit=context.gas_limit,
        gas_used=sum(outcome.gas_used for _, outcome in done),
        base_fee_wei=context.base_fee_wei,
        prev_randao=context.prev_randao,
        bloom=bloom_of((log.address, log.topics) for _, outcome in done for log in outcome.logs),
        state_root=commit_state(parent.header.state_root, after),
        transactions_root=commitment(transaction.hash for transaction, _ in done),
        receipts_root=commitment(_commit_outcome(outcome) for _, outcome in done),
    )


def commit_state(parent_root: bytes, after: Diff) -> bytes:
    """Chain the changes to what came before: two histories share a state root only if they are the same."""
    rows = [
        [field.to_bytes(8, "big") if isinstance(field, int) else field for field in row]
        for row in encode_diff(after)
    ]
    return keccak256(parent_root + keccak256(rlp.encode(rows)))


def _commit_outcome(outcome: Outcome) -> bytes:
    encoded: bytes = rlp.encode(
        [
            b"" if outcome.failure else b"\x01",
            outcome.gas_used,
            [[log.address, list(log.topics), log.data] for log in outcome.logs],
        ]
    )
    return encoded


def _receipts(
    header: Header, block_hash: bytes, done: list[tuple[Transaction, Outcome]]
) -> tuple[Receipt, ...]:
    receipts: list[Receipt] = []
    cumulative_gas = 0
    log_index = 0
    for index, (transaction, outcome) in enumerate(done):
        cumulative_gas += outcome.gas_used
        logs = tuple(
            LogEntry(
                address=log.address,
                topics=log.topics,
                data=log.data,
                block_number=header.number,
                block_hash=block_hash,
                timestamp_s=header.timestamp_s,
                transaction_hash=transaction.hash,
                transaction_index=index,
                log_index=log_index + position,
            )
            for position, log in enumerate(outcome.logs)
        )
        log_index += len(logs)
        receipts.append(
            Receipt(
                raw=transaction.raw,
                transaction_hash=transaction.hash,
                transaction_index=index,
                block_number=header.number,
                block_hash=block_hash,
                type_id=transaction.type_id,
                sender=transaction.sender,
                to=transaction.to,
                status=0 if outcome.failure else 1,
                gas_used=outcome.gas_used,
                cumulative_gas_used=cumulative_gas,
                effective_gas_price_wei=transaction.gas_price_wei(header.base_fee_wei),
                contract_address=outcome.contract_address,
                logs=logs,
            )
        )
    return tuple(receipts)
