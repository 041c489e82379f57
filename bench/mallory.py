"""What mallory does to a hub with which she has a channel: attacks for `python -m bench hostile`.

Each goes on until it is cancelled. She is a real daemon, of which an attack takes the mouth.
"""

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from channeld.adapters.transport.connection import Connection
from channeld.core.channel import Ack, Channel, Reestablish, Update, child_version
from channeld.core.claims import Claim
from channeld.core.errors import ChanneldError
from channeld.core.events import Event, MessageReceived, PaymentRequested
from channeld.core.identity import ETH
from channeld.core.messages import ForwardTo
from channeld.core.operations import MAX_CLAIMS_PER_SIDE, Add, apply_operations
from channeld.daemon.commands import Daemon
from channeld.wire.eip712 import state_digest
from channeld.wire.messages import encode
from channeld.wire.packet import encode_instruction

AMOUNT = 10**9
FULL_MESSAGES = 1_000
"""Her own daemon drops a connection with 8,192 messages unsent: she stays far below."""
PAUSE_S = 0.001
"""When the wire is full: she shall not take the machine's processors from the others."""
PACKET_BYTES = 1_900


@dataclass(slots=True)
class Mallory:
    """A daemon whose connection to bob an attack uses as it likes. `said` counts messages."""

    daemon: Daemon
    bob_id: bytes
    bob_port: int
    channel_id: bytes
    said: int = 0
    dropped: int = 0

    @property
    def channel(self) -> Channel:
        record = self.daemon.engine.tables.records[Channel][self.channel_id]
        assert isinstance(record, Channel)
        return record

    def be_deaf(self) -> None:
        """Her own daemon hears bob no more: it would object to what she does."""
        engine = self.daemon.engine
        hear = engine.post

        def post(event: Event | Any) -> None:
            if not isinstance(event, MessageReceived):
                hear(event)

        engine.post = post  # type: ignore[method-assign]

    async def line(self) -> Connection:
        """Her connection, made again whenever bob has ended it."""
        transport = self.daemon.peering.transport
        while True:
            line = transport.connection(self.bob_id)
            if line is not None and not line.ended.is_set():
                return line
            self.dropped += 1
            try:
                return await transport.connect(self.bob_id, f"ws://127.0.0.1:{self.bob_port}/")
            except ChanneldError:
                await asyncio.sleep(0.05)

    async def say(self, line: Connection, words: list[bytes]) -> None:
        """As much as the line takes."""
        while line.unsent < FULL_MESSAGES and line.send(words[self.said % len(words)]):
            self.said += 1
        await asyncio.sleep(0 if line.unsent < FULL_MESSAGES else PAUSE_S)


async def reads_nothing(mallory: Mallory) -> None:
    """Asks again and again for the newest state, which is larger than the question, and reads no answer."""
    mallory.be_deaf()
    question = encode(Reestablish(mallory.channel_id, 0, 0, 0, 0))
    while True:
        line = await mallory.line()
        line._socket._transport.pause_reading()
        await mallory.say(line, [question])


async def floods(mallory: Mallory) -> None:
    """Answers to nothing, as fast as the wire takes them."""
    mallory.be_deaf()
    while True:
        await mallory.say(await mallory.line(), [encode(Ack(mallory.channel_id, 10**6, bytes(64)))])


async def half_a_frame(mallory: Mallory) -> None:
    """The head of a frame of 60 kB, and then a byte now and then."""
    mallory.be_deaf()
    line = await mallory.line()
    socket = line._socket._transport
    socket.write(b"\x82\xfe\xea\x60" + bytes(4))
    while not line.ended.is_set():
        socket.write(b"\x00")
        mallory.said += 1
        await asyncio.sleep(0.01)
    await asyncio.Event().wait()


async def conflicts(mallory: Mallory) -> None:
    """Two states of one version, by turns, both signed."""
    mallory.be_deaf()
    channel = mallory.channel
    version = child_version(channel.theirs.version, channel.me)
    words = []
    for amount in (AMOUNT, 2 * AMOUNT):
        claim_id = channel.theirs.last_ids[channel.me] + 2
        deadline_s = mallory.daemon.engine.tables.now_s + 600
        claim = Claim(claim_id, amount, sha256(bytes([amount % 7])).digest(), deadline_s)
        add = Add(claim, b"\x00")
        state = apply_operations(
            channel.theirs, version, channel.me, [add], mallory.daemon.engine.tables, ours=True
        )
        signature = mallory.daemon.signer.sign_digest(
            state_digest(mallory.daemon.domain, mallory.channel_id, state)
        )
        update = Update(mallory.channel_id, version, channel.theirs.version, (add,), signature)
        words.append(encode(update))
    while True:
        await mallory.say(await mallory.line(), words)


async def most_claims(mallory: Mallory) -> None:
    """All the claims that a side may have, each with a large packet for nobody; again when they are back."""
    engine = mallory.daemon.engine
    deadline_s = engine.tables.now_s + 600
    packet = encode_instruction(ForwardTo(bytes(32), 1, deadline_s, bytes(PACKET_BYTES), None))
    while True:
        for _ in range(MAX_CLAIMS_PER_SIDE):
            mallory.said += 1
            hashlock = sha256(mallory.said.to_bytes(8, "big")).digest()
            request = PaymentRequested(
                hashlock, mallory.bob_id, ETH, AMOUNT, 0, mallory.channel_id, deadline_s, packet, "", 0
            )
            refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            refused.add_done_callback(asyncio.Future.exception)  # seen, and nobody minds
            engine.post_for(request, refused)
        await engine.caught_up()
        while mallory.channel.theirs.claims or mallory.channel.waiting or not mallory.channel.answered:
            await asyncio.sleep(0.001)


ATTACKS = {
    "reads nothing": reads_nothing,
    "floods": floods,
    "half a frame": half_a_frame,
    "conflicting versions": conflicts,
    "230 claims at once": most_claims,
}
