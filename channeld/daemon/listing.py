"""Channels, peers and positions a page at a time: what a page does not show is not worked out."""

from collections.abc import Callable, Iterator
from itertools import islice

from channeld.api.commands import ChannelInfo, Page, PeerInfo, PeerPage, PositionInfo
from channeld.core.channel import Channel, Phase
from channeld.core.draft import Tables


class ChannelPages:
    """Channels in the order in which they came, newest first. A place is a number in that order."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._order: list[bytes] = []

    def page(
        self,
        show: Callable[[Channel], ChannelInfo],
        closed: bool,
        begins: str,
        before: int | None,
        limit: int,
    ) -> tuple[list[ChannelInfo], Page]:
        """Channels whose ids begin with the hex digits `begins`; `closed` ones only if asked for."""
        found: list[ChannelInfo] = []
        digits = begins.lower()
        for place, channel_id in self._newest_first(before):
            if digits and not channel_id.hex().startswith(digits):
                continue
            channel = self._channel(channel_id)
            if channel.phase is Phase.CLOSED and not closed:
                continue
            if len(found) == limit:
                return found, Page(place + 1)
            found.append(show(channel))
        return found, Page(None)

    def positions(
        self, show: Callable[[Channel], list[PositionInfo]], before: int | None, limit: int
    ) -> tuple[list[PositionInfo], Page]:
        """Options of channels that are not closed; a page ends with a channel, so it may be longer."""
        found: list[PositionInfo] = []
        for place, channel_id in self._newest_first(before):
            if channel_id not in self._tables.with_claims:
                continue
            if len(found) >= limit:
                return found, Page(place + 1)
            channel = self._channel(channel_id)
            if channel.phase is not Phase.CLOSED:
                found += show(channel)
        return found, Page(None)

    def _channel(self, channel_id: bytes) -> Channel:
        channel = self._tables.records[Channel][channel_id]
        assert isinstance(channel, Channel)
        return channel

    def _newest_first(self, before: int | None) -> Iterator[tuple[int, bytes]]:
        known = self._tables.records[Channel]
        if len(self._order) < len(known):  # a channel is never taken out again
            self._order += islice(known, len(self._order), None)
        first = len(self._order) if before is None else min(before, len(self._order))
        return ((place, self._order[place]) for place in range(first - 1, -1, -1))


def peer_page(
    ids: set[bytes],
    alias_of: Callable[[bytes], str],
    show: Callable[[bytes], PeerInfo],
    named: str,
    after: bytes | None,
    limit: int,
) -> tuple[list[PeerInfo], PeerPage]:
    """Peers by node id; with `named` those that call themselves so, or whose ids begin with these digits."""
    found: list[PeerInfo] = []
    for node_id in sorted(ids):
        if after is not None and node_id <= after:
            continue
        if named and alias_of(node_id) != named and not node_id.hex().startswith(named.lower()):
            continue
        if len(found) == limit:
            return found, PeerPage(found[-1].node_id)
        found.append(show(node_id))
    return found, PeerPage(None)
