"""Messages of any allowed size cross; anything else ends the connection, and holds no memory."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channeld.core.errors import PeerViolation
from channeld.wire.framing import MAX_FRAME_BYTES, FrameReader, seal_frames
from channeld.wire.limits import MAX_MESSAGE_BYTES
from channeld.wire.malformed import MalformedMessage
from tests.wire.noise_cast import connected

PART_BYTES = 65_534  # what one part carries


def cross(messages: list[bytes]) -> list[bytes]:
    alice, bob = connected()
    reader = FrameReader(bob)
    return [message for frame in seal_frames(alice, messages) for message in reader.open(frame)]


@settings(max_examples=50)
@given(st.lists(st.binary(min_size=1, max_size=3000), max_size=40))
def test_messages_arrive_whole_and_in_order(messages: list[bytes]) -> None:
    assert cross(messages) == messages


@pytest.mark.parametrize(
    "size",
    [1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 2 * PART_BYTES + 1, MAX_MESSAGE_BYTES],
)
def test_sizes_around_the_cuts(size: int) -> None:
    message = bytes(range(256)) * (size // 256 + 1)
    assert cross([b"before", message[:size], b"after"]) == [b"before", message[:size], b"after"]


def test_small_messages_share_a_frame_and_no_frame_is_too_big() -> None:
    alice, _ = connected()
    assert len(list(seal_frames(alice, [b"tick"] * 100))) == 1
    frames = list(seal_frames(alice, [bytes(1000)] * 200))
    assert len(frames) == 4
    assert max(map(len, frames)) <= MAX_FRAME_BYTES
    assert list(seal_frames(alice, [])) == []


@pytest.mark.parametrize("size", [0, MAX_MESSAGE_BYTES + 1])
def test_we_never_send_what_a_peer_would_refuse(size: int) -> None:
    alice, _ = connected()
    with pytest.raises(AssertionError):
        list(seal_frames(alice, [bytes(size)]))


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([b""], "no header"),
        ([b"\x02x"], "header 0 or 1, got 2"),
        ([b"\x00"], "an empty end"),
        ([b"\x01short"], "65534 bytes before another, got 5"),
        ([b"\x01"], "65534 bytes before another, got 0"),
        ([b"\x01" + bytes(PART_BYTES), b"\x00"], "an empty end"),
        ([b"\x01" + bytes(PART_BYTES)] * 17, "at most 1048576 bytes"),
        ([b"\x01" + bytes(PART_BYTES)] * 16 + [b"\x00" + bytes(33)], "at most 1048576 bytes"),
    ],
)
def test_mallory_cuts_badly(parts: list[bytes], reason: str) -> None:
    mallory, bob = connected()
    reader = FrameReader(bob)
    for part in parts[:-1]:
        assert list(reader.open(mallory.seal(part))) == []
    with pytest.raises(MalformedMessage, match=reason):
        list(reader.open(mallory.seal(parts[-1])))


@pytest.mark.parametrize(
    ("cut", "reason"),
    [
        (0, "1 to 65569 bytes"),
        (17, "sealed length"),
        (18, "21 bytes of body, got 0"),
        (38, "of body, got 20"),
    ],
)
def test_half_a_frame_is_refused(cut: int, reason: str) -> None:
    alice, bob = connected()
    (frame,) = seal_frames(alice, [b"ping"])
    with pytest.raises(MalformedMessage, match=reason):
        list(FrameReader(bob).open(frame[:cut]))


def test_an_oversize_frame_is_refused_unopened() -> None:
    _, bob = connected()
    with pytest.raises(MalformedMessage, match="1 to 65569 bytes, got 65570"):
        list(FrameReader(bob).open(bytes(MAX_FRAME_BYTES + 1)))


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_random_frames_are_violations(frame: bytes) -> None:
    _, bob = connected_once
    with pytest.raises(PeerViolation):
        list(FrameReader(bob).open(frame))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_is_a_violation_and_never_another_message(position: int, change: int) -> None:
    alice, bob = connected()
    sent = [b"one", b"two" * 100, b"three"]
    (frame,) = seal_frames(alice, sent)
    at = position % len(frame)
    received = []
    with pytest.raises(PeerViolation):
        for message in FrameReader(bob).open(frame[:at] + bytes([frame[at] ^ change]) + frame[at + 1 :]):
            received.append(message)
    assert received == sent[: len(received)]


connected_once = connected()
