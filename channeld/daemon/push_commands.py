"""The daemon's commands about pushes: to a neighbour, how much so far, and what comes in."""

from collections.abc import AsyncGenerator, Sequence

from channeld.adapters.signer import address_of
from channeld.api.commands import Page, PushInfo, StreamInfo
from channeld.core.channel import Channel, Phase
from channeld.core.errors import Rejected
from channeld.core.pushing import pushes_among
from channeld.core.records import Stream, stream_key
from channeld.daemon.engine import Engine
from channeld.daemon.history import page_of
from channeld.daemon.peering import Peering
from channeld.daemon.pushing import PushDesk
from channeld.daemon.views import Catalogue, spendable_now

DIRECTIONS = {"sent": True, "received": False}


class PushCommands:
    """A part of `Daemon`, which has these parts."""

    __slots__ = ()

    engine: Engine
    peering: Peering
    catalogue: Catalogue
    pushes: PushDesk

    async def push(
        self, peer: bytes, asset: str, stream: bytes, amounts: Sequence[int], timeout_s: float
    ) -> PushInfo:
        channel = self._channel_with(peer, asset, sum(amounts))
        order = await self.pushes.push(channel.channel_id, stream, amounts, timeout_s)
        shown = self.catalogue.of(channel.params.asset)
        totals = order.totals
        return PushInfo(
            channel.channel_id,
            peer,
            self.peering.alias_of(peer),
            shown.symbol,
            shown.decimals,
            stream,
            len(amounts),
            order.sent,
            order.pending,
            tuple(order.dropped),
            order.why,
            0 if totals is None else totals.count,
            0 if totals is None else totals.total,
        )

    def _channel_with(self, peer: bytes, asset: str, amount: int) -> Channel:
        """The channel to push through: the only one there is, else the first that can carry the amount."""
        chosen = self.catalogue.named(asset)
        if chosen is None:
            raise Rejected(f"expected one of the configured assets, got {asset!r}")
        tables = self.engine.tables
        found: list[Channel] = []
        for channel_id in sorted(tables.channels_of.get(address_of(peer), ())):
            channel = tables.records[Channel][channel_id]
            assert isinstance(channel, Channel)
            if channel.phase is Phase.OPEN and channel.params.asset == chosen.address:
                found.append(channel)
        if not found:
            raise Rejected(
                f"no open channel in {chosen.symbol} with {peer.hex()}; only neighbours get pushes"
            )
        if len(found) == 1:
            return found[0]
        online = [channel for channel in found if channel.channel_id in tables.online]
        able = (channel for channel in online if spendable_now(channel, channel.me) >= amount)
        return next(able, (online or found)[0])

    async def streams(self, before: int | None, limit: int) -> tuple[list[StreamInfo], Page]:
        rows, page = page_of(self.engine.journal, "stream", Stream, before, limit)
        return [self._stream_info(record) for record in rows if record.count], page

    async def stream(self, channel_id: bytes, direction: str, stream: bytes) -> StreamInfo:
        if direction not in DIRECTIONS:
            raise Rejected(f"expected a direction of {', '.join(DIRECTIONS)}, got {direction[:20]!r}")
        if channel_id not in self.engine.tables.records[Channel]:
            raise Rejected(f"no channel 0x{channel_id.hex()}")
        outgoing = DIRECTIONS[direction]
        record = self.engine.tables.streams.get(stream_key(channel_id, outgoing, stream))
        return self._stream_info(record or Stream(channel_id, outgoing, stream))

    def _stream_info(self, record: Stream) -> StreamInfo:
        channel = self.engine.tables.records[Channel][record.channel_id]
        assert isinstance(channel, Channel)
        asset = self.catalogue.of(channel.params.asset)
        pending = self._pending(channel, record.stream) if record.outgoing else []
        return StreamInfo(
            record.channel_id,
            channel.peer,
            self.peering.alias_of(channel.peer),
            "sent" if record.outgoing else "received",
            record.stream,
            asset.address,
            asset.symbol,
            asset.decimals,
            record.count,
            record.total,
            len(pending),
            sum(pending),
            record.first_s,
            record.last_s,
        )

    def _pending(self, channel: Channel, stream: bytes) -> list[int]:
        """The amounts of our pushes that are neither sent nor dropped, wherever they stand."""
        known = pushes_among(() if channel.answered else channel.unanswered) + pushes_among(channel.waiting)
        if channel.phase is Phase.CLOSED:
            known = ()
        amounts = [push.amount for push in known if push.stream == stream]
        return amounts + self.pushes.standing(channel.channel_id, stream)

    async def received(self) -> AsyncGenerator[StreamInfo, None]:
        with self.pushes.following() as follower:
            while True:
                for record in await follower.news():
                    yield self._stream_info(record)
