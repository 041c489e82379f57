"""SIGKILL after every write: the daemon resumes to the same balances."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from channeld.services.devchain.accounts import development_account
from tests.daemon.cluster import USD, cluster
from tests.daemon.mortal import Mortal
from tests.daemon.mortal_acts import (
    buys,
    closes,
    deposits,
    ends,
    everything_expires,
    is_refused,
    leaves,
    leaves_with_a_position,
    leaves_with_a_secret,
    opens,
    pays,
    settles,
)
from tests.daemon.mortal_life import NAMES, Life

SCRIPTS = {
    "bob": [
        pays("alice", "carol", 7 * USD),
        pays("carol", "alice", 5 * USD),
        pays("bob", "alice", 3 * USD),
        is_refused("alice", "carol", "bob", 2 * USD),
        buys("alice", "carol"),
        settles("alice", "carol"),
        deposits("bob", "alice"),
        opens("bob", "carol"),
        closes("alice", "bob"),
        leaves("bob", "carol"),
        everything_expires(),
    ],
    "alice": [
        pays("alice", "carol", 7 * USD),
        pays("carol", "alice", 5 * USD),
        is_refused("alice", "carol", "bob", 2 * USD),
        buys("alice", "carol"),
        everything_expires(),
        ends("alice", "bob"),
        leaves_with_a_position("alice", "bob"),
        leaves_with_a_secret("alice", "carol", 9 * USD),
    ],
    "carol": [
        pays("alice", "carol", 7 * USD),
        is_refused("alice", "carol", "bob", 2 * USD),
        buys("alice", "carol"),
        closes("carol", "bob"),
        settles("alice", "carol"),
        everything_expires(),
    ],
}


WRITTEN = {
    "bob": {"chain", "channel", "forward"},
    "alice": {"chain", "channel", "secret"},
    "carol": {"channel", "secret"},
}
"""What each must have written at least once just before it died: kinds of records. Others, and transactions
that were signed and not sent, are printed: under load several writes become one, so what an act writes once
is not sure to be the last word of a life."""


@asynccontextmanager
async def life_of(directory, mortal: str):
    """A town in which one may die; money is counted when it ends well."""
    others = [name for name in NAMES if name != mortal]
    async with cluster(directory, *NAMES, running=others, clock_skew_limit_s=10**7) as net:
        victim = Mortal(net.config(mortal), development_account(mortal).key)
        try:
            async with asyncio.TaskGroup() as lives:
                lives.create_task(victim.live_again_and_again())
                life = Life(net, mortal, victim)
                await life.begin()
                await net.price(net.now_s - 60, 4_000)
                yield life
                await victim.stop()
        finally:
            victim.destroy()


@pytest.mark.parametrize("mortal", SCRIPTS)
async def test_a_daemon_that_dies_after_every_write_resumes_to_the_same_balances(tmp_path, mortal):
    async with life_of(tmp_path, mortal) as life:
        for act in SCRIPTS[mortal]:
            writes = await life.kill_after_every_write(act)
            print(f"{mortal}: {act.name} has {writes} writes")
            await life.balances_are_right()
        # A daemon that was never killed at a kind of write has proven nothing about it.
        last_words = {kind for kinds in life.victim.deaths for kind in kinds}
        print(
            f"{mortal} died {len(life.victim.deaths)} times, after writing: {', '.join(sorted(last_words))}"
        )
        assert last_words >= WRITTEN[mortal]
