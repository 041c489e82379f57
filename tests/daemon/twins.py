"""Several daemons of one identity on one database, each a process: killed, paused, or cut off from it."""

import asyncio
import multiprocessing
import os
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from channeld.adapters.signer import Signer
from channeld.api.client import ApiClient
from channeld.config.settings import Config
from channeld.core.channel import Ack, Update
from channeld.core.errors import ChanneldError
from channeld.core.events import Event, MessageReceived
from channeld.daemon.app import run
from channeld.daemon.commands import Daemon
from channeld.daemon.engine import Chained

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.daemon.twins", "tests.daemon.mortal"])

START_S = 30.0


def live(config: Config, key: bytes, speech: Connection) -> None:
    """The life of one process: it says when it leads, and what ended it."""
    try:
        run(config, Signer(key), on_ready=lambda url, port: speech.send(("leads", url)))
    except (ChanneldError, ExceptionGroup) as error:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        speech.send(("failed", f"{type(error).__name__}: {error}"))
        os._exit(3)


@dataclass(slots=True)
class Twin:
    """One process. `said` holds its last words once it has ended."""

    config: Config
    key: bytes
    said: str = ""
    _client: ApiClient | None = None
    _process: ForkServerProcess | None = None
    _speech: Connection | None = None

    def start(self) -> None:
        """Returns at once: it may have to stand by."""
        directory = self.config.node.data_dir
        directory.mkdir(mode=0o700)
        node = replace(self.config.node, log_file=directory / "log.txt")
        self._speech, theirs = _context.Pipe(duplex=False)
        process = _context.Process(target=live, args=(replace(self.config, node=node), self.key, theirs))
        process.start()
        self._process = process
        theirs.close()

    def listen(self) -> None:
        assert self._speech is not None
        with suppress(EOFError):
            while self._speech.poll():
                word, text = self._speech.recv()
                if word == "leads":
                    token = (self.config.node.data_dir / "api.token").read_text().strip()
                    self._client = ApiClient(text, token)
                else:
                    self.said = text

    @property
    def leads(self) -> bool:
        self.listen()
        return self._client is not None

    @property
    def commands(self) -> ApiClient:
        assert self._client is not None
        return self._client

    async def led(self) -> float:
        """Wait until it leads; how long that took."""
        begun_s = time.monotonic()
        async with asyncio.timeout(START_S):
            while not self.leads:
                assert self.is_alive, f"it ended: {self.said}"
                await asyncio.sleep(0.02)
        return time.monotonic() - begun_s

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None and self._process.pid is not None
        os.kill(self._process.pid, number)

    async def ended(self) -> None:
        async with asyncio.timeout(START_S):
            while True:
                self.listen()
                if not self.is_alive:
                    break
                await asyncio.sleep(0.02)
        self.listen()

    def destroy(self) -> None:
        """Whatever happened: nothing is left running."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._process = None
        if self._speech is not None:
            self._speech.close()


@dataclass
class Cable:
    """Between one daemon and the server: once it is cut, nothing arrives and no connection ends."""

    server: Path
    directory: Path
    _whole: asyncio.Event = field(default_factory=asyncio.Event)
    _pipes: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.directory.mkdir()
        self._whole.set()

    def cut(self) -> None:
        self._whole.clear()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(str(self.server))
        for one, other in ((reader, back), (there, writer)):
            self._pipes.add(asyncio.create_task(self._carry(one, other)))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(65_536):
                    await self._whole.wait()
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def cable(server: Path, directory: Path) -> AsyncIterator[Cable]:
    """A cable whose near end is the socket of a server in `directory`."""
    laid = Cable(server / ".s.PGSQL.5432", directory)
    listening = await asyncio.start_unix_server(laid.connected, directory / ".s.PGSQL.5432")
    try:
        yield laid
    finally:
        listening.close()
        for pipe in laid._pipes:
            pipe.cancel()
        await asyncio.gather(*laid._pipes, return_exceptions=True)


@dataclass
class Witness:
    """Notes every signature that a peer puts under a state: they are deterministic, so two signatures
    under one version are two states."""

    peer: bytes
    signatures: dict[tuple[bytes, int], set[bytes]] = field(default_factory=lambda: defaultdict(set))

    def stand_beside(self, daemon: Daemon) -> None:
        post = daemon.engine.post

        def noting(event: Event | Chained) -> None:
            if isinstance(event, MessageReceived) and event.peer == self.peer:
                message = event.message
                if isinstance(message, Update | Ack):
                    self.signatures[message.channel_id, message.version].add(message.signature)
            post(event)

        daemon.engine.post = noting  # type: ignore[method-assign]

    @property
    def contradictions(self) -> list[tuple[bytes, int]]:
        return [place for place, found in self.signatures.items() if len(found) > 1]
