"""Settlement prices: which feeds we know, and fetching what their signers have signed."""

import asyncio
import logging
from collections.abc import Iterator

from channeld.adapters.oracle import OracleClient
from channeld.config.settings import FeedSettings
from channeld.core.channel import Phase
from channeld.core.draft import Tables
from channeld.core.errors import OperationalError
from channeld.core.events import ChannelDue, ClaimDue, Event, PriceLearnt
from channeld.core.records import ClaimRef, SignedPriceRecord
from channeld.daemon.engine import Engine
from channeld.wire.eip712 import Feed

log = logging.getLogger(__name__)

POLL_S = 1.0
"""How often an oracle is asked for a price whose instant has come: people wait for it."""


class Feeds:
    """The configured feeds by id, and their oracles."""

    def __init__(self, settings: tuple[FeedSettings, ...], client: OracleClient) -> None:
        self._settings = {feed.feed().feed_id: feed for feed in settings}
        self.by_id: dict[bytes, Feed] = {feed_id: feed.feed() for feed_id, feed in self._settings.items()}
        self._client = client

    def settings_of(self, feed_id: bytes) -> FeedSettings | None:
        return self._settings.get(feed_id)

    def base_of(self, feed_id: bytes) -> str:
        """The underlying's name: ETH of ETH/USD; the feed's first digits if we do not know it."""
        known = self._settings.get(feed_id)
        return known.pair.partition("/")[0] if known is not None else feed_id.hex()[:8].upper()

    def of_base(self, base: str) -> bytes | None:
        """The id of the feed whose pair begins with `base`."""
        for feed_id, feed in self._settings.items():
            if feed.pair.partition("/")[0] == base:
                return feed_id
        return None

    async def index_price(self, feed_id: bytes) -> int:
        """The newest signed price, as a guide for quoting (8 decimals). Raises OperationalError."""
        settings = self._settings[feed_id]
        latest = await self._client.latest_price(self.by_id[feed_id], settings.urls)
        if latest is None:
            raise OperationalError(f"no price of {settings.pair} has been signed yet")
        return latest

    async def signed_price(self, feed_id: bytes, instant_s: int) -> SignedPriceRecord | None:
        """The price at an instant if it is signed. Raises OperationalError."""
        settings = self._settings.get(feed_id)
        if settings is None:
            return None
        return await self._client.signed_price(self.by_id[feed_id], settings.urls, instant_s)


def wanted_prices(tables: Tables) -> set[tuple[bytes, int]]:
    """(feed, expiry) of the open options that have expired and whose price we do not know."""
    wanted: set[tuple[bytes, int]] = set()
    for channel in tables.channels():
        for state in channel.enforceable:
            for claim in state.claims.values():
                if claim.terms is not None and claim.terms.expiry_s <= tables.now_s:
                    wanted.add((claim.terms.feed, claim.terms.expiry_s))
    return wanted - tables.signed_prices.keys()


def _waiting_for(tables: Tables, feed_id: bytes, expiry_s: int) -> Iterator[Event]:
    """What to look at now that this price is known: the options that it settles, and disputes."""
    for channel in tables.channels():
        if channel.phase is Phase.DISPUTED:
            yield ChannelDue(channel.channel_id)
        for claim in channel.theirs.claims.values():
            if claim.terms is not None and (claim.terms.feed, claim.terms.expiry_s) == (feed_id, expiry_s):
                yield ClaimDue(ClaimRef(channel.channel_id, claim.claim_id))


async def follow_prices(engine: Engine, feeds: Feeds) -> None:
    """Fetch the price of every expired option as soon as it is signed, for ever."""
    while True:
        for feed_id, expiry_s in wanted_prices(engine.tables):
            try:
                record = await feeds.signed_price(feed_id, expiry_s)
            except OperationalError as error:
                log.warning("settlement price: %s", error)
                continue
            if record is not None:
                for event in (PriceLearnt(record), *_waiting_for(engine.tables, feed_id, expiry_s)):
                    engine.post(event)
        await asyncio.sleep(POLL_S)
