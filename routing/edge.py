"""The small values that graph and search share: an asset on a chain, and one direction of a channel."""

from dataclasses import dataclass

from routing.policy import Policy


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset is an address *on a chain*: the zero address is ether on each, and worth different things."""

    chain_id: int
    address: bytes


@dataclass(frozen=True, slots=True)
class Edge:
    """One direction of a usable channel: both ends have signed a policy.

    `policy` is signed by `from_node` for sending to `to_node`; `back` is the other end's, for the
    opposite direction. `capacity` is the sum of both deposits, in the asset's smallest unit.
    """

    channel_id: bytes
    from_node: bytes
    to_node: bytes
    asset: Asset
    capacity: int
    policy: Policy
    back: Policy
