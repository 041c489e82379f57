"""Who plays in the stories of the development chain, and how they speak to it."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
from eth_abi.abi import decode, encode
from vyper.compiler import compile_code
from vyper.compiler.settings import Settings

from channeld.services.devchain.accounts import address_of
from channeld.services.devchain.blocks import Receipt
from channeld.services.devchain.calls import Call
from channeld.services.devchain.chain import DevChain
from channeld.services.devchain.hashing import keccak256
from channeld.services.devchain.server import DevChainServer, serve
from channeld.services.devchain.settings import ETHER_WEI, DevChainSettings
from channeld.services.devchain.wallet import sign_transaction

START_S = 1_800_000_000
GWEI = 10**9
JSON = {"Content-Type": "application/json"}


@cache
def contract_code() -> bytes:
    source = Path(__file__).with_name("contract.vy").read_text()
    compiled = compile_code(source, output_formats=["bytecode"], settings=Settings(evm_version="prague"))
    return bytes.fromhex(compiled["bytecode"].removeprefix("0x"))


def calldata(signature: str, *values: object) -> bytes:
    """`calldata("note(uint256,bytes)", 5, b"hello")`."""
    types = [name for name in signature[signature.index("(") + 1 : -1].split(",") if name]
    return keccak256(signature.encode())[:4] + encode(types, values)


def numbers(output: bytes, *types: str) -> Any:
    """A decoded answer: one value, or a tuple of several."""
    values = decode(list(types) or ["uint256"], output)
    return values[0] if len(values) == 1 else values


class Wall:
    """A wall clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now_s = float(START_S)

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Person:
    """Signs one transaction after the other on one chain."""

    chain: DevChain
    name: str
    key: bytes = b""
    address: bytes = b""
    next_nonce: int = field(default=0)

    def __post_init__(self) -> None:
        self.key = self.key or keccak256(b"a person called " + self.name.encode())
        self.address = address_of(self.key)

    def sign(self, to: bytes, data: bytes = b"", nonce: int | None = None, **terms: int) -> bytes:
        terms.setdefault("chain_id", self.chain.chain_id)
        terms.setdefault("gas", 1_000_000)
        used = self.next_nonce if nonce is None else nonce
        return sign_transaction(self.key, nonce=used, to=to, data=data, **terms)

    def send(self, to: bytes, data: bytes = b"", nonce: int | None = None, **terms: int) -> bytes:
        """The transaction's hash; the nonce is used up only if the chain took it."""
        transaction_hash = self.chain.send_raw_transaction(self.sign(to, data, nonce, **terms))
        if nonce is None:
            self.next_nonce += 1
        return transaction_hash

    def mined(self, to: bytes, data: bytes = b"", **terms: int) -> Receipt:
        """Send and look at the receipt; for a chain that mines at once."""
        receipt = self.chain.receipt(self.send(to, data, **terms))
        assert receipt is not None, "the transaction waits"
        return receipt

    def deploy(self) -> bytes:
        receipt = self.mined(b"", contract_code(), gas=3_000_000)
        assert receipt.status == 1
        assert receipt.contract_address is not None
        return receipt.contract_address

    def call(self, to: bytes, signature: str, *values: object, at: int | None = None) -> bytes:
        return self.chain.call(Call(to, calldata(signature, *values), sender=self.address), at)


def person(chain: DevChain, name: str, ether: int = 100) -> Person:
    """Somebody with money on this chain."""
    one = Person(chain, name)
    if ether:
        chain.set_balance_wei(one.address, ether * ETHER_WEI)
    return one


class Client:
    """One HTTP client of a chain."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def post(self, body: bytes) -> tuple[int, Any]:
        """Status and decoded answer (None if there is no body)."""
        async with self._session.post(self._url, data=io.BytesIO(body), headers=JSON) as response:
            content = await response.read()
            return response.status, json.loads(content) if content[:1] in (b"{", b"[") else None

    async def ask(self, method: str, *params: Any) -> dict[str, Any]:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        status, answer = await self.post(json.dumps(request).encode())
        assert status == 200
        assert isinstance(answer, dict)
        return answer

    async def get(self, method: str, *params: Any) -> Any:
        """The result; an error fails the test."""
        answer = await self.ask(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    async def fail(self, method: str, *params: Any) -> tuple[int, str]:
        """Code and message of the error; a result fails the test."""
        answer = await self.ask(method, *params)
        assert "error" in answer, answer
        return answer["error"]["code"], answer["error"]["message"]


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[DevChainServer]:
    server = await serve(DevChainSettings(**{"port": 0, **settings}))
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, url)


def hexed(value: bytes) -> str:
    return "0x" + value.hex()
