"""Two ends of a Noise connection, with the keys of the [BOLT-8] vectors."""

from coincurve import PrivateKey

from channeld.wire.noise import Transport, initiate, respond

LIGHTNING = b"lightning"


class Key:
    """A node key in the open, as only a test may hold it."""

    def __init__(self, secret: bytes) -> None:
        self._key = PrivateKey(secret)
        self.public_key = self._key.public_key.format()

    def ecdh(self, public_key: bytes) -> bytes:
        shared: bytes = self._key.ecdh(public_key)
        return shared


INITIATOR, RESPONDER = Key(b"\x11" * 32), Key(b"\x21" * 32)
INITIATOR_EPHEMERAL, RESPONDER_EPHEMERAL = b"\x12" * 32, b"\x22" * 32


def connected(prologue: bytes = LIGHTNING) -> tuple[Transport, Transport]:
    act_one, initiator = initiate(INITIATOR, RESPONDER.public_key, INITIATOR_EPHEMERAL, prologue)
    act_two, responder = respond(RESPONDER, RESPONDER_EPHEMERAL, prologue).read_act_one(act_one)
    act_three, alice = initiator.read_act_two(act_two)
    key, bob = responder.read_act_three(act_three)
    assert key == INITIATOR.public_key
    return alice, bob
