"""The pushes of the scripted node: to bob alone, in one channel."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import cached_property

from channeld.api.commands import Page, PushInfo, StreamInfo
from channeld.core.errors import Rejected
from tests.api.cast import ADDRESSES, BOB, DECIMALS, T0_S, digest, named

UNLUCKY = 13
"""Pushes of this amount are dropped."""
SLOW = b"\xff" * 16
"""Pushes in this stream stay pending."""
CHANNEL = digest("channel of pushes")


class ScriptedPushes:
    """`most_pushing`: of pushes that were asked for and not answered, the most at once."""

    push_gate: asyncio.Event | None = None
    pushing = 0
    most_pushing = 0
    followers = 0

    @cached_property
    def pushes(self) -> asyncio.Queue[int]:
        """How many were asked for, each time that some were."""
        return asyncio.Queue()

    @cached_property
    def totals(self) -> dict[tuple[str, bytes], StreamInfo]:
        return {}

    @cached_property
    def sent(self) -> asyncio.Queue[StreamInfo]:
        return asyncio.Queue()

    @cached_property
    def left(self) -> asyncio.Event:
        return asyncio.Event()

    @cached_property
    def incoming(self) -> asyncio.Queue[StreamInfo]:
        return asyncio.Queue()

    def _check(self) -> None:
        raise NotImplementedError

    async def push(
        self, peer: bytes, asset: str, stream: bytes, amounts: Sequence[int], timeout_s: float
    ) -> PushInfo:
        self._check()
        if peer != BOB:
            raise Rejected(f"no open channel with {peer.hex()}; only neighbours get pushes")
        self.pushing += len(amounts)
        self.most_pushing = max(self.pushing, self.most_pushing)
        self.pushes.put_nowait(len(amounts))
        if self.push_gate is not None:
            await self.push_gate.wait()
        self.pushing -= len(amounts)
        dropped = tuple(place for place, amount in enumerate(amounts) if amount == UNLUCKY)
        if len(dropped) == len(amounts):
            raise Rejected("expected luck")
        made = [] if stream == SLOW else [amount for amount in amounts if amount != UNLUCKY]
        total = self.grow("sent", asset, stream, made)
        self.sent.put_nowait(total)
        return PushInfo(
            channel_id=CHANNEL,
            peer=peer,
            peer_alias="bob",
            symbol=total.symbol,
            decimals=total.decimals,
            stream=stream,
            asked=len(amounts),
            sent=len(made),
            pending=len(amounts) - len(made) - len(dropped),
            dropped=dropped,
            failure="expected luck" if dropped else "",
            stream_count=total.count if made else 0,
            stream_total=total.total if made else 0,
        )

    def grow(self, direction: str, asset: str, stream: bytes, amounts: Sequence[int]) -> StreamInfo:
        symbol = named(asset)
        before = self.totals.get((direction, stream))
        count, total = (0, 0) if before is None else (before.count, before.total)
        grown = self.totals[direction, stream] = StreamInfo(
            channel_id=CHANNEL,
            peer=BOB,
            peer_alias="bob",
            direction=direction,
            stream=stream,
            asset=ADDRESSES[symbol],
            symbol=symbol,
            decimals=DECIMALS[symbol],
            count=count + len(amounts),
            total=total + sum(amounts),
            pending_count=0,
            pending_total=0,
            first_s=T0_S,
            last_s=T0_S,
        )
        return grown

    async def streams(self, before: int | None, limit: int) -> tuple[list[StreamInfo], Page]:
        self._check()
        return list(self.totals.values())[:limit], Page(None)

    async def stream(self, channel_id: bytes, direction: str, stream: bytes) -> StreamInfo:
        self._check()
        if channel_id != CHANNEL or (direction, stream) not in self.totals:
            raise Rejected(f"no channel 0x{channel_id.hex()}")
        return self.totals[direction, stream]

    async def received(self) -> AsyncGenerator[StreamInfo, None]:
        self.followers += 1
        try:
            while True:
                yield await self.incoming.get()
        finally:
            self.followers -= 1
            self.left.set()
