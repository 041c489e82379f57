"""Sixteen strangers who flood a hub: keys without a channel, as many as may come from one network.

As in `bench.mallory`, each attack goes on until it is cancelled; mallory's daemon only tells them the way.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from hashlib import sha256

from bench.mallory import PAUSE_S, Mallory
from channeld.adapters.signer import Signer
from channeld.adapters.transport.connection import Connection
from channeld.adapters.transport.limits import TransportLimits
from channeld.adapters.transport.peers import PeerTransport
from channeld.core.channel import Update
from channeld.core.messages import PolicyAnnouncement
from channeld.core.operations import Fulfil
from channeld.wire.messages import encode
from channeld.wire.policies import sign_policy

STRANGERS = TransportLimits().max_strangers_per_network
UNSENT_BYTES = 60_000
"""Of each: always something to read, and little to pile up before she is cancelled."""
POLICIES = 200
FULFILS = 480


class Stranger:
    """A key and a socket. Hears nothing."""

    def __init__(self, number: int) -> None:
        self.signer = Signer(sha256(b"stranger" + bytes([number])).digest())
        self.transport = PeerTransport(self.signer, self)

    def on_connected(self, peer_id: bytes, connection: Connection) -> None:
        pass

    def on_message(self, peer_id: bytes, data: bytes) -> None:
        pass

    def on_disconnected(self, peer_id: bytes, reason: str) -> None:
        pass


def policies_with_bad_signatures(domain: bytes) -> list[bytes]:
    """Each of a node and a channel of its own, signed for other terms."""
    words = []
    for number in range(POLICIES):
        signer = Signer(sha256(number.to_bytes(2, "big")).digest())
        channel_id = sha256(b"channel" + number.to_bytes(2, "big")).digest()
        terms = PolicyAnnouncement(channel_id, signer.public_key, 5 + number, 0, 0, 0, 1, 2, 0, True)
        words.append(encode(replace(sign_policy(terms, domain, signer.sign_digest), fee_ppm=1)))
    return words


def long_updates() -> list[bytes]:
    """17 kB of a channel that does not exist."""
    secrets = tuple(
        Fulfil(2 * number + 2, sha256(bytes([number % 256])).digest()) for number in range(FULFILS)
    )
    return [encode(Update(sha256(b"no channel").digest(), 10**6, 10**6 - 1, secrets, bytes(64)))]


async def _say(mallory: Mallory, stranger: Stranger, words: list[bytes]) -> None:
    url = f"ws://127.0.0.1:{mallory.bob_port}/"
    hello = encode(mallory.daemon.peering._hello)
    line = await stranger.transport.connect(mallory.bob_id, url)
    line.send(hello)
    while True:
        if line.ended.is_set():
            mallory.dropped += 1
            line = await stranger.transport.connect(mallory.bob_id, url)
            line.send(hello)
        while line._queued_bytes < UNSENT_BYTES and line.send(words[mallory.said % len(words)]):
            mallory.said += 1
        await asyncio.sleep(PAUSE_S)


async def _flood(mallory: Mallory, words: list[bytes]) -> None:
    mallory.be_deaf()
    async with AsyncExitStack() as stack:
        strangers = [Stranger(number) for number in range(STRANGERS)]
        for stranger in strangers:
            stack.push_async_callback(stranger.transport.close)
        async with asyncio.TaskGroup() as group:
            for stranger in strangers:
                group.create_task(_say(mallory, stranger, words))


async def say_bad_policies(mallory: Mallory) -> None:
    """Each costs bob the check of a signature, and nothing follows from it."""
    await _flood(mallory, policies_with_bad_signatures(mallory.daemon.domain))


async def say_long_updates(mallory: Mallory) -> None:
    """Of channels that they do not have."""
    await _flood(mallory, long_updates())


FLOODS = {
    "strangers: bad policies": say_bad_policies,
    "strangers: long updates": say_long_updates,
}
