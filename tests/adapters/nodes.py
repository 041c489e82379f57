"""Two real nodes for the suite of the chain adapter: the embedded chain, and anvil."""

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from channeld.adapters.chain import calls
from channeld.adapters.chain.blocks import Block, block_at
from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.reads import AdjudicatorReader, TokenReader, chain_id
from channeld.adapters.chain.receipts import Receipt
from channeld.adapters.chain.rpc import RpcClient, RpcSettings
from channeld.adapters.chain.scanner import ScanItem, Scanner, ScannerSettings, checkpoint_at
from channeld.adapters.chain.transactions import TransactionSettings, Transactor, deploy, open_transactor
from channeld.adapters.signer import Signer
from channeld.core.identity import ETH, ChannelParams
from channeld.services.devchain.server import serve
from channeld.services.devchain.settings import DevChainSettings
from channeld.wire.eip712 import domain_separator
from contracts import artifacts

REPOSITORY = Path(__file__).parents[2]
ETHER_WEI = 10**18
FAST = TransactionSettings(poll_s=0.02, resubmit_after_s=3600)

ALICE = Signer(hashlib.sha256(b"alice").digest())
BOB = Signer(hashlib.sha256(b"bob").digest())
A, B = sorted((ALICE, BOB), key=lambda signer: signer.address)


def anvil_command() -> str | None:
    """Where anvil is: CHANNELD_ANVIL, the PATH, or an npm installation in the repository."""
    named = os.environ.get("CHANNELD_ANVIL")
    if named:
        return named
    local = REPOSITORY / "node_modules/.bin/anvil"
    return shutil.which("anvil") or (str(local) if local.exists() else None)


@asynccontextmanager
async def embedded() -> AsyncIterator[str]:
    server = await serve(DevChainSettings(port=0))
    try:
        yield server.url
    finally:
        await server.close()


@asynccontextmanager
async def anvil() -> AsyncIterator[str]:
    command = anvil_command()
    if command is None:
        pytest.skip("anvil is not installed: npm install @foundry-rs/anvil, or name it in CHANNELD_ANVIL")
    process = await asyncio.create_subprocess_exec(
        command,
        *("--port", "0", "--hardfork", "prague", "--chain-id", "31338", "--accounts", "1"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            found = re.search(rb"Listening on (\S+)", line)
            if found:
                break
        else:
            raise AssertionError("anvil ended before it listened")
        draining = asyncio.create_task(process.stdout.read())
        yield f"http://{found[1].decode()}"
        process.terminate()
        await draining
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def params_of(asset: bytes = ETH, salt: int = 1) -> ChannelParams:
    """A channel of alice and bob."""
    return ChannelParams(A.address, B.address, asset, 600, salt)


def deposit_request(adjudicator: bytes, amount_wei: int, salt: int = 1) -> Request:
    """A deposit of ETH for side A into the channel of that salt."""
    return Request(
        adjudicator, calls.deposit(params_of(salt=salt), to_b=False, amount=amount_wei), amount_wei
    )


@dataclass(slots=True)
class Town:
    """A chain with the adjudicator and a token on it, and alice, who can send transactions."""

    url: str
    rpc: RpcClient
    chain_id: int
    alice: Transactor
    adjudicator: AdjudicatorReader
    token: TokenReader
    outbox: Path
    deployed_in: int
    _step: int = 0

    @property
    def domain(self) -> bytes:
        return domain_separator(self.chain_id, self.adjudicator.address)

    def params(self, asset: bytes = ETH, salt: int = 1) -> ChannelParams:
        return params_of(asset, salt)

    async def send(self, payload: bytes, *, to: bytes | None = None, value_wei: int = 0) -> Receipt:
        """Alice calls the adjudicator (or `to`) and waits until it is mined."""
        self._step += 1
        request = Request(to or self.adjudicator.address, payload, value_wei)
        return await self.alice.execute(f"step {self._step}", request)

    async def deposit(self, amount_wei: int, *, salt: int = 1, to_b: bool = False) -> Receipt:
        """Alice deposits ETH into the channel of that salt."""
        payload = calls.deposit(self.params(salt=salt), to_b=to_b, amount=amount_wei)
        return await self.send(payload, value_wei=amount_wei)

    async def dev(self, method: str, *params: Any) -> Any:
        """A call that only development chains have."""
        return await self.rpc.call(method, *params, retried=False)

    async def mine(self, count: int = 1) -> None:
        for _ in range(count):
            await self.dev("evm_mine")

    async def mine_at(self, timestamp_s: int) -> None:
        """The next block says that it is `timestamp_s`."""
        await self.dev("evm_setNextBlockTimestamp", timestamp_s)
        await self.mine()

    async def head(self) -> Block:
        block = await block_at(self.rpc)
        assert block is not None
        return block

    async def scan(self, block_number: int | None = None, **settings: Any) -> AsyncIterator[ScanItem]:
        """Follow from after a block (default: the deployment's)."""
        number = self.deployed_in if block_number is None else block_number
        checkpoint = await checkpoint_at(self.rpc, number)
        scanner = Scanner(self.rpc, self.adjudicator.address, ScannerSettings(poll_s=0.02, **settings))
        return scanner.follow(checkpoint)


@asynccontextmanager
async def town(url: str, directory: Path) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        rpc = await stack.enter_async_context(RpcClient(RpcSettings(url, attempts=1)))
        for signer in (ALICE, BOB):
            funds = hex(1000 * ETHER_WEI)
            await rpc.call("anvil_setBalance", "0x" + signer.address.hex(), funds, retried=False)
        outbox = directory / "outbox.sqlite"
        alice = await stack.enter_async_context(open_transactor(rpc, ALICE, outbox, FAST))
        adjudicator = await deploy(alice, rpc, "adjudicator", artifacts.adjudicator().bytecode)
        token = await deploy(alice, rpc, "token", artifacts.erc20_test_token().bytecode)
        head = await block_at(rpc)
        assert head is not None
        yield Town(
            url,
            rpc,
            await chain_id(rpc),
            alice,
            AdjudicatorReader(rpc, adjudicator),
            TokenReader(rpc, token),
            outbox,
            head.number,
        )
