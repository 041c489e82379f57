"""The handshake and the cipher against the vectors of [BOLT-8], and against mallory."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channeld.wire.noise import (
    PROLOGUE,
    BadSeal,
    HandshakeFailed,
    HandshakeFault,
    initiate,
    respond,
)
from tests.wire.noise_cast import (
    INITIATOR,
    INITIATOR_EPHEMERAL,
    LIGHTNING,
    RESPONDER,
    RESPONDER_EPHEMERAL,
    Key,
    connected,
)

VECTORS_PATH = Path(__file__).parents[2] / "../shared/data/bolt/bolt8_transport.json"
needs_vectors = pytest.mark.skipif(not VECTORS_PATH.exists(), reason="the BOLT 8 vectors are not here")
VECTORS: dict[str, Any] = json.loads(VECTORS_PATH.read_text()) if VECTORS_PATH.exists() else {"tests": []}


def steps_of(vector: dict[str, Any]) -> list[tuple[str, str]]:
    lines = (step.split(": ", 1) for step in vector["steps"] if not step.startswith("#"))
    return [(kind, value.removeprefix("0x")) for kind, value in lines]


def play(vector: dict[str, Any]) -> list[tuple[str, str]]:
    """Feed our machine the vector's inputs; the steps that come out, written as the vector's are."""
    inputs = [bytes.fromhex(value) for kind, value in steps_of(vector) if kind == "input"]
    steps: list[tuple[str, str]] = []
    try:
        if "responder" in vector["name"] or "message" in vector["name"]:
            act_two, awaiting = respond(RESPONDER, RESPONDER_EPHEMERAL, LIGHTNING).read_act_one(inputs[0])
            steps.append(("output", act_two.hex()))
            key, _ = awaiting.read_act_three(inputs[1])
            assert key == INITIATOR.public_key
        else:
            fields = {name: bytes.fromhex(value[2:]) for name, value in vector["fields"].items()}
            act_one, start = initiate(Key(fields["ls.priv"]), fields["rs.pub"], fields["e.priv"], LIGHTNING)
            steps.append(("output", act_one.hex()))
            act_three, _ = start.read_act_two(inputs[0])
            steps.append(("output", act_three.hex()))
    except HandshakeFailed as failure:
        steps.append(("output", f"ERROR ({failure.fault})"))
    return steps


@needs_vectors
def test_all_vectors_are_here() -> None:
    assert len(VECTORS["tests"]) == 15


@needs_vectors
@pytest.mark.parametrize("vector", VECTORS["tests"], ids=lambda vector: vector["name"])
def test_bolt_8_handshake(vector: dict[str, Any]) -> None:
    expected = [
        (kind, value.replace("_VERSION 1)", "_VERSION)"))
        for kind, value in steps_of(vector)
        if kind == "output" and not value.startswith(("sk,rk", "rk,sk"))  # shown by the message vectors
    ]
    assert play(vector) == expected


@needs_vectors
def test_bolt_8_messages_and_key_rotation() -> None:
    alice, bob = connected()
    expected = VECTORS["message_encryption_hello"]
    seen = {}
    for number in range(1002):
        sealed = alice.seal(b"hello")
        if str(number) in expected:
            seen[str(number)] = sealed.hex()
        assert bob.open_length(sealed[:18]) == 5
        assert bob.open_body(sealed[18:]) == b"hello"
    assert seen == expected
    assert len(seen) == 6


def test_both_directions_rotate_on_their_own() -> None:
    alice, bob = connected(PROLOGUE)
    for number in range(1600):
        sealed = alice.seal(b"%d" % number)
        bob.open_length(sealed[:18])
        assert bob.open_body(sealed[18:]) == b"%d" % number
        if number % 3 == 0:  # bob says a third of what alice says
            sealed = bob.seal(b"back")
            alice.open_length(sealed[:18])
            assert alice.open_body(sealed[18:]) == b"back"


def test_lightning_and_channeld_do_not_mix() -> None:
    act_one, _ = initiate(INITIATOR, RESPONDER.public_key, INITIATOR_EPHEMERAL, LIGHTNING)
    with pytest.raises(HandshakeFailed) as caught:
        respond(RESPONDER, RESPONDER_EPHEMERAL, PROLOGUE).read_act_one(act_one)
    assert caught.value.fault is HandshakeFault.ACT1_BAD_TAG


def test_alice_who_looks_for_carol_does_not_get_bob() -> None:
    carol = Key(b"\x31" * 32)
    act_one, _ = initiate(INITIATOR, carol.public_key, INITIATOR_EPHEMERAL)
    with pytest.raises(HandshakeFailed):
        respond(RESPONDER, RESPONDER_EPHEMERAL).read_act_one(act_one)


def test_a_message_cannot_be_replayed_reordered_or_reflected() -> None:
    alice, bob = connected()
    first, second = alice.seal(b"first"), alice.seal(b"second")
    with pytest.raises(BadSeal):
        bob.open_length(second[:18])
    with pytest.raises(BadSeal):
        alice.open_length(first[:18])
    bob.open_length(first[:18])
    bob.open_body(first[18:])
    with pytest.raises(BadSeal):
        bob.open_length(first[:18])


def test_a_refused_message_leaves_the_cipher_where_it_was() -> None:
    alice, bob = connected()
    sealed = alice.seal(b"hello")
    with pytest.raises(BadSeal):
        bob.open_length(bytes(18))
    assert bob.open_length(sealed[:18]) == 5
    with pytest.raises(BadSeal):
        bob.open_body(bytes(21))
    assert bob.open_body(sealed[18:]) == b"hello"


@given(st.binary(max_size=80))
def test_random_acts_fail_cleanly(act: bytes) -> None:
    _, initiator = initiate(INITIATOR, RESPONDER.public_key, INITIATOR_EPHEMERAL)
    with pytest.raises(HandshakeFailed):
        respond(RESPONDER, RESPONDER_EPHEMERAL).read_act_one(act)
    with pytest.raises(HandshakeFailed):
        initiator.read_act_two(act)


@given(st.integers(1, 3), st.integers(0, 65), st.integers(1, 255))
def test_one_changed_byte_in_any_act_ends_the_handshake(act: int, position: int, change: int) -> None:
    def mutate(number: int, data: bytes) -> bytes:
        if number != act:
            return data
        at = position % len(data)
        return data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]

    act_one, initiator = initiate(INITIATOR, RESPONDER.public_key, INITIATOR_EPHEMERAL)
    with pytest.raises(HandshakeFailed) as caught:
        act_two, responder = respond(RESPONDER, RESPONDER_EPHEMERAL).read_act_one(mutate(1, act_one))
        act_three, _ = initiator.read_act_two(mutate(2, act_two))
        responder.read_act_three(mutate(3, act_three))
    assert caught.value.fault.startswith(f"ACT{act}_")


def test_no_secret_is_in_a_repr() -> None:
    act_one, initiator = initiate(INITIATOR, RESPONDER.public_key, INITIATOR_EPHEMERAL)
    waiting = respond(RESPONDER, RESPONDER_EPHEMERAL)
    _, responder = waiting.read_act_one(act_one)
    for phase in (initiator, waiting, responder, connected()[0]):
        assert repr(phase).endswith(">"), "a generated repr would show keys"
        assert "key=" not in repr(phase)
