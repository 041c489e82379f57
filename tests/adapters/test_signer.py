"""Alice's key signs what the chain accepts, agrees on secrets, and is never seen."""

import copy
import hashlib
import io
import json
import logging
import os
import pickle
import stat
from pathlib import Path

import eth_keyfile
import pytest
import rlp
from coincurve import PublicKey
from eth_keys import keys
from hypothesis import given
from hypothesis import strategies as st

from channeld.adapters.signer import (
    GROUP_ORDER,
    Signer,
    address_of,
    create_keystore,
    load_keystore,
    read_password,
    recover,
    recover_public_key,
    verify,
    verify_node,
)
from channeld.core.errors import ChanneldError, OperationalError, PeerViolation, Rejected
from channeld.wire.eip712 import keccak
from channeld.wire.evm_transaction import TransactionFields, created_address

FAST_N = 2**4  # the work factor is not what these tests are about

ALICE_SECRET = hashlib.sha256(b"alice").digest()
ALICE = Signer(ALICE_SECRET)
BOB = Signer(hashlib.sha256(b"bob").digest())
DIGEST = keccak(b"a state that both sign")


def test_the_address_and_node_id_are_those_of_the_key() -> None:
    reference = keys.PrivateKey(ALICE_SECRET).public_key
    assert ALICE.address == reference.to_canonical_address()
    assert ALICE.public_key == reference.to_compressed_bytes()
    assert address_of(ALICE.public_key) == ALICE.address


@given(secret=st.integers(1, GROUP_ORDER - 1), digest=st.binary(min_size=32, max_size=32))
def test_what_is_signed_is_recovered_and_agrees_with_a_second_implementation(
    secret: int, digest: bytes
) -> None:
    signer = Signer(secret.to_bytes(32, "big"))
    signature = signer.sign_digest(digest)
    assert recover(digest, signature) == signer.address
    assert recover_public_key(digest, signature) == signer.public_key
    assert verify(digest, signature, signer.address)
    reference = keys.PrivateKey(secret.to_bytes(32, "big")).sign_msg_hash(digest)
    vs = reference.v << 255 | reference.s
    assert signature == reference.r.to_bytes(32, "big") + vs.to_bytes(32, "big")


def test_a_signature_proves_one_digest_and_one_signer() -> None:
    signature = ALICE.sign_digest(DIGEST)
    assert not verify(DIGEST, signature, BOB.address)
    assert not verify(keccak(b"another state"), signature, ALICE.address)
    assert verify_node(ALICE.public_key, DIGEST, signature)
    assert not verify_node(BOB.public_key, DIGEST, signature)
    assert not verify_node(ALICE.public_key, keccak(b"another state"), signature)
    assert not verify_node(ALICE.public_key, DIGEST, signature[:-1])


def test_mallory_cannot_make_a_second_signature_from_the_first() -> None:
    signature = ALICE.sign_digest(DIGEST)
    vs = int.from_bytes(signature[32:], "big")
    s, parity = vs & (2**255 - 1), vs >> 255
    high_s = GROUP_ORDER - s
    # EIP-2098 has 255 bits for s: only a twin that fits can be written at all
    twin = signature[:32] + ((1 - parity) << 255 | (high_s & (2**255 - 1))).to_bytes(32, "big")
    assert not verify(DIGEST, twin, ALICE.address)
    above_half = signature[:32] + (GROUP_ORDER // 2 + 1).to_bytes(32, "big")
    with pytest.raises(PeerViolation, match="low s"):
        recover(DIGEST, above_half)


@pytest.mark.parametrize(
    "signature",
    [
        bytes(64),
        b"\xff" * 32 + bytes(31) + b"\x01",
        GROUP_ORDER.to_bytes(32, "big") + bytes(31) + b"\x01",
        bytes(31) + b"\x01" + bytes(32),
        bytes(63),
        bytes(65),
        b"",
    ],
    ids=["zero", "r above the field", "r = order", "s = 0", "short", "long", "empty"],
)
def test_mallory_sends_bytes_that_are_no_signature(signature: bytes) -> None:
    with pytest.raises(PeerViolation, match="expected"):
        recover(DIGEST, signature)
    assert not verify(DIGEST, signature, ALICE.address)


@given(signature=st.binary(min_size=64, max_size=64), digest=st.binary(max_size=40))
def test_any_bytes_are_refused_as_a_violation_or_recovered(signature: bytes, digest: bytes) -> None:
    try:
        assert len(recover(digest, signature)) == 20
    except PeerViolation:
        assert not verify(digest, signature, ALICE.address)


def test_alice_and_bob_agree_on_the_sha256_of_the_shared_point() -> None:
    shared = ALICE.ecdh(BOB.public_key)
    assert shared == BOB.ecdh(ALICE.public_key)
    point = PublicKey(BOB.public_key).multiply(ALICE_SECRET)
    assert shared == hashlib.sha256(point.format(compressed=True)).digest()


@pytest.mark.parametrize(
    "point", [b"", bytes(33), b"\x02" + b"\xff" * 32, b"\x04" + bytes(64), b"\x05" + bytes(32)]
)
def test_mallory_sends_a_point_that_is_none(point: bytes) -> None:
    with pytest.raises(PeerViolation):
        ALICE.ecdh(point)
    with pytest.raises(PeerViolation):
        address_of(point)


def _sender_of(raw: bytes) -> tuple[bytes, list[bytes]]:
    """Who a node would take for the sender, computed with the reference library."""
    assert raw[0] == 2
    items = rlp.decode(raw[1:])
    unsigned = keccak(b"\x02" + rlp.encode(items[:9]))
    parity, r, s = (int.from_bytes(item, "big") for item in items[9:])
    signature = keys.Signature(vrs=(parity, r, s))
    return signature.recover_public_key_from_msg_hash(unsigned).to_canonical_address(), items


@pytest.mark.parametrize("to", [BOB.address, None])
def test_a_transaction_carries_every_field_and_its_sender(to: bytes | None) -> None:
    fields = TransactionFields(31337, 7, 10**9, 3 * 10**9, 21_000, to, 10**18, b"\x00\x01")
    sender, items = _sender_of(ALICE.sign_transaction(fields))
    assert sender == ALICE.address
    numbers = [int.from_bytes(items[i], "big") for i in (0, 1, 2, 3, 4, 6)]
    assert numbers == [31337, 7, 10**9, 3 * 10**9, 21_000, 10**18]
    assert items[5] == (to or b"") and items[7] == b"\x00\x01" and items[8] == []


def test_the_address_of_a_created_contract_is_the_known_one() -> None:
    sender = bytes.fromhex("6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0")  # the common example of CREATE
    assert created_address(sender, 0).hex() == "cd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"
    assert created_address(sender, 1).hex() == "343c43a37d37dff08ae8c4a11544c718abb4fcf8"


# --- the keystore ---------------------------------------------------------------------------------


def test_a_keystore_opens_with_its_password_only(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    made = create_keystore(path, "correct horse", scrypt_n=FAST_N)
    assert load_keystore(path, "correct horse").address == made.address
    with pytest.raises(Rejected, match="wrong password"):
        load_keystore(path, "correct horse ")


def test_the_default_keystore_costs_what_ethereum_wallets_ask(tmp_path: Path) -> None:
    create_keystore(tmp_path / "key.json", "pässword", secret=ALICE_SECRET)
    document = json.loads((tmp_path / "key.json").read_text())
    assert document["crypto"]["kdf"] == "scrypt"
    assert document["crypto"]["kdfparams"]["n"] == 262_144
    assert eth_keyfile.decode_keyfile_json(document, "pässword".encode()) == ALICE_SECRET


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
def test_a_keystore_of_another_wallet_opens(tmp_path: Path, kdf: str) -> None:
    document = eth_keyfile.create_keyfile_json(ALICE_SECRET, b"pw", kdf=kdf, iterations=16)
    (tmp_path / "key.json").write_text(json.dumps(document))
    assert load_keystore(tmp_path / "key.json", "pw").address == ALICE.address


def test_the_published_test_vector_of_the_format_opens(tmp_path: Path) -> None:
    # [Web3 Secret Storage], the pbkdf2 test vector
    crypto = {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    }
    (tmp_path / "key.json").write_text(json.dumps({"crypto": crypto, "version": 3}))
    secret = bytes.fromhex("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d")
    assert load_keystore(tmp_path / "key.json", "testpassword").address == Signer(secret).address


def test_a_keystore_is_private_whole_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    create_keystore(path, "pw", scrypt_n=FAST_N)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(Rejected, match="never overwritten"):
        create_keystore(path, "pw", scrypt_n=FAST_N)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["key.json"]


def test_two_that_create_the_same_keystore_at_once_leave_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key.json"
    first = create_keystore(path, "pw", scrypt_n=FAST_N)
    monkeypatch.setattr(Path, "exists", lambda _path: False)  # the other process looked before we wrote
    with pytest.raises(Rejected, match="never overwritten"):
        create_keystore(path, "pw", scrypt_n=FAST_N)
    assert load_keystore(path, "pw").address == first.address
    assert os.listdir(tmp_path) == ["key.json"]


def test_a_directory_that_is_not_there_is_an_operational_error(tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match="No such file"):
        create_keystore(tmp_path / "absent" / "key.json", "pw", scrypt_n=FAST_N)


def _damaged(tmp_path: Path, **changes: object) -> Path:
    document = eth_keyfile.create_keyfile_json(ALICE_SECRET, b"pw", kdf="scrypt", iterations=FAST_N)
    document["crypto"].update(changes.pop("crypto", {}))
    document.update(changes)
    path = tmp_path / "key.json"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 4},
        {"crypto": {"cipher": "aes-256-cbc"}},
        {"crypto": {"kdf": "md5"}},
        {"crypto": {"kdfparams": {"n": 2**30, "r": 8, "p": 1, "dklen": 32, "salt": "00"}}},
        {"crypto": {"kdfparams": {"n": 16, "r": 8, "p": 1, "dklen": 16, "salt": "00"}}},
        {"crypto": {"kdfparams": {"n": "16", "r": 8, "p": 1, "dklen": 32, "salt": "00"}}},
        {
            "crypto": {
                "kdf": "pbkdf2",
                "kdfparams": {"c": 10**9, "prf": "hmac-sha256", "dklen": 32, "salt": ""},
            }
        },
        {"crypto": {"kdfparams": None}},
        {"crypto": {"mac": "zz"}},
        {"crypto": {"cipherparams": {"iv": "00"}}},
        {"address": "not hex"},
        {"address": BOB.address.hex()},
    ],
)
def test_a_malformed_keystore_is_rejected_and_shows_no_key(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(Rejected) as refusal:
        load_keystore(_damaged(tmp_path, **changes), "pw")
    assert ALICE_SECRET.hex() not in str(refusal.value)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"\xff\xfe", b"[" * 10_000, b" " * 20_000, b'{"version":3}']
)
def test_a_file_that_is_no_keystore_is_rejected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(content)
    with pytest.raises(Rejected, match="expected"):
        load_keystore(path, "pw")
    with pytest.raises(Rejected, match="expected"):
        load_keystore(tmp_path / "absent.json", "pw")


@pytest.mark.parametrize("secret", [bytes(32), GROUP_ORDER.to_bytes(32, "big"), b"\xff" * 32, b"\x01" * 31])
def test_a_number_outside_the_group_is_no_key(secret: bytes) -> None:
    with pytest.raises(Rejected):
        Signer(secret)


# --- the password ---------------------------------------------------------------------------------


def test_a_password_file_goes_before_the_environment_and_that_before_the_prompt(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from file\nsecond line\n")
    environment = {"CHANNELD_PASSWORD": "from environment"}
    assert read_password(file=file, environment=environment, prompt=lambda: "typed") == "from file"
    assert read_password(file=None, environment=environment, prompt=lambda: "typed") == "from environment"
    assert read_password(file=None, environment={}, prompt=lambda: "typed") == "typed"
    with pytest.raises(Rejected, match="CHANNELD_PASSWORD"):
        read_password(file=None, environment={}, prompt=None)


def test_an_empty_missing_or_endless_password_is_refused(tmp_path: Path) -> None:
    empty, endless, binary = tmp_path / "empty", tmp_path / "endless", tmp_path / "binary"
    empty.write_text("\n")
    endless.write_text("x" * 100_000)
    binary.write_bytes(b"\xff\xfe\xfd")
    for file in (empty, endless, binary, tmp_path / "absent"):
        with pytest.raises(Rejected):
            read_password(file=file, environment={"CHANNELD_PASSWORD": "must not be used"}, prompt=None)
    with pytest.raises(Rejected):
        read_password(file=None, environment={"CHANNELD_PASSWORD": ""}, prompt=None)


# --- nobody sees the key --------------------------------------------------------------------------


def test_no_log_no_repr_and_no_error_shows_the_key(tmp_path: Path) -> None:
    right, wrong = os.urandom(8).hex(), os.urandom(8).hex()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        path = tmp_path / "key.json"
        signer = create_keystore(path, right, secret=ALICE_SECRET, scrypt_n=FAST_N)
        signer = load_keystore(path, right)
        signer.sign_digest(DIGEST)
        signer.ecdh(BOB.public_key)
        log = logging.getLogger("channeld.test")
        log.info("signer %r %s %s", signer, signer, vars(type(signer)))
        log.info("%r", [getattr(signer, name) for name in Signer.__slots__])
        for action in (lambda: signer.ecdh(bytes(33)), lambda: load_keystore(path, wrong)):
            try:
                action()
            except ChanneldError:
                log.exception("refused")
        log.info(path.read_text())
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    seen = stream.getvalue()
    assert "refused" in seen and signer.address.hex() in seen
    number = int.from_bytes(ALICE_SECRET, "big")
    for form in (ALICE_SECRET.hex(), str(number), repr(ALICE_SECRET), right, wrong):
        assert form.lower() not in seen.lower()


def test_a_signer_is_never_pickled_or_copied() -> None:
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never"):
            leave(ALICE)
