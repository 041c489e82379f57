"""[EIP-712] from its text: any typed data, field by field. Slow, and independent of the product."""

from collections.abc import Mapping

from eth_abi.abi import encode
from eth_utils.crypto import keccak

Fields = list[tuple[str, str]]


def encode_type(name: str, fields: Fields) -> bytes:
    return f"{name}({','.join(f'{kind} {field}' for kind, field in fields)})".encode()


def hash_struct(name: str, fields: Fields, data: Mapping[str, object]) -> bytes:
    encoded = keccak(encode_type(name, fields))
    for kind, field in fields:
        value = data[field]
        if kind == "string":
            assert isinstance(value, str)
            encoded += keccak(value.encode())
        else:
            encoded += encode([kind], [value])
    return keccak(encoded)


def digest(
    domain: tuple[Fields, Mapping[str, object]], name: str, fields: Fields, data: Mapping[str, object]
) -> bytes:
    """keccak256("\\x19\\x01" ‖ domainSeparator ‖ hashStruct(message))."""
    return keccak(b"\x19\x01" + hash_struct("EIP712Domain", *domain) + hash_struct(name, fields, data))


CHAIN_DOMAIN: Fields = [
    ("string", "name"),
    ("string", "version"),
    ("uint256", "chainId"),
    ("address", "verifyingContract"),
]
FREE_DOMAIN: Fields = [("string", "name"), ("string", "version")]
STATE: Fields = [("bytes32", "channel"), ("uint64", "version"), ("int128", "net"), ("bytes32", "claims")]
CLOSE: Fields = [("bytes32", "channel"), ("uint64", "counter"), ("int128", "net"), ("uint40", "until")]
WITHDRAW: Fields = [
    ("bytes32", "channel"),
    ("uint64", "counter"),
    ("uint96", "to_a"),
    ("uint96", "to_b"),
    ("uint40", "until"),
]
START: Fields = [("bytes32", "channel"), ("address", "holder"), ("uint64", "minimum"), ("uint40", "until")]
PRICE: Fields = [("bytes32", "feed"), ("uint40", "timestamp"), ("uint128", "price")]
