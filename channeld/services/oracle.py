"""A settlement oracle: signs the price of a feed at an instant, once, and shows what it signed.

It signs `price_digest(feed, instant, price)` with each of its keys that the feed names. Two rules keep
it honest across crashes: what it is about to sign is durable before the signature leaves, and a second
value for the same feed and instant is refused for ever. It never signs before the instant has come.

    GET  /feeds                                       what it signs
    GET  /price?feed=0x...&timestamp_s=...            the signed price, 404 before
    GET  /latest?feed=0x...                           the signed price of the newest instant
    POST /publish {feed, timestamp_s, price}          sign (operator only: from loopback, bearer token)

Its keys must not sign elsewhere, and its state file must never be restored from a backup: either would
let it sign two values without knowing.
"""

import hmac
import ipaddress
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from channeld.adapters.chain.blocks import block_at
from channeld.adapters.chain.rpc import RpcClient
from channeld.adapters.private_file import make_private
from channeld.adapters.signer import Signer
from channeld.core.errors import ChanneldError, OperationalError, PeerViolation, Rejected
from channeld.wire.eip712 import Feed, price_digest
from channeld.wire.json_strict import parse_json
from channeld.wire.prices import (
    feed_json,
    price_json,
    read_decimal,
    read_hex,
    require_publishable,
    require_value,
)

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 4_096
"""A request to publish has 150."""
SHUTDOWN_S = 1.0
"""Requests take milliseconds."""
MIN_TOKEN_CHARACTERS = 16
"""Fewer could be guessed over the network."""

Clock = Callable[[], Awaitable[int]]
"""The time in unix seconds; raises OperationalError if it cannot be told."""


async def wall_clock() -> int:
    """The time of this machine."""
    return int(time.time())


def chain_clock(rpc: RpcClient) -> Clock:
    """The time of a chain: its latest block. On a development chain it moves as one likes."""

    async def now_s() -> int:
        head = await block_at(rpc)
        if head is None:
            raise OperationalError("node: expected a latest block, got none")
        return head.timestamp_s

    return now_s


class PriceBook:
    """What was signed, durable: one price for a feed and instant, for ever."""

    def __init__(self, path: Path) -> None:
        try:
            make_private(path)
            self._database = sqlite3.connect(path, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise OperationalError(f"price book {path}: {error}") from error
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS signed (feed BLOB, instant_s INTEGER, price TEXT NOT NULL, "
                "PRIMARY KEY (feed, instant_s)) WITHOUT ROWID"
            )
        except sqlite3.Error as error:
            self._database.close()
            raise OperationalError(f"price book {path}: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def commit(self, feed: bytes, instant_s: int, price: int) -> None:
        """Decide for a price, durably. Raises Rejected if another one was decided before.

        One statement: two requests, or two processes on one file, cannot both be first.
        """
        try:
            self._database.execute(
                "INSERT OR IGNORE INTO signed VALUES (?, ?, ?)", (feed, instant_s, str(price))
            )
        except sqlite3.Error as error:
            raise OperationalError(f"price book: {error}") from error
        decided = self.price(feed, instant_s)
        if decided != price:
            raise Rejected(
                f"expected the price {decided}, which is signed for that instant already; got {price}"
            )

    def price(self, feed: bytes, instant_s: int) -> int | None:
        """What was decided, or None."""
        try:
            row = self._database.execute(
                "SELECT price FROM signed WHERE feed = ? AND instant_s = ?", (feed, instant_s)
            ).fetchone()
        except sqlite3.Error as error:
            raise OperationalError(f"price book: {error}") from error
        return None if row is None else int(row[0])

    def latest_s(self, feed: bytes) -> int | None:
        """The newest instant that a price was decided for, or None."""
        try:
            row = self._database.execute(
                "SELECT MAX(instant_s) FROM signed WHERE feed = ?", (feed,)
            ).fetchone()
        except sqlite3.Error as error:
            raise OperationalError(f"price book: {error}") from error
        return None if row[0] is None else int(row[0])


class Oracle:
    """The rules, without HTTP."""

    def __init__(
        self, feeds: Sequence[Feed], signers: Sequence[Signer], book: PriceBook, clock: Clock
    ) -> None:
        """Raises Rejected for a feed that the contract would not take, or that names none of the keys."""
        for feed in feeds:
            require_publishable(feed)
            if not any(signer.address in feed.signers for signer in signers):
                raise Rejected(f"feed {feed.pair}: expected one of our keys among its signers, got none")
        self.feeds = {feed.feed_id: feed for feed in feeds}
        self._signers = signers
        self._book = book
        self._clock = clock

    async def publish(self, feed_id: bytes, instant_s: int, price: int) -> dict[bytes, bytes]:
        """Decide, then sign: signatures by signer. The same request may be repeated.

        Raises Rejected if the feed is unknown, the instant has not come, or another price was signed;
        PeerViolation for a value that nobody may sign.
        """
        require_value(instant_s, price)
        if feed_id not in self.feeds:
            raise Rejected(f"expected a feed of this oracle, got 0x{feed_id.hex()}")
        now_s = await self._clock()
        if now_s < instant_s:
            raise Rejected(f"expected an instant that has come, got {instant_s}: it is {now_s}")
        self._book.commit(feed_id, instant_s, price)  # durable before anybody sees a signature
        log.info("signed %s at %d: %d", self.feeds[feed_id].pair, instant_s, price)
        return self._signatures(feed_id, instant_s, price)

    def signed(self, feed_id: bytes, instant_s: int) -> tuple[int, dict[bytes, bytes]] | None:
        """The price that was signed for an instant, with the signatures; None if none was."""
        if feed_id not in self.feeds:
            return None
        price = self._book.price(feed_id, instant_s)
        return None if price is None else (price, self._signatures(feed_id, instant_s, price))

    def latest_s(self, feed_id: bytes) -> int | None:
        """The newest instant with a signed price; None if there is none."""
        return self._book.latest_s(feed_id) if feed_id in self.feeds else None

    def _signatures(self, feed_id: bytes, instant_s: int, price: int) -> dict[bytes, bytes]:
        digest = price_digest(feed_id, instant_s, price)
        named = self.feeds[feed_id].signers
        return {s.address: s.sign_digest(digest) for s in self._signers if s.address in named}


@dataclass(frozen=True, slots=True)
class OracleSettings:
    """Where it listens. `token` (16 characters or more) lets its holder publish; port 0: any free one."""

    token: str
    host: str = "127.0.0.1"
    port: int = 9750


class OracleServer:
    """A running oracle; `url` says where."""

    def __init__(self, runner: web.AppRunner, url: str) -> None:
        self._runner = runner
        self.url = url

    async def close(self) -> None:
        """Stop listening. The price book is the caller's."""
        await self._runner.cleanup()


async def serve(oracle: Oracle, settings: OracleSettings) -> OracleServer:
    """Start to listen. Raises Rejected for a token that could be guessed, OperationalError if the port
    is taken."""
    if len(settings.token) < MIN_TOKEN_CHARACTERS:
        raise Rejected(f"expected a token of at least {MIN_TOKEN_CHARACTERS} characters")
    handlers = _Handlers(oracle, settings.token)
    application = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_errors_as_json])
    application.router.add_get("/feeds", handlers.feeds)
    application.router.add_get("/price", handlers.price)
    application.router.add_get("/latest", handlers.latest)
    application.router.add_post("/publish", handlers.publish)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        await runner.cleanup()
        raise OperationalError(f"expected to listen on {settings.host}:{settings.port}: {error}") from error
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return OracleServer(runner, f"http://{host}:{runner.addresses[0][1]}")


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """One sentence for every failure that we expect; a bug stays a 500."""
    try:
        return await handler(request)
    except ChanneldError as error:
        status = {Rejected: 409, PeerViolation: 400}.get(type(error), 503)
        return web.json_response({"error": str(error)}, status=status)


class _Handlers:
    """HTTP to rules and back."""

    def __init__(self, oracle: Oracle, token: str) -> None:
        self._oracle = oracle
        self._authorization = f"Bearer {token}".encode()

    async def feeds(self, request: web.Request) -> web.Response:
        return web.json_response([feed_json(feed) for feed in self._oracle.feeds.values()])

    async def price(self, request: web.Request) -> web.Response:
        feed_id = read_hex(request.query.get("feed"), "feed", 32)
        instant_s = read_decimal(request.query.get("timestamp_s"))
        require_value(instant_s, 1)
        return self._answer(feed_id, instant_s)

    async def latest(self, request: web.Request) -> web.Response:
        feed_id = read_hex(request.query.get("feed"), "feed", 32)
        return self._answer(feed_id, self._oracle.latest_s(feed_id))

    def _answer(self, feed_id: bytes, instant_s: int | None) -> web.Response:
        signed = None if instant_s is None else self._oracle.signed(feed_id, instant_s)
        if instant_s is None or signed is None:
            return web.json_response({"error": "no price is signed for that feed and instant"}, status=404)
        return web.json_response(price_json(feed_id, instant_s, *signed))

    async def publish(self, request: web.Request) -> web.Response:
        if not _is_loopback(request.remote):
            return web.json_response(
                {"error": "prices are published from the oracle's own machine"}, status=403
            )
        # compared as bytes and in constant time: the answer's delay tells nothing about the token
        given = request.headers.get("Authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, self._authorization):
            return web.json_response({"error": "expected the oracle's token as a bearer token"}, status=401)
        try:
            fields = parse_json(await request.read())
        except ValueError as error:
            raise PeerViolation(f"expected JSON: {error}") from error
        if not isinstance(fields, dict) or set(fields) != {"feed", "timestamp_s", "price"}:
            raise PeerViolation("expected an object of feed, timestamp_s and price")
        instant_s = fields["timestamp_s"]
        if type(instant_s) is not int:
            raise PeerViolation(f"expected timestamp_s in unix seconds, got {instant_s!r:.40}")
        feed_id, price = read_hex(fields["feed"], "feed", 32), read_decimal(fields["price"])
        signatures = await self._oracle.publish(feed_id, instant_s, price)
        return web.json_response(price_json(feed_id, instant_s, price, signatures))


def _is_loopback(remote: str | None) -> bool:
    try:
        return ipaddress.ip_address(remote or "").is_loopback
    except ValueError:
        return False
