"""The one file that holds keys: signing, key agreement, and the encrypted file they rest in.

One secp256k1 key is both the node's identity (its compressed public key, in Noise) and its account
on the chain (the address derived from it), so that a channel's on-chain address proves its node.

Nothing here is logged, and no object shows its key: not in repr, not by pickling or copying.
"""

import hashlib
import hmac
import json
import os
import secrets
import uuid
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from coincurve import PrivateKey, PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from channeld.core.errors import OperationalError, PeerViolation, Rejected
from channeld.wire.eip712 import keccak
from channeld.wire.evm_transaction import TransactionFields, raw_transaction, transaction_digest
from channeld.wire.json_strict import parse_json

SIGNATURE_BYTES = 64
PUBLIC_KEY_BYTES = 33
GROUP_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
HALF_ORDER_BYTES = (GROUP_ORDER // 2).to_bytes(32, "big")

PASSWORD_VARIABLE = "CHANNELD_PASSWORD"

SCRYPT_N = 2**18
"""Ethereum's standard: 256 MiB and about a second for each guess of a password."""
SCRYPT_R = 8
MAX_SCRYPT_BYTES = 2**30
"""A keystore that asks for more than 1 GiB was not made by any wallet: it would only kill us."""
MAX_PBKDF2_ITERATIONS = 10_000_000
"""Ten times what wallets use; more is a file that never opens."""
MAX_KNOWN_KEYS = 10_000
"""Node ids whose addresses are remembered, 2 MB: a square root for each invoice and policy costs more."""
MAX_KEYSTORE_BYTES = 16_384
"""A V3 keystore has about 500 bytes."""
MAX_PASSWORD_BYTES = 1_024
"""Longer than any password; a wrong path (a log, a database) is noticed instead of read."""


class Signer:
    """Signs with one secp256k1 key. `address` has 20 bytes, `public_key` 33 (compressed)."""

    __slots__ = ("_key", "address", "public_key")

    def __init__(self, secret: bytes) -> None:
        """Raises Rejected unless `secret` is 32 bytes between 1 and the group's order less 1."""
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < GROUP_ORDER:
            raise Rejected("expected a secret key of 32 bytes within the group's order of secp256k1")
        self._key = PrivateKey(secret)
        self.public_key: bytes = self._key.public_key.format(compressed=True)
        self.address: bytes = _address(self._key.public_key)

    @classmethod
    def generate(cls) -> "Signer":
        """A signer whose new key is nowhere but in this process."""
        return cls(_new_secret())

    def sign_digest(self, digest: bytes) -> bytes:
        """A deterministic low-s signature of 32 bytes, as [EIP-2098] (r, vs): 64 bytes."""
        signature = self._key.sign_recoverable(digest, hasher=None)
        if signature[64] == 0:
            return signature[:64]
        return signature[:32] + bytes([signature[32] | 0x80]) + signature[33:64]

    def ecdh(self, public_key: bytes) -> bytes:
        """sha256 of the compressed shared point ([BOLT-8]). Raises PeerViolation on a bad point."""
        if len(public_key) != PUBLIC_KEY_BYTES:
            raise PeerViolation(f"expected a public key of 33 bytes, got {len(public_key)}")
        try:
            return self._key.ecdh(public_key)
        except ValueError as error:
            raise PeerViolation("expected a public key on secp256k1, got 33 bytes off the curve") from error

    def sign_transaction(self, fields: TransactionFields) -> bytes:
        """The raw transaction of type 2, ready for eth_sendRawTransaction."""
        return raw_transaction(fields, self.sign_digest(transaction_digest(fields)))

    def __repr__(self) -> str:
        return f"Signer(0x{self.address.hex()})"

    def __reduce__(self) -> NoReturn:
        """Stops a key from leaving by pickle, copy or a process pool."""
        raise TypeError("a Signer is never copied or pickled")


def _new_secret() -> bytes:
    """Uniform between 1 and the group's order less 1, from the operating system's randomness."""
    return (1 + secrets.randbelow(GROUP_ORDER - 1)).to_bytes(32, "big")


def _address(public_key: PublicKey) -> bytes:
    return keccak(public_key.format(compressed=False)[1:])[12:]


@lru_cache(MAX_KNOWN_KEYS)
def address_of(public_key: bytes) -> bytes:
    """The 20-byte address of a node id (33 bytes). Raises PeerViolation if it is no point."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise PeerViolation(f"expected a public key of 33 bytes, got {len(public_key)}")
    try:
        return _address(PublicKey(public_key))
    except ValueError as error:
        raise PeerViolation("expected a public key on secp256k1, got 33 bytes off the curve") from error


def recover(digest: bytes, signature: bytes) -> bytes:
    """The 20-byte address that signed 32 bytes. Raises PeerViolation if nobody could have.

    A high s is refused, as the contract refuses it: else anybody could turn one valid signature into
    a second one, and what we hold as proof would not be what the chain accepts.
    """
    return _address(_recovered_key(digest, signature))


def recover_public_key(digest: bytes, signature: bytes) -> bytes:
    """As `recover`, but the compressed public key (33 bytes): the node id."""
    return _recovered_key(digest, signature).format(compressed=True)


def _recovered_key(digest: bytes, signature: bytes) -> PublicKey:
    if len(signature) != SIGNATURE_BYTES or len(digest) != 32:
        raise PeerViolation(
            f"expected a signature of 64 bytes over 32, got {len(signature)} over {len(digest)}"
        )
    top = signature[32]
    s = bytes([top & 0x7F]) + signature[33:]
    if s > HALF_ORDER_BYTES:
        raise PeerViolation("expected a signature with a low s, got a high one")
    try:
        return PublicKey.from_signature_and_message(
            signature[:32] + s + (b"\x01" if top & 0x80 else b"\x00"), digest, hasher=None
        )
    except Exception as error:  # coincurve raises ValueError or bare Exception, by the stage that failed
        raise PeerViolation("expected a recoverable signature, got 64 bytes that no key signs") from error


def verify(digest: bytes, signature: bytes, address: bytes) -> bool:
    """Whether `address` (20 bytes) signed the digest; False for anything malformed."""
    try:
        return recover(digest, signature) == address
    except PeerViolation:
        return False


def verify_node(node: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether the node with this id (33 bytes) signed the digest; False for anything malformed."""
    try:
        return recover_public_key(digest, signature) == node
    except PeerViolation:
        return False


# --- the encrypted file ---------------------------------------------------------------------------


def read_password(
    *, file: Path | None, environment: Mapping[str, str], prompt: Callable[[], str] | None
) -> str:
    """The password of the keystore, from the first of: file, environment, prompt.

    What was said for this run goes before what lies around: a named file (its first line), then the
    variable CHANNELD_PASSWORD, then the prompt (None where nobody is there to answer). An empty
    password is refused. Raises Rejected, which never repeats what was read.
    """
    if file is not None:
        password, source = _password_from_file(file), str(file)
    elif PASSWORD_VARIABLE in environment:
        password, source = environment[PASSWORD_VARIABLE], PASSWORD_VARIABLE
    elif prompt is not None:
        password, source = prompt(), "the prompt"
    else:
        raise Rejected(f"expected a password: name a password file or set {PASSWORD_VARIABLE}")
    if not 0 < len(password.encode(errors="surrogatepass")) <= MAX_PASSWORD_BYTES:
        raise Rejected(f"expected a password of 1 to {MAX_PASSWORD_BYTES} bytes from {source}")
    return password


def _password_from_file(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            line = stream.readline(MAX_PASSWORD_BYTES + 3)
        return line.decode("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected(f"expected a readable password file at {file}: {type(error).__name__}") from error


def create_keystore(
    path: Path, password: str, *, secret: bytes | None = None, scrypt_n: int = SCRYPT_N
) -> Signer:
    """Make a key (or take `secret`, 32 bytes) and write it to `path`, encrypted, mode 0600.

    The file appears whole or not at all and never replaces another one: overwriting a key loses what
    it owns. Raises Rejected if `path` exists, OperationalError if the disk refuses.
    """
    if secret is None:
        secret = _new_secret()
    signer = Signer(secret)
    if path.exists():
        raise Rejected(f"expected no file at {path}: a keystore is never overwritten")
    _write_new_file(path, json.dumps(_encrypted(secret, signer.address, password, scrypt_n)).encode())
    return signer


def load_keystore(path: Path, password: str) -> Signer:
    """The signer in a V3 keystore (scrypt or pbkdf2). Takes about a second by design.

    Raises Rejected for a missing or malformed file, a wrong password, or a key that does not belong
    to the address written in the file.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_KEYSTORE_BYTES + 1)
    except OSError as error:
        raise Rejected(f"expected a readable keystore at {path}: {type(error).__name__}") from error
    if len(text) > MAX_KEYSTORE_BYTES:
        raise Rejected(f"expected a keystore of at most {MAX_KEYSTORE_BYTES} bytes at {path}")
    try:
        document: Any = parse_json(text)
        secret = _decrypted(document, password)
        named = document.get("address")
        expected = bytes.fromhex(named.removeprefix("0x")) if named is not None else None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Rejected(f"expected an Ethereum keystore, version 3, at {path}: {error}") from error
    if secret is None:
        raise Rejected(f"wrong password for the keystore {path}")
    signer = Signer(secret)
    if expected is not None and signer.address != expected:
        raise Rejected(f"expected the key of 0x{expected.hex()} in {path}, got that of {signer!r}")
    return signer


def _encrypted(secret: bytes, address: bytes, password: str, scrypt_n: int) -> dict[str, Any]:
    """The keystore V3 document ([Web3 Secret Storage], version 3: scrypt, AES-128-CTR, keccak MAC)."""
    salt, iv = secrets.token_bytes(32), secrets.token_bytes(16)
    params = {"dklen": 32, "n": scrypt_n, "r": SCRYPT_R, "p": 1, "salt": salt.hex()}
    derived = _derived_key("scrypt", params, password)
    ciphertext = _aes_128_ctr(derived[:16], iv, secret)
    crypto = {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": iv.hex()},
        "ciphertext": ciphertext.hex(),
        "kdf": "scrypt",
        "kdfparams": params,
        "mac": keccak(derived[16:32] + ciphertext).hex(),
    }
    return {"address": address.hex(), "crypto": crypto, "id": str(uuid.uuid4()), "version": 3}


def _decrypted(document: dict[str, Any], password: str) -> bytes | None:
    """The secret, or None if the password is wrong. Raises ValueError & co. on a malformed file."""
    if document["version"] != 3:
        raise ValueError(f"expected version 3, got {document['version']!r:.20}")
    crypto = document["crypto"] if "crypto" in document else document["Crypto"]  # old wallets capitalise
    if crypto["cipher"] != "aes-128-ctr":
        raise ValueError(f"expected the cipher aes-128-ctr, got {crypto['cipher']!r:.20}")
    derived = _derived_key(crypto["kdf"], crypto["kdfparams"], password)
    ciphertext, iv = bytes.fromhex(crypto["ciphertext"]), bytes.fromhex(crypto["cipherparams"]["iv"])
    if not hmac.compare_digest(keccak(derived[16:32] + ciphertext), bytes.fromhex(crypto["mac"])):
        return None
    return _aes_128_ctr(derived[:16], iv, ciphertext)


def _derived_key(kdf: str, params: dict[str, Any], password: str) -> bytes:
    salt, length = bytes.fromhex(params["salt"]), params["dklen"]
    if length != 32:
        raise ValueError(f"expected a derived key of 32 bytes, got {length!r:.20}")
    if kdf == "scrypt":
        n, r, p = params["n"], params["r"], params["p"]
        memory_bytes = 128 * r * (n + p)
        if not 0 < memory_bytes <= MAX_SCRYPT_BYTES or not 0 < p <= 16:
            raise ValueError(
                f"expected scrypt to need at most {MAX_SCRYPT_BYTES} bytes, got n={n} r={r} p={p}"
            )
        return hashlib.scrypt(
            password.encode(), salt=salt, n=n, r=r, p=p, maxmem=memory_bytes + 2**20, dklen=32
        )
    if kdf == "pbkdf2":
        rounds, prf = params["c"], params["prf"]
        if prf != "hmac-sha256" or not 0 < rounds <= MAX_PBKDF2_ITERATIONS:
            raise ValueError(f"expected hmac-sha256 and at most {MAX_PBKDF2_ITERATIONS} rounds, got {rounds}")
        return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds, 32)
    raise ValueError(f"expected the kdf scrypt or pbkdf2, got {kdf!r:.20}")


def _aes_128_ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    """Encrypts and decrypts alike."""
    context = Cipher(algorithms.AES128(key), modes.CTR(iv)).encryptor()
    return context.update(data) + context.finalize()


def _write_new_file(path: Path, content: bytes) -> None:
    """Write durably under a temporary name, then link it into place: link() fails if `path` exists."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.link(temporary, path)
        finally:
            temporary.unlink()
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except FileExistsError as error:
        raise Rejected(f"expected no file at {path}: a keystore is never overwritten") from error
    except OSError as error:
        raise OperationalError(f"expected to write the keystore {path}: {error.strerror}") from error
