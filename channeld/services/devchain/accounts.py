"""Development accounts: anybody can compute their keys, so they hold play money only."""

from dataclasses import dataclass

from coincurve import PrivateKey

from channeld.services.devchain.hashing import keccak256

# A domain of their own: no wallet derives these keys from any seed phrase.
LABEL = "channeld development account "


@dataclass(frozen=True, slots=True)
class DevAccount:
    """`address` is 20 bytes, `key` the 32-byte private key."""

    address: bytes
    key: bytes


def address_of(key: bytes) -> bytes:
    """The 20-byte address of a 32-byte private key: the tail of keccak256(public key)."""
    return keccak256(PrivateKey(key).public_key.format(compressed=False)[1:])[12:]


def development_account(name: str) -> DevAccount:
    """The account whose key is keccak256(label and name)."""
    key = keccak256((LABEL + name).encode())
    return DevAccount(address_of(key), key)


def development_accounts(count: int) -> tuple[DevAccount, ...]:
    return tuple(development_account(str(index)) for index in range(count))


# Pays `dev_faucet`; its own account, so that its nonces disturb nobody.
FAUCET = development_account("faucet")
# Block rewards go to an account that nobody here uses, so that fees never blur a balance under test.
COINBASE = development_account("coinbase").address
