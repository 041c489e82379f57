"""Three oracles sign a price, two suffice; mallory's signs two and is caught."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from channeld.adapters.chain import calls
from channeld.adapters.oracle import OracleClient, OracleUnreachable, PricesConflict
from channeld.adapters.signer import Signer, recover
from channeld.core.errors import OperationalError, Rejected
from channeld.core.records import SignedPriceRecord
from channeld.services.oracle import (
    Oracle,
    OracleServer,
    OracleSettings,
    PriceBook,
    chain_clock,
    serve,
    wall_clock,
)
from channeld.wire.eip712 import Feed, price_digest
from channeld.wire.prices import (
    feed_json,
    price_json,
    verify,
)
from tests.adapters.nodes import Town

TOKEN = "a token for tests only"
NOW_S = 1_800_000_000
PRICE = 4000 * 10**8

SIGNERS = sorted(
    (Signer(hashlib.sha256(name).digest()) for name in (b"oracle 1", b"oracle 2", b"oracle 3")),
    key=lambda signer: signer.address,
)
FEED = Feed("ETH/USD", 8, 1, 2, 24, tuple(signer.address for signer in SIGNERS))


async def noon() -> int:
    return NOW_S


@asynccontextmanager
async def oracle(
    path: Path, *signers: Signer, clock: Callable[[], Awaitable[int]] = noon
) -> AsyncIterator[OracleServer]:
    with closing(PriceBook(path)) as book:
        server = await serve(Oracle([FEED], signers, book, clock), OracleSettings(TOKEN, port=0))
        try:
            yield server
        finally:
            await server.close()


@pytest.fixture
async def client() -> AsyncIterator[OracleClient]:
    async with OracleClient(recover, timeout_s=2) as asking:
        yield asking


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[list[str]]:
    async with AsyncExitStack() as stack:
        running = [
            await stack.enter_async_context(oracle(tmp_path / f"{n}.sqlite", signer))
            for n, signer in enumerate(SIGNERS)
        ]
        yield [server.url for server in running]


def signature(signer: Signer, price: int = PRICE, instant_s: int = NOW_S) -> bytes:
    return signer.sign_digest(price_digest(FEED.feed_id, instant_s, price))


async def test_two_of_three_suffice_and_the_result_is_what_the_contract_takes(
    client: OracleClient, three: list[str]
) -> None:
    assert await client.signed_price(FEED, three, NOW_S) is None
    await client.publish(three[2], TOKEN, FEED.feed_id, NOW_S, PRICE)
    assert await client.signed_price(FEED, three, NOW_S) is None
    await client.publish(three[0], TOKEN, FEED.feed_id, NOW_S, PRICE)
    signed = await client.signed_price(FEED, three, NOW_S)
    expected = (signature(SIGNERS[0]), signature(SIGNERS[2]))
    assert signed == SignedPriceRecord(FEED.feed_id, NOW_S, PRICE, expected)
    verify(FEED, signed, recover)
    await client.publish(three[1], TOKEN, FEED.feed_id, NOW_S, PRICE)
    signed = await client.signed_price(FEED, three, NOW_S)
    assert signed is not None and len(signed.signatures) == 2


async def test_one_service_may_hold_every_key_of_a_feed(client: OracleClient, tmp_path: Path) -> None:
    async with oracle(tmp_path / "book.sqlite", *SIGNERS) as server:
        published = await client.publish(server.url, TOKEN, FEED.feed_id, NOW_S, PRICE)
        assert published.signatures == tuple(signature(signer) for signer in SIGNERS)
        signed = await client.signed_price(FEED, [server.url], NOW_S)
        assert signed is not None
        verify(FEED, signed, recover)


async def test_an_oracle_signs_one_price_for_an_instant_across_restarts(
    client: OracleClient, tmp_path: Path
) -> None:
    path = tmp_path / "book.sqlite"
    for _ in range(2):
        async with oracle(path, SIGNERS[0]) as server:
            await client.publish(server.url, TOKEN, FEED.feed_id, NOW_S, PRICE)
            with pytest.raises(Rejected, match=f"expected the price {PRICE}.*got {PRICE + 1}"):
                await client.publish(server.url, TOKEN, FEED.feed_id, NOW_S, PRICE + 1)
    # the other key of the same operator is bound by the same book
    async with oracle(path, SIGNERS[1]) as server:
        with pytest.raises(Rejected, match="signed for that instant already"):
            await client.publish(server.url, TOKEN, FEED.feed_id, NOW_S, PRICE + 1)
        await client.publish(server.url, TOKEN, FEED.feed_id, NOW_S - 1, PRICE + 1)


async def test_of_many_requests_at_once_one_price_is_signed(client: OracleClient, tmp_path: Path) -> None:
    async with oracle(tmp_path / "book.sqlite", SIGNERS[0]) as server:
        tries = (client.publish(server.url, TOKEN, FEED.feed_id, NOW_S, PRICE + n) for n in range(10))
        done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(outcome, SignedPriceRecord) for outcome in done) == 1
    assert sum(isinstance(outcome, Rejected) for outcome in done) == 9


async def test_what_is_not_durable_is_not_signed(tmp_path: Path) -> None:
    book = PriceBook(tmp_path / "book.sqlite")
    signing = Oracle([FEED], SIGNERS[:1], book, noon)
    book.close()  # the disk is gone
    with pytest.raises(OperationalError, match="price book"):
        await signing.publish(FEED.feed_id, NOW_S, PRICE)


async def test_nothing_is_signed_before_its_instant(client: OracleClient, tmp_path: Path) -> None:
    async with oracle(tmp_path / "book.sqlite", SIGNERS[0]) as server:
        with pytest.raises(Rejected, match=f"got {NOW_S + 1}: it is {NOW_S}"):
            await client.publish(server.url, TOKEN, FEED.feed_id, NOW_S + 1, PRICE)
        assert await client.signed_price(FEED, [server.url], NOW_S + 1) is None


async def test_an_oracle_that_cannot_tell_the_time_signs_nothing(
    client: OracleClient, tmp_path: Path
) -> None:
    async def stopped() -> int:
        raise OperationalError("node: no answer")

    async with oracle(tmp_path / "book.sqlite", SIGNERS[0], clock=stopped) as server:
        with pytest.raises(Rejected, match="no answer"):
            await client.publish(server.url, TOKEN, FEED.feed_id, NOW_S, PRICE)
        assert await client.signed_price(FEED, [server.url], NOW_S) is None


async def test_the_wall_clock_is_used_without_a_chain() -> None:
    assert await wall_clock() > 1_700_000_000


async def test_a_price_of_the_oracles_reaches_the_chain(
    place: Town, client: OracleClient, tmp_path: Path
) -> None:
    expiry_s = (await place.head()).timestamp_s + 86_400
    async with oracle(tmp_path / "book.sqlite", *SIGNERS[1:], clock=chain_clock(place.rpc)) as server:
        with pytest.raises(Rejected, match="an instant that has come"):
            await client.publish(server.url, TOKEN, FEED.feed_id, expiry_s, PRICE)
        await place.mine_at(expiry_s)
        await client.publish(server.url, TOKEN, FEED.feed_id, expiry_s, PRICE)
        signed = await client.signed_price(FEED, [server.url], expiry_s)
    assert signed is not None
    await place.send(calls.publish_price(FEED, expiry_s, signed.price, signed.signatures))
    published = await place.adjudicator.price(FEED.feed_id, expiry_s)
    assert published is not None and published.price == PRICE


# --- over HTTP ------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "Bearer ", f"Bearer {TOKEN}x", TOKEN, f"bearer {TOKEN}", "Bearer ü"])
async def test_only_the_token_publishes(three: list[str], token: str) -> None:
    body = {"feed": "0x" + FEED.feed_id.hex(), "timestamp_s": NOW_S, "price": "1"}
    async with aiohttp.ClientSession() as session:
        async with session.post(three[0] + "/publish", json=body, headers={"Authorization": token}) as answer:
            assert answer.status == 401
        async with session.get(three[0] + "/price", params=body) as answer:
            assert answer.status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"[" * 4_000,
        b"{}",
        b'{"feed":"0x00","timestamp_s":1,"price":"1"}',
        b'{"feed":"0x%s","timestamp_s":true,"price":"1"}' % FEED.feed_id.hex().encode(),
        b'{"feed":"0x%s","timestamp_s":1.5,"price":"1"}' % FEED.feed_id.hex().encode(),
        b'{"feed":"0x%s","timestamp_s":0,"price":"1"}' % FEED.feed_id.hex().encode(),
        b'{"feed":"0x%s","timestamp_s":-1,"price":"1"}' % FEED.feed_id.hex().encode(),
        b'{"feed":"0x%s","timestamp_s":1,"price":1}' % FEED.feed_id.hex().encode(),
        b'{"feed":"0x%s","timestamp_s":1,"price":"0"}' % FEED.feed_id.hex().encode(),
        b'{"feed":"0x%s","timestamp_s":1,"price":"-1"}' % FEED.feed_id.hex().encode(),
        b'{"feed":"0x%s","timestamp_s":1,"price":"1e3"}' % FEED.feed_id.hex().encode(),
        b'{"feed":"0x%s","timestamp_s":1,"price":"%d"}' % (FEED.feed_id.hex().encode(), 2**128),
        b'{"feed":"0x%s","timestamp_s":1,"price":"1","x":1}' % FEED.feed_id.hex().encode(),
    ],
)
async def test_a_malformed_request_is_answered_with_one_sentence(three: list[str], body: bytes) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(three[0] + "/publish", data=body, headers=headers) as answer,
    ):
        assert answer.status == 400
        assert "expected" in (await answer.json())["error"]


async def test_a_large_body_is_cut_and_unknown_feeds_are_refused(
    client: OracleClient, three: list[str]
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession() as session:
        async with session.post(three[0] + "/publish", data=b" " * 10_000, headers=headers) as answer:
            assert answer.status == 413
        for query in ({}, {"feed": "0x", "timestamp_s": "1"}, {"feed": "0x" + "00" * 32, "timestamp_s": "x"}):
            async with session.get(three[0] + "/price", params=query) as answer:
                assert answer.status == 400
    with pytest.raises(Rejected, match="a feed of this oracle"):
        await client.publish(three[0], TOKEN, bytes(32), NOW_S, PRICE)


async def test_an_oracle_says_what_it_signs(three: list[str]) -> None:
    async with aiohttp.ClientSession() as session, session.get(three[0] + "/feeds") as answer:
        (shown,) = await answer.json()
    assert shown == feed_json(FEED)
    assert shown["feed"] == "0x" + FEED.feed_id.hex() and shown["threshold"] == 2


async def test_an_oracle_needs_a_key_of_its_feed_and_a_real_token(tmp_path: Path) -> None:
    with closing(PriceBook(tmp_path / "book")) as book:
        with pytest.raises(Rejected, match="one of our keys"):
            Oracle([FEED], [Signer.generate()], book, noon)
        with pytest.raises(Rejected, match="16 characters"):
            await serve(Oracle([FEED], SIGNERS, book, noon), OracleSettings("short", port=0))
        server = await serve(Oracle([FEED], SIGNERS, book, noon), OracleSettings(TOKEN, port=0))
        port = int(server.url.rsplit(":", 1)[1])
        with pytest.raises(OperationalError, match="listen"):
            await serve(Oracle([FEED], SIGNERS, book, noon), OracleSettings(TOKEN, port=port))
        await server.close()


# --- mallory's oracle -----------------------------------------------------------------------------


@asynccontextmanager
async def mallory(answer: Any, status: int = 200) -> AsyncIterator[str]:
    """An HTTP server that gives one answer to everything."""

    async def handle(_: web.Request) -> web.Response:
        if isinstance(answer, bytes):
            return web.Response(body=answer, status=status)
        return web.json_response(answer, status=status)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def signed_json(price: int, *signers: Signer) -> dict[str, object]:
    return price_json(FEED.feed_id, NOW_S, price, {s.address: signature(s, price) for s in signers})


async def test_an_equivocating_signer_is_reported_and_cannot_decide(
    client: OracleClient, three: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    for url in three[:2]:
        await client.publish(url, TOKEN, FEED.feed_id, NOW_S, PRICE)
    async with mallory(signed_json(PRICE + 1, SIGNERS[0])) as url:
        signed = await client.signed_price(FEED, [*three, url], NOW_S)
    assert signed is not None and signed.price == PRICE
    assert "0x" + SIGNERS[0].address.hex() in caplog.text


async def test_two_proven_prices_are_used_for_nothing(client: OracleClient) -> None:
    async with mallory(signed_json(1, *SIGNERS[:2])) as one, mallory(signed_json(2, *SIGNERS[1:])) as two:
        with pytest.raises(PricesConflict, match="2 are proven"):
            await client.signed_price(FEED, [one, two], NOW_S)


@pytest.mark.parametrize(
    "answer",
    [
        signed_json(PRICE, Signer.generate(), Signer.generate()),
        signed_json(PRICE, SIGNERS[0]),
        signed_json(PRICE) | {"signatures": {"0x" + s.address.hex(): "0x" + "11" * 64 for s in SIGNERS}},
        signed_json(PRICE, *SIGNERS) | {"price": str(PRICE + 1)},
    ],
    ids=["strangers", "one is not enough", "forged", "another price than signed"],
)
async def test_what_is_not_signed_is_not_believed(client: OracleClient, answer: Any) -> None:
    async with mallory(answer) as url:
        assert await client.signed_price(FEED, [url], NOW_S) is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[" * 10_000,
        b"x" * 100_000,
        [],
        {},
        signed_json(PRICE, *SIGNERS) | {"feed": "0x" + "00" * 32},
        signed_json(PRICE, *SIGNERS) | {"timestamp_s": NOW_S + 1},
        signed_json(PRICE, *SIGNERS) | {"timestamp_s": True},
        signed_json(PRICE, *SIGNERS) | {"price": PRICE},
        signed_json(PRICE, *SIGNERS) | {"price": "0"},
        signed_json(PRICE, *SIGNERS) | {"price": "9" * 40},
        signed_json(PRICE)
        | {"signatures": {"0x" + bytes([n] * 20).hex(): "0x" + "11" * 64 for n in range(17)}},
        signed_json(PRICE) | {"signatures": []},
        signed_json(PRICE) | {"signatures": {"0x00": "0x00"}},
    ],
)
async def test_nonsense_is_no_answer(client: OracleClient, answer: Any) -> None:
    async with mallory(answer) as url:
        with pytest.raises(OracleUnreachable, match="got none from 1"):
            await client.signed_price(FEED, [url], NOW_S)
        with pytest.raises(OracleUnreachable):
            await client.publish(url, TOKEN, FEED.feed_id, NOW_S, PRICE)


async def test_oracles_that_are_down_do_not_hide_the_others(
    client: OracleClient, three: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for url in three[:2]:
        await client.publish(url, TOKEN, FEED.feed_id, NOW_S, PRICE)
    async with mallory(b"busy", status=502) as broken:
        urls = ["http://127.0.0.1:1", broken, *three]
        signed = await client.signed_price(FEED, urls, NOW_S)
    assert signed is not None and signed.price == PRICE
    with pytest.raises(OracleUnreachable):
        await client.signed_price(FEED, ["http://127.0.0.1:1", "not an url"], NOW_S)


# --- the newest price, for quoting ------------------------------------------------------------------


async def test_the_newest_price_is_the_newest_that_is_proven(client: OracleClient, three: list[str]) -> None:
    assert await client.latest_price(FEED, three) is None
    for url in three[:2]:
        await client.publish(url, TOKEN, FEED.feed_id, NOW_S - 60, PRICE)
    await client.publish(three[2], TOKEN, FEED.feed_id, NOW_S, PRICE + 7)  # one signer alone
    assert await client.latest_price(FEED, three) == PRICE
    await client.publish(three[1], TOKEN, FEED.feed_id, NOW_S, PRICE + 7)
    assert await client.latest_price(FEED, three) == PRICE + 7


@pytest.mark.parametrize(
    "answer",
    [
        signed_json(10 * PRICE, SIGNERS[0]),
        signed_json(10 * PRICE, SIGNERS[0]) | {"timestamp_s": 2**40 - 1},
        signed_json(10 * PRICE, SIGNERS[0]) | {"timestamp_s": 10**400},
        signed_json(10 * PRICE, SIGNERS[0]) | {"timestamp_s": -1},
        signed_json(10 * PRICE, SIGNERS[0]) | {"feed": "0x" + "00" * 32},
        b"[" * 1_000,
    ],
)
async def test_one_signer_cannot_move_what_a_writer_quotes(
    client: OracleClient, three: list[str], answer: Any
) -> None:
    for url in three[1:]:
        await client.publish(url, TOKEN, FEED.feed_id, NOW_S - 60, PRICE)
    async with mallory(answer) as url:
        assert await client.latest_price(FEED, [url, *three[1:]]) == PRICE
    with pytest.raises(OracleUnreachable, match="got none from 1"):
        await client.latest_price(FEED, ["http://127.0.0.1:1"])
