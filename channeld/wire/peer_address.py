"""Where a peer is reached, as people write it: `PUBLIC_KEY@HOST:PORT`."""

import re

from channeld.core.errors import Rejected

_PATTERN = re.compile(
    r"(?P<key>0[23][0-9a-fA-F]{64})@(?P<host>\[[0-9a-fA-F:.]+\]|[^\s@:/?#\[\]]+):(?P<port>\d{1,5})"
)


def split_peer_address(text: str) -> tuple[bytes, str, int]:
    """A node id (33 bytes, perhaps no point of the curve), a host (IPv6 without brackets) and a port.

    Raises Rejected with the form that was expected.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise Rejected(f"expected PUBLIC_KEY@HOST:PORT with a key of 66 hex digits, got {text!r}")
    port = int(match["port"])
    if not 0 < port < 65_536:
        raise Rejected(f"expected a port from 1 to 65535, got {port}")
    return bytes.fromhex(match["key"]), match["host"].strip("[]"), port
