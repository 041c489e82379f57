"""The cast and their channels: a graph built as the daemon builds it, from chain events and policies."""

from dataclasses import replace
from hashlib import sha256

from routing.edge import Asset
from routing.graph import ChannelGraph
from routing.policy import Policy
from routing.route import Query

ETHER = Asset(1337, bytes(20))
TOKEN = Asset(1337, b"\x11" * 20)
FREE = Policy(0, 0, 0, 0, 10**18, 0, True, 1)


def node(name: str) -> bytes:
    """A node id: shaped like a compressed key."""
    return b"\x02" + sha256(name.encode()).digest()


def address_of(node_id: bytes) -> bytes:
    """Shaped like the derivation of an address; a node id of the wrong form is no key."""
    if node_id[0] not in (2, 3):
        raise ValueError(f"no key: {node_id.hex()}")
    return sha256(b"address" + node_id).digest()[:20]


def channel_id(number: int) -> bytes:
    return number.to_bytes(32, "big")


ALICE, BOB, CAROL, DAVE, MALLORY = map(node, ("alice", "bob", "carol", "dave", "mallory"))


class Town:
    """Opens channels in a graph and hands out their ids."""

    def __init__(self) -> None:
        self.graph = ChannelGraph(address_of)
        self._opened = 0

    def open(
        self,
        one: bytes,
        other: bytes,
        forth: Policy | None = FREE,
        back: Policy | None = FREE,
        capacity: int = 1_000_000,
        asset: Asset = ETHER,
        number: int | None = None,
    ) -> bytes:
        self._opened += 1
        key = channel_id(self._opened if number is None else number)
        ends = (address_of(one), address_of(other))
        self.graph.channel_opened(key, *ends, asset.address, capacity, asset.chain_id)
        for signer, policy in ((one, forth), (other, back)):
            if policy is not None:
                self.graph.policy_set(key, signer, policy)
        return key


def terms(**changes: int | bool) -> Policy:
    """A free policy but for the changes."""
    return replace(FREE, **changes)


def query(source: bytes, destination: bytes, amount: int, **changes: object) -> Query:
    plain = Query(source, destination, ETHER, amount, deadline_budget_s=86_400)
    return replace(plain, **changes)  # type: ignore[arg-type]
