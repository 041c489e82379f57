"""The same transactions and questions to our chain and to a real node: the same answers.

Needs anvil: named by CHANNELD_ANVIL, on the PATH, or in node_modules at the root of the repository.
"""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from channeld.services.devchain.accounts import COINBASE
from channeld.services.devchain.hashing import keccak256
from channeld.services.devchain.server import DevChainServer
from tests.devchain.cast import Client, Person, calldata, client_of, contract_code, hexed, person, running

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60
# The base fee of our first block: genesis at 1 gwei was empty.
FIRST_BASE_FEE_WEI = 875_000_000


def find_anvil() -> str | None:
    named = os.environ.get("CHANNELD_ANVIL")
    if named:
        return named
    local = ROOT / "node_modules" / ".bin" / "anvil"
    return shutil.which("anvil") or (str(local) if local.exists() else None)


ANVIL = find_anvil()
pytestmark = pytest.mark.skipif(
    ANVIL is None, reason="no anvil: not in CHANNELD_ANVIL, on the PATH or in node_modules/.bin"
)


@asynccontextmanager
async def anvil(chain_id: int) -> AsyncIterator[str]:
    """A real node with our chain's parameters; its URL."""
    assert ANVIL is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    rules = f"--hardfork prague --chain-id {chain_id} --gas-limit 30000000"
    process = await asyncio.create_subprocess_exec(
        ANVIL,
        *rules.split(),
        *f"--port {port} --accounts 1 --silent".split(),
        "--block-base-fee-per-gas",
        str(FIRST_BASE_FEE_WEI),
        # The command from npm starts the node as its child: end them together.
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await answers(url):
                assert process.returncode is None, "anvil ended before it was ready"
                await asyncio.sleep(0.02)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def answers(url: str) -> bool:
    try:
        async with client_of(url) as client:
            return bool(await client.get("eth_chainId"))
    except aiohttp.ClientError:
        return False


@dataclass
class Twins:
    """Our chain and the real one, and alice who sends the same to both."""

    ours: Client
    theirs: Client
    alice: Person

    async def get(self, method: str, *params: Any) -> Any:
        """The result, the same from both."""
        ours, theirs = await self.ours.get(method, *params), await self.theirs.get(method, *params)
        assert ours == theirs, (method, params)
        return ours

    async def send(self, to: bytes, data: bytes = b"", **terms: int) -> dict[str, Any]:
        """Our receipt, after comparing it with theirs."""
        terms.setdefault("gas", 3_000_000)
        raw = hexed(self.alice.sign(to, data, **terms))
        self.alice.next_nonce += 1
        receipts = []
        for client in (self.ours, self.theirs):
            transaction_hash = await client.get("eth_sendRawTransaction", raw)
            receipts.append(comparable(await receipt_of(client, transaction_hash)))
        ours, theirs = receipts
        assert ours == {key: theirs[key] for key in ours}
        return ours


async def receipt_of(client: Client, transaction_hash: str) -> dict[str, Any]:
    """Anvil mines a moment after it has answered; ours has mined by then."""
    async with asyncio.timeout(PATIENCE_S):
        while (receipt := await client.get("eth_getTransactionReceipt", transaction_hash)) is None:
            pass
    assert isinstance(receipt, dict)
    return receipt


def comparable(view: Any) -> Any:
    """Without what depends on the clock, or on the roots that we do not compute."""
    if isinstance(view, dict):
        skipped = ("blockHash", "blockTimestamp")
        return {key: comparable(value) for key, value in view.items() if key not in skipped}
    return [comparable(one) for one in view] if isinstance(view, list) else view


@pytest.fixture
async def twins(server: DevChainServer) -> AsyncIterator[Twins]:
    alice = person(server.chain, "alice")
    async with (
        anvil(server.chain.chain_id) as url,
        client_of(url) as theirs,
        client_of(server.url) as ours,
    ):
        await theirs.get("anvil_setBalance", hexed(alice.address), hex(100 * 10**18))
        await theirs.get("anvil_setCoinbase", hexed(COINBASE))
        yield Twins(ours, theirs, alice)


async def test_transactions_cost_and_do_the_same(twins: Twins) -> None:
    receipt = await twins.send(b"", contract_code())
    contract = bytes.fromhex(receipt["contractAddress"][2:])
    assert await twins.get("eth_getCode", hexed(contract), "latest") != "0x"
    bob = b"\xb0" * 20
    for data, terms in (
        (calldata("note(uint256,bytes)", 5, b"hello"), {}),
        (calldata("note(uint256,bytes)", 6, b"again"), {"value_wei": 10**18}),
        (calldata("note_many(uint256)", 40), {}),
        (calldata("refuse()"), {}),
        (calldata("refuse_custom()"), {}),
        (calldata("overflow()"), {}),
        (calldata("burn()"), {"gas": 200_000}),
        (calldata("pay(address,uint256)", bob, 10), {}),
        (calldata("pay(address,uint256)", bob, 10), {}),
        (calldata("pay(address,uint256)", bob, 10**24), {}),
        (calldata("pay(address,uint256)", COINBASE, 10), {}),
        (calldata("pay(address,uint256)", contract, 10), {}),
        (calldata("try_refuse()"), {}),
        (calldata("clear()"), {}),
        (calldata("keep_word(uint256)", 4), {}),
        (calldata("recurse(uint256)", 50), {}),
        (calldata("recurse(uint256)", 400), {"gas": 29_000_000}),
        (calldata("multiply()"), {}),
        (calldata("recover(bytes32,uint256,uint256,uint256)", b"1" * 32, 27, 5, 7), {}),
        (calldata("digest(bytes)", b"1" * 500), {}),
        (b"\1" * 5000, {}),
        (b"", {"value_wei": 3}),
    ):
        await twins.send(contract, data, **terms)
    for who in (twins.alice.address, contract, bob, COINBASE):
        await twins.get("eth_getBalance", hexed(who), "latest")
    for slot in ("0x0", "0x1"):
        await twins.get("eth_getStorageAt", hexed(contract), slot, "latest")
    await twins.get("eth_getTransactionCount", hexed(contract), "latest")


async def test_transfers_and_odd_creations_cost_and_do_the_same(twins: Twins) -> None:
    await twins.send(b"\xb0" * 20, gas=21_000, value_wei=5)
    await twins.send(b"\xb1" * 20, gas=21_000)
    await twins.send(bytes(19) + b"\2", b"to the sha256 precompile", gas=40_000)
    for code, gas in (
        ("60006000fd", 100_000),  # reverts
        ("fe", 100_000),  # an invalid opcode
        ("", 100_000),  # an account without code
        ("6127106000f3", 3_000_000),  # 10,000 bytes
        ("6160016000f3", 13_000_000),  # longer than EIP-170 allows
        ("60ef60005360016000f3", 1_000_000),  # begins as EIP-3541 forbids
        ("33ff", 100_000),  # destroys itself while it is created
        ("30ff", 100_000),  # and leaves its money to itself
    ):
        await twins.send(b"", bytes.fromhex(code), gas=gas, value_wei=10)
    await twins.get("eth_getBalance", hexed(twins.alice.address), "latest")


async def test_blocks_and_logs_look_the_same(twins: Twins) -> None:
    receipt = await twins.send(b"", contract_code())
    contract = receipt["contractAddress"]
    for number in range(3):
        await twins.send(bytes.fromhex(contract[2:]), calldata("note_many(uint256)", number))
    blocks = [
        comparable(await client.get("eth_getBlockByNumber", "0x3", True))
        for client in (twins.ours, twins.theirs)
    ]
    computed = ("hash", "parentHash", "stateRoot", "transactionsRoot", "receiptsRoot", "mixHash")
    # Ours begins at the wall's time too, but a second may lie between them.
    clock = ("timestamp", "size")
    ours, theirs = (
        {key: value for key, value in block.items() if key not in computed + clock} for block in blocks
    )
    assert ours == {key: theirs[key] for key in ours}
    topic = hexed(keccak256(b"Noted(address,uint256,bytes)"))
    one = "0x" + "1".rjust(64, "0")
    for question in (
        {},
        {"address": contract},
        {"topics": [topic]},
        {"topics": [None, None, [one]]},
        {"topics": [topic, None, one], "address": [contract]},
        {"fromBlock": "0x3", "toBlock": "0x3"},
        {"topics": [one]},
    ):
        found = [
            comparable(await client.get("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", **question}))
            for client in (twins.ours, twins.theirs)
        ]
        assert found[0] == found[1], question


async def test_calls_return_and_revert_the_same(twins: Twins) -> None:
    receipt = await twins.send(b"", contract_code())
    contract = receipt["contractAddress"]
    for data in (
        calldata("number()"),
        calldata("keep_word(uint256)", 7),
        calldata("digest(bytes)", b"abc"),
        calldata("recover(bytes32,uint256,uint256,uint256)", keccak256(b"x"), 27, 5, 7),
        calldata("try_refuse()"),
        calldata("multiply()"),
        calldata("no_such_method()"),
    ):
        await twins.get("eth_call", {"to": contract, "data": hexed(data)}, "latest")
    for method in ("refuse()", "refuse_silently()", "refuse_custom()", "overflow()"):
        for question in ("eth_call", "eth_estimateGas"):
            errors = [
                (await client.ask(question, {"to": contract, "data": hexed(calldata(method))}, "latest"))[
                    "error"
                ]
                for client in (twins.ours, twins.theirs)
            ]
            assert errors[0]["code"] == errors[1]["code"] == 3
            assert errors[0].get("data") == errors[1].get("data")
            # Anvil adds what it makes of a custom error.
            assert errors[1]["message"].startswith(errors[0]["message"])
    for question_at in ("0x0", "0x1", "earliest", "pending"):
        await twins.get("eth_call", {"to": contract, "data": hexed(calldata("number()"))}, question_at)


async def test_time_and_snapshots_behave_the_same(twins: Twins) -> None:
    await twins.get("evm_increaseTime", 100)
    await twins.get("evm_increaseTime", "0x64")
    for timestamp_s in (2_000_000_000, 2_000_000_100):
        await twins.get("evm_setNextBlockTimestamp", timestamp_s)
        await twins.get("evm_mine")
        for client in (twins.ours, twins.theirs):
            block = await client.get("eth_getBlockByNumber", "latest", False)
            assert int(block["timestamp"], 16) == timestamp_s
    snapshots = [await client.get("evm_snapshot") for client in (twins.ours, twins.theirs)]
    await twins.get("anvil_mine", "0x5", "0xa")
    assert await twins.get("eth_blockNumber") == "0x7"
    await twins.get("anvil_reorg", 2, [])
    assert await twins.get("eth_blockNumber") == "0x7"
    await twins.get("anvil_rollback", 3)
    assert await twins.get("eth_blockNumber") == "0x4"
    for client, snapshot in zip((twins.ours, twins.theirs), snapshots, strict=True):
        assert await client.get("evm_revert", snapshot) is True
        assert await client.get("evm_revert", "0x63") is False
    assert await twins.get("eth_blockNumber") == "0x2"


async def test_a_pool_of_waiting_transactions_looks_the_same(twins: Twins) -> None:
    await twins.get("evm_setAutomine", False)
    who = hexed(twins.alice.address)
    raws = [hexed(twins.alice.sign(b"\xb0" * 20, nonce=nonce, gas=21_000)) for nonce in (0, 1, 3)]
    for raw in raws:
        await twins.get("eth_sendRawTransaction", raw)
    assert await twins.get("eth_getTransactionCount", who, "latest") == "0x0"
    assert await twins.get("eth_getTransactionCount", who, "pending") == "0x2"
    for client in (twins.ours, twins.theirs):
        _, words = await client.fail("eth_sendRawTransaction", hexed(twins.alice.sign(b"\xb1" * 20, nonce=0)))
        assert words == "replacement transaction underpriced"
    await twins.get("anvil_setNextBlockBaseFeePerGas", hex(7 * 10**9))
    await twins.get("evm_mine")
    assert await twins.get("eth_getTransactionCount", who, "latest") == "0x2"
    for client in (twins.ours, twins.theirs):
        assert (await client.get("eth_getBlockByNumber", "0x1", False))["baseFeePerGas"] == hex(7 * 10**9)
    for client in (twins.ours, twins.theirs):
        _, words = await client.fail("eth_sendRawTransaction", raws[0])
        assert words.startswith("nonce too low")
        poor = Person(twins.alice.chain, "mallory")
        _, words = await client.fail("eth_sendRawTransaction", hexed(poor.sign(b"\xb0" * 20)))
        assert words.lower().startswith("insufficient funds for gas * price + value")


async def test_other_chains_are_named_by_their_id() -> None:
    async with (
        running(chain_id=4242) as server,
        anvil(4242) as url,
        client_of(server.url) as ours,
        client_of(url) as theirs,
    ):
        assert await ours.get("eth_chainId") == await theirs.get("eth_chainId") == hex(4242)
