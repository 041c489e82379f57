"""A node's transactions on the simulated chain: each intention once, as the real transactor has it.

What was sent survives a crash (the real one keeps it in its outbox); whoever waited for it does not.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from channeld.adapters.chain.outbox import Request, Stage
from channeld.adapters.chain.receipts import Receipt
from channeld.adapters.chain.rpc import NodeRefusal
from channeld.adapters.chain.transactions import TransactionReverted
from channeld.core.errors import Rejected
from channeld.wire.eip712 import keccak
from tests.dice import Dice
from tests.simulator.calldata import read_call
from tests.simulator.chain import Chain, Transaction


@dataclass(eq=False)
class Entry:
    intention: str
    request: Request
    transaction: Transaction
    stage: Stage = Stage.SENT
    waiting: list[asyncio.Future[Receipt]] = field(default_factory=list)


class Wallet:
    """Takes the place of the transactor. `delay_ms` says when a new transaction is mined at the earliest."""

    def __init__(self, chain: Chain, dice: Dice, address: bytes, now_ms: Callable[[], int]) -> None:
        self.chain = chain
        self._dice = dice
        self.address = address
        self._now_ms = now_ms
        self.entries: dict[str, Entry] = {}
        self._nonce = 0
        self.dies: Callable[[], bool] = lambda: False

    async def execute(self, intention: str, request: Request, *, gas_limit: int | None = None) -> Receipt:
        entry = self.entries.get(intention)
        if entry is None:
            call = read_call(request.data)
            refused = self.chain.refusal(self.address, call)
            if refused is not None:
                raise NodeRefusal("eth_estimateGas", 3, refused.words, None)
            if self.dies():  # before it is durable
                await asyncio.get_running_loop().create_future()
            entry = self.entries[intention] = Entry(intention, request, self._transaction(request))
            if self.dies():  # durable, not sent: the next start sends it
                await asyncio.get_running_loop().create_future()
            self.chain.submit(entry.transaction)
        elif entry.request != request:
            raise Rejected(f"expected {intention} to be submitted once; it differs from the first time")
        receipt = await self._mined(entry)
        if not receipt.succeeded:
            raise TransactionReverted(f"chain: {intention} failed in block {receipt.block_number}")
        return receipt

    def forget(self, intention: str) -> None:
        entry = self.entries.get(intention)
        if entry is None:
            return
        failed = entry.stage is Stage.MINED and entry.transaction.outcome is not None
        if entry.stage is not Stage.FINAL and not failed:
            raise Rejected(f"expected {intention} to be final before it is forgotten")
        del self.entries[intention]
        if failed:
            entry.intention = f"{intention} (failed at nonce {entry.transaction.nonce})"
            self.entries[entry.intention] = entry

    def restart(self) -> None:
        """Send what a crash may have left unsent."""
        for entry in self.entries.values():
            entry.waiting.clear()
            transaction = entry.transaction
            if transaction.block is None and transaction not in self.chain.mempool:
                self.chain.submit(transaction)

    def watch(self, confirmations: int) -> None:
        """Look at the newest block: what is mined, undone or final."""
        for entry in self.entries.values():
            block = entry.transaction.block
            if entry.stage is Stage.FINAL:
                continue
            if block is None:
                entry.stage = Stage.SENT
                continue
            deep = self.chain.head.number - block.number + 1 >= confirmations
            entry.stage = Stage.FINAL if deep else Stage.MINED
            for waiting in entry.waiting:
                if not waiting.done():
                    waiting.set_result(_receipt(entry))
            entry.waiting.clear()

    async def _mined(self, entry: Entry) -> Receipt:
        if entry.stage is not Stage.SENT and entry.transaction.block is not None:
            return _receipt(entry)
        waiting: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        entry.waiting.append(waiting)
        return await waiting

    def next_nonce(self) -> int:
        self._nonce += 1
        return self._nonce

    def _transaction(self, request: Request) -> Transaction:
        nonce = self.next_nonce()
        now_ms = self._now_ms()
        ready_ms = now_ms + 1000 * self._dice.pick((0, 0, 0, 2, 5, 14))
        return Transaction(self.address, nonce, read_call(request.data), now_ms, ready_ms)


def _receipt(entry: Entry) -> Receipt:
    block = entry.transaction.block
    assert block is not None
    return Receipt(
        keccak(entry.intention.encode()),
        block.number,
        block.hash,
        entry.transaction.outcome is None,
        50_000,
        1,
        None,
    )
