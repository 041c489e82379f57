"""Settlement prices: which feeds we know, and fetching what their signers have signed."""

import asyncio
import logging
from collections.abc import Iterable

from channeld.adapters.oracle import OracleClient
from channeld.config.settings import FeedSettings
from channeld.core.channel import Channel, Phase
from channeld.core.claims import Claim
from channeld.core.errors import OperationalError
from channeld.core.events import ChannelDue, ClaimDue, PriceLearnt
from channeld.core.reactions import PRICE_RETRY_S
from channeld.core.records import ClaimRef, Dispute, SignedPriceRecord
from channeld.daemon.engine import Engine
from channeld.wire.eip712 import Feed

log = logging.getLogger(__name__)

POLL_S = 1.0
"""How often an oracle is asked for a price whose instant has come: people wait for it."""

FORGET_S = 4 * PRICE_RETRY_S
"""An option that the core has not come back to for so long is settled or gone."""


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


class PriceWatch:
    """Fetches the price of every expired option as soon as it is signed.

    Which ones are wanted the core says by coming back to an option at its expiry, and again while it stays
    open: nothing here looks through the channels.
    """

    def __init__(self, engine: Engine, feeds: Feeds) -> None:
        self._engine = engine
        self._feeds = feeds
        self._wanted: dict[tuple[bytes, int], dict[ClaimRef, int]] = {}
        """(feed, expiry) -> the options that wait for it -> when each was last looked at (chain's time)."""
        engine.on_due = self.looked_at

    def looked_at(self, due: ClaimDue | ChannelDue) -> None:
        """The core comes back to an option, or to a channel in dispute: what has expired wants a price."""
        channel_id = due.channel_id if isinstance(due, ChannelDue) else due.claim.channel_id
        channel = self._engine.tables.records[Channel].get(channel_id)
        if not isinstance(channel, Channel):
            return
        for state in channel.enforceable:
            if isinstance(due, ClaimDue):
                claim = state.claims.get(due.claim.claim_id)
                self._want(channel_id, () if claim is None else (claim,))
            elif channel.phase is Phase.DISPUTED:
                self._want(channel_id, state.claims.values())

    def _want(self, channel_id: bytes, claims: Iterable[Claim]) -> None:
        tables = self._engine.tables
        for claim in claims:
            terms = claim.terms
            if terms is None or terms.expiry_s > tables.now_s:
                continue
            instant = (terms.feed, terms.expiry_s)
            if instant not in tables.signed_prices:
                ref = ClaimRef(channel_id, claim.claim_id)
                self._wanted.setdefault(instant, {})[ref] = tables.now_s

    async def run(self) -> None:
        """For ever."""
        while True:
            for instant in list(self._wanted):
                await self._fetch(*instant)
            await asyncio.sleep(POLL_S)

    async def _fetch(self, feed_id: bytes, expiry_s: int) -> None:
        waiting = self._wanted[feed_id, expiry_s]
        forgotten_s = self._engine.tables.now_s - FORGET_S
        for ref in [ref for ref, looked_s in waiting.items() if looked_s < forgotten_s]:
            del waiting[ref]
        if not waiting:
            del self._wanted[feed_id, expiry_s]
            return
        try:
            record = await self._feeds.signed_price(feed_id, expiry_s)
        except OperationalError as error:
            log.warning("settlement price: %s", error)
            return
        if record is None:
            return
        self._engine.post(PriceLearnt(record))
        for ref in self._wanted.pop((feed_id, expiry_s)):
            self._engine.post(ClaimDue(ref))
        for channel_id in self._engine.tables.records[Dispute]:
            self._engine.post(ChannelDue(channel_id))
