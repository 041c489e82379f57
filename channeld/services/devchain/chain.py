"""The development chain itself, in process and without a network.

One chain belongs to one thread. Every method returns when its effect is complete; one that raises `Rejected`
changed nothing.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from channeld.core.errors import Rejected
from channeld.services.devchain.accounts import COINBASE, FAUCET, DevAccount, development_accounts
from channeld.services.devchain.archive import Archive
from channeld.services.devchain.blocks import EMPTY_TRIE, Block, Header, LogEntry, Receipt
from channeld.services.devchain.builder import (
    Built,
    EngineFailed,
    build_block,
    commit_state,
    context_after,
    context_of,
)
from channeld.services.devchain.calls import Call, estimate_gas, output_of, run_call
from channeld.services.devchain.clock import Clock
from channeld.services.devchain.errors import TransactionRejected
from channeld.services.devchain.evm import BlockContext, install_system_contracts
from channeld.services.devchain.hashing import keccak256
from channeld.services.devchain.history import History
from channeld.services.devchain.ledger import Ledger
from channeld.services.devchain.logindex import LogFilter
from channeld.services.devchain.pool import Pool, SenderState
from channeld.services.devchain.settings import ETHER_WEI, DevChainSettings
from channeld.services.devchain.snapshots import Snapshot, Snapshots
from channeld.services.devchain.transactions import Transaction, decode_transaction
from channeld.services.devchain.wallet import sign_transaction

FAUCET_BALANCE_WEI = 2**96
# Enough for any test, and a thousand times over before the faucet is empty.
FAUCET_LIMIT_WEI = 10_000 * ETHER_WEI
# A call that mines more would keep every other client waiting for seconds.
MINE_LIMIT_BLOCKS = 10_000

# A block of the chain, or the one that would be mined now.
At = int | Literal["pending"]
# What becomes of the transactions of dropped blocks.
Fate = Literal["return", "vanish"]

log = logging.getLogger(__name__)


class DevChain:
    """A chain in memory, or with `settings.state_path` one that outlives the process.

    `now_s` gives unix time; a test that passes its own clock controls every timestamp.
    """

    def __init__(self, settings: DevChainSettings, now_s: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.chain_id = settings.chain_id
        self.accounts: tuple[DevAccount, ...] = development_accounts(settings.accounts)
        self.automine = settings.automine
        self.history = History()
        self.pool = Pool()
        self.clock = Clock(now_s)
        self.snapshots = Snapshots()
        self._forced_base_fee_wei: int | None = None
        self._archive = Archive(settings.state_path, settings.chain_id, self.history, self.clock)
        try:
            waiting = self._archive.restore()
            if self.history.blocks:
                self._readmit(waiting)
            else:
                self._begin()
        except BaseException:
            self._archive.close()
            raise

    def close(self) -> None:
        """Let go of the state file. The chain must not be used afterwards."""
        self._archive.close()

    # -- reading --

    @property
    def head(self) -> Block:
        return self.history.head

    def block(self, number: int) -> Block | None:
        return self.history.blocks[number] if 0 <= number <= self.head.number else None

    def receipt(self, transaction_hash: bytes) -> Receipt | None:
        return self.history.receipt(transaction_hash)

    def ledger_at(self, at: At) -> Ledger:
        """Accounts and storage after that block, for reading only."""
        return self.history.ledger if at == "pending" else self.history.ledger_at(at)

    def balance_wei(self, address: bytes) -> int:
        return self.history.ledger.get_balance(address)

    def nonce(self, address: bytes, *, pending: bool = False) -> int:
        mined = self.history.ledger.get_nonce(address)
        return self.pool.next_nonce(address, mined) if pending else mined

    def logs(self, wanted: LogFilter) -> list[LogEntry]:
        """In chain order; QueryTooLarge if there are too many for one answer."""
        return self.history.logs.find(wanted)

    def context(self, at: At) -> BlockContext:
        """What bytecode would see as its block."""
        if at == "pending":
            timestamp_s = self.clock.peek_s(self.head.timestamp_s)
            return context_after(self.history, self.chain_id, timestamp_s, self._forced_base_fee_wei)
        return context_of(self.history, self.chain_id, self.history.blocks[at])

    # -- calling --

    def call(self, call: Call, at: At | None = None) -> bytes:
        """What the contract returns in that block (the head). CallReverted carries the revert data."""
        block = self.head.number if at is None else at
        return output_of(run_call(self.ledger_at(block), self.context(block), call))

    def estimate_gas(self, call: Call, at: At = "pending") -> int:
        """Judged in the block that would be mined now: time may have passed since the last one."""
        return estimate_gas(self.ledger_at(at), self.context(at), call)

    # -- transactions --

    def send_raw_transaction(self, raw: bytes) -> bytes:
        """Take a signed transaction; its hash. With automine it is mined when this returns, if it can be.

        TransactionRejected carries go-ethereum's words for the reason.
        """
        transaction = decode_transaction(raw, self.chain_id)
        self._admit(transaction)
        if self.automine:
            self._mine_waiting()
        if self.pool.get(transaction.hash) is not None:
            self._archive.waits(transaction)
        return transaction.hash

    def fund(self, address: bytes, amount_wei: int) -> bytes:
        """Send from the faucet's account; the transaction's hash."""
        if not 0 < amount_wei <= FAUCET_LIMIT_WEI:
            raise Rejected(f"the faucet gives 1 to {FAUCET_LIMIT_WEI} wei at once, not {amount_wei}")
        base_fee_wei = self.context("pending").base_fee_wei
        return self.send_raw_transaction(
            sign_transaction(
                FAUCET.key,
                chain_id=self.chain_id,
                nonce=self.nonce(FAUCET.address, pending=True),
                to=address,
                value_wei=amount_wei,
                # The recipient may be a contract that does something on receipt.
                gas=100_000,
                max_fee_per_gas_wei=2 * base_fee_wei + 10**9,
                max_priority_fee_per_gas_wei=10**9,
            )
        )

    def drop_transaction(self, transaction_hash: bytes) -> bool:
        """Forget a waiting transaction; False if it does not wait."""
        found = self.pool.remove(transaction_hash) is not None
        if found:
            self._archive.pooled(self.pool)
        return found

    def _admit(self, transaction: Transaction) -> None:
        ledger = self.history.ledger
        state = SenderState(ledger.get_nonce(transaction.sender), ledger.get_balance(transaction.sender))
        self.pool.admit(transaction, state, self.head.header.gas_limit)

    # -- mining and time --

    def mine(self, count: int = 1, interval_s: int = 1, timestamp_s: int | None = None) -> list[Block]:
        """Mine blocks now, the first with whatever waits and at `timestamp_s` if given.

        `interval_s` lies between their times at least.
        """
        if not 0 <= count <= MINE_LIMIT_BLOCKS:
            raise Rejected(f"0 to {MINE_LIMIT_BLOCKS} blocks are mined at once, not {count}")
        if interval_s < 1:
            raise Rejected(f"blocks are at least 1 s apart, not {interval_s}")
        if count and timestamp_s is not None:
            self.clock.force_next(timestamp_s, self.head.timestamp_s)
        mined: list[Block] = []
        for index in range(count):
            if index and interval_s > 1:
                wanted_s = self.head.timestamp_s + interval_s
                self.clock.force_next(wanted_s, self.head.timestamp_s)
            mined.append(self._mine_block())
        return mined

    def advance_time_s(self, seconds: int) -> Block:
        """Let time pass and mine a block, so that contracts and clients see it."""
        self.advance_clock_s(seconds)
        return self._mine_block()

    def advance_clock_s(self, seconds: int) -> int:
        """Let time pass for the blocks to come; the whole offset from the wall's clock."""
        offset_s = self.clock.advance(seconds)
        self._archive.clock_set()
        return offset_s

    def set_next_timestamp_s(self, timestamp_s: int) -> None:
        self.clock.force_next(timestamp_s, self.head.timestamp_s)
        self._archive.clock_set()

    def set_next_base_fee_wei(self, base_fee_wei: int) -> None:
        """For one block; the following ones move on from there. Not kept across a restart."""
        if not 0 <= base_fee_wei < 2**64:
            raise Rejected(f"a base fee is below 2^64 wei, not {base_fee_wei}")
        self._forced_base_fee_wei = base_fee_wei

    def set_automine(self, enabled: bool) -> None:
        """Switching it on mines what waits."""
        self.automine = enabled
        if enabled:
            self._mine_waiting()

    def _mine_waiting(self) -> None:
        """Mine a block if any transaction can go into it now."""
        if self.pool.best_first(self.history.ledger.get_nonce, self.context("pending").base_fee_wei):
            self._mine_block()

    def _mine_block(self) -> Block:
        was_forced = self.clock.forced_timestamp_s is not None
        context = self.context("pending")
        candidates = self.pool.best_first(self.history.ledger.get_nonce, context.base_fee_wei)
        try:
            built = build_block(self.history, context, candidates)
        except EngineFailed as failure:
            # Otherwise it would stop every later block too.
            self.pool.remove(failure.transaction_hash)
            self._archive.pooled(self.pool)
            raise
        self.clock.take_s(context.timestamp_s - 1)
        self._forced_base_fee_wei = None
        self._add(built)
        for receipt in built.block.receipts:
            self.pool.forget_mined(receipt.sender, self.history.ledger.get_nonce(receipt.sender))
        if was_forced:
            self._archive.clock_set()
        return built.block

    def _add(self, built: Built) -> None:
        self.history.add_block(built.block, built.before)
        self._archive.mined(built)

    # -- going back --

    def snapshot(self) -> int:
        """Remember this moment; the number is for `revert`. Not kept across a restart."""
        return self.snapshots.take(
            Snapshot(self.history.depth, self.clock.offset_s, self.clock.forced_timestamp_s, tuple(self.pool))
        )

    def revert(self, number: int) -> bool:
        """Go back to a snapshot: blocks, state, clock, waiting transactions. It and later ones are used up.

        False if there is no such snapshot.
        """
        snapshot = self.snapshots.use(number)
        if snapshot is None or not self.history.can_rewind_to(snapshot.depth):
            return False
        self.history.rewind(snapshot.depth)
        self.clock.offset_s = snapshot.offset_s
        self.clock.forced_timestamp_s = snapshot.forced_timestamp_s
        self.pool = Pool()
        self._readmit(snapshot.waiting)
        self._archive.rewound(snapshot.depth)
        self._archive.clock_set()
        self._archive.pooled(self.pool)
        return True

    def drop_blocks(self, count: int, *, transactions: Fate) -> list[Block]:
        """Reorganise: the last `count` blocks never happened. Their transactions wait again, or are gone.

        Nothing is mined in their place; `mine` does that. The dropped blocks, lowest first.
        """
        if not 0 <= count <= self.head.number:
            raise Rejected(f"0 to {self.head.number} blocks can be dropped, not {count}")
        if count == 0:
            return []
        depth = self.history.depth_below(self.head.number - count + 1)
        if not self.history.can_rewind_to(depth):
            raise Rejected(f"the state before the last {count} blocks is no longer kept")
        dropped = self.history.rewind(depth)
        self.snapshots.forget_above(depth)
        if transactions == "return":
            raws = [receipt.raw for block in dropped for receipt in block.receipts]
            waiting = tuple(self.pool)
            self.pool = Pool()
            self._readmit([*(decode_transaction(raw, self.chain_id) for raw in raws), *waiting])
        self._archive.rewound(depth)
        self._archive.pooled(self.pool)
        return dropped

    def replace_blocks(self, count: int, placed: Sequence[Sequence[bytes]]) -> list[Block]:
        """Reorganise: the last `count` blocks give way to as many that hold these raw transactions only."""
        dropped = self.drop_blocks(count, transactions="vanish")
        waiting, self.pool = self.pool, Pool()
        mined = []
        for raws in placed:
            self._readmit(decode_transaction(raw, self.chain_id) for raw in raws)
            mined.append(self._mine_block())
        self._readmit(waiting)
        self._archive.pooled(self.pool)
        assert len(mined) == len(dropped), "one new block for each dropped one"
        return mined

    def _readmit(self, transactions: Iterable[Transaction]) -> None:
        for transaction in transactions:
            try:
                self._admit(transaction)
            except TransactionRejected as reason:
                log.info("transaction 0x%s does not wait again: %s", transaction.hash.hex(), reason)

    def set_balance_wei(self, address: bytes, balance_wei: int) -> None:
        """Out of thin air. It belongs to the head block, and goes with it in a reorganisation."""
        if not 0 <= balance_wei < 2**256:
            raise Rejected(f"a balance is below 2^256, not {balance_wei}")
        ledger = self.history.ledger
        ledger.set_balance(address, balance_wei)
        before = ledger.seal()
        self.history.add_patch(before)
        self._archive.cells_set(ledger.current(before))

    # -- beginning, saving and restoring --

    def _begin(self) -> None:
        ledger = self.history.ledger
        install_system_contracts(ledger)
        for account in self.accounts:
            ledger.set_balance(account.address, self.settings.balance_wei)
        ledger.set_balance(FAUCET.address, FAUCET_BALANCE_WEI)
        before = ledger.seal()
        after = ledger.current(before)
        header = Header(
            number=0,
            parent_hash=bytes(32),
            timestamp_s=self.clock.take_s(0),
            coinbase=COINBASE,
            gas_limit=self.settings.block_gas_limit,
            gas_used=0,
            base_fee_wei=self.settings.initial_base_fee_wei,
            prev_randao=bytes(32),
            bloom=bytes(256),
            # The chain id makes the genesis blocks of two chains differ.
            state_root=commit_state(keccak256(b"genesis of chain %d" % self.chain_id), after),
            transactions_root=EMPTY_TRIE,
            receipts_root=EMPTY_TRIE,
        )
        encoded = header.encode()
        self._archive.began()
        self._add(Built(Block(keccak256(encoded), header, len(encoded), ()), before, after))
