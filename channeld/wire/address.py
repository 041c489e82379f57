"""Addresses as people write them: 0x and 40 hex digits, whose capitals are a checksum [EIP-55]."""

import re

from channeld.core.errors import Rejected
from channeld.wire.eip712 import keccak

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def checksummed(address: bytes) -> str:
    """20 bytes as 0x..., a letter in capitals where the hash of the small ones has a nibble above 7."""
    small = address.hex()
    nibbles = keccak(small.encode()).hex()
    return "0x" + "".join(
        digit.upper() if nibble > "7" else digit for digit, nibble in zip(small, nibbles, strict=False)
    )


def parse_address(text: str) -> bytes:
    """20 bytes; Rejected unless well-formed and, in mixed case, without a typing error."""
    if not _ADDRESS.fullmatch(text):
        raise Rejected(f"expected an address (0x and 40 hex digits), got {text[:80]!r}")
    digits = text[2:]
    address = bytes.fromhex(digits)
    if digits not in (digits.lower(), digits.upper()) and text != checksummed(address):
        raise Rejected(f"expected the checksum of {checksummed(address)}, got {text}: mistyped?")
    return address
