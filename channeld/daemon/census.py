"""What is ours, in channels and out of them, counted again only where something has changed."""

import asyncio
from collections.abc import Iterable

from channeld.api.commands import AssetInfo
from channeld.config.settings import AssetSettings
from channeld.core.channel import Channel, Phase
from channeld.core.draft import Tables
from channeld.core.errors import OperationalError
from channeld.daemon.funding import Funding
from channeld.daemon.views import free_balances

CHAIN_ANSWER_S = 3.0
"""How long the chain's balances are waited for; without them there is still something to tell."""


class Census:
    """How many channels are not closed, and what is ours in them; idle ones are counted once."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._counted: dict[bytes, tuple[bytes, int]] = {}
        self._ours: dict[bytes, int] = {}

    @property
    def channels(self) -> int:
        """How many are not closed."""
        self._count()
        return len(self._counted)

    def ours(self, asset: bytes) -> int:
        """Our part of all channels in an asset, open claims left out; smallest units."""
        self._count()
        return self._ours.get(asset, 0)

    def _count(self) -> None:
        changed = self._tables.changed
        while changed:
            channel = self._tables.records[Channel][changed.pop()]
            assert isinstance(channel, Channel)
            asset, before = self._counted.pop(channel.channel_id, (channel.params.asset, 0))
            now = 0
            if channel.phase is not Phase.CLOSED:
                now, _ = free_balances(channel)
                self._counted[channel.channel_id] = (asset, now)
            self._ours[asset] = self._ours.get(asset, 0) + now - before


async def holdings(
    assets: Iterable[AssetSettings], census: Census, funding: Funding, lost: str
) -> tuple[str, tuple[AssetInfo, ...]]:
    """What is known of our money, and why the chain cannot be asked for the rest (empty if it answers).

    `lost` says why it is not worth asking.
    """
    found: list[AssetInfo] = []
    for asset in assets:
        held: int | None = None
        credit: int | None = None
        if not lost:
            try:
                async with asyncio.timeout(CHAIN_ANSWER_S):
                    held = await funding.balance(asset.address)
                    credit = await funding.credit(asset.address)
            except TimeoutError:
                lost = f"expected the Ethereum node to answer within {CHAIN_ANSWER_S:g} s"
            except OperationalError as error:
                lost = str(error)
        inside = census.ours(asset.address)
        found.append(AssetInfo(asset.address, asset.symbol, asset.decimals, held, inside, credit))
    return lost, tuple(found)
