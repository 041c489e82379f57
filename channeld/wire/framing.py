"""Messages in Noise messages, Noise messages in websocket frames.

A message of up to 1 MiB travels in one or more Noise messages ("parts"), each with a header of one byte:
0 ends the message, 1 says that another part follows. Every part but the last is full, so a message has
one way to be cut and a peer cannot send a flood of empty parts. Whole parts are packed back to back into
binary frames; the sealed length of [BOLT-8] tells them apart. What is sent in one turn of the loop thus
shares frames, masks and system calls, and nothing has to wait for anything.
"""

from collections.abc import Iterable, Iterator

from channeld.wire.limits import MAX_MESSAGE_BYTES
from channeld.wire.malformed import MalformedMessage
from channeld.wire.noise import (
    MAX_PLAINTEXT_BYTES,
    SEALED_LENGTH_BYTES,
    SEALED_OVERHEAD_BYTES,
    Transport,
)

_LAST = b"\x00"
_MORE = b"\x01"
_PART_BYTES = MAX_PLAINTEXT_BYTES - 1
_TAG_BYTES = SEALED_OVERHEAD_BYTES - SEALED_LENGTH_BYTES

# One full Noise message: a reader never buffers more than this before it has checked a seal.
MAX_FRAME_BYTES = MAX_PLAINTEXT_BYTES + SEALED_OVERHEAD_BYTES


def seal_frames(noise: Transport, messages: Iterable[bytes]) -> Iterator[bytes]:
    """The frames that carry `messages` (each of 1 to MAX_MESSAGE_BYTES bytes), in order.

    Lazy, and each frame must be sent once it is taken: its nonces are spent.
    """
    frame: list[bytes] = []
    size = 0
    for message in messages:
        for part in _parts(message):
            sealed = noise.seal(part)
            if size + len(sealed) > MAX_FRAME_BYTES:
                yield b"".join(frame)
                frame, size = [], 0
            frame.append(sealed)
            size += len(sealed)
    if frame:
        yield b"".join(frame)


def _parts(message: bytes) -> Iterator[bytes]:
    assert 0 < len(message) <= MAX_MESSAGE_BYTES, f"a message of {len(message)} bytes"
    if len(message) <= _PART_BYTES:
        yield _LAST + message
        return
    end = (len(message) - 1) // _PART_BYTES * _PART_BYTES
    for start in range(0, end, _PART_BYTES):
        yield _MORE + message[start : start + _PART_BYTES]
    yield _LAST + message[end:]


class FrameReader:
    """Frames in, messages out; holds at most one unfinished message."""

    __slots__ = ("_held", "_held_bytes", "_noise")

    def __init__(self, noise: Transport) -> None:
        self._noise = noise
        self._held: list[bytes] = []
        self._held_bytes = 0

    def open(self, frame: bytes) -> Iterator[bytes]:
        """The messages that `frame` completes, one by one.

        Raises MalformedMessage or BadSeal (both PeerViolation); the connection is of no use afterwards.
        """
        if not 0 < len(frame) <= MAX_FRAME_BYTES:
            raise MalformedMessage("frame", f"1 to {MAX_FRAME_BYTES} bytes", f"{len(frame)} bytes")
        position = 0
        while position < len(frame):
            body = position + SEALED_LENGTH_BYTES
            if body > len(frame):
                raise MalformedMessage(
                    "frame", f"{SEALED_LENGTH_BYTES} bytes of sealed length", f"{len(frame) - position}"
                )
            end = body + self._noise.open_length(frame[position:body]) + _TAG_BYTES
            if end > len(frame):
                raise MalformedMessage("frame", f"{end - body} bytes of body", f"{len(frame) - body}")
            message = self._join(self._noise.open_body(frame[body:end]))
            position = end
            if message is not None:
                yield message

    def _join(self, part: bytes) -> bytes | None:
        """The message that `part` ends, if it does."""
        header, payload = part[:1], part[1:]
        if header == _MORE:
            if len(payload) != _PART_BYTES:
                raise MalformedMessage("part", f"{_PART_BYTES} bytes before another", f"{len(payload)} bytes")
        elif header != _LAST:
            raise MalformedMessage("part", "header 0 or 1", "no header" if not header else f"{header[0]}")
        elif not payload:
            raise MalformedMessage("part", "at least one byte", "an empty end")
        size = self._held_bytes + len(payload)
        # Checked before it is kept: this is what bounds the memory of a connection.
        if size > MAX_MESSAGE_BYTES:
            raise MalformedMessage("message", f"at most {MAX_MESSAGE_BYTES} bytes", f"{size} or more")
        if header == _MORE:
            self._held.append(payload)
            self._held_bytes = size
            return None
        if not self._held:
            return payload
        message = b"".join((*self._held, payload))
        self._held = []
        self._held_bytes = 0
        return message
