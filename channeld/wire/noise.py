"""Noise_XK_secp256k1_ChaChaPoly_SHA256: the handshake and the cipher of [BOLT-8], without any I/O.

One class per phase: `initiate` gives act one and AwaitingActTwo; `respond` gives AwaitingActOne, which
gives act two and AwaitingActThree. Either ends in a Transport. The initiator must know the responder's
key beforehand; the responder learns the initiator's in act three, already proven.
"""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from struct import Struct
from typing import Protocol

from coincurve import PrivateKey, PublicKey
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from channeld.core.errors import PeerViolation

# Ours differs from Lightning's b"lightning", so that neither network's nodes can be made to talk to the
# other's; the number changes with the meaning of what travels inside.
PROLOGUE = b"channeld/1"

PUBLIC_KEY_BYTES = 33
ACT_ONE_BYTES = 50
ACT_TWO_BYTES = 50
ACT_THREE_BYTES = 66

_TAG_BYTES = 16
_LENGTH_BYTES = 2
# A sealed message: its encrypted 2-byte length with a tag, the encrypted bytes with another.
SEALED_LENGTH_BYTES = _LENGTH_BYTES + _TAG_BYTES
SEALED_OVERHEAD_BYTES = SEALED_LENGTH_BYTES + _TAG_BYTES
# What a 2-byte length can say.
MAX_PLAINTEXT_BYTES = 65_535
# [BOLT-8] changes a key after 1,000 uses: a thief of the current one reads nothing older.
_KEY_LIFETIME = 1000

# 32 zero bits, then the counter as 64 bits little-endian.
_nonce_bytes = Struct("<4xQ").pack

_NAME_HASH = sha256(b"Noise_XK_secp256k1_ChaChaPoly_SHA256").digest()


class StaticKey(Protocol):
    """A node's identity, whose secret stays with its owner."""

    @property
    def public_key(self) -> bytes:
        """33 bytes, compressed."""
        ...

    def ecdh(self, public_key: bytes) -> bytes:
        """sha256 of the compressed shared point; called with points of the curve only."""
        ...


class HandshakeFault(StrEnum):
    """The ways in which an act is wrong; the names are those of the [BOLT-8] vectors."""

    ACT1_READ_FAILED = "ACT1_READ_FAILED"
    ACT1_BAD_VERSION = "ACT1_BAD_VERSION"
    ACT1_BAD_PUBKEY = "ACT1_BAD_PUBKEY"
    ACT1_BAD_TAG = "ACT1_BAD_TAG"
    ACT2_READ_FAILED = "ACT2_READ_FAILED"
    ACT2_BAD_VERSION = "ACT2_BAD_VERSION"
    ACT2_BAD_PUBKEY = "ACT2_BAD_PUBKEY"
    ACT2_BAD_TAG = "ACT2_BAD_TAG"
    ACT3_READ_FAILED = "ACT3_READ_FAILED"
    ACT3_BAD_VERSION = "ACT3_BAD_VERSION"
    ACT3_BAD_CIPHERTEXT = "ACT3_BAD_CIPHERTEXT"
    ACT3_BAD_PUBKEY = "ACT3_BAD_PUBKEY"
    ACT3_BAD_TAG = "ACT3_BAD_TAG"


class HandshakeFailed(PeerViolation):
    """The other end is not who it should be, or does not speak this protocol."""

    def __init__(self, fault: HandshakeFault, expected: str, actual: str) -> None:
        super().__init__(f"{fault}: expected {expected}, got {actual}")
        self.fault = fault


class BadSeal(PeerViolation):
    """Bytes on an established connection that its key did not seal, or not in this order."""


class CipherState:
    """One direction's key, nonce and chaining key."""

    __slots__ = ("_aead", "_chaining_key", "_key", "_nonce")

    def __init__(self, chaining_key: bytes, key: bytes) -> None:
        self._chaining_key = chaining_key
        self._key = key
        self._aead = ChaCha20Poly1305(key)
        self._nonce = 0

    def seal(self, plaintext: bytes) -> bytes:
        sealed = self._aead.encrypt(_nonce_bytes(self._nonce), plaintext, None)
        self._advance()
        return sealed

    def open(self, sealed: bytes) -> bytes:
        """Raises InvalidTag, and stays where it was."""
        plaintext = self._aead.decrypt(_nonce_bytes(self._nonce), sealed, None)
        self._advance()
        return plaintext

    def _advance(self) -> None:
        self._nonce += 1
        if self._nonce == _KEY_LIFETIME:
            self._chaining_key, self._key = _hkdf(self._chaining_key, self._key)
            self._aead = ChaCha20Poly1305(self._key)
            self._nonce = 0


class Transport:
    """The cipher of an established connection: sealed messages, each with its sealed length before it.

    A message uses two nonces, so a key changes every 500 messages and always between two of them.
    """

    __slots__ = ("_receiving", "_sending")

    def __init__(self, sending: CipherState, receiving: CipherState) -> None:
        self._sending = sending
        self._receiving = receiving

    def seal(self, plaintext: bytes) -> bytes:
        """Sealed length, then sealed `plaintext` (at most 65,535 bytes)."""
        assert len(plaintext) <= MAX_PLAINTEXT_BYTES, f"{len(plaintext)} bytes in one Noise message"
        sending = self._sending
        return sending.seal(len(plaintext).to_bytes(_LENGTH_BYTES, "big")) + sending.seal(plaintext)

    def open_length(self, sealed_length: bytes) -> int:
        """Length in bytes of the plaintext that follows in length + 16 bytes. Raises BadSeal."""
        try:
            return int.from_bytes(self._receiving.open(sealed_length), "big")
        except InvalidTag:
            raise BadSeal("expected a length sealed with this connection's key, got other bytes") from None

    def open_body(self, sealed: bytes) -> bytes:
        """The plaintext announced by the last `open_length`. Raises BadSeal."""
        try:
            return self._receiving.open(sealed)
        except InvalidTag:
            raise BadSeal("expected a body sealed with this connection's key, got other bytes") from None


@dataclass(frozen=True, slots=True, repr=False)  # no keys in a log
class AwaitingActTwo:
    """The initiator has sent act one."""

    static: StaticKey
    ephemeral: PrivateKey
    transcript: bytes
    chaining_key: bytes

    def read_act_two(self, act_two: bytes) -> tuple[bytes, Transport]:
        """Act three, to be sent, and the cipher. Raises HandshakeFailed."""
        _check_frame(act_two, ACT_TWO_BYTES, "ACT2")
        remote_ephemeral = act_two[1:34]
        _check_key(remote_ephemeral, HandshakeFault.ACT2_BAD_PUBKEY)
        transcript = _mix(self.transcript, remote_ephemeral)
        chaining_key, key = _hkdf(self.chaining_key, _ecdh(self.ephemeral, remote_ephemeral))
        transcript = _open_empty(key, transcript, act_two[34:], HandshakeFault.ACT2_BAD_TAG)

        sealed_static = ChaCha20Poly1305(key).encrypt(_nonce_bytes(1), self.static.public_key, transcript)
        transcript = _mix(transcript, sealed_static)
        chaining_key, key = _hkdf(chaining_key, self.static.ecdh(remote_ephemeral))
        tag = ChaCha20Poly1305(key).encrypt(_nonce_bytes(0), b"", transcript)
        sending, receiving = _hkdf(chaining_key, b"")
        transport = Transport(CipherState(chaining_key, sending), CipherState(chaining_key, receiving))
        return b"\x00" + sealed_static + tag, transport


@dataclass(frozen=True, slots=True, repr=False)  # no keys in a log
class AwaitingActThree:
    """The responder has sent act two."""

    ephemeral: PrivateKey
    transcript: bytes
    chaining_key: bytes
    key: bytes

    def read_act_three(self, act_three: bytes) -> tuple[bytes, Transport]:
        """The initiator's public key, proven, and the cipher. Raises HandshakeFailed."""
        _check_frame(act_three, ACT_THREE_BYTES, "ACT3")
        try:
            remote_static = ChaCha20Poly1305(self.key).decrypt(
                _nonce_bytes(1), act_three[1:50], self.transcript
            )
        except InvalidTag:
            raise HandshakeFailed(
                HandshakeFault.ACT3_BAD_CIPHERTEXT, "a sealed public key", "other bytes"
            ) from None
        _check_key(remote_static, HandshakeFault.ACT3_BAD_PUBKEY)
        transcript = _mix(self.transcript, act_three[1:50])
        chaining_key, key = _hkdf(self.chaining_key, _ecdh(self.ephemeral, remote_static))
        _open_empty(key, transcript, act_three[50:], HandshakeFault.ACT3_BAD_TAG)
        receiving, sending = _hkdf(chaining_key, b"")
        return remote_static, Transport(
            CipherState(chaining_key, sending), CipherState(chaining_key, receiving)
        )


@dataclass(frozen=True, slots=True, repr=False)  # no keys in a log
class AwaitingActOne:
    """The responder has a connection and nothing else."""

    static: StaticKey
    ephemeral: PrivateKey
    prologue: bytes

    def read_act_one(self, act_one: bytes) -> tuple[bytes, AwaitingActThree]:
        """Act two, to be sent, and the next phase. Raises HandshakeFailed."""
        _check_frame(act_one, ACT_ONE_BYTES, "ACT1")
        remote_ephemeral = act_one[1:34]
        _check_key(remote_ephemeral, HandshakeFault.ACT1_BAD_PUBKEY)
        transcript = _mix(_start(self.prologue, self.static.public_key), remote_ephemeral)
        chaining_key, key = _hkdf(_NAME_HASH, self.static.ecdh(remote_ephemeral))
        transcript = _open_empty(key, transcript, act_one[34:], HandshakeFault.ACT1_BAD_TAG)

        ephemeral_public = self.ephemeral.public_key.format()
        transcript = _mix(transcript, ephemeral_public)
        chaining_key, key = _hkdf(chaining_key, _ecdh(self.ephemeral, remote_ephemeral))
        tag = ChaCha20Poly1305(key).encrypt(_nonce_bytes(0), b"", transcript)
        act_two = b"\x00" + ephemeral_public + tag
        return act_two, AwaitingActThree(self.ephemeral, _mix(transcript, tag), chaining_key, key)


def initiate(
    static: StaticKey, remote_public_key: bytes, ephemeral_secret: bytes, prologue: bytes = PROLOGUE
) -> tuple[bytes, AwaitingActTwo]:
    """Act one for the node that owns `remote_public_key`, and the phase that awaits its answer.

    `ephemeral_secret`: 32 fresh random bytes, never used again. ValueError if either is not a key.
    """
    ephemeral = PrivateKey(ephemeral_secret)
    ephemeral_public = ephemeral.public_key.format()
    transcript = _mix(_start(prologue, remote_public_key), ephemeral_public)
    chaining_key, key = _hkdf(_NAME_HASH, _ecdh(ephemeral, remote_public_key))
    tag = ChaCha20Poly1305(key).encrypt(_nonce_bytes(0), b"", transcript)
    act_one = b"\x00" + ephemeral_public + tag
    return act_one, AwaitingActTwo(static, ephemeral, _mix(transcript, tag), chaining_key)


def respond(static: StaticKey, ephemeral_secret: bytes, prologue: bytes = PROLOGUE) -> AwaitingActOne:
    """The phase that awaits act one. `ephemeral_secret`: 32 fresh random bytes, never used again."""
    return AwaitingActOne(static, PrivateKey(ephemeral_secret), prologue)


def _start(prologue: bytes, responder_public_key: bytes) -> bytes:
    return _mix(_mix(_NAME_HASH, prologue), responder_public_key)


def _mix(transcript: bytes, data: bytes) -> bytes:
    return sha256(transcript + data).digest()


def _hkdf(salt: bytes, material: bytes) -> tuple[bytes, bytes]:
    """[RFC-5869] with an empty info; 64 bytes in two halves."""
    output = HKDF(SHA256(), length=64, salt=salt, info=b"").derive(material)
    return output[:32], output[32:]


def _ecdh(secret: PrivateKey, public_key: bytes) -> bytes:
    """sha256 of the compressed shared point; `public_key` has been checked."""
    shared: bytes = secret.ecdh(public_key)
    return shared


def _check_frame(act: bytes, length: int, name: str) -> None:
    if len(act) != length:
        raise HandshakeFailed(HandshakeFault(f"{name}_READ_FAILED"), f"{length} bytes", f"{len(act)}")
    if act[0] != 0:
        raise HandshakeFailed(HandshakeFault(f"{name}_BAD_VERSION"), "version 0", f"{act[0]}")


def _check_key(data: bytes, fault: HandshakeFault) -> None:
    """A compressed point; an uncompressed one would give the same key a second name."""
    if data[0] not in (2, 3):
        raise HandshakeFailed(fault, "a compressed public key", f"a key of type {data[0]}")
    try:
        PublicKey(data)
    except ValueError:
        raise HandshakeFailed(fault, "a point of the curve", "another x") from None


def _open_empty(key: bytes, transcript: bytes, tag: bytes, fault: HandshakeFault) -> bytes:
    """Check the tag of an empty message over the transcript; the transcript that includes it."""
    try:
        ChaCha20Poly1305(key).decrypt(_nonce_bytes(0), tag, transcript)
    except InvalidTag:
        raise HandshakeFailed(fault, "a tag made with the shared key", "another") from None
    return _mix(transcript, tag)
