"""A town in which one of the three dies after every write: what it does, and what must come of it.

Everything asked for is asked for again until it is done, as a person would who sees a daemon restart;
asking twice must never do a thing twice.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from channeld.api.commands import ChannelInfo
from channeld.core.errors import OperationalError, Rejected
from tests.daemon.cluster import Cluster
from tests.daemon.mortal import Mortal
from tests.daemon.town import PURSE, STAKE, is_quiet

NAMES = ("alice", "bob", "carol")


@dataclass(frozen=True, slots=True)
class Act:
    """`prepare` happens in peace; the mortal dies in `play`, which is given what `prepare` made."""

    name: str
    play: Callable[["Life", Any], Awaitable[None]]
    prepare: Callable[["Life"], Awaitable[Any]]


ASK_AGAIN_S = 0.05
PATIENCE_S = 3.0
"""For one attempt: with everybody up it takes a hundredth of that."""

MOST_WRITES = 60
"""In one act; an act with more has gone wrong."""


@dataclass
class Life:
    """`earned` is what each of them must own in the end beside what they began with, in USD's smallest unit;
    `far_s` is an expiry that no story reaches by the way, and `open_interest` (from, to, amount) what will be
    due then."""

    net: Cluster
    mortal: str
    victim: Mortal
    ab: bytes = b""
    bc: bytes = b""
    far_s: int = 0
    open_interest: list[tuple[str, str, int]] = field(default_factory=list)
    earned: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))

    def __getitem__(self, name: str):
        return self.victim.commands if name == self.mortal else self.net[name]

    def node_id(self, name: str) -> bytes:
        return self.net.node_id(name)

    def channel(self, one: str, other: str) -> bytes:
        return self.ab if {one, other} == {"alice", "bob"} else self.bc

    def earn(self, payer: str, payee: str, amount: int, fee: int = 0) -> None:
        self.earned[payer] -= amount + fee
        self.earned[payee] += amount
        self.earned["bob"] += fee

    async def begin(self) -> None:
        """Everybody up, connected, and with money in two channels."""
        await until(self._is_there)
        await self.connect()
        self.ab = await self.open("alice", "bob")
        self.bc = await self.open("bob", "carol")
        self.far_s = self.net.now_s + 50_000

    async def _is_there(self) -> bool:
        await self.victim.commands.info()
        return True

    async def connect(self) -> None:
        """The mortal dials: it comes back on another port."""
        others = ("alice", "carol") if self.mortal == "bob" else ("bob",)
        for other in others:
            port = self.net[other].listen_port
            await self[self.mortal].connect(f"{self.node_id(other).hex()}@127.0.0.1:{port}")
        third = {"alice": "carol", "carol": "alice"}.get(self.mortal)
        if third is not None:
            await self.net.connect(third, "bob")

    async def open(self, one: str, other: str) -> bytes:
        """A channel funded by both; nobody dies meanwhile."""
        opened = await self[one].open_channel(self.node_id(other), "USD", STAKE, None, 20.0)
        await self[other].deposit(opened.channel_id, STAKE, 20.0)
        await self.settled()
        return opened.channel_id

    async def kill_after_every_write(self, act: Act) -> int:
        """Play an act again and again; the mortal dies after its first write, its second, and so on.

        Returns how many writes it has: the last time, it outlives the act.
        """
        for write in range(1, MOST_WRITES):
            prepared = await act.prepare(self)
            deaths = len(self.victim.deaths)
            # Every other time it dies once more while it recovers.
            self.victim.relapses[:] = [write // 2] if write % 2 == 0 else []
            self.victim.die_after(write)
            try:
                await act.play(self, prepared)
                await self.settled()
            except AssertionError as failure:
                raise AssertionError(f"{act.name}, write {write}: {self.story()}") from failure
            self.victim.relapses.clear()
            self.victim.die_after(0)
            await self.settled()
            if len(self.victim.deaths) == deaths:
                return write - 1
        raise AssertionError(f"{act.name} has more than {MOST_WRITES} writes")

    async def balances_are_right(self) -> None:
        """Every unit is where the acts have put it, on chain or in a channel."""
        found = {}
        for name in NAMES:
            inside = sum(info.ours for info in (await self[name].channels(closed=False))[0])
            found[name] = await self.net.dollars(name) + inside - PURSE
        if found != self.earned:
            raise AssertionError(f"{found} instead of {self.earned}: {self.story()}\n{await self.ledger()}")

    async def ledger(self) -> str:
        """What everybody says that he paid and got."""
        told = []
        for name in NAMES:
            for payment in (await self[name].payments(None, 50))[0]:
                told.append(f"{name} paid {payment.hashlock.hex()[:8]} {payment.amount} {payment.status}")
            for invoice in (await self[name].invoices(None, 50))[0]:
                told.append(f"{name} got {invoice.hashlock.hex()[:8]} {invoice.received} {invoice.status}")
            for trade in (await self[name].trades(None, 50))[0]:
                told.append(f"{name} {trade.role} {trade.name} {trade.premium}+{trade.fee} {trade.status}")
        return "\n".join(told)

    def story(self) -> str:
        """For whoever must find out what went wrong."""
        told = [f"last written {self.victim.deaths[-1:]}"]
        for name in NAMES:
            if name == self.mortal:
                told.append(self.victim.last_log())
                continue
            for channel in self.net[name].engine.tables.channels():
                online = channel.channel_id in self.net[name].engine.tables.online
                told.append(f"{name} online={online}: {channel}")
        return "\n".join(told)

    async def settled(self) -> None:
        """Wait until both ends of each channel hold the same, with nothing under way."""
        await until(self._is_settled)

    async def _is_settled(self) -> bool:
        views: dict[bytes, list[ChannelInfo]] = {}
        for name in NAMES:
            for info in (await self[name].channels(closed=False))[0]:
                views.setdefault(info.channel_id, []).append(info)
                if name != self.mortal and not is_quiet(self.net.state(name, info.channel_id)):
                    return False
        return all(len(pair) == 2 and _mirrored(*pair) for pair in views.values())


def _mirrored(one: ChannelInfo, other: ChannelInfo) -> bool:
    return (one.version, one.ours, one.theirs, one.deposit_ours, one.open_claims, one.online) == (
        other.version,
        other.theirs,
        other.ours,
        other.deposit_theirs,
        other.open_claims,
        True,
    )


async def until(check: Callable[[], Awaitable[bool]], timeout_s: float = 20.0) -> None:
    """Wait until something holds; a daemon that is just dying counts as no."""
    await _patiently(check, timeout_s, 0.01, OperationalError)


async def insist(ask: Callable[[], Awaitable[bool]], timeout_s: float = 30.0) -> None:
    """Ask again until the answer is yes; what cannot be done now is asked again too."""
    await _patiently(ask, timeout_s, ASK_AGAIN_S, OperationalError, Rejected)


async def _patiently(
    ask: Callable[[], Awaitable[bool]], timeout_s: float, pause_s: float, *excused: type[Exception]
) -> None:
    end_s = time.monotonic() + timeout_s
    last = "no"
    while time.monotonic() < end_s:
        try:
            if await ask():
                return
        except excused as error:
            last = str(error)
        await asyncio.sleep(pause_s)
    raise AssertionError(f"{ask.__name__}: {last}")
