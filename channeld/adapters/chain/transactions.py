"""Get transactions of one key mined, each intention once, whatever the node and the fees do.

Every transaction is durable before it is sent. One that nobody mines is replaced at the same nonce
with a higher fee; one that a reorganisation threw out is sent again; one whose nonce somebody else
used (the same key in another wallet) is reported, and its caller decides from the chain's state.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from channeld.adapters.chain.blocks import Block, block_at
from channeld.adapters.chain.fees import GWEI
from channeld.adapters.chain.fields import MalformedAnswer, data, hex_data
from channeld.adapters.chain.outbox import Entry, Outbox, Request, Stage, Store
from channeld.adapters.chain.preparing import Preparer, TransactionSigner
from channeld.adapters.chain.reads import chain_id, code_at
from channeld.adapters.chain.receipts import Receipt, receipt_of
from channeld.adapters.chain.rpc import NodeRefusal, RpcClient
from channeld.core.errors import OperationalError, Rejected, StorageFailed
from channeld.wire.eip712 import keccak

log = logging.getLogger(__name__)

KNOWN = ("already known", "alreadyknown", "known transaction", "already imported", "transaction already")
"""How nodes say that they have this very transaction: it was sent."""
NONCE_SPENT = ("nonce too low", "nonce is too low", "old nonce", "oldnonce", "nonce has already")
"""How nodes say that the nonce is in a block: ours or another one; receipts tell."""


class TransactionDisplaced(OperationalError):
    """The nonce of a transaction was used by one that is not ours; it will never be mined."""


class TransactionReverted(OperationalError):
    """A transaction was mined and failed."""


@dataclass(frozen=True, slots=True)
class TransactionSettings:
    """How to get transactions mined."""

    confirmations: int = 1
    """Blocks until a transaction counts as final, its own included."""
    poll_s: float = 1.0
    resubmit_after_s: float = 60.0
    """Five blocks of Ethereum without being mined: the fee is too low."""
    max_fee_wei: int = 500 * GWEI
    """Per unit of gas, the operator's limit."""
    tip_wei: int | None = None
    """Per unit of gas to the block's producer; None asks the node."""
    gas_margin_percent: int = 25
    """More gas than estimated: the state may change before the block, and a payout's first use of an
    account costs 25,000."""


@dataclass(slots=True)
class _Live:
    """A transaction that is not final yet, and whoever waits for it."""

    entry: Entry
    sent_at_s: float
    receipt: Receipt | None = None
    failure: OperationalError | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    def settle(self, receipt: Receipt | None, failure: OperationalError | None) -> None:
        self.receipt, self.failure = receipt, failure
        self.settled.set()


class Transactor:
    """Sends the transactions of one key to one chain. `run` must run while anything is to be mined."""

    def __init__(
        self,
        rpc: RpcClient,
        signer: TransactionSigner,
        outbox: Store,
        chain: int,
        settings: TransactionSettings,
    ) -> None:
        self._rpc = rpc
        self._outbox = outbox
        self._settings = settings
        self._preparer = Preparer(
            rpc, signer, chain, settings.gas_margin_percent, settings.tip_wei, settings.max_fee_wei
        )
        self._lock = asyncio.Lock()
        self._work = asyncio.Event()
        self._live = {entry.intention: _Live(entry, self._now_s()) for entry in outbox.unfinished()}

    async def submit(self, intention: str, request: Request, *, gas_limit: int | None = None) -> None:
        """Sign, store and send, once per intention: a second call changes nothing.

        The gas is estimated on the latest block unless given: what a request builds upon must be
        mined. Raises NodeRefusal if the call would revert or the node refuses it (nothing was sent),
        Rejected if the intention was submitted with another content. A node that does not answer
        after the transaction was stored is no error: it is sent again.
        """
        async with self._lock:
            entry = self._outbox.get(intention)
            if entry is not None and entry.stage is not Stage.DISPLACED:
                if entry.request != request:
                    raise Rejected(
                        f"expected {intention} to be submitted once; it differs from the first time"
                    )
                return
            least_nonce = 1 + max((live.entry.nonce for live in self._live.values()), default=-1)
            entry = await self._preparer.prepared(intention, request, gas_limit, least_nonce)
            self._outbox.put(entry)
            self._live[intention] = _Live(entry, self._now_s())
            self._work.set()
            try:
                await self._send(entry)
            except NodeRefusal:
                # nobody has it, and no later nonce was given out: as if it had never been
                del self._live[intention]
                self._outbox.forget(intention)
                raise

    async def result(self, intention: str) -> Receipt:
        """Wait until an intention is mined; its receipt may say that it failed.

        A reorganisation may still undo it; it is then mined again without another word. Raises
        TransactionDisplaced, or Rejected if the intention was never submitted.
        """
        live = self._live.get(intention)
        if live is not None:
            await live.settled.wait()
            if live.failure is not None:
                raise live.failure
            assert live.receipt is not None
            return live.receipt
        entry = self._outbox.get(intention)
        if entry is None:
            raise Rejected(f"expected a submitted intention, got {intention!r}")
        if entry.stage is Stage.DISPLACED or entry.mined_hash is None:
            raise _displaced(entry)
        receipt = await receipt_of(self._rpc, entry.mined_hash)
        if receipt is None:
            raise MalformedAnswer(f"the receipt of {intention}", "a receipt of a final transaction", None)
        return receipt

    async def execute(self, intention: str, request: Request, *, gas_limit: int | None = None) -> Receipt:
        """Submit and wait until mined. Raises TransactionReverted if it failed there."""
        await self.submit(intention, request, gas_limit=gas_limit)
        receipt = await self.result(intention)
        if not receipt.succeeded:
            raise TransactionReverted(f"chain: {intention} failed in block {receipt.block_number}")
        return receipt

    def unfinished(self) -> tuple[str, ...]:
        """The intentions that are not final yet, by nonce."""
        return tuple(live.entry.intention for live in self._by_nonce())

    def forget(self, intention: str) -> None:
        """Free a finished intention's name, so that it may be submitted anew.

        Finished is what is final, displaced, or mined and failed; a failed one is still watched, under
        another name, because later nonces wait for its own. Raises Rejected for anything else.
        """
        live = self._live.get(intention)
        if live is None:
            self._outbox.forget(intention)
            return
        if live.entry.stage is not Stage.MINED or live.receipt is None or live.receipt.succeeded:
            raise Rejected(f"expected {intention} to be final before it is forgotten")
        kept = replace(live.entry, intention=f"{intention} (failed at nonce {live.entry.nonce})")
        self._outbox.rename(live.entry.intention, kept)
        del self._live[intention]
        live.entry = kept
        self._live[kept.intention] = live

    async def run(self) -> None:
        """Send what a crash may have left unsent, then watch, until nothing can be stored."""
        for live in self._by_nonce():
            await self._send_again(live)
        while True:
            if not self._live:
                self._work.clear()
                await self._work.wait()
            try:
                async with self._lock:
                    await self._watch_once()
            except StorageFailed as error:
                log.error("transactions are not watched any more: %s", error)
                return
            except OperationalError as error:
                log.warning("transactions are not watched: %s", error)
            await asyncio.sleep(self._settings.poll_s)

    def abandon(self, reason: str) -> None:
        """Tell everyone who waits that nobody watches any more. The transactions stay durable."""
        for live in self._live.values():
            if not live.settled.is_set():
                live.settle(None, OperationalError(reason))

    # --- sending ---

    async def _send(self, entry: Entry) -> None:
        """Give the newest version to the node. Raises NodeRefusal only if the node does not have it.

        Without a clear answer the transaction may be on its way: it stays, and is sent again.
        """
        version = entry.versions[-1]
        try:
            answer = await self._rpc.call("eth_sendRawTransaction", hex_data(version.raw))
            if data(answer, "a transaction hash", length=32) != version.hash:
                log.error("the node named %s otherwise than 0x%s", entry.intention, version.hash.hex())
        except NodeRefusal as error:
            said = error.message.lower()
            if not any(phrase in said for phrase in KNOWN + NONCE_SPENT):
                raise
        except OperationalError as error:
            log.warning("%s is stored and will be sent again: %s", entry.intention, error)

    async def _send_again(self, live: _Live) -> None:
        live.sent_at_s = self._now_s()
        try:
            await self._send(live.entry)
        except OperationalError as error:
            log.warning("%s was refused again: %s", live.entry.intention, error)

    # --- watching ---

    async def _watch_once(self) -> None:
        head, count = await self._preparer.head(), await self._preparer.count()
        lowest = True
        for live in self._by_nonce():
            try:
                await self._watch_one(live, head, count, lowest)
            except (NodeRefusal, MalformedAnswer) as error:
                # what the node cannot tell about one must not hide the others
                log.warning("%s is not watched: %s", live.entry.intention, error)
            lowest = lowest and live.entry.stage is not Stage.SENT

    async def _watch_one(self, live: _Live, head: Block, count: int, lowest: bool) -> None:
        if live.entry.nonce < count or live.entry.stage is Stage.MINED:
            await self._look_for_receipt(live, head)
        elif self._now_s() - live.sent_at_s >= self._settings.resubmit_after_s:
            # a higher nonce waits for the lower one: only the lowest can be helped by a fee
            await (self._raise_fee(live, head) if lowest else self._send_again(live))

    async def _look_for_receipt(self, live: _Live, head: Block) -> None:
        for version in reversed(live.entry.versions):
            receipt = await receipt_of(self._rpc, version.hash)
            if receipt is not None:
                self._mined(live, receipt, head)
                return
        if live.entry.stage is Stage.MINED:
            log.info("%s was reorganised away and is sent again", live.entry.intention)
            self._store(live, replace(live.entry, stage=Stage.SENT, mined_hash=None))
            await self._send_again(live)
            return
        confirmed = head.number - self._settings.confirmations
        if confirmed >= 0 and await self._preparer.count(confirmed) > live.entry.nonce:
            self._store(live, replace(live.entry, stage=Stage.DISPLACED))
            del self._live[live.entry.intention]
            live.settle(None, _displaced(live.entry))

    def _mined(self, live: _Live, receipt: Receipt, head: Block) -> None:
        final = head.number - receipt.block_number + 1 >= self._settings.confirmations
        stage = Stage.FINAL if final else Stage.MINED
        entry = replace(live.entry, stage=stage, mined_hash=receipt.transaction_hash)
        if entry != live.entry:
            self._store(live, entry)
        if final:
            del self._live[entry.intention]
        live.settle(receipt, None)

    async def _raise_fee(self, live: _Live, head: Block) -> None:
        entry = await self._preparer.repriced(live.entry, head)
        if entry is None:
            limit_wei = self._settings.max_fee_wei
            log.warning("%s waits: its fee is at the limit of %d wei", live.entry.intention, limit_wei)
        else:
            self._store(live, entry)
        await self._send_again(live)

    def _store(self, live: _Live, entry: Entry) -> None:
        self._outbox.put(entry)
        live.entry = entry

    def _by_nonce(self) -> list[_Live]:
        return sorted(self._live.values(), key=lambda live: live.entry.nonce)

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()


def _displaced(entry: Entry) -> TransactionDisplaced:
    return TransactionDisplaced(
        f"chain: the nonce {entry.nonce} of {entry.intention} was used by another transaction of this key"
    )


def open_transactor(
    rpc: RpcClient, signer: TransactionSigner, path: Path, settings: TransactionSettings
) -> AbstractAsyncContextManager[Transactor]:
    """A running transactor on the outbox at `path`; leaving stops watching and closes the file."""
    return transacting(rpc, signer, lambda identity: Outbox(path, identity), settings)


@asynccontextmanager
async def transacting(
    rpc: RpcClient,
    signer: TransactionSigner,
    open_outbox: Callable[[bytes], Store],
    settings: TransactionSettings,
) -> AsyncIterator[Transactor]:
    """A running transactor; `open_outbox` is told the identity of key and chain.

    Raises Rejected if the outbox belongs to another key or chain (its id, or its first block).
    """
    chain = await chain_id(rpc)
    genesis = await block_at(rpc, 0)
    if genesis is None:
        raise MalformedAnswer("the first block", "a block", None)
    outbox = open_outbox(keccak(chain.to_bytes(32, "big") + genesis.hash + signer.address))
    try:
        transactor = Transactor(rpc, signer, outbox, chain, settings)
        watching = asyncio.create_task(transactor.run(), name="transactions")
        watching.add_done_callback(lambda _: transactor.abandon("transactions are no longer watched"))
        try:
            yield transactor
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
    finally:
        outbox.close()


async def deploy(transactor: Transactor, rpc: RpcClient, intention: str, bytecode: bytes) -> bytes:
    """Create a contract and return its address (20 bytes). Raises TransactionReverted & co."""
    receipt = await transactor.execute(intention, Request(None, bytecode))
    if receipt.created is None or not await code_at(rpc, receipt.created):
        raise MalformedAnswer(f"the contract of {intention}", "code at its address", receipt.created)
    return receipt.created
