"""Keccak-256 for the development chain."""

from sha3 import keccak_256


def keccak256(data: bytes) -> bytes:
    """32 bytes."""
    digest: bytes = keccak_256(data).digest()
    return digest
