"""Pushes as callers see them: each has its own answer, and whoever asks faster than the peer signs waits.

The core lets a few hundred pushes wait in a channel. What is asked for beyond that stands in line here, and
is handed over by the batch as soon as there is room, so that a turn of the loop carries many of them.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from channeld.adapters.journal.records import Journal
from channeld.core.channel import Channel
from channeld.core.effects import AnswerPushes
from channeld.core.errors import AmountRejected, OperationalError, Rejected
from channeld.core.events import PushesRequested
from channeld.core.operations import Push
from channeld.core.pushing import MAX_WAITING_PUSHES, pushes_among
from channeld.core.records import Stream
from channeld.daemon.engine import Engine
from channeld.daemon.views import Catalogue
from channeld.wire.records import decode_record

log = logging.getLogger(__name__)

MAX_IN_LINE = 4_096
"""Pushes that stand in line for one channel before callers wait to get into it: a quarter of a second at
full speed, half a megabyte."""

STREAMS = "stream_done"
"""The kind of the totals in the journal: they are history from the first push on."""


class StreamTotals(Mapping[bytes, Stream]):
    """The totals of every stream, looked up on disk: there may be as many as a program's sessions."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._read: dict[bytes, Stream | None] = {}

    def look_up(self, keys: Collection[bytes]) -> None:
        """Read what will be asked for before anything else is written; forget what was read before."""
        rows = self._journal.get_many(STREAMS, keys)
        self._read = {key: _stream(rows.get(key)) for key in keys}

    def __getitem__(self, key: bytes) -> Stream:
        found = self._read[key] if key in self._read else _stream(self._journal.get(STREAMS, key))
        if found is None:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[bytes]:
        return (key for key, _ in self._journal.load(STREAMS))

    def __len__(self) -> int:
        return self._journal.count(STREAMS)


def _stream(row: bytes | None) -> Stream | None:
    if row is None:
        return None
    record = decode_record("stream", row)
    assert isinstance(record, Stream)
    return record


@dataclass(slots=True, eq=False)
class Order:
    """What one caller asks for at once, all in one stream, and what became of it so far.

    `dropped` holds the places of the pushes that were not made; `totals` is the stream with those that were.
    """

    pushes: tuple[Push, ...]
    done: asyncio.Future[None]
    sent: int = 0
    dropped: list[int] = field(default_factory=list)
    why: str = ""
    totals: Stream | None = None

    @property
    def pending(self) -> int:
        return len(self.pushes) - self.sent - len(self.dropped)

    def drop(self, place: int, why: str) -> None:
        self.dropped.append(place)
        self.why = self.why or why
        self.settle()

    def settle(self) -> None:
        if not self.pending and not self.done.done():
            self.done.set_result(None)


_Place = tuple[Order, int]


@dataclass(slots=True)
class _Lane:
    """One channel: who stands in line, and who waits for the core's answer to which push."""

    channel_id: bytes
    line: deque[_Place] = field(default_factory=deque)
    asked: dict[Push, deque[_Place]] = field(default_factory=dict)
    handed: list[_Place] = field(default_factory=list)
    handing_over: bool = False
    one_by_one: bool = False
    room: asyncio.Event = field(default_factory=asyncio.Event)


class Follower:
    """Hears which streams have grown, each once between two readings: a slow reader holds up nobody."""

    def __init__(self, totals: Mapping[bytes, Stream]) -> None:
        self._totals = totals
        self._grown: dict[bytes, None] = {}
        self._news = asyncio.Event()

    def grown(self, key: bytes) -> None:
        self._grown[key] = None
        self._news.set()

    async def news(self) -> list[Stream]:
        """The totals of the streams of pushes to us that have grown since the last time; waits for one."""
        await self._news.wait()
        self._news.clear()
        keys, self._grown = self._grown, {}
        return [record for key in keys if not (record := self._totals[key]).outgoing]


@dataclass(frozen=True, slots=True)
class _Supplied:
    """A batch that went along in a turn. If it is rejected, it stands in line again, for one by one."""

    desk: "PushDesk"
    lane: _Lane
    batch: list[_Place]

    def done(self) -> bool:
        return False

    def set_exception(self, exception: Exception, /) -> None:
        self.desk.refused(self.lane, self.batch)


class PushDesk:
    """Takes orders for pushes and answers them."""

    def __init__(self, engine: Engine, catalogue: Catalogue) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._followers: set[Follower] = set()
        self._lanes: dict[bytes, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def push(self, channel_id: bytes, stream: bytes, amounts: Sequence[int], timeout_s: float) -> Order:
        """Push `amounts` in their order; returns when each was sent or dropped, or after the time.

        Raises Rejected, nothing done, if no push can be made in the channel now.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        order = Order(tuple([Push(stream, amount) for amount in amounts]), done)
        while len((lane := self._lane(channel_id)).line) >= MAX_IN_LINE:
            await _room_in(lane, timeout_s)
        lane.line.extend([(order, place) for place in range(len(order.pushes))])
        self._soon(lane)
        timer = loop.call_later(timeout_s, _give_up, done)  # a tenth of what asyncio.timeout costs
        try:
            await done
        finally:
            timer.cancel()
        if len(order.dropped) == len(order.pushes):
            raise Rejected(order.why)
        return order

    def standing(self, channel_id: bytes, stream: bytes) -> list[int]:
        """The amounts of pushes that were asked for and that the core may not know of yet.

        One that is being handed over may be known already: whoever counts both counts it twice for a moment.
        """
        lane = self._lanes.get(channel_id)
        if lane is None:
            return []
        pushes = [order.pushes[place] for order, place in (*lane.handed, *lane.line)]
        return [push.amount for push in pushes if push.stream == stream]

    def heard(self, topic: str, key: bytes) -> None:
        """A stream has grown, or something has become of a channel, durably."""
        if topic == "stream":
            for follower in self._followers:
                follower.grown(key)
        elif topic == "channel" and (lane := self._lanes.get(key)) is not None and lane.line:
            self._soon(lane)

    @contextmanager
    def following(self) -> Iterator[Follower]:
        follower = Follower(self._engine.tables.streams)
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    def _lane(self, channel_id: bytes) -> _Lane:
        lane = self._lanes.get(channel_id)
        if lane is None:
            lane = self._lanes[channel_id] = _Lane(channel_id)
        return lane

    def answered(self, answer: AnswerPushes) -> None:
        """The core says what became of pushes; those of a caller from before a restart have nobody here."""
        lane = self._lanes.get(answer.channel_id)
        if lane is None:
            return
        totals = {record.stream: record for record in answer.streams}
        for push in answer.sent:
            place = _next(lane, push)
            if place is not None:
                order = place[0]
                order.sent += 1
                order.totals = totals[push.stream]
                order.settle()
        for push in answer.dropped:
            place = _next(lane, push)
            if place is not None:
                place[0].drop(place[1], answer.why)
        self._soon(lane)

    def _soon(self, lane: _Lane) -> None:
        """Hand over once everybody who is about to ask has done so."""
        if not lane.handing_over:
            lane.handing_over = True
            task = asyncio.create_task(self._hand_over(lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _hand_over(self, lane: _Lane) -> None:
        """As long as somebody stands in line and the core has room: ask it, one batch a turn."""
        try:
            while lane.line and (room := self._room(lane.channel_id)):
                batch = lane.handed = _first_in(lane, room)
                why, refused = await self._ask(lane, batch)
                if len(batch) == 1 or lane.channel_id not in self._engine.tables.online:
                    _drop(refused, why)
                else:  # one of them cannot be made: which?
                    for each in refused:
                        why, singly = await self._ask(lane, [each])
                        _drop(singly, why)
                lane.handed, lane.one_by_one = [], False
        except OperationalError:
            log.info("the daemon stops with %d pushes in line", len(lane.line))
        finally:
            lane.handing_over = False
            if not lane.line and not lane.asked:
                self._lanes.pop(lane.channel_id, None)

    async def _ask(self, lane: _Lane, batch: list[_Place]) -> tuple[str, list[_Place]]:
        """Give the core some pushes; why it takes none of them, and whom that concerns."""
        request = _expect(lane, batch)
        try:
            await self._engine.ask(request)
        except Rejected as rejection:
            return self._why(lane.channel_id, rejection), _forget(lane, batch)
        return "", []

    def _why(self, channel_id: bytes, rejection: Rejected) -> str:
        """For people: amounts in the unit of the channel's asset."""
        channel = self._engine.tables.records[Channel].get(channel_id)
        if not isinstance(rejection, AmountRejected) or not isinstance(channel, Channel):
            return str(rejection)
        asset = channel.params.asset
        return rejection.told(lambda units: self._catalogue.amount(asset, units))

    def supply(self, channel_id: bytes) -> list[tuple[PushesRequested, _Supplied]]:
        """A channel has changed in this turn: if the peer has answered, the next batch goes with that."""
        lane = self._lanes.get(channel_id)
        if lane is None or not lane.line or lane.one_by_one or channel_id not in self._engine.tables.online:
            return []
        room = self._room(channel_id)
        if not room:
            return []
        batch = _first_in(lane, room)
        return [(_expect(lane, batch), _Supplied(self, lane, batch))]

    def refused(self, lane: _Lane, batch: list[_Place]) -> None:
        """One of a batch cannot be made: all are asked for again."""
        lane.line.extendleft(reversed(_forget(lane, batch)))
        lane.one_by_one = True
        self._soon(lane)

    def _room(self, channel_id: bytes) -> int:
        """How many pushes the core shall be asked for now: none while the peer has some of ours to answer.

        So most are signed in the turn in which they are asked for, and need not be stored as waiting before.
        Where none can be made, some are asked for all the same, and their callers hear why.
        """
        channel = self._engine.tables.records[Channel].get(channel_id)
        if not isinstance(channel, Channel):
            return 1
        unanswered = not channel.answered and channel_id in self._engine.tables.online
        if unanswered and pushes_among(channel.unanswered):
            return 0
        return MAX_WAITING_PUSHES - len(pushes_among(channel.waiting))


async def _room_in(lane: _Lane, timeout_s: float) -> None:
    """Wait until fewer stand in line. Raises Rejected after the time."""
    lane.room.clear()
    try:
        async with asyncio.timeout(timeout_s):
            await lane.room.wait()
    except TimeoutError:
        raise Rejected(f"{len(lane.line)} pushes stand in line; the peer signs too slowly") from None


def _give_up(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def _drop(places: list[_Place], why: str) -> None:
    for order, place in places:
        order.drop(place, why)


def _first_in(lane: _Lane, most: int) -> list[_Place]:
    batch = [lane.line.popleft() for _ in range(min(most, len(lane.line)))]
    if len(lane.line) < MAX_IN_LINE // 2:
        lane.room.set()
    return batch


def _expect(lane: _Lane, batch: list[_Place]) -> PushesRequested:
    """What to ask the core for; its answers may come before it is known that it has taken them."""
    for place in batch:
        lane.asked.setdefault(_push(place), deque()).append(place)
    return PushesRequested(lane.channel_id, tuple([_push(place) for place in batch]))


def _forget(lane: _Lane, batch: list[_Place]) -> list[_Place]:
    """The core has not taken these: who it is that will hear no answer.

    Somebody may have been given the answer to an equal push meanwhile; then whoever waits for that one.
    """
    forgotten: list[_Place] = []
    for place in batch:
        push = _push(place)
        places = lane.asked.get(push)
        if places is None:
            continue
        if place in places:
            places.remove(place)
        else:
            place = places.pop()
        forgotten.append(place)
        if not places:
            del lane.asked[push]
    return forgotten


def _push(place: _Place) -> Push:
    order, number = place
    return order.pushes[number]


def _next(lane: _Lane, push: Push) -> _Place | None:
    """Who has waited longest for such a push."""
    places = lane.asked.get(push)
    if not places:
        return None
    place = places.popleft()
    if not places:
        del lane.asked[push]
    return place
