"""A minute of SIGKILL: alice, the hub bob and carol, each a process, die at random while they pay each other.

Everything asked for is asked for again until it is done. In the end every payment is resolved, both ends of
each channel hold the same state, and every unit is where the payments have put it, the hub's fees among them.
`CHANNELD_SEED` chooses another minute; the moments of death follow from it, what they hit does not.
"""

import asyncio
import os
import signal
import socket
import sqlite3
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from random import Random

from channeld.api.client import ApiClient
from channeld.core.channel import Channel
from channeld.core.errors import OperationalError, Rejected
from channeld.services.devchain.accounts import development_account
from channeld.wire.eip712 import domain_separator, state_digest
from channeld.wire.records import decode_record
from tests.daemon.cluster import USD, Cluster, cluster
from tests.daemon.mortal import Mortal
from tests.daemon.mortal_life import ASK_AGAIN_S, insist, until
from tests.daemon.town import PURSE, STAKE

SEED = int(os.environ.get("CHANNELD_SEED") or time.time_ns() % 10**6)
NAMES = ("alice", "bob", "carol")
KILLING_S = 60.0
LEAST_DEATHS = 3
"""Of each: on a machine too slow for that in a minute, it goes on."""

LIFE_S = (0.2, 4.0)
MOST_WRITES = 40
"""Some die by the clock, some right after one of their next writes."""

ERRANDS = (("alice", "carol"),) * 3 + (("carol", "alice"),) * 2 + (("bob", "carol"), ("alice", "bob"))
STREAMS = (("alice", "bob"), ("bob", "carol"))
PUSHED_AT_ONCE = 20
PAGE = 100
PATIENCE_S = 1.0
RESOLVED_S = 300.0
"""Once nobody dies any more it takes a second; only a failing test waits for it."""


@dataclass
class Town:
    """`paid` are the payments that somebody has seen succeed: (payer, payee, hashlock)."""

    net: Cluster
    people: dict[str, Mortal]
    random: Random
    paid: list[tuple[str, str, bytes]] = field(default_factory=list)
    pushed: Counter[tuple[str, str]] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def __getitem__(self, name: str) -> ApiClient:
        return self.people[name].commands

    def address(self, name: str) -> str:
        """Where its neighbours find a daemon in all its lives."""
        return f"{self.net.node_id(name).hex()}@127.0.0.1:{self.people[name].config.peer.listen_port}"

    async def run_errands(self, payer: str, payee: str) -> None:
        """Payment after payment, until it is over; the last one is finished."""
        while not self.over.is_set():
            amount = self.random.randrange(USD // 100, USD // 4)
            made: list[bytes] = []
            texts: list[str] = []

            async def invoiced(amount: int = amount, made: list = made, texts: list = texts) -> bool:
                (invoice,) = await self[payee].create_invoice("USD", amount, "", 86_400, 1)
                made.append(invoice.hashlock)
                texts.append(invoice.text)
                return True

            async def done(made: list = made, texts: list = texts) -> bool:
                with suppress(Rejected):  # the payer knows nothing of it
                    status = (await self[payer].payment(made[0])).status
                    if status != "failed":
                        return status == "succeeded"
                return (await self[payer].pay(texts[0], None, None, PATIENCE_S)).status == "succeeded"

            await insist(invoiced, RESOLVED_S)
            await insist(done, RESOLVED_S)
            self.paid.append((payer, payee, made[0]))

    async def stream(self, payer: str, payee: str) -> None:
        """Pushes, until it is over. Who dies may not know which were made; the totals of both must agree."""
        while not self.over.is_set():
            amounts = [self.random.randrange(1, 1_000)] * PUSHED_AT_ONCE
            try:
                pushed = await self[payer].push(
                    self.net.node_id(payee), "USD", payer.encode().ljust(16), amounts, PATIENCE_S
                )
                self.pushed[payer, payee] += pushed.sent
            except (OperationalError, Rejected):
                await asyncio.sleep(ASK_AGAIN_S)

    async def kill_again_and_again(self, name: str) -> None:
        """Lives of random length, until it is over; then one that lasts."""
        victim = self.people[name]
        while not self.over.is_set():
            life_s = self.random.uniform(*LIFE_S)
            if self.random.random() < 0.5:
                victim.die_after(self.random.randrange(1, MOST_WRITES))
            ended = asyncio.create_task(victim.ended())
            await asyncio.wait([ended], timeout=life_s)
            if not ended.done():
                os.kill(victim.pid, signal.SIGKILL)
            await ended
            self.deaths[name] += 1
            await asyncio.sleep(self.random.uniform(0.0, 0.3))
            victim.die_after(0)
            await victim.start()

    async def rage(self) -> None:
        """Errands and deaths, for a minute and until each has died and paid."""
        async with asyncio.TaskGroup() as group:
            for payer, payee in ERRANDS:
                group.create_task(self.run_errands(payer, payee))
            for payer, payee in STREAMS:
                group.create_task(self.stream(payer, payee))
            for name in NAMES:
                group.create_task(self.kill_again_and_again(name))
            await asyncio.sleep(KILLING_S)
            await until(self._enough, RESOLVED_S)
            self.over.set()

    async def _enough(self) -> bool:
        served = {(payer, payee) for payer, payee, _ in self.paid}
        streamed = all(self.pushed[pair] for pair in STREAMS)
        return (
            streamed and served == set(ERRANDS) and all(self.deaths[name] >= LEAST_DEATHS for name in NAMES)
        )

    async def quiet(self) -> bool:
        """Whether nothing is under way anywhere."""
        channels = [info for name in NAMES for info in (await self[name].channels(closed=False))[0]]
        return len(channels) == 4 and all(info.online and info.open_claims == 0 for info in channels)


def free_port(random: Random) -> int:
    """Below those that the system gives out by itself, so that nobody takes it while its daemon is dead."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


async def begin(town: Town) -> None:
    """Neighbours dial each other, so that whoever comes back does so at once; both fund two channels."""
    for name in NAMES:
        await town.people[name].start()
    bob = town.net.node_id("bob")
    for name in ("alice", "carol"):
        await town[name].connect(town.address("bob"))
        await town["bob"].connect(town.address(name))
        opened = await town[name].open_channel(bob, "USD", STAKE, None, 60.0)

        async def funded(channel_id: bytes = opened.channel_id) -> bool:
            info = await town["bob"].channel(channel_id)
            if info.deposit_ours == 0:
                await town["bob"].deposit(channel_id, STAKE, 60.0)
            return info.deposit_ours == STAKE

        await insist(funded, RESOLVED_S)

    async def routed() -> bool:
        (invoice,) = await town["carol"].create_invoice("USD", USD, "", 86_400, 1)
        paid = await town["alice"].pay(invoice.text, None, None, PATIENCE_S)
        town.paid += [("alice", "carol", invoice.hashlock)] if paid.status == "succeeded" else []
        return paid.status == "succeeded"

    await insist(routed, RESOLVED_S)


async def every(fetch) -> list:
    """All pages of a listing."""
    found, page = await fetch(None, PAGE)
    while page.next_before is not None:
        more, page = await fetch(page.next_before, PAGE)
        found += more
    return found


async def assert_equal_books(town: Town) -> int:
    """What everybody says of payments, invoices and balances adds up; the hub's fees."""
    earned = dict.fromkeys(NAMES, 0)
    succeeded: dict[bytes, int] = {}
    paid: dict[bytes, int] = {}
    counted: dict[str, dict[tuple[bytes, bytes], tuple[int, int]]] = {"sent": {}, "received": {}}
    fees = 0
    for name in NAMES:
        for payment in await every(town[name].payments):
            assert payment.status in ("succeeded", "failed"), f"{name}: {payment}"
            if payment.status == "succeeded":
                assert payment.hashlock not in succeeded
                succeeded[payment.hashlock] = payment.amount
                earned[name] -= payment.amount + payment.fee
                fees += payment.fee
        for invoice in await every(town[name].invoices):
            if invoice.status == "paid":
                assert invoice.hashlock not in paid
                paid[invoice.hashlock] = invoice.received
                earned[name] += invoice.received
        for stream in await every(town[name].streams):
            assert stream.pending_count == 0
            place = stream.channel_id, stream.stream
            counted[stream.direction][place] = stream.count, stream.total
            earned[name] += stream.total if stream.direction == "received" else -stream.total
    assert counted["sent"] == counted["received"]
    assert sum(count for count, _ in counted["sent"].values()) >= town.pushed.total()
    assert succeeded == paid
    assert succeeded.keys() >= {hashlock for _, _, hashlock in town.paid}
    earned["bob"] += fees
    for name in NAMES:
        inside = sum(info.ours for info in (await town[name].channels(closed=False))[0])
        assert await town.net.dollars(name) + inside == PURSE + earned[name], name
    return fees


def assert_equal_states(town: Town) -> None:
    """On both disks: the same state, signed by both, with nothing left to be answered."""
    domain = domain_separator(town.net.chain.chain.settings.chain_id, town.net.adjudicator)
    ends: dict[bytes, list[Channel]] = {}
    for mortal in town.people.values():
        with closing(sqlite3.connect(mortal.config.node.data_dir / "journal.sqlite")) as database:
            for (value,) in database.execute("SELECT value FROM records_channel"):
                channel = decode_record("channel", value)
                assert isinstance(channel, Channel)
                ends.setdefault(channel.channel_id, []).append(channel)
    assert len(ends) == 2
    for channel_id, (one, other) in ends.items():
        digests = set()
        for end in (one, other):
            assert end.mine.version == end.theirs.version and not end.waiting and not end.unanswered
            digests |= {state_digest(domain, channel_id, state) for state in (end.mine, end.theirs)}
        assert len(digests) == 1
        assert (one.theirs.version, one.theirs.net) == (other.theirs.version, other.theirs.net)
        assert one.deposits == other.deposits and one.theirs.version > 0


async def test_a_minute_of_sigkill_under_load_ends_with_equal_books(tmp_path):
    print(f"CHANNELD_SEED={SEED}")
    random = Random(SEED)
    async with cluster(tmp_path, *NAMES, running=()) as net:
        people = {}
        for name in NAMES:
            config = net.config(name)
            config = replace(config, peer=replace(config.peer, listen_port=free_port(random)))
            people[name] = Mortal(config, development_account(name).key)
        town = Town(net, people, random)
        try:
            await begin(town)
            await town.rage()
            await until(town.quiet, RESOLVED_S)
            fees = await assert_equal_books(town)
            for name in NAMES:
                await people[name].stop()
                await people[name].ended()
        finally:
            for mortal in people.values():
                mortal.destroy()
        assert_equal_states(town)
        deaths = ", ".join(f"{name} {town.deaths[name]}" for name in NAMES)
        print(
            f"{town.pushed.total()} pushes, {len(town.paid)} payments, {fees} units of fees; killed: {deaths}"
        )
        assert fees > 0
