"""The public Lightning network of 3 February 2026 (50,808 channels), as real data for graph and search.

Read from the shared data beside the repository, never copied into it. Lightning's blocks become
seconds at ten minutes each; its units (msat) stay.
"""

import csv
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from routing.edge import Asset
from routing.graph import ChannelGraph
from routing.policy import Policy

DATA = Path(__file__).parents[1] / "../shared/data/lightning"
CHANNELS = DATA / "channels-2026-02-03.csv.xz"
NODES = DATA / "nodes-2026-02-03.txt.xz"
BITCOIN = Asset(0, bytes(20))
BLOCK_S = 600


@dataclass(frozen=True, slots=True)
class Direction:
    """One row: a direction of a channel and the policy of the node that sends over it (msat)."""

    channel_id: bytes
    from_node: bytes
    to_node: bytes
    capacity_msat: int
    policy: Policy


def address_of(node: bytes) -> bytes:
    """Lightning nodes have no address on an EVM chain; any injective derivation serves."""
    return sha256(node).digest()[:20]


def directions() -> Iterator[Direction]:
    """Every row. Raises FileNotFoundError where the shared data is absent."""
    with lzma.open(NODES, "rt", encoding="utf-8") as lines:
        nodes = [bytes.fromhex(line.split(":", 2)[1]) for line in lines]
    with lzma.open(CHANNELS, "rt", encoding="ascii") as lines:
        rows = csv.reader(lines)
        next(rows)
        for row in rows:
            channel, source, target, capacity_sat, disabled, least, most, base, ppm, blocks = map(int, row)
            policy = Policy(base, ppm, 0, least, most, blocks * BLOCK_S, not disabled, 1)
            channel_id = sha256(channel.to_bytes(4, "big")).digest()
            yield Direction(channel_id, nodes[source], nodes[target], capacity_sat * 1000, policy)


def fill(graph: ChannelGraph, rows: list[Direction]) -> None:
    """Feed the rows to the graph as chain events and signed policies."""
    for row in rows:
        a, b = sorted((row.from_node, row.to_node))
        graph.channel_opened(
            row.channel_id,
            address_of(a),
            address_of(b),
            BITCOIN.address,
            row.capacity_msat,
            BITCOIN.chain_id,
        )
        graph.policy_set(row.channel_id, row.from_node, row.policy)
