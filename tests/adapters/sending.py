"""Alice sends: another run of her daemon, what its outbox holds, and what the chain then shows."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from channeld.adapters.chain.outbox import Entry, Outbox, Request
from channeld.adapters.chain.rpc import RpcClient
from channeld.adapters.chain.transactions import (
    TransactionSettings,
    Transactor,
    open_transactor,
)
from channeld.wire.eip712 import channel_id
from tests.adapters.nodes import ALICE, Town, deposit_request

ALICE_HEX = "0x" + ALICE.address.hex()
TIMEOUT_S = 30  # so that what never happens fails instead of hanging


def deposit(place: Town, amount_wei: int, salt: int = 1) -> Request:
    return deposit_request(place.adjudicator.address, amount_wei, salt)


async def deposited(place: Town, salt: int = 1) -> int:
    slot = await place.adjudicator.channel(channel_id(place.params(salt=salt), place.domain))
    return slot.deposit_a


async def nonce(place: Town, tag: str = "latest") -> int:
    return int(await place.rpc.call("eth_getTransactionCount", ALICE_HEX, tag), 16)


@asynccontextmanager
async def transactor(
    place: Town, outbox: Path, rpc: RpcClient | None = None, **settings: Any
) -> AsyncIterator[Transactor]:
    """Another run of alice's daemon, on the outbox of that path."""
    fast = TransactionSettings(**{"poll_s": 0.02, "resubmit_after_s": 3600.0, **settings})
    async with open_transactor(rpc or place.rpc, ALICE, outbox, fast) as running:
        yield running


def stored(place: Town, path: Path, intention: str) -> Entry:
    """What the outbox says about an intention."""
    with closing(Outbox(path, identity_in(path))) as outbox:
        entry = outbox.get(intention)
        assert entry is not None
        return entry


def identity_in(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as database:
        (identity,) = database.execute("SELECT identity FROM chain").fetchone()
        assert isinstance(identity, bytes)
        return identity


async def eventually(condition: Callable[[], Any]) -> Any:
    """Wait for what a running transactor will bring about."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            value = condition()
            if value:
                return value
            await asyncio.sleep(0.01)


async def eventually_async(question: Callable[[], Awaitable[Any]], expected: Any) -> None:
    """Wait until the chain answers so."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            if await question() == expected:
                return
            await asyncio.sleep(0.01)
