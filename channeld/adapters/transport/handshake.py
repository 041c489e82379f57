"""The three acts of [BOLT-8], each one binary frame."""

from secrets import token_bytes

from channeld.adapters.transport.websocket import WebSocket
from channeld.wire.noise import StaticKey, Transport, initiate, respond


async def initiate_over(socket: WebSocket, key: StaticKey, peer_id: bytes) -> Transport:
    """Prove that `socket` leads to the owner of `peer_id`, and who we are.

    Raises HandshakeFailed, MalformedMessage or ConnectionEnded. The caller sets the time limit.
    """
    act_one, awaiting = initiate(key, peer_id, token_bytes(32))
    await socket.send(act_one)
    act_three, noise = awaiting.read_act_two(await socket.receive())
    await socket.send(act_three)
    return noise


async def respond_over(socket: WebSocket, key: StaticKey) -> tuple[bytes, Transport]:
    """Let whoever is behind `socket` prove a key; that key and the cipher.

    Raises HandshakeFailed, MalformedMessage or ConnectionEnded. The caller sets the time limit.
    """
    act_two, awaiting = respond(key, token_bytes(32)).read_act_one(await socket.receive())
    await socket.send(act_two)
    return awaiting.read_act_three(await socket.receive())
