"""The client of settlement oracles: asks every URL of a feed, and believes signatures only.

An oracle may be down, lie, or answer for another feed: what counts is whether enough of the feed's
named signers signed one and the same value.
"""

import asyncio
import logging
from collections.abc import Sequence
from types import TracebackType

import aiohttp

from channeld.core.errors import OperationalError, PeerViolation, Rejected
from channeld.core.records import SignedPriceRecord
from channeld.wire.eip712 import Feed, price_digest
from channeld.wire.json_strict import parse_json
from channeld.wire.prices import Recover, assembled, read_price_json, require_value

log = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 16_384
"""A price with 16 signatures has 4 KiB."""
CHUNK_BYTES = 4_096
NOT_FOUND = 404


class OracleUnreachable(OperationalError):
    """No oracle of the feed gave an answer that could be read."""


class PricesConflict(OperationalError):
    """Enough signers signed two values for one instant. Which one the chain takes is open; neither is
    used, and the options settle on chain."""


class OracleClient:
    """Use as an async context manager, or call `close`. `recover` comes from the signer."""

    def __init__(self, recover: Recover, *, timeout_s: float = 5.0) -> None:
        self._recover = recover
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "OracleClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def signed_price(self, feed: Feed, urls: Sequence[str], instant_s: int) -> SignedPriceRecord | None:
        """The price of a feed at an instant, proven by its signers; None while too few have signed.

        Raises OracleUnreachable if no URL answered, PricesConflict if two values are proven.
        """
        answers = await asyncio.gather(*(self._signatures(feed, url, instant_s) for url in urls))
        if all(answer is None for answer in answers):
            raise OracleUnreachable(
                f"expected an answer of an oracle for {feed.pair}, got none from {len(urls)} URLs"
            )
        by_price: dict[int, dict[bytes, bytes]] = {}
        for answer in answers:
            for price, signatures in (answer or {}).items():
                by_price.setdefault(price, {}).update(signatures)
        self._report_equivocation(feed, instant_s, by_price)
        proven = [
            record
            for price, signatures in by_price.items()
            if (record := assembled(feed, instant_s, price, signatures)) is not None
        ]
        if len(proven) > 1:
            raise PricesConflict(f"{feed.pair} at {instant_s}: expected one price, {len(proven)} are proven")
        return proven[0] if proven else None

    async def latest_price(self, feed: Feed, urls: Sequence[str]) -> int | None:
        """The newest price that the feed's signers prove, as a guide for quoting; None if there is none.

        Proven as a settlement price is: a single signer, or an instant in the far future that one
        oracle made up, must not move what a writer quotes. Raises OracleUnreachable if nobody answers.
        """
        answers = await asyncio.gather(*(self._latest_instant_s(feed, url) for url in urls))
        if all(answer is None for answer in answers):
            raise OracleUnreachable(
                f"expected an oracle of {feed.pair} to answer, got none from {len(urls)} URLs"
            )
        for instant_s in sorted({answer for answer in answers if answer}, reverse=True):
            try:
                record = await self.signed_price(feed, urls, instant_s)
            except PricesConflict as error:
                log.error("%s", error)
                continue
            if record is not None:
                return record.price
        return None

    async def _latest_instant_s(self, feed: Feed, url: str) -> int | None:
        """The newest instant that one URL has a price for; 0 if it has none, None if it is broken."""
        query = {"feed": "0x" + feed.feed_id.hex()}
        try:
            status, document = await self._ask("GET", f"{url.rstrip('/')}/latest", params=query)
            if status == NOT_FOUND:
                return 0
            named, instant_s, price, _ = read_price_json(document)
            if status != 200 or named != feed.feed_id:
                raise PeerViolation("price: expected the feed that was asked for, got another")
            require_value(instant_s, price)
        except (OperationalError, PeerViolation) as error:
            log.warning("oracle for %s: %s", feed.pair, error)
            return None
        return instant_s

    async def publish(
        self, url: str, token: str, feed_id: bytes, instant_s: int, price: int
    ) -> SignedPriceRecord:
        """Have the oracle at `url` sign a price (operator only); what it signed, in signer order.

        Raises Rejected with the oracle's reason, OracleUnreachable if it does not answer.
        """
        body = {"feed": "0x" + feed_id.hex(), "timestamp_s": instant_s, "price": str(price)}
        headers = {"Authorization": f"Bearer {token}"}
        status, document = await self._ask("POST", f"{url.rstrip('/')}/publish", json=body, headers=headers)
        if status != 200:
            reason = document.get("error") if isinstance(document, dict) else None
            raise Rejected(f"the oracle refused: {reason!s:.300}")
        try:
            named, at_s, signed, signatures = read_price_json(document)
        except PeerViolation as error:
            raise OracleUnreachable(f"the oracle answered nonsense: {error}") from error
        if (named, at_s, signed) != (feed_id, instant_s, price):
            raise OracleUnreachable("the oracle signed something else than it was asked to")
        return SignedPriceRecord(
            feed_id, instant_s, price, tuple(signatures[key] for key in sorted(signatures))
        )

    async def _signatures(self, feed: Feed, url: str, instant_s: int) -> dict[int, dict[bytes, bytes]] | None:
        """Genuine signatures by price and signer from one URL; empty if not signed yet, None if broken."""
        query = {"feed": "0x" + feed.feed_id.hex(), "timestamp_s": str(instant_s)}
        try:
            status, document = await self._ask("GET", f"{url.rstrip('/')}/price", params=query)
            if status == NOT_FOUND:
                return {}
            named, at_s, price, signatures = read_price_json(document)
            if status != 200 or (named, at_s) != (feed.feed_id, instant_s):
                raise PeerViolation("price: expected the feed and instant that were asked for, got others")
            require_value(at_s, price)
        except (OperationalError, PeerViolation) as error:
            log.warning("oracle for %s: %s", feed.pair, error)
            return None
        digest = price_digest(feed.feed_id, instant_s, price)
        genuine = {
            signer: signature
            for signer, signature in signatures.items()
            if signer in feed.signers and self._signed_by(digest, signature, signer)
        }
        return {price: genuine}

    def _signed_by(self, digest: bytes, signature: bytes, signer: bytes) -> bool:
        try:
            return self._recover(digest, signature) == signer
        except PeerViolation:
            return False

    @staticmethod
    def _report_equivocation(feed: Feed, instant_s: int, by_price: dict[int, dict[bytes, bytes]]) -> None:
        for signer in feed.signers:
            prices = sorted(price for price, signatures in by_price.items() if signer in signatures)
            if len(prices) > 1:
                log.error("signer 0x%s signed %s for %s at %d", signer.hex(), prices, feed.pair, instant_s)

    async def _ask(self, method: str, url: str, **options: object) -> tuple[int, object]:
        """HTTP status and decoded JSON. Raises OracleUnreachable."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout_s), cookie_jar=aiohttp.DummyCookieJar()
            )
        received = bytearray()
        try:
            async with self._session.request(method, url, allow_redirects=False, **options) as response:  # type: ignore[arg-type]
                async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                    received += chunk
                    if len(received) > MAX_ANSWER_BYTES:
                        raise OracleUnreachable(
                            f"oracle: expected at most {MAX_ANSWER_BYTES} bytes, got more"
                        )
                return response.status, parse_json(bytes(received))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise OracleUnreachable(f"oracle: no answer ({type(error).__name__})") from error
        except ValueError as error:
            raise OracleUnreachable("oracle: expected JSON, got something else") from error
