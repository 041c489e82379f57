"""What alice meets when she dials: dead addresses, other servers, traps, and peers who come back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from channeld.adapters.transport.address import PeerAddress, network_of, parse_peer_address
from channeld.adapters.transport.dialler import CannotReach
from channeld.core.errors import PeerViolation, Rejected
from tests.transport.transport_cast import LIMITS, Node, cast

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def http_server(handler: Handler) -> AsyncIterator[str]:
    """Something that is no node, at this URL."""
    guard = web.Server(handler)
    server = await asyncio.get_running_loop().create_server(guard, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        await guard.shutdown(0.1)


async def test_a_web_server_is_no_peer() -> None:
    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="welcome to my shop" * 1000)

    async with cast(2) as (alice, bob), http_server(serve) as url:
        with pytest.raises(CannotReach, match="expected a websocket, got HTTP status 200"):
            await alice.transport.connect(bob.id, url)


async def test_nobody_can_make_alice_send_requests_elsewhere() -> None:
    visits: list[str] = []

    async def inner_service(request: web.BaseRequest) -> web.StreamResponse:
        visits.append(request.path)
        return web.Response()

    async with cast(2) as (alice, bob), http_server(inner_service) as inner_url:

        async def trap(request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": inner_url.replace("ws:", "http:")})

        async with http_server(trap) as url:
            with pytest.raises(CannotReach, match="got a redirection"):
                await alice.transport.connect(bob.id, url)
    assert visits == []


async def test_a_dial_that_hangs_at_an_old_address_is_not_the_answer_about_the_new_one() -> None:
    arrived = asyncio.Event()

    async def hang(request: web.BaseRequest) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError("waited for ever")

    async with cast(2) as (alice, bob), http_server(hang) as old_url:
        alice.transport.want(bob.id, old_url)
        await arrived.wait()
        with pytest.raises(CannotReach, match=r"127\.0\.0\.1:1/"):
            await alice.transport.connect(bob.id, "ws://127.0.0.1:1/")
        connection = await alice.transport.connect(bob.id, bob.url)
        assert connection is alice.live(bob.id)


@pytest.mark.parametrize("act_two", [b"", b"short", bytes(50), b"\x01" + bytes(49), bytes(66)])
async def test_a_wrong_second_act(act_two: bytes) -> None:
    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        await socket.send_bytes(act_two)
        await socket.receive()
        return socket

    async with cast(2) as (alice, bob), http_server(serve) as url:
        with pytest.raises(PeerViolation, match="ACT2"):
            await alice.transport.connect(bob.id, url)
        assert alice.story == []


async def test_a_server_that_never_answers() -> None:
    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket

    async with cast(2, handshake_timeout_s=0.3) as (alice, bob), http_server(serve) as url:
        with pytest.raises(CannotReach, match=r"expected a handshake within 0\.3 s"):
            await alice.transport.connect(bob.id, url)


@pytest.mark.parametrize("url", ["", "bob", "ftp://127.0.0.1/", "ws://", "ws://127.0.0.1:99999/"])
async def test_no_address(url: str) -> None:
    async with cast(2) as (alice, bob):
        with pytest.raises(CannotReach):
            await alice.transport.connect(bob.id, url)


async def test_two_who_want_each_other_meet_and_meet_again() -> None:
    async with cast(2) as (alice, bob):
        greetings = [b"0"]
        alice.greet = lambda peer_id: assert_queued(alice.transport.send(peer_id, greetings[-1]))
        alice.transport.want(bob.id, bob.url)
        bob.transport.want(alice.id, alice.url)
        for meeting in range(1, 5):
            await bob.until(lambda: greetings[-1] in bob.heard())
            await bob.transport.disconnect(alice.id, "see you")
            greetings.append(b"%d" % meeting)
            alice.transport.send(bob.id, greetings[-1])  # if crossing dials have left them another connection


def assert_queued(queued: bool) -> None:
    assert queued


async def test_a_peer_who_lost_the_connection_unnoticed_gets_a_new_one() -> None:
    """Bob's machine lost power; alice's end still looks alive, and alice's key is the lower one."""
    async with cast(2, handshake_timeout_s=0.5) as (alice, bob):
        await alice.transport.connect(bob.id, bob.url)
        seed = 1 if Node(1, LIMITS).id == bob.id else 2
        again = Node(seed, LIMITS)
        again.transport.want(alice.id, alice.url)  # refused while it may be a crossing dial, then accepted
        await alice.until_heard("up", 2)
        assert alice.heard("down")[0] == "replaced by a newer connection of the same peer"
        alice.transport.send(bob.id, b"welcome back")
        await again.until_heard("message")
        await again.transport.close()


async def test_a_thousand_failures_stay_below_the_longest_delay() -> None:
    alice = Node(1)
    delays_s = [alice.transport._redial_delay_s(failures) for failures in (0, 1, 2, 1000)]
    assert 0.005 <= delays_s[0] <= 0.01
    assert 0.01 <= delays_s[1] <= 0.02
    assert 0.025 <= delays_s[3] <= 0.05


KEY = "02" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


@pytest.mark.parametrize(
    ("text", "host", "port", "url"),
    [
        (f"{KEY}@127.0.0.1:9735", "127.0.0.1", 9735, "ws://127.0.0.1:9735/"),
        (f"{KEY}@node.example:1", "node.example", 1, "ws://node.example:1/"),
        (f"{KEY}@[::1]:65535", "::1", 65535, "ws://[::1]:65535/"),
    ],
)
def test_addresses(text: str, host: str, port: int, url: str) -> None:
    address = parse_peer_address(text)
    assert address == PeerAddress(bytes.fromhex(KEY), host, port)
    assert address.url == url
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        KEY,
        f"{KEY}@host",
        f"{KEY}@host:0",
        f"{KEY}@host:65536",
        f"{KEY}@ho/st:1",
        f"{KEY}@::1:1",
        f"{KEY[2:]}@host:1",
        f"04{KEY[2:]}@host:1",
        f"02{'ff' * 32}@host:1",
        f"{KEY}@host:1 ",
    ],
)
def test_no_addresses(text: str) -> None:
    with pytest.raises(Rejected, match="expected"):
        parse_peer_address(text)


def test_networks() -> None:
    assert network_of("192.0.2.7") == network_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("unknown") == "unknown"
