"""A node that answers slowly, wrongly, endlessly or not at all."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from channeld.adapters.chain.blocks import block_at
from channeld.adapters.chain.events import PricePublished
from channeld.adapters.chain.fields import MalformedAnswer, data, quantity
from channeld.adapters.chain.logs import logs_of_block
from channeld.adapters.chain.reads import AdjudicatorReader, TokenReader, chain_id
from channeld.adapters.chain.receipts import receipt_of
from channeld.adapters.chain.rpc import (
    AnswerTooLarge,
    NodeRefusal,
    NodeUnreachable,
    RpcClient,
    RpcSettings,
)
from channeld.core.errors import OperationalError, Rejected
from channeld.wire.eip712 import keccak

Answer = Callable[[dict[str, Any]], Awaitable[web.StreamResponse]]


class Mallory:
    """An HTTP server that answers each request by the next of its answers, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[dict[str, Any]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        question = json.loads(await request.read())
        self.requests.append(question)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(question)

    def client(self, **settings: Any) -> RpcClient:
        return RpcClient(RpcSettings(self.url, **{"attempts": 1, "backoff_s": 0.001, **settings}))


@pytest.fixture
async def mallory() -> AsyncIterator[Mallory]:
    server = Mallory()
    application = web.Application()
    application.router.add_post("/{key:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/secret-api-key"
    yield server
    await runner.cleanup()


def raw(body: bytes | str, status: int = 200, **headers: str) -> Answer:
    async def answer(_: dict[str, Any]) -> web.StreamResponse:
        content = body if isinstance(body, bytes) else body.encode()
        return web.Response(body=content, status=status, headers=headers)

    return answer


def result(value: Any) -> Answer:
    async def answer(question: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"jsonrpc": "2.0", "id": question["id"], "result": value})

    return answer


def error(code: Any, message: Any, status: int = 200) -> Answer:
    async def answer(question: dict[str, Any]) -> web.StreamResponse:
        refusal = {"code": code, "message": message}
        return web.json_response({"id": question["id"], "error": refusal}, status=status)

    return answer


async def test_an_honest_answer_is_read(mallory: Mallory) -> None:
    mallory.answers = [result("0x7a69")]
    async with mallory.client() as rpc:
        assert await chain_id(rpc) == 31337
    assert mallory.requests[0]["method"] == "eth_chainId"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"<html>busy</html>",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"id":1,"result":NaN}',
        b'{"id":1,"result":' + b"9" * 10_000 + b"}",
        b'{"id":1}',
        b'{"id":2,"result":"0x1"}',
        b'{"id":"1","result":"0x1"}',
        b'{"id":true,"result":"0x1"}',
        b'{"result":"0x1"}',
        b'{"id":1,"error":"no"}',
        b'{"id":1,"error":{"code":"x","message":"y"}}',
        b'{"id":1,"error":{"code":1}}',
        b'{"id":null,"error":[]}',
    ],
)
async def test_what_is_no_answer_is_malformed(mallory: Mallory, body: bytes) -> None:
    mallory.answers = [raw(body)]
    async with mallory.client() as rpc:
        with pytest.raises(MalformedAnswer, match="expected"):
            await rpc.call("eth_chainId")


@pytest.mark.parametrize(
    "value", [None, 1, "1", "0x", "0x01", "0xg", "0X1", "-0x1", "0x1 ", "0x1\n", [], {}, True]
)
async def test_what_is_no_quantity_is_malformed(mallory: Mallory, value: Any) -> None:
    mallory.answers = [result(value)]
    async with mallory.client() as rpc:
        with pytest.raises(MalformedAnswer, match="expected a hex quantity"):
            await chain_id(rpc)


def test_a_quantity_is_bounded() -> None:
    assert quantity("0x" + "f" * 64, "x") == 2**256 - 1
    with pytest.raises(MalformedAnswer):
        quantity("0x1" + "0" * 64, "x")
    with pytest.raises(MalformedAnswer, match="at most 40 bits"):
        quantity(hex(2**40), "x", bits=40)


@given(st.one_of(st.text(), st.integers(), st.none(), st.binary(), st.lists(st.text())))
def test_any_value_is_read_or_malformed(value: Any) -> None:
    for read in (quantity, data):
        try:
            read(value, "x")
        except MalformedAnswer as refusal:
            assert len(str(refusal)) < 300


@pytest.mark.parametrize("value", [None, "0x0", "0x0g", "00", 5, "0x" + "00" * 31, "0x" + "00" * 33, "0x"])
async def test_what_is_no_word_is_malformed(mallory: Mallory, value: Any) -> None:
    mallory.answers = [result(value)]
    async with mallory.client() as rpc:
        with pytest.raises(MalformedAnswer):
            await AdjudicatorReader(rpc, bytes(20)).channel(bytes(32))


HEADER = {
    "number": "0x5",
    "hash": "0x" + "01" * 32,
    "parentHash": "0x" + "02" * 32,
    "timestamp": "0x6",
    "baseFeePerGas": "0x7",
    "gasLimit": "0x8",
}


@pytest.mark.parametrize("name", HEADER)
async def test_a_header_needs_every_field(mallory: Mallory, name: str) -> None:
    mallory.answers = [result(HEADER)]
    async with mallory.client() as rpc:
        block = await block_at(rpc)
        assert block is not None and block.number == 5
        for wrong in (None, "", "0xzz", "0x" + "01" * 33, 5):
            mallory.answers = [result(HEADER | {name: wrong})]
            with pytest.raises(MalformedAnswer, match=name):
                await block_at(rpc)
        mallory.answers = [result([HEADER])]
        with pytest.raises(MalformedAnswer, match="an object"):
            await block_at(rpc)


LOG = {
    "address": "0x" + "33" * 20,
    "topics": ["0x" + keccak(b"PricePublished(bytes32,uint256)").hex(), "0x" + "05" * 32],
    "data": "0x" + "00" * 31 + "07",
    "blockNumber": "0x5",
    "blockHash": HEADER["hash"],
    "transactionHash": "0x" + "04" * 32,
    "logIndex": "0x0",
}


@pytest.mark.parametrize(
    "change",
    [
        {"address": "0x" + "44" * 20},
        {"topics": []},
        {"topics": ["0x" + "00" * 31]},
        {"topics": ["0x" + "00" * 32] * 5},
        {"topics": None},
        {"data": "0x" + "00" * 100_000},
        {"blockNumber": "0x6"},
        {"blockHash": "0x" + "09" * 32},
        {"removed": True},
        {"logIndex": None},
        {"data": "0x"},
        {"topics": ["0x" + "00" * 32]},
    ],
)
async def test_a_log_that_the_adjudicator_did_not_write_is_malformed(
    mallory: Mallory, change: dict[str, Any]
) -> None:
    mallory.answers = [result(HEADER), result([LOG]), result([LOG | change])]
    async with mallory.client() as rpc:
        block = await block_at(rpc)
        assert block is not None
        (good,) = await logs_of_block(rpc, b"\x33" * 20, block)
        assert good.event == PricePublished(b"\x05" * 32, 7)
        with pytest.raises(MalformedAnswer):
            await logs_of_block(rpc, b"\x33" * 20, block)


@pytest.mark.parametrize(
    "answer", [{}, "x", {"blockNumber": "0x1"}, {"blockNumber": "0x1", "transactionHash": "0x00"}]
)
async def test_a_receipt_of_something_else_is_malformed(mallory: Mallory, answer: Any) -> None:
    mallory.answers = [result(answer)]
    async with mallory.client() as rpc:
        if answer == {}:
            assert await receipt_of(rpc, bytes(32)) is None
        else:
            with pytest.raises(MalformedAnswer):
                await receipt_of(rpc, bytes(32))


async def test_a_node_says_no_and_is_asked_once(mallory: Mallory) -> None:
    mallory.answers = [error(3, "execution reverted: \x1b[31mtoo early\n" + "x" * 10_000, status=400)]
    async with mallory.client(attempts=5) as rpc:
        with pytest.raises(NodeRefusal, match="too early") as refusal:
            await rpc.call("eth_call")
    assert refusal.value.code == 3 and len(refusal.value.message) == 300
    assert refusal.value.message.isprintable()
    assert len(mallory.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 301, 404])
async def test_an_overloaded_node_is_asked_again(mallory: Mallory, status: int) -> None:
    busy = raw("<html>busy</html>", status, Location="http://127.0.0.1:1/")
    mallory.answers = [busy, error(-32005, "slow down", 429), result("0x1")]
    async with mallory.client(attempts=3) as rpc:
        assert await chain_id(rpc) == 1
    mallory.answers = [busy]
    async with mallory.client(attempts=2) as rpc:
        with pytest.raises(NodeUnreachable, match=f"status {status}"):
            await chain_id(rpc)
        before = len(mallory.requests)
        with pytest.raises(NodeUnreachable):
            await rpc.call("evm_increaseTime", 1, retried=False)
        assert len(mallory.requests) == before + 1


async def test_an_endless_answer_is_cut_off(mallory: Mallory) -> None:
    async def endless(_: dict[str, Any]) -> web.StreamResponse:
        return web.Response(body=b" " * 100_000)

    bomb = gzip.compress(b" " * 50_000_000)
    mallory.answers = [endless, raw(bomb, 200, **{"Content-Encoding": "gzip"})]
    async with mallory.client(max_answer_bytes=50_000) as rpc:
        for _ in range(2):
            with pytest.raises(AnswerTooLarge, match="at most 50000 bytes"):
                await chain_id(rpc)


async def test_silence_ends_in_a_timeout(mallory: Mallory) -> None:
    never = asyncio.Event()

    async def silent(_: dict[str, Any]) -> web.StreamResponse:
        await never.wait()
        raise AssertionError

    mallory.answers = [silent, result("0x1")]
    async with mallory.client(timeout_s=0.05, attempts=2) as rpc:
        assert await chain_id(rpc) == 1
    mallory.answers = [silent]
    async with mallory.client(timeout_s=0.05) as rpc:
        with pytest.raises(NodeUnreachable, match="TimeoutError"):
            await chain_id(rpc)
    never.set()


async def test_nobody_listens_and_the_api_key_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = "http://user:password@127.0.0.1:1/v3/secret-api-key?token=secret"
    async with RpcClient(RpcSettings(url, attempts=2, backoff_s=0.001)) as rpc:
        with pytest.raises(NodeUnreachable, match=r"http://127\.0\.0\.1:1: no answer") as refusal:
            await chain_id(rpc)
    seen = caplog.text + str(refusal.value) + repr(refusal.value.__cause__)
    assert "attempt 1 of 2" in caplog.text
    assert "secret" not in seen and "password" not in seen


@pytest.mark.parametrize("url", ["", "127.0.0.1:8545", "ftp://host/", "http://", "file:///etc/passwd"])
def test_an_url_that_is_none_is_rejected_before_use(url: str) -> None:
    with pytest.raises(Rejected, match="http"):
        RpcClient(RpcSettings(url))


@pytest.mark.parametrize(
    ("returned", "symbol"),
    [
        (b"MKR".ljust(32, b"\0"), "MKR"),
        ((32).to_bytes(32, "big") + (4).to_bytes(32, "big") + b"USDC".ljust(32, b"\0"), "USDC"),
        (
            (32).to_bytes(32, "big") + (2**255).to_bytes(32, "big") + b"\x1b[31m" + b"x" * 59,
            "?[31m" + "x" * 27,
        ),
    ],
)
async def test_a_symbol_is_short_and_printable(mallory: Mallory, returned: bytes, symbol: str) -> None:
    mallory.answers = [result("0x" + returned.hex())]
    async with mallory.client() as rpc:
        assert await TokenReader(rpc, bytes(20)).symbol() == symbol
    mallory.answers = [result("0x")]
    async with mallory.client() as rpc:
        with pytest.raises(MalformedAnswer):
            await TokenReader(rpc, bytes(20)).symbol()


async def test_decimals_are_bounded(mallory: Mallory) -> None:
    mallory.answers = [result("0x" + "ff" * 32)]
    async with mallory.client() as rpc:
        with pytest.raises(OperationalError, match="at most 77"):
            await TokenReader(rpc, bytes(20)).decimals()
