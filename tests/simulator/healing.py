"""The end of every life: the network heals, and nothing may stay open."""

from typing import TYPE_CHECKING

from channeld.core.channel import Channel, Phase
from channeld.core.events import CloseRequested
from tests.simulator import faults
from tests.simulator.judge import GRACE_S

if TYPE_CHECKING:
    from tests.simulator.life import Life
    from tests.simulator.node import SimulatedNode

BEGINNING_S = 300
RESOLVED_S = 14_000
"""A dispute begun after the last price is over by then, with all that its claims have to wait for."""


async def settle_in(life: "Life") -> None:
    """Everybody sees the channels open and has met its neighbours."""

    def ready() -> bool:
        return all(
            channel.phase is Phase.OPEN and channel.channel_id in node.tables.online
            for node in life.nodes
            for channel in node.channels()
        ) and all(node.channels() for node in life.nodes)

    if not await life.run_until(ready, BEGINNING_S):
        life.fail("the channels never opened")


async def heal(life: "Life") -> None:
    life.note("heals", "")
    life.network.troubled = False
    life.mischief.ends()
    life.chain.spike_until_ms = 0
    for node in life.nodes:
        node.stuck = False
        node.wall_offset_s = 0.0
        node.effects_left = node.transactions_left = 0
        node.journal.die(0, before=False)
    life.idle = True
    _keep_together(life)
    # Some leave those who are gone only when no price counts any more: their options were not to lapse.
    last_s = max(life.market.expiries) + life.dice.pick((2_500, GRACE_S + 900))
    await life.run_until(lambda: False, last_s - life.now_s)
    for node in life.honest():
        for channel in node.channels():
            if _is_hopeless(life, node, channel):
                life.note("leaves", f"{node.name} {channel.channel_id.hex()[:8]}")
                node.ask(CloseRequested(channel.channel_id, True))
    if not await life.run_until(lambda: not life.judge.unresolved(), RESOLVED_S):
        life.fail("not resolved: " + "\n  ".join(life.judge.unresolved()))


def _keep_together(life: "Life") -> None:
    for node in life.nodes:
        if not node.alive and not node.vanished:
            faults.revive(life, node)
    for link in life.network.links.values():
        life.network.connect(link)
    life.after(30_000, lambda: _keep_together(life))


def _is_hopeless(life: "Life", node: "SimulatedNode", channel: Channel) -> bool:
    """An operator leaves whoever is gone, or forgets, or lies."""
    if channel.phase in (Phase.CLOSED, Phase.DISPUTED, Phase.RECOVERED) or node.forgetful:
        return False
    peer = life.by_id.get(channel.peer)
    return peer is None or not peer.honest or peer.forgetful
