"""The loop: take what has happened, step the core, make it durable, and only then act.

One turn handles everything that has happened since the last one, on all channels, with one commit:
batches grow with load, and an idle node answers at once.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from channeld.adapters.journal.records import Delete, Journal, Put, Write
from channeld.core.channel import Ack, Channel, Update
from channeld.core.draft import Draft, Record, Tables, Toolbox, is_archived
from channeld.core.effects import Disconnect, Effect, WakeChannel, WakeClaim
from channeld.core.errors import PeerViolation, Rejected
from channeld.core.events import ChannelDue, ClaimDue, Event, MessageReceived, PaymentRequested
from channeld.core.node import flush, harvest, step, wake_all
from channeld.core.operations import Add, Operation
from channeld.core.pushing import streams_to_count
from channeld.core.records import Stream, is_kept
from channeld.daemon.clock import ChainClock
from channeld.daemon.timers import Timers
from channeld.wire.records import RECORD_KINDS, decode_record, encode_record, kind_of

log = logging.getLogger(__name__)

EVENTS_A_TURN = 1_000
"""Events that share one commit: enough for a full batch from every busy peer, few enough that a turn
stays well below a second."""

BACKLOG_EVENTS = 4_000
"""Waiting events above which peers are no longer read from: each holds at most one 1 MiB message."""

STREAMS_AT_HAND = 10_000
"""Totals of pushes that are not looked up on disk again: 3 MB."""

TICK_S = 0.25
"""How often the timers are looked at; deadlines are in whole seconds."""


@dataclass(frozen=True, slots=True)
class Chained:
    """Events of one confirmed block of time `at_s`, and the rows (checkpoint, registries) that belong to
    them. The registries are complete up to that time once its events have happened."""

    events: tuple[Event, ...]
    writes: tuple[Write, ...]
    at_s: int


@dataclass(frozen=True, slots=True)
class LookUp:
    """What the steps of a turn will ask of the disk.

    The hashlocks of payments to be made and of claims offered to us, and the keys of totals of pushes.
    """

    new: list[bytes] = field(default_factory=list)
    offered: list[bytes] = field(default_factory=list)
    streams: list[bytes] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.new or self.offered or self.streams)


class Asker(Protocol):
    """Who hears that what was asked for is rejected: a future, or whoever must know in the same turn."""

    def done(self) -> bool: ...

    def set_exception(self, exception: Exception, /) -> None: ...


@dataclass(slots=True)
class _Item:
    """Something that has happened; `done` hears when it is durable or rejected, `end` only of a rejection.

    Without an event it marks a place in the queue.
    """

    event: Event | Chained | None
    done: asyncio.Future[None] | None = None
    end: Asker | None = None

    def reject(self, error: Exception) -> bool:
        """False if nobody is to hear it."""
        asker = self.done or self.end
        if asker is not None and not asker.done():
            asker.set_exception(error)
        return asker is not None


class Engine:
    """Owns the tables. Nothing else writes to them or to the journal's live records."""

    def __init__(
        self,
        tables: Tables,
        journal: Journal,
        tools: Toolbox,
        clock: ChainClock,
        act: Callable[[Effect], None],
    ) -> None:
        self.tables = tables
        self.journal = journal
        self.clock = clock
        self._tools = tools
        self._act = act
        self.on_archived: Callable[[list[Record]], None] = lambda records: None
        """Told in each turn of the records that have become history, once that is durable."""
        self.on_useless: Callable[[bytes], None] = lambda peer: None
        """Told which peer has said something from which nothing followed."""
        self.on_due: Callable[[ClaimDue | ChannelDue], None] = lambda due: None
        """Told of each claim and channel whose time has come, before the core looks at it."""
        self.on_look_up: Callable[[LookUp], None] = lambda asked: None
        """Told before its first step what a turn will ask of the disk, if anything; of nothing at its end."""
        self.was_history: Callable[[Record], bool] = lambda record: False
        """Whether a live record that is written was history before: a payment that is tried again."""
        self.supply: Callable[[bytes], Sequence[tuple[Event, Asker]]] = lambda channel_id: ()
        """Asked, before a channel that has changed is flushed, what else shall happen in it in this turn."""
        self._queue: deque[_Item] = deque()
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._timers = Timers()
        self._ticking: asyncio.TimerHandle | None = None
        self._postponed: set[bytes] = set()
        self._clocks_agreed = True

    def restore(self) -> None:
        """Fill the tables from the journal and look at everything that is open."""
        self.tables.restore(
            decode_record(kind, value) for kind in RECORD_KINDS for _, value in self.journal.load(kind)
        )
        self.tables.dirty.clear()
        for event in wake_all(self.tables):
            self.post(event)

    def post(self, event: Event | Chained) -> None:
        """Something has happened. Never blocks; peers' events are limited by `room`."""
        self._queue.append(_Item(event))
        self._work.set()
        if len(self._queue) > BACKLOG_EVENTS:
            self._room.clear()

    async def ask(self, event: Event) -> None:
        """Do something for a caller: returns when it is durable. Raises Rejected, nothing changed."""
        await self._enqueue(event)

    def post_for(self, event: Event, end: asyncio.Future[Any]) -> None:
        """Do something whose end a caller awaits: `end` is told if it is rejected, and nothing else."""
        self._queue.append(_Item(event, end=end))
        self._work.set()

    def caught_up(self) -> asyncio.Future[None]:
        """Done when everything that was posted until now is durable."""
        return self._enqueue(None)

    def _enqueue(self, event: Event | None) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(_Item(event, done))
        self._work.set()
        return done

    def room(self) -> Awaitable[None] | None:
        """What a reader of messages must wait for before it reads on; None if there is room."""
        return None if self._room.is_set() else self._wait_for_room()

    async def _wait_for_room(self) -> None:
        await self._room.wait()

    async def run(self) -> None:
        """Turn after turn, for ever. An exception is a bug or a failed disk: the daemon must stop."""
        self._tick()
        try:
            while True:
                await self._work.wait()
                self.turn(patient=True)
                # Let the transport read what has come meanwhile, and those go on whom the turn has woken.
                await asyncio.sleep(0)
        finally:
            if self._ticking is not None:
                self._ticking.cancel()

    def _tick(self) -> None:
        self._work.set()
        self._ticking = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def turn(self, *, patient: bool = False) -> None:
        """Everything that waits, one commit, then the effects.

        A `patient` caller turns again as soon as those have gone on whom this turn wakes (see `_flush`).
        """
        self.tables.now_s = self.clock.now_s
        self._judge_clock()
        for event in self._timers.ring(self.tables.now_s):
            self.post(event)
        if not self._queue and not self.tables.dirty:
            self._work.clear()
            return
        drafts: list[Draft] = []
        writes: list[Write] = []
        done: list[asyncio.Future[None]] = []
        items = [self._queue.popleft() for _ in range(min(len(self._queue), EVENTS_A_TURN))]
        asked = self._look_up(items)
        for item in items:
            self._take(item, drafts, writes, done)
        if len(self._queue) <= BACKLOG_EVENTS // 2:
            self._room.set()
        for channel_id in sorted(self.tables.dirty):
            for request, asker in self.supply(channel_id):
                self._take(_Item(request, end=asker), drafts, writes, done)
        self._flush(drafts, patient)
        if not self._queue and not self.tables.dirty:
            self._work.clear()
        # Durable before visible (R11): nothing below this line runs for what is not on disk.
        rows, archived = _rows(drafts, self.was_history)
        self.journal.commit([*rows, *writes])
        if asked:
            self.on_look_up(LookUp())
        self.tables.just_paid.clear()  # from here on the journal knows
        if len(self.tables.just_pushed) > STREAMS_AT_HAND:
            self.tables.just_pushed.clear()
        for draft in drafts:
            for effect in draft.effects:
                self._run(effect)
        if archived:
            self.on_archived(archived)
        for future in done:
            if not future.done():
                future.set_result(None)

    def _look_up(self, items: list[_Item]) -> LookUp:
        """Read from disk what the steps will ask for: a database server is asked once, not by each."""
        asked = LookUp()
        for item in items:
            match item.event:
                case PaymentRequested(hashlock=hashlock):
                    asked.new.append(hashlock)
                case MessageReceived(peer, Update(channel_id=channel_id, operations=operations)):
                    self._look_up_batch(asked, peer, channel_id, operations)
                case MessageReceived(peer, Ack(channel_id=channel_id)):
                    self._look_up_batch(asked, peer, channel_id, ())
                case ChannelDue(channel_id) if (held := self.tables.held.get(channel_id)) is not None:
                    self._look_up_batch(asked, None, channel_id, held.update.operations)
                case _:
                    pass
        if asked:
            self.on_look_up(asked)
        return asked

    def _look_up_batch(
        self, asked: LookUp, peer: bytes | None, channel_id: bytes, operations: Sequence[Operation]
    ) -> None:
        """What is asked for when a batch of the peer's (None: whose it is was seen before) is taken."""
        channel = self.tables.records[Channel].get(channel_id)
        if not isinstance(channel, Channel) or peer not in (None, channel.peer):
            return
        asked.offered.extend([op.claim.hashlock or b"" for op in operations if isinstance(op, Add)])
        streams = streams_to_count(channel, operations)
        asked.streams.extend(streams.difference(self.tables.just_pushed))

    def _flush(self, drafts: list[Draft], patient: bool) -> None:
        """Sign what is to be signed in the channels that have changed.

        Whoever hears in this turn that a payment of his has succeeded may pay again at once, and that
        offer can carry the answer to the peer (R4). So where there is an answer and nothing else, it waits
        for the next turn, once: not for a time, only until those who can run have run.
        """
        patient = patient and bool(self.tables.just_paid)
        postponed: set[bytes] = set()
        while self.tables.dirty:
            for channel_id in sorted(self.tables.dirty):  # a set has another order in every process
                self.tables.dirty.discard(channel_id)
                if patient and channel_id not in self._postponed and self._only_answers(channel_id):
                    postponed.add(channel_id)
                else:
                    self._commit(flush(self.tables, channel_id, self._tools), drafts)
        self.tables.dirty |= postponed
        self._postponed = postponed

    def _only_answers(self, channel_id: bytes) -> bool:
        channel = self.tables.records[Channel][channel_id]
        assert isinstance(channel, Channel)
        return not channel.waiting

    def _judge_clock(self) -> None:
        trusted = self.clock.trusted
        if trusted is not self._clocks_agreed and self.clock.head_s:
            self._clocks_agreed = trusted
            said = "agree again" if trusted else "disagree: no new claims are taken until they agree"
            log.warning("the chain's clock (%d) and this computer's %s", self.clock.head_s, said)
        self.tables.clock_trusted = trusted

    def _take(
        self, item: _Item, drafts: list[Draft], writes: list[Write], done: list[asyncio.Future[None]]
    ) -> None:
        event = item.event
        if event is None:
            assert item.done is not None
            done.append(item.done)
            return
        if isinstance(event, Chained):
            writes.extend(event.writes)
            for part in event.events:
                self._commit(step(self.tables, part, self._tools), drafts)
            self.tables.confirmed_s = max(self.tables.confirmed_s, event.at_s)
            return
        if isinstance(event, ClaimDue | ChannelDue):
            self.on_due(event)
        if isinstance(event, MessageReceived):
            self._commit(harvest(self.tables, event.message), drafts)
        try:
            draft = step(self.tables, event, self._tools)
        except PeerViolation as violation:
            assert isinstance(event, MessageReceived), f"{event} cannot be a peer's fault"
            draft = Draft(self.tables)
            draft.emit(Disconnect(event.peer, str(violation)))
        except Rejected as rejection:
            heard = item.reject(rejection)
            assert heard, f"nobody hears that {event} was rejected: {rejection}"
            return
        if isinstance(event, MessageReceived) and not (draft.changes or draft.effects or draft.held):
            self.on_useless(event.peer)
        self._commit(draft, drafts)
        if item.done is not None:
            done.append(item.done)

    def _commit(self, draft: Draft, drafts: list[Draft]) -> None:
        for hashlock, refs in draft.refs.items():
            for ref in self.tables.refs_of_hash.get(hashlock, ()):
                if ref not in refs:
                    self._timers.forget(ref)
        self.tables.commit(draft)
        drafts.append(draft)

    def _run(self, effect: Effect) -> None:
        if isinstance(effect, WakeClaim):
            self._timers.set(effect.at_s, effect.claim)
        elif isinstance(effect, WakeChannel):
            self._timers.set(effect.at_s, effect.channel_id)
        else:
            self._act(effect)

    def fail_waiting(self, error: Exception) -> None:
        """Tell everybody who waits for an answer that none will come."""
        for item in self._queue:
            item.reject(error)


def _rows(drafts: Iterable[Draft], was_history: Callable[[Record], bool]) -> tuple[list[Write], list[Record]]:
    """The rows of every changed record, the last word on each only, and those that became history."""
    changes: dict[tuple[type[Record], bytes], Record | None] = {}
    for draft in drafts:
        changes.update(draft.changes)
    rows: list[Write] = []
    archived: list[Record] = []
    for (table, key), record in changes.items():
        kind = kind_of(table)
        if record is None:
            rows.append(Delete(kind, key))
            continue
        _, _, value = encode_record(record)
        if is_archived(record):
            if not isinstance(record, Stream):  # it was never anything but history
                rows.append(Delete(kind, key))
            if is_kept(record):
                rows.append(Put(f"{kind}_done", key, value))
            archived.append(record)
        else:
            rows.append(Put(kind, key, value))
            if was_history(record):
                rows.append(Delete(f"{kind}_done", key))
    return rows, archived
