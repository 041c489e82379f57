"""A peer that lets our proposal lie: after a while the connection is dropped, and both begin anew (R3, R12).

Until it is answered nothing else can be signed in the channel, and pings say only that somebody is there.
Connecting anew makes each side say what it holds and what it signed last, so that an answer that got lost
comes again, and what came too late can be refused. A peer that does it on purpose harms its own channels
alone.

Time is counted in looks, not by a clock: a process that was paused, or too busy to look, was too busy to
hear the answer.
"""

import asyncio
import logging
from dataclasses import dataclass

from channeld.adapters.transport.peers import PeerTransport
from channeld.core.channel import Channel
from channeld.core.draft import Tables

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""How often channels are looked at that wait for an answer."""

FIRST_LOOKS = 6
"""30 s until the first time. An honest peer answers in its next turn, which takes less than a second; it has
at most four turns of other work before it (its backlog), and a message crosses the worst links in a few
seconds. [Eclair] waits 20 s, [LND] a minute."""

MOST_LOOKS = 720
"""Each further time the same proposal gets twice as long, up to an hour: a batch of 700 kB on a slow line
arrives in the end, and an update that a peer keeps because it cannot judge it yet (it waits for a block or
a price) is not said again for ever."""


@dataclass(slots=True)
class _Wait:
    """For an answer to `version`, on a live connection: so many `looks` by now, `patience` before it is given
    up."""

    version: int
    looks: int = 0
    patience: int = FIRST_LOOKS

    def in_vain(self) -> bool:
        """One more look; whether it was one too many."""
        self.looks += 1
        if self.looks <= self.patience:
            return False
        self.looks, self.patience = 0, min(2 * self.patience, MOST_LOOKS)
        return True


class Patience:
    """`proposed` is told of every proposal that is sent; `look` says whom to hang up on."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._proposed: set[bytes] = set()
        self._waits: dict[bytes, _Wait] = {}

    def proposed(self, channel_id: bytes) -> None:
        """A proposal in this channel has been sent."""
        self._proposed.add(channel_id)

    async def run(self, transport: PeerTransport) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            given_up = self.look()
            for peer, reason in given_up.items():
                log.warning("peer %s %s: connecting anew", peer.hex()[:16], reason)
            await asyncio.gather(*(transport.disconnect(peer, reason) for peer, reason in given_up.items()))

    def look(self) -> dict[bytes, str]:
        """The peers (node ids) that have left us waiting for too long, and for what.

        Attack stopped: a peer that lets us say the same again and again; that does not give it more time.
        """
        for channel_id in self._proposed | self._tables.awaited:
            channel = self._waiting(channel_id)
            known = self._waits.get(channel_id)
            if channel is not None and (known is None or known.version != channel.mine.version):
                self._waits[channel_id] = _Wait(channel.mine.version)
        self._proposed.clear()
        given_up: dict[bytes, str] = {}
        for channel_id, wait in list(self._waits.items()):
            channel = self._waiting(channel_id)
            if channel is None or channel.mine.version != wait.version:
                del self._waits[channel_id]
            elif channel_id not in self._tables.online:
                wait.looks = 0
            elif wait.in_vain():
                what = "say again what it announced" if channel.answered else f"answer version {wait.version}"
                given_up[channel.peer] = f"does not {what} of channel {channel_id.hex()[:16]}"
        return given_up

    def _waiting(self, channel_id: bytes) -> Channel | None:
        """The channel, if it waits for its peer."""
        channel = self._tables.records[Channel].get(channel_id)
        assert channel is None or isinstance(channel, Channel)
        if channel is None or not channel.phase.signs_states:
            return None
        return channel if not channel.answered or channel_id in self._tables.awaited else None
