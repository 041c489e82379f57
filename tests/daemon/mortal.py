"""A daemon in a process of its own that can be told to die: by SIGKILL, right after a durable write."""

import asyncio
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

from channeld.adapters.chain.outbox import Outbox
from channeld.adapters.journal.records import Write
from channeld.adapters.journal.sqlite import SqliteJournal
from channeld.adapters.signer import Signer
from channeld.api.client import ApiClient
from channeld.config.settings import Config
from channeld.core.errors import OperationalError
from channeld.daemon.app import run

START_S = 30.0

# Each life begins as a fork of one process that has imported everything: 20 ms instead of a second.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.daemon.mortal"])


class Fate:
    """In the daemon's process: counts durable writes, those of transactions too, and ends it at the last."""

    def __init__(self, countdown: Any, speech: Connection) -> None:
        self._countdown = countdown
        self._speech = speech
        self._kinds: set[str] = set()

    def watch(self) -> None:
        """From here on every durable write counts."""
        commit, put = SqliteJournal.commit, Outbox.put

        def commit_noted(journal: SqliteJournal, writes: Sequence[Write]) -> None:
            self._kinds = {write.kind for write in writes}
            commit(journal, writes)

        def put_noted(outbox: Outbox, entry: Any) -> None:
            put(outbox, entry)
            self._kinds = {f"transaction {entry.intention.partition(':')[0]} {entry.stage}"}
            self.written(0)

        SqliteJournal.commit = commit_noted  # type: ignore[method-assign]
        Outbox.put = put_noted  # type: ignore[method-assign]

    def written(self, ordinal: int) -> None:
        """A write is on disk, and nothing that follows from it has happened."""
        if self._countdown.value == 0:
            return
        self._countdown.value -= 1
        if self._countdown.value == 0:
            self._speech.send(("died", sorted(self._kinds)))
            os.kill(os.getpid(), signal.SIGKILL)

    def ready(self, api_url: str, port: int) -> None:
        self._speech.send(("ready", api_url))


def live(config: Config, key: bytes, countdown: Any, speech: Connection) -> None:
    """The whole life of one process."""
    fate = Fate(countdown, speech)
    fate.watch()
    run(config, Signer(key), on_commit=fate.written, on_ready=fate.ready)


@dataclass(slots=True)
class Mortal:
    """A daemon that is killed again and again, and starts again on the same directory.

    `relapses`: after how many writes the coming lives end, the next one last.
    """

    config: Config
    key: bytes
    deaths: list[tuple[str, ...]] = field(default_factory=list)
    relapses: list[int] = field(default_factory=list)
    # Without a lock: whoever dies with it would take it along.
    _countdown: Any = field(default_factory=lambda: _context.RawValue("l", 0))
    _process: ForkServerProcess | None = None
    _speech: Connection | None = None
    _client: ApiClient | None = None

    def __post_init__(self) -> None:
        node = replace(self.config.node, log_file=self.config.node.data_dir / "log.txt")
        self.config = replace(self.config, node=node)
        self.config.node.data_dir.mkdir(mode=0o700, exist_ok=True)

    @property
    def commands(self) -> ApiClient:
        """The daemon's API. Raises OperationalError while nobody is there."""
        if self._client is None:
            raise OperationalError("it has never lived")
        return self._client

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    @property
    def pid(self) -> int:
        assert self._process is not None and self._process.pid is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.exitcode

    def die_after(self, writes: int) -> None:
        """Die at the given durable write from now, 1 for the next; 0: live on."""
        self._countdown.value = writes

    async def start(self) -> None:
        """A new life. Returns when the API answers."""
        assert not self.is_alive
        self._speech, theirs = _context.Pipe(duplex=False)
        self._process = _context.Process(target=live, args=(self.config, self.key, self._countdown, theirs))
        self._process.start()
        theirs.close()
        async with asyncio.timeout(START_S):
            while not self._speech.poll():
                assert self.is_alive, f"it did not start: {self.last_log()}"
                await asyncio.sleep(0.005)
        word, said = self._speech.recv()
        if word == "died":
            self.deaths.append(tuple(said))
            return
        assert word == "ready"
        token = (self.config.node.data_dir / "api.token").read_text().strip()
        self._client = ApiClient(said, token)

    async def ended(self) -> None:
        """Wait for the end of this life, and note what it wrote last if it was killed."""
        assert self._process is not None and self._speech is not None
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        loop.add_reader(self._process.sentinel, over.set)
        await over.wait()
        loop.remove_reader(self._process.sentinel)
        self._process.join()
        code = self._process.exitcode
        assert code in (0, -signal.SIGKILL), f"ended with {code}: {self.last_log()}"
        with suppress(EOFError):  # nothing more was said
            word, said = self._speech.recv()
            if word == "died":
                self.deaths.append(tuple(said))

    async def live_again_and_again(self) -> None:
        """After each death another life, until this is cancelled or a life ends without being killed."""
        while self.exit_code != 0:
            self.die_after(self.relapses.pop() if self.relapses else 0)
            await self.start()
            await self.ended()

    async def stop(self) -> None:
        """End for good, politely."""
        self.die_after(0)
        await self.commands.stop()

    def has_unfinished_transactions(self) -> bool:
        """Whether the outbox on disk holds one that is not final: what was asked for is under way."""
        with closing(sqlite3.connect(self.config.node.data_dir / "transactions.db")) as database:
            (count,) = database.execute(
                "SELECT count(*) FROM entry WHERE stage IN ('sent', 'mined')"
            ).fetchone()
        return bool(count)

    def destroy(self) -> None:
        """Whatever happened: nothing is left running."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._process = None

    def last_log(self) -> str:
        log = self.config.node.log_file
        assert log is not None
        return log.read_text()[-3_000:] if log.exists() else "no log"
