"""How fast the embedded chain starts, executes, answers and comes back.

`python -m bench chain [--transactions=N] [--blocks=N] [--starts=N] [--anvil=PATH]`: transactions of each
load, blocks below the log queries and in the state file, processes started for the median, and a real node to
run the same HTTP loads on.
"""

import asyncio
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp

from channeld.services.devchain.accounts import DevAccount, development_account
from channeld.services.devchain.chain import DevChain
from channeld.services.devchain.hashing import keccak256
from channeld.services.devchain.server import serve
from channeld.services.devchain.settings import ETHER_WEI, DevChainSettings
from channeld.services.devchain.wallet import sign_transaction
from contracts.artifacts import erc20_test_token

CHAIN_ID = 1337931
CLIENTS = 4
CALLS = 500
QUERIES = 50
# A log every so many blocks: a busy channel contract's share.
LOG_EVERY_BLOCKS = 10
MINT = keccak256(b"mint(address,uint256)")[:4]
BALANCE_OF = keccak256(b"balanceOf(address)")[:4]
TRANSFERRED = keccak256(b"Transfer(address,address,uint256)")

SERVER = """
import asyncio
from channeld.services.devchain.server import run_forever
from channeld.services.devchain.settings import DevChainSettings
asyncio.run(run_forever(DevChainSettings(port=0)))
"""

Figures = dict[str, object]


def run(options: list[str]) -> Figures:
    """Figures to beat: start 0.46 s (pyrevm behind a thin server), 0.8 s (eth-tester), 0.05 s (anvil)."""
    given = dict(option.lstrip("-").partition("=")[::2] for option in options)
    transactions, blocks = int(given.get("transactions", 300)), int(given.get("blocks", 3000))
    figures: Figures = {
        "engine": f"py-evm {version('py-evm')}",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "transactions": transactions,
        "blocks": blocks,
    }
    figures["start_s"] = _start_s(int(given.get("starts", 3)))
    figures |= _in_process(transactions)
    figures |= _restart(blocks)
    figures |= {f"http_{name}": value for name, value in asyncio.run(_ours(transactions, blocks)).items()}
    if "anvil" in given:
        measured = asyncio.run(_anvil(given["anvil"], transactions, blocks))
        figures |= {f"anvil_{name}": value for name, value in measured.items()}
    for name, value in figures.items():
        print(f"{name:34} {value}")
    return figures


def _start_s(starts: int) -> dict[str, float]:
    """From the start of the process to the ready line; and what of it Python alone takes."""
    ready = [_timed(_until_ready) for _ in range(starts)]
    bare = [_timed(lambda: subprocess.run([sys.executable, "-c", ""], check=True)) for _ in range(starts)]
    return {"to_ready": round(statistics.median(ready), 3), "bare_python": round(statistics.median(bare), 3)}


def _until_ready() -> None:
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while " ready on " not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()


def _timed(work: Callable[[], object]) -> float:
    begun_s = time.perf_counter()
    work()
    return time.perf_counter() - begun_s


# -- without a network --


def _in_process(transactions: int) -> Figures:
    chain = DevChain(DevChainSettings())
    alice = chain.accounts[0]
    transfers = [_transfer(alice, nonce) for nonce in range(transactions)]
    transfers_s = _timed(lambda: [chain.send_raw_transaction(raw) for raw in transfers])
    created = chain.receipt(chain.send_raw_transaction(_creation(alice, transactions)))
    assert created is not None
    assert created.contract_address is not None
    token = created.contract_address
    mints = [_mint(alice, transactions + 1 + nonce, token) for nonce in range(transactions)]
    mints_s = _timed(lambda: [chain.send_raw_transaction(raw) for raw in mints])
    assert chain.head.receipts[0].status == 1
    assert len(chain.head.receipts[0].logs) == 1
    return {
        "transfers_per_s": round(transactions / transfers_s),
        "token_mints_per_s": round(transactions / mints_s),
    }


def _restart(blocks: int) -> Figures:
    """Write a state file with a transfer in every block, and open it again."""
    with tempfile.TemporaryDirectory(prefix="bench-chain-") as directory:
        settings = DevChainSettings(state_path=Path(directory) / "state")
        assert settings.state_path is not None
        with _opened(settings) as chain:
            alice = chain.accounts[0]
            for nonce in range(blocks):
                chain.send_raw_transaction(_transfer(alice, nonce))
            head = chain.head.hash
        begun_s = time.perf_counter()
        with _opened(settings) as chain:
            restart_s = time.perf_counter() - begun_s
            assert chain.head.hash == head
        return {
            "restart_ms": round(restart_s * 1000, 1),
            "state_file_bytes_per_block": round(settings.state_path.stat().st_size / blocks),
        }


@contextmanager
def _opened(settings: DevChainSettings) -> Iterator[DevChain]:
    chain = DevChain(settings)
    try:
        yield chain
    finally:
        chain.close()


# -- over HTTP, on ours and on a real node --


@dataclass(frozen=True, slots=True)
class Rpc:
    session: aiohttp.ClientSession
    url: str

    async def get(self, method: str, *params: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self.session.post(self.url, json=request) as response:
            answer = await response.json()
        assert "error" not in answer, answer
        return answer["result"]

    async def mined(self, raw: bytes) -> Any:
        """Send, and wait for the receipt as a client does."""
        transaction_hash = await self.get("eth_sendRawTransaction", "0x" + raw.hex())
        while (receipt := await self.get("eth_getTransactionReceipt", transaction_hash)) is None:
            pass
        assert receipt["status"] == "0x1"
        return receipt


async def _ours(transactions: int, blocks: int) -> Figures:
    server = await serve(DevChainSettings(port=0))
    try:
        return await _loads(server.url, transactions, blocks)
    finally:
        await server.close()


async def _anvil(path: str, transactions: int, blocks: int) -> Figures:
    async with _anvil_node(path) as url:
        return await _loads(url, transactions, blocks)


@asynccontextmanager
async def _anvil_node(path: str) -> AsyncIterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    terms = f"--hardfork prague --chain-id {CHAIN_ID} --port {port} --silent"
    process = await asyncio.create_subprocess_exec(path, *terms.split(), start_new_session=True)
    try:
        async with asyncio.timeout(30):
            while not await _listens(port):
                pass
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def _loads(url: str, transactions: int, blocks: int) -> Figures:
    async with aiohttp.ClientSession() as session:
        rpc = Rpc(session, url)
        people = [development_account(f"bench {number}") for number in range(CLIENTS + 1)]
        for who in people:
            await rpc.get("anvil_setBalance", "0x" + who.address.hex(), hex(10_000 * ETHER_WEI))
        alice = people[-1]
        token = bytes.fromhex((await rpc.mined(_creation(alice, 0)))["contractAddress"][2:])
        figures: Figures = {"mined_per_s_one_client": await _one_client(rpc, alice, token, transactions)}
        figures["mined_per_s_four_clients"] = await _several(rpc, people[:CLIENTS], token, transactions)
        held = {"to": "0x" + token.hex(), "data": "0x" + (BALANCE_OF + alice.address.rjust(32, b"\0")).hex()}
        figures["call_us"] = await _latency_us(lambda: rpc.get("eth_call", held, "latest"), CALLS)
        figures["estimate_us"] = await _latency_us(lambda: rpc.get("eth_estimateGas", held), CALLS // 5)
        figures |= await _logs(rpc, alice, token, transactions + 1, blocks)
        return figures


async def _one_client(rpc: Rpc, who: DevAccount, token: bytes, transactions: int) -> int:
    raws = [_mint(who, 1 + nonce, token) for nonce in range(transactions)]
    begun_s = time.perf_counter()
    for raw in raws:
        await rpc.mined(raw)
    return round(transactions / (time.perf_counter() - begun_s))


async def _several(rpc: Rpc, people: list[DevAccount], token: bytes, transactions: int) -> int:
    each = transactions // len(people)

    async def spend(raws: list[bytes]) -> None:
        for raw in raws:
            await rpc.mined(raw)

    signed = [[_mint(who, nonce, token) for nonce in range(each)] for who in people]
    begun_s = time.perf_counter()
    await asyncio.gather(*map(spend, signed))
    return round(each * len(people) / (time.perf_counter() - begun_s))


async def _logs(rpc: Rpc, who: DevAccount, token: bytes, nonce: int, blocks: int) -> Figures:
    """`blocks` more blocks, a log in each tenth; then queries over all of them and over the last ten."""
    for _ in range(blocks // LOG_EVERY_BLOCKS):
        await rpc.mined(_mint(who, nonce, token))
        await rpc.get("anvil_mine", hex(LOG_EVERY_BLOCKS - 1))
        nonce += 1
    head = int(await rpc.get("eth_blockNumber"), 16)
    rare = {"address": "0x" + bytes(19).hex() + "99", "fromBlock": "0x0", "toBlock": "latest"}
    common = {"address": "0x" + token.hex(), "topics": ["0x" + TRANSFERRED.hex()]}
    everything = {**common, "fromBlock": hex(head - blocks), "toBlock": "latest"}
    recent = {**common, "fromBlock": hex(head - LOG_EVERY_BLOCKS), "toBlock": "latest"}
    return {
        "logs_found": len(await rpc.get("eth_getLogs", everything)),
        "logs_none_over_all_blocks_us": await _latency_us(lambda: rpc.get("eth_getLogs", rare), QUERIES),
        "logs_all_over_all_blocks_us": await _latency_us(lambda: rpc.get("eth_getLogs", everything), QUERIES),
        "logs_last_ten_blocks_us": await _latency_us(lambda: rpc.get("eth_getLogs", recent), QUERIES),
    }


async def _latency_us(ask: Callable[[], Awaitable[Any]], times: int) -> dict[str, int]:
    """One request at a time, the client's share included."""
    taken_us = []
    for _ in range(times):
        begun_s = time.perf_counter()
        await ask()
        taken_us.append((time.perf_counter() - begun_s) * 1e6)
    taken_us.sort()
    return {"p50": round(taken_us[times // 2]), "p99": round(taken_us[min(times - 1, times * 99 // 100)])}


# -- transactions --


def _transfer(who: DevAccount, nonce: int) -> bytes:
    return sign_transaction(who.key, chain_id=CHAIN_ID, nonce=nonce, to=b"\xb0" * 20, value_wei=1)


def _creation(who: DevAccount, nonce: int) -> bytes:
    code = erc20_test_token().bytecode
    return sign_transaction(who.key, chain_id=CHAIN_ID, nonce=nonce, to=b"", data=code, gas=3_000_000)


def _mint(who: DevAccount, nonce: int, token: bytes) -> bytes:
    """A storage write, an event; as much work as a transfer of the token."""
    data = MINT + who.address.rjust(32, b"\0") + (1).to_bytes(32, "big")
    return sign_transaction(who.key, chain_id=CHAIN_ID, nonce=nonce, to=token, data=data, gas=200_000)


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1:])))
