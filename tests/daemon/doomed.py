"""A daemon in a process of its own whose disk fails while it works: full, read-only, or not syncing."""

import asyncio
import ctypes
import multiprocessing
import os
import platform
import resource
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from channeld.adapters.chain.outbox import Outbox
from channeld.adapters.journal.sqlite import SqliteJournal
from channeld.adapters.signer import Signer
from channeld.api.client import ApiClient
from channeld.config.settings import Config
from channeld.core.errors import ChanneldError
from channeld.daemon.app import run
from tests.daemon.cluster import eventually

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.daemon.doomed"])

START_S = 60.0
END_S = 120.0

FSYNCS = {"x86_64": (74, 75), "aarch64": (82, 83)}
"""Numbers of fsync and fdatasync."""

EIO = 5


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("if_true", ctypes.c_ubyte),
        ("if_false", ctypes.c_ubyte),
        ("operand", ctypes.c_uint),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


def break_fsync() -> None:
    """From now on no fsync of this process succeeds: a seccomp filter answers with EIO. Raises OSError."""
    fsync, fdatasync = FSYNCS[platform.machine()]
    program = (_Instruction * 5)(
        _Instruction(0x20, 0, 0, 0),  # load the number of the system call
        _Instruction(0x15, 1, 0, fsync),
        _Instruction(0x15, 0, 1, fdatasync),
        _Instruction(0x06, 0, 0, 0x0005_0000 | EIO),  # SECCOMP_RET_ERRNO
        _Instruction(0x06, 0, 0, 0x7FFF_0000),  # SECCOMP_RET_ALLOW
    )
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, filtering = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(
        seccomp, filtering, ctypes.byref(_Program(5, program)), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "no seccomp here")


def _suffer(trouble: str, journals: list[SqliteJournal], outboxes: list[Outbox]) -> None:
    match trouble:
        case "full":
            sizes = [path.stat().st_size for path in journals[-1].path.parent.iterdir()]
            resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes), resource.RLIM_INFINITY))
        case "read-only":
            journals[-1]._connection.execute("PRAGMA query_only = 1")
        case "not syncing":
            break_fsync()
        case "transactions read-only":
            outboxes[-1]._database.execute("PRAGMA query_only = 1")


def live(config: Config, key: bytes, trouble: str, speech: Connection) -> None:
    """The life of one process: trouble begins with SIGUSR1, and it says what ended it."""
    journals: list[SqliteJournal] = []
    make = SqliteJournal.__init__

    def made(journal: SqliteJournal, *arguments: object, **named: object) -> None:
        make(journal, *arguments, **named)  # type: ignore[arg-type]
        journals.append(journal)

    SqliteJournal.__init__ = made  # type: ignore[method-assign,assignment]
    outboxes: list[Outbox] = []
    make_outbox = Outbox.__init__

    def made_outbox(outbox: Outbox, path: Path, identity: bytes) -> None:
        make_outbox(outbox, path, identity)
        outboxes.append(outbox)

    Outbox.__init__ = made_outbox  # type: ignore[method-assign]
    signal.signal(signal.SIGUSR1, lambda *_: _suffer(trouble, journals, outboxes))
    try:
        run(config, Signer(key), on_ready=lambda url, port: speech.send(("ready", url)))
    except (ChanneldError, ExceptionGroup) as error:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        speech.send(("failed", f"{type(error).__name__}: {error}"))
        os._exit(3)


@dataclass(slots=True)
class Doomed:
    """One process. `said` holds its last words once it has ended."""

    config: Config
    key: bytes
    trouble: str = ""
    said: str = ""
    _client: ApiClient | None = None
    _process: ForkServerProcess | None = None
    _speech: Connection | None = None

    @property
    def commands(self) -> ApiClient:
        assert self._client is not None
        return self._client

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    async def start(self) -> None:
        directory = self.config.node.data_dir
        directory.mkdir(mode=0o700, exist_ok=True)
        self._speech, theirs = _context.Pipe(duplex=False)
        arguments = (self.config, self.key, self.trouble, theirs)
        self._process = _context.Process(target=live, args=arguments)
        self._process.start()
        theirs.close()
        word, said = await self._hear(START_S)
        assert word == "ready", said
        self._client = ApiClient(said, (directory / "api.token").read_text().strip())

    async def _hear(self, patience_s: float) -> tuple[str, str]:
        assert self._speech is not None
        async with asyncio.timeout(patience_s):
            while not self._speech.poll():
                assert self.is_alive, "it ended without a word"
                await asyncio.sleep(0.01)
        word, said = self._speech.recv()
        return word, said

    def begin_trouble(self) -> None:
        assert self._process is not None and self._process.pid is not None
        os.kill(self._process.pid, signal.SIGUSR1)

    async def failed(self) -> None:
        """Wait for what it says in the end."""
        word, self.said = await self._hear(END_S)
        assert word == "failed"
        assert self._process is not None
        await eventually(lambda: not self.is_alive, END_S)
        assert self._process.exitcode == 3

    def destroy(self) -> None:
        """Whatever happened: nothing is left running."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._process = None
        if self._speech is not None:
            self._speech.close()
            self._speech = None
