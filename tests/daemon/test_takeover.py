"""Two daemons of one identity on PostgreSQL: whatever happens to the one that leads, the other goes on."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg

from channeld.config.settings import DatabaseSettings
from channeld.core.channel import Channel
from channeld.core.errors import OperationalError, Rejected
from channeld.services.devchain.accounts import development_account
from channeld.wire.records import decode_record
from tests.daemon.cluster import USD, Cluster, cluster, eventually
from tests.daemon.town import STAKE, is_quiet
from tests.daemon.twins import Twin, Witness, cable
from tests.postgres_server import PostgresServer

LEASE_S = 2.0
"""Short, to be quick; with the 6 s that are the default it takes 4 s more."""

TAKEOVER_S = 10.0
WORKERS = 6
PATIENCE_S = 3.0

KEEP_HISTORY = """
CREATE TABLE history (token bigint, value bytea);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO history SELECT token, NEW.value FROM journal_lease; RETURN NULL; END $$;
CREATE TRIGGER keep AFTER INSERT OR UPDATE ON records_channel FOR EACH ROW EXECUTE FUNCTION keep();
"""


@dataclass
class Town:
    """alice pays carol through bob, who is one daemon that leads and one that stands by."""

    net: Cluster
    url: str
    witness: Witness
    stack: AsyncExitStack
    twins: list[Twin] = field(default_factory=list)
    paid: list[bytes] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)

    def add(self, url: str = "") -> Twin:
        """One more bob, on a machine of its own."""
        config = self.net.config("bob")
        config = replace(
            config,
            node=replace(config.node, data_dir=self.net.directory / f"bob-{len(self.twins)}"),
            database=DatabaseSettings(url or self.url, LEASE_S),
        )
        twin = Twin(config, development_account("bob").key)
        self.twins.append(twin)
        self.stack.callback(twin.destroy)
        twin.start()
        return twin

    async def begin(self, leader: Twin) -> None:
        """bob dials, so that whoever succeeds him dials too; each channel is funded by both."""
        bob = self.net.node_id("bob")
        for name in ("alice", "carol"):
            self.witness.stand_beside(self.net[name])
            port = self.net[name].listen_port
            await leader.commands.connect(f"{self.net.node_id(name).hex()}@127.0.0.1:{port}")
        for name in ("alice", "carol"):
            opened = await self.net[name].open_channel(bob, "USD", STAKE, None, 20.0)
            await leader.commands.deposit(opened.channel_id, STAKE, 20.0)
        with psycopg.connect(self.url, autocommit=True) as tool:
            tool.execute(KEEP_HISTORY)

    async def pay(self, stop: asyncio.Event) -> None:
        """Payment after payment, each asked for until it is done."""
        alice, carol = self.net["alice"], self.net["carol"]
        while not stop.is_set():
            (invoice,) = await carol.create_invoice("USD", USD // 100, "", None, 1)
            while True:
                try:
                    status = (await alice.pay(invoice.text, None, None, PATIENCE_S)).status
                except (OperationalError, Rejected):
                    status = (
                        (await alice.payment(invoice.hashlock)).status if await self._known(invoice) else ""
                    )
                if status == "succeeded":
                    break
                await asyncio.sleep(0.05)
            self.paid.append(invoice.hashlock)

    async def _known(self, invoice) -> bool:
        try:
            await self.net["alice"].payment(invoice.hashlock)
        except Rejected:
            return False
        return True

    async def taken_over_by(self, twin: Twin) -> None:
        self.took_s.append(await twin.led())
        assert self.took_s[-1] < TAKEOVER_S
        await self.goes_on()

    async def goes_on(self) -> None:
        """More payments than were under way."""
        before = len(self.paid)
        await eventually(lambda: len(self.paid) > before + 2 * WORKERS, 20.0)


@asynccontextmanager
async def town(directory: Path, server: PostgresServer) -> AsyncIterator[Town]:
    """Payments run while the block does; in the end the books must agree and nothing be signed twice."""
    async with (
        cluster(
            directory, "alice", "bob", "carol", running=["alice", "carol"], clock_skew_limit_s=10**7
        ) as net,
        AsyncExitStack() as stack,
    ):
        made = Town(net, server.new_schema(), Witness(net.node_id("bob")), stack)
        yield made


@asynccontextmanager
async def load(made: Town) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(made.pay(stop))
        await made.goes_on()
        yield
        stop.set()


async def assert_right(made: Town) -> None:
    """Both ends of each channel hold the same, each payment arrived once, no version has two states."""
    net = made.net
    ends = [channel for name in ("alice", "carol") for channel in net[name].engine.tables.channels()]
    await eventually(
        lambda: all(
            is_quiet(channel) for name in ("alice", "carol") for channel in net[name].engine.tables.channels()
        )
    )
    assert len(ends) == 2
    fees = 0
    for hashlock in made.paid:
        payment = await net["alice"].payment(hashlock)
        assert payment.status == "succeeded"
        assert (await net["carol"].invoice(hashlock)).status == "paid"
        fees += payment.fee
    (alice,), _ = await net["alice"].channels(closed=False)
    (carol,), _ = await net["carol"].channels(closed=False)
    assert alice.ours == STAKE - len(made.paid) * (USD // 100) - fees
    assert carol.ours == STAKE + len(made.paid) * (USD // 100)
    assert made.witness.signatures and made.witness.contradictions == []
    assert_no_version_has_two_states(made.url)


def assert_no_version_has_two_states(url: str) -> None:
    """The same in bob's own journal, which kept everything that any of his daemons ever stored."""
    states: dict[tuple[bytes, int], object] = {}
    tokens = set()
    with psycopg.connect(url) as tool:
        for token, value in tool.execute("SELECT token, value FROM history"):
            tokens.add(token)
            channel = decode_record("channel", value)
            assert isinstance(channel, Channel)
            for state in (channel.mine, channel.theirs):
                place = channel.channel_id, state.version
                content = state.net, tuple(state.claims.values()), state.last_ids
                if channel.mine.version == state.version:
                    assert states.setdefault(place, content) == content, place
    assert len(states) > 100 and len(tokens) > 1, "there is a history, and more than one wrote it"


async def test_the_leader_is_killed_paused_and_cut_off_under_load(tmp_path, postgres):
    async with (
        town(tmp_path, postgres) as made,
        cable(postgres.directory, tmp_path / "cable") as line,
    ):
        first = made.add()
        await first.led()
        await made.begin(first)
        second = made.add()
        await eventually(lambda: "standing by" in log_of(second))
        async with load(made):
            first.signal(signal.SIGKILL)
            await made.taken_over_by(second)
            third = made.add()
            await eventually(lambda: "standing by" in log_of(third))

            second.signal(signal.SIGSTOP)
            await made.taken_over_by(third)
            second.signal(signal.SIGCONT)
            await second.ended()
            assert second.said.startswith("JournalFailed"), second.said

            fourth = made.add(made.url.replace(str(postgres.directory), str(line.directory)))
            await eventually(lambda: "standing by" in log_of(fourth))
            with psycopg.connect(made.url, autocommit=True) as tool:
                tool.execute("SELECT pg_terminate_backend(pid) FROM journal_lease")
            await made.taken_over_by(fourth)
            await third.ended()
            assert third.said.startswith("JournalFailed"), third.said

            fifth = made.add()
            await eventually(lambda: "standing by" in log_of(fifth))
            line.cut()
            await made.taken_over_by(fifth)
            await fourth.ended()
            assert fourth.said.startswith("JournalFailed"), fourth.said
            assert "answer" in fourth.said, fourth.said
        await assert_right(made)
        print(f"{len(made.paid)} payments; killed, paused, disconnected, cut off: taken over after", end=" ")
        print(", ".join(f"{took_s:.1f} s" for took_s in made.took_s))
        await fifth.commands.stop()
        await fifth.ended()


def log_of(twin: Twin) -> str:
    path = twin.config.node.data_dir / "log.txt"
    return path.read_text() if path.exists() else ""
