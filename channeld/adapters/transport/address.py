"""Where a peer is reached: `PUBLIC_KEY@HOST:PORT`."""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from coincurve import PublicKey

from channeld.core.errors import Rejected
from channeld.wire.peer_address import split_peer_address


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """`host` is a name or an address, IPv6 without brackets."""

    peer_id: bytes
    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ws://{host}:{self.port}/"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.peer_id.hex()}@{host}:{self.port}"


def parse_peer_address(text: str) -> PeerAddress:
    """Raises Rejected with the form that was expected."""
    peer_id, host, port = split_peer_address(text)
    try:
        PublicKey(peer_id)
    except ValueError:
        raise Rejected(f"expected a public key on secp256k1 before the @, got {peer_id.hex()}") from None
    return PeerAddress(peer_id, host, port)


def network_of(host: str) -> str:
    """What one stranger commands at least: an IPv4 address, or the /64 that every IPv6 host is given."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((address, 64), strict=False))
    return str(address)
