"""Calldata of every call to the adjudicator and to a token ([Solidity ABI]).

Hand-rolled: the arguments are words, and two arrays. The tests hold each selector equal to the
committed ABI and each encoding equal to a reference encoder.
"""

from collections.abc import Sequence

from channeld.core.identity import ChannelParams
from channeld.wire.eip712 import Feed, keccak

NO_SIGNATURE = bytes(64)
"""For the side that is the caller itself, and for version 0."""

_PARAMS = "(address,address,address,uint256)"
_SIGNATURE = "(bytes32,bytes32)"

CALL_SIGNATURES = {
    "deposit": f"deposit({_PARAMS},bool,uint256)",
    "close": f"close({_PARAMS},int128,uint40,{_SIGNATURE},{_SIGNATURE})",
    "challenge": f"challenge({_PARAMS},uint64,int128,bytes32,{_SIGNATURE},{_SIGNATURE})",
    "respond": f"respond({_PARAMS},uint64,int128,bytes32,{_SIGNATURE},{_SIGNATURE})",
    "settle": f"settle({_PARAMS},int256,bytes32)",
    "settle_claims": f"settle_claims({_PARAMS},int256,bytes32)",
    "register_secret": "register_secret(bytes32)",
    "register_secrets": "register_secrets(bytes32[])",
    "publish_price": f"publish_price(bytes,uint40,uint128,{_SIGNATURE}[])",
    "claim_credit": "claim_credit(address,address)",
    "channels": "channels(bytes32)",
    "disputes": "disputes(bytes32)",
    "secrets": "secrets(bytes32)",
    "prices": "prices(bytes32)",
    "credits": "credits(address,address)",
}
TOKEN_SIGNATURES = {
    "approve": "approve(address,uint256)",
    "allowance": "allowance(address,address)",
    "balanceOf": "balanceOf(address)",
    "transfer": "transfer(address,uint256)",
    "decimals": "decimals()",
    "symbol": "symbol()",
}
SELECTORS = {
    name: keccak(signature.encode())[:4] for name, signature in (CALL_SIGNATURES | TOKEN_SIGNATURES).items()
}

MAX_SECRETS = 64
"""Most secrets of one register_secrets: the contract's buffer."""
UNLIMITED = 2**256 - 1
"""The allowance that most tokens never reduce."""


def _unsigned(value: int, bits: int) -> bytes:
    assert 0 <= value < 1 << bits, f"expected a number of {bits} bits, got {value}"
    return value.to_bytes(32, "big")


def _signed(value: int, bits: int) -> bytes:
    assert -(1 << bits - 1) <= value < 1 << bits - 1, f"expected a signed number of {bits} bits, got {value}"
    return value.to_bytes(32, "big", signed=True)


def _bytes32(value: bytes) -> bytes:
    assert len(value) == 32, f"expected 32 bytes, got {len(value)}"
    return value


def _address(value: bytes) -> bytes:
    assert len(value) == 20, f"expected an address of 20 bytes, got {len(value)}"
    return bytes(12) + value


def _signature(value: bytes) -> bytes:
    assert len(value) == 64, f"expected a signature of 64 bytes, got {len(value)}"
    return value


def _params(params: ChannelParams) -> bytes:
    config = _unsigned(params.config, 256)
    return _address(params.a) + _address(params.b) + _address(params.asset) + config


# --- the adjudicator ------------------------------------------------------------------------------


def deposit(params: ChannelParams, *, to_b: bool, amount: int) -> bytes:
    """Deposit for either side; opens the channel if it is the first. ETH goes as the call's value."""
    return SELECTORS["deposit"] + _params(params) + _unsigned(to_b, 1) + _unsigned(amount, 95)


def close(params: ChannelParams, net: int, until_s: int, signature_a: bytes, signature_b: bytes) -> bytes:
    """Close cooperatively: final at once."""
    agreed = _signed(net, 128) + _unsigned(until_s, 40)
    return SELECTORS["close"] + _params(params) + agreed + _signature(signature_a) + _signature(signature_b)


def challenge(
    params: ChannelParams, version: int, net: int, claims: bytes, signature_a: bytes, signature_b: bytes
) -> bytes:
    """Start the clock with a co-signed state. `claims` is the 32-byte hash of its claims."""
    return SELECTORS["challenge"] + _state(params, version, net, claims, signature_a, signature_b)


def respond(
    params: ChannelParams, version: int, net: int, claims: bytes, signature_a: bytes, signature_b: bytes
) -> bytes:
    """Answer a challenge with a higher version."""
    return SELECTORS["respond"] + _state(params, version, net, claims, signature_a, signature_b)


def _state(
    params: ChannelParams, version: int, net: int, claims: bytes, signature_a: bytes, signature_b: bytes
) -> bytes:
    state = _unsigned(version, 64) + _signed(net, 128) + _bytes32(claims)
    return _params(params) + state + _signature(signature_a) + _signature(signature_b)


def settle(params: ChannelParams, net: int, salt: bytes) -> bytes:
    """Settle a state without claims after the window. `salt` is the one of its event."""
    return SELECTORS["settle"] + _params(params) + _signed(net, 256) + _bytes32(salt)


def settle_claims(params: ChannelParams, net: int, salt: bytes, claims: bytes) -> bytes:
    """Settle a state with claims. `claims` is the whole list as words, trailing the ABI arguments."""
    assert len(claims) % 32 == 0, f"expected claims as whole words, got {len(claims)} bytes"
    arguments = _params(params) + _signed(net, 256) + _bytes32(salt)
    return SELECTORS["settle_claims"] + arguments + claims


def register_secret(preimage: bytes) -> bytes:
    """Show one secret."""
    return SELECTORS["register_secret"] + _bytes32(preimage)


def register_secrets(preimages: Sequence[bytes]) -> bytes:
    """Show up to 64 secrets; known ones are skipped."""
    assert 0 < len(preimages) <= MAX_SECRETS, f"expected 1 to {MAX_SECRETS} secrets, got {len(preimages)}"
    words = b"".join(_bytes32(preimage) for preimage in preimages)
    return SELECTORS["register_secrets"] + _unsigned(32, 256) + _unsigned(len(preimages), 256) + words


def publish_price(feed: Feed, timestamp_s: int, price: int, signatures: Sequence[bytes]) -> bytes:
    """Publish a price. `signatures` are exactly `threshold`, in the order of their signers."""
    definition = _unsigned(len(feed.definition), 256) + feed.definition
    proofs = _unsigned(len(signatures), 256) + b"".join(map(_signature, signatures))
    offsets = 4 * 32, 4 * 32 + len(definition)
    values = _unsigned(timestamp_s, 40) + _unsigned(price, 128)
    head = _unsigned(offsets[0], 256) + values + _unsigned(offsets[1], 256)
    return SELECTORS["publish_price"] + head + definition + proofs


def claim_credit(asset: bytes, to: bytes) -> bytes:
    """Fetch what could not be pushed to the caller."""
    return SELECTORS["claim_credit"] + _address(asset) + _address(to)


# --- views ----------------------------------------------------------------------------------------


def view_word(name: str, key: bytes) -> bytes:
    """A read of `channels`, `disputes`, `secrets` or `prices` by its 32-byte key."""
    return SELECTORS[name] + _bytes32(key)


def view_credits(asset: bytes, owner: bytes) -> bytes:
    """A read of what is owed to `owner`."""
    return SELECTORS["credits"] + _address(asset) + _address(owner)


# --- tokens ([EIP-20]) ----------------------------------------------------------------------------


def approve(spender: bytes, amount: int = UNLIMITED) -> bytes:
    """Let `spender` take up to `amount`."""
    return SELECTORS["approve"] + _address(spender) + _unsigned(amount, 256)


def transfer(to: bytes, amount: int) -> bytes:
    """Send tokens."""
    return SELECTORS["transfer"] + _address(to) + _unsigned(amount, 256)


def view_allowance(owner: bytes, spender: bytes) -> bytes:
    """A read of what `spender` may take."""
    return SELECTORS["allowance"] + _address(owner) + _address(spender)


def view_balance(owner: bytes) -> bytes:
    """A read of a token balance."""
    return SELECTORS["balanceOf"] + _address(owner)


def view_decimals() -> bytes:
    """A read of a token's decimals."""
    return SELECTORS["decimals"]


def view_symbol() -> bytes:
    """A read of a token's symbol."""
    return SELECTORS["symbol"]
