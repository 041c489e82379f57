"""Pushes between whole daemons: by one and by the stream, over the API, and through deaths of either end."""

import asyncio
from collections.abc import Collection
from contextlib import aclosing
from dataclasses import replace

import pytest

from channeld.adapters.journal.records import Journal
from channeld.api.client import ApiClient
from channeld.api.requests import PushMany
from channeld.api.token import read_token
from channeld.config.neighbours import PushSettings
from channeld.core.errors import Rejected
from channeld.daemon import engine
from tests.daemon.cluster import USD, Cluster, cluster, eventually
from tests.daemon.mortal_life import PATIENCE_S, Act, Life, insist, until
from tests.daemon.test_sigkill import life_of
from tests.daemon.town import STAKE, assert_same_books, channels_through_bob

TALK, TEA = b"talk".ljust(16, b"\0"), b"tea".ljust(16, b"\0")
CENT = USD // 100


async def sums(daemon, channel_id: bytes, direction: str, stream: bytes = TALK) -> tuple[int, int]:
    found = await daemon.stream(channel_id, direction, stream)
    return found.count, found.total


def client_of(net: Cluster, name: str) -> ApiClient:
    return ApiClient(net[name].api_url, read_token(net.directory / name / "api.token"))


async def neighbours(net: Cluster) -> bytes:
    await net.connect("alice", "bob")
    ab = await net.open("alice", "bob", "USD", STAKE, 0)
    await eventually(lambda: ab in net["alice"].engine.tables.terms)
    return ab


async def test_alice_pays_bob_by_the_word(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        ab = await neighbours(net)
        alice, bob = client_of(net, "alice"), client_of(net, "bob")
        bob_id = net.node_id("bob")
        async with aclosing(bob.received()) as heard:
            coming = asyncio.ensure_future(anext(heard))
            await eventually(lambda: net["bob"].pushes._followers)
            one = await alice.push(bob_id, "USD", TEA, [3 * CENT], PATIENCE_S)
            assert (one.sent, one.pending, one.stream_total) == (1, 0, 3 * CENT)
            told = await coming
            assert (told.stream, told.direction, told.total) == (TEA, "received", 3 * CENT)
        words = [1 + number % 7 for number in range(3_000)]
        answers = [line async for line in alice.push_many(words, PushMany(bob_id, "USD", TALK, 700))]
        assert sum(line.push.sent for line in answers if line.push) == 3_000
        assert await sums(alice, ab, "sent") == await sums(bob, ab, "received") == (3_000, sum(words))
        listed, page = await bob.streams(None, 10)
        assert [(info.stream, info.count) for info in listed] == [(TALK, 3_000), (TEA, 1)]
        assert page.next_before is None
        assert_same_books(net, "alice", "bob", ab)
        await net.stop("bob")
        with pytest.raises(Rejected, match="not connected"):
            await alice.push(bob_id, "USD", TALK, [1], PATIENCE_S)


async def test_only_neighbours_who_want_pushes_get_them_and_only_what_there_is(tmp_path):
    async with cluster(tmp_path, "alice", "bob", "carol", running=("alice", "bob")) as net:
        tight = replace(net.config("carol"), push=PushSettings(accept=False))
        net.config = lambda name, usual=net.config: tight if name == "carol" else usual(name)
        await net.start("carol")
        await channels_through_bob(net)
        alice, bob = net["alice"], net["bob"]
        with pytest.raises(Rejected, match="only neighbours"):
            await alice.push(net.node_id("carol"), "USD", TALK, [1], PATIENCE_S)
        with pytest.raises(Rejected, match="takes no pushes"):
            await bob.push(net.node_id("carol"), "USD", TALK, [1], PATIENCE_S)
        rest = STAKE - 10
        done = await alice.push(net.node_id("bob"), "USD", TALK, [rest, 7, 7, 3], PATIENCE_S)
        assert (done.sent, done.dropped) == (3, (2,))
        assert done.failure == "expected pushes of at most 0.000003 USD in all, got 0.000007 USD"


async def test_bob_takes_no_crumbs_and_alice_hears_it_in_dollars(tmp_path):
    async with cluster(tmp_path, "alice", "bob", running=("alice",)) as net:
        usual = net.config("bob")
        choosy = replace(usual, asset=tuple(replace(each, min_push_units=CENT) for each in usual.asset))
        net.config = lambda name, usual=net.config: choosy if name == "bob" else usual(name)
        await net.start("bob")
        await neighbours(net)
        with pytest.raises(Rejected) as refused:
            await client_of(net, "alice").push(net.node_id("bob"), "USD", TALK, [CENT - 1], PATIENCE_S)
        assert str(refused.value) == "the peer takes pushes of at least 0.01 USD, got 0.009999 USD"


async def test_whoever_asks_faster_than_bob_signs_waits_and_nothing_is_lost(tmp_path):
    """Bob has fallen silent: what alice has asked for stays pending, however much, until he is back."""
    async with cluster(tmp_path, "alice", "bob") as net:
        ab = await neighbours(net)
        net.mute("bob")
        asked = [
            asyncio.create_task(net["alice"].push(net.node_id("bob"), "USD", TALK, [1] * 400, PATIENCE_S))
            for _ in range(3)
        ]
        waiting = [await order for order in asked]
        assert [info.pending for info in waiting] == [400, 400, 400]
        assert (await net["alice"].stream(ab, "sent", TALK)).pending_count == 1_200
        await net.stop("bob")
        await eventually(lambda: ab not in net["alice"].engine.tables.online)
        await net.start("bob")
        await net.connect("bob", "alice")
        await eventually(lambda: net.state("alice", ab).answered and ab in net["alice"].engine.tables.terms)
        now = await net["alice"].stream(ab, "sent", TALK)
        assert now.pending_count == 0 and now.count in range(1, 481)
        again = await net["alice"].push(
            net.node_id("bob"), "USD", TALK, [1] * (1_200 - now.count), PATIENCE_S
        )
        assert again.stream_count == 1_200
        assert await sums(net["bob"], ab, "received") == (1_200, 1_200)


async def test_of_too_many_callers_as_many_are_served_as_there_is_money_for(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        ab = await neighbours(net)

        async def one(number: int) -> bool:
            """Alike or not: some pushes equal each other, some do not."""
            stream = TALK if number % 3 else number.to_bytes(16, "big")
            try:
                done = await net["alice"].push(net.node_id("bob"), "USD", stream, [10 * USD], 300.0)
            except Rejected:
                return False
            return done.sent == 1

        served = await asyncio.gather(*(one(number) for number in range(560)))
        assert sum(served) == STAKE // (10 * USD)
        listed = [info for end in ("alice", "bob") for info in (await net[end].streams(None, 1_000))[0]]
        assert sum(info.count for info in listed) == 2 * sum(served)
        assert all(info.pending_count == 0 for info in listed)
        assert (await net["alice"].channel(ab)).ours == 0


class Reads:
    """A journal as the totals of pushes see it: which of them it was asked for alone."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.single: list[bytes] = []

    def get(self, kind: str, key: bytes) -> bytes | None:
        self.single.append(key)
        return self.journal.get(kind, key)

    def get_many(self, kind: str, keys: Collection[bytes]) -> dict[bytes, bytes]:
        return self.journal.get_many(kind, keys)


async def test_a_batch_of_new_names_is_looked_up_at_once_and_every_total_is_right(tmp_path, monkeypatch):
    """Attack stopped: pushes under ever new names, each of which holds up a hub for a trip to its database.

    Nothing is kept at hand from turn to turn, so that each total comes from the disk again.
    """
    monkeypatch.setattr(engine, "STREAMS_AT_HAND", 0)
    async with cluster(tmp_path, "alice", "bob") as net:
        ab = await neighbours(net)
        names = [b"name%12d" % number for number in range(300)]
        reads = []
        for name in ("alice", "bob"):
            totals = net[name].engine.tables.streams
            reads.append(Reads(totals._journal))
            totals._journal = reads[-1]

        async def one(stream: bytes, amount: int) -> None:
            done = await net["alice"].push(net.node_id("bob"), "USD", stream, [amount], PATIENCE_S)
            assert done.sent == 1

        for rounds in (1, 2, 3):
            await asyncio.gather(*(one(stream, 1 + place) for place, stream in enumerate(names)))
            assert not any(read.single for read in reads)
            for place in (0, 7, 299):
                counted = (rounds, rounds * (1 + place))
                assert await sums(net["alice"], ab, "sent", names[place]) == counted
                assert await sums(net["bob"], ab, "received", names[place]) == counted
            for read in reads:
                assert len(read.single) == 3, "whoever asks between turns reads what is durable"
                read.single.clear()
        for end in ("alice", "bob"):
            listed, _ = await net[end].streams(None, 1_000)
            assert len(listed) == 300 and {info.count for info in listed} == {3}


# Deaths -------------------------------------------------------------------------------------------------

PUSHES = 60


def pushes(payer: str, payee: str) -> Act:
    """A caller that wants its stream to have so many more pushes, and looks before it asks again."""

    async def prepare(life: Life) -> int:
        return (await sums(life[payer], life.channel(payer, payee), "sent"))[0] + PUSHES

    async def play(life: Life, target: int) -> None:
        channel_id = life.channel(payer, payee)

        async def sent() -> bool:
            known = await life[payer].stream(channel_id, "sent", TALK)
            if known.pending_count == 0 and known.count < target:
                some = [CENT] * min(PUSHES // 2, target - known.count)
                await life[payer].push(life.node_id(payee), "USD", TALK, some, PATIENCE_S)
            return (await sums(life[payer], channel_id, "sent"))[0] >= target

        async def received() -> bool:
            ends = [
                await sums(life[who], channel_id, way) for who, way in ((payer, "sent"), (payee, "received"))
            ]
            return ends[0] == ends[1]

        await insist(sent)
        await until(received)
        assert await sums(life[payee], channel_id, "received") == (target, target * CENT)
        life.earn(payer, payee, PUSHES * CENT)

    return Act(f"{payer} pushes to {payee}", play, prepare)


@pytest.mark.parametrize("mortal", ["alice", "bob"])
async def test_every_push_is_made_once_whoever_dies_after_whichever_write(tmp_path, mortal):
    async with life_of(tmp_path, mortal) as life:
        for act in (pushes("alice", "bob"), pushes("bob", "alice")):
            writes = await life.kill_after_every_write(act)
            assert writes > 1, act.name
            await life.balances_are_right()
        assert {"channel", "stream_done"} <= {kind for kinds in life.victim.deaths for kind in kinds}


DEATHS = 3
AT_ONCE = 1_500


class Caller:
    """Alice's program: streams to bob until somebody has died often enough, and counts what it was told."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.channel_id = life.channel("alice", "bob")
        self.asked = self.told = self.target = 0

    async def streamed(self) -> bool:
        """One more part of the stream; whoever is mortal dies in its middle, a little later each time."""
        life, deaths = self.life, len(self.life.victim.deaths)
        known = await life["alice"].stream(self.channel_id, "sent", TALK)
        if known.pending_count:
            return False
        assert self.told <= known.count <= self.asked
        if deaths < DEATHS:
            life.victim.die_after(2 + deaths)
            self.target = known.count + AT_ONCE
        elif known.count >= self.target:
            return True
        self.asked += self.target - known.count
        await self.push_all(self.target - known.count)
        return False

    async def push_all(self, count: int) -> None:
        alice = self.life["alice"] if self.life.mortal == "alice" else client_of(self.life.net, "alice")
        to = PushMany(self.life.node_id("bob"), "USD", TALK)
        async with aclosing(alice.push_many([CENT] * count, to)) as answers:
            async for line in answers:
                if line.push is None:
                    return  # the peer is gone: look, and go on
                self.told += line.push.sent


@pytest.mark.parametrize("mortal", ["alice", "bob"])
async def test_a_stream_goes_on_through_deaths_in_its_middle(tmp_path, mortal):
    """As fast as it goes, over the API. Whoever is killed starts again, the caller with what is missing."""
    async with life_of(tmp_path, mortal) as life:
        caller = Caller(life)
        await insist(caller.streamed, 60.0)
        sent = await sums(life["alice"], caller.channel_id, "sent")
        assert sent == (caller.target, caller.target * CENT)

        async def received() -> bool:
            return await sums(life["bob"], caller.channel_id, "received") == sent

        await until(received)
        await life.settled()
        assert len(life.victim.deaths) >= DEATHS
        life.earn("alice", "bob", caller.target * CENT)
        await life.balances_are_right()
