"""Alice at her terminal: the command line as a function, in front of a scripted daemon on a real port."""

import asyncio
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from channeld.api.server import serve_api
from channeld.api.token import load_or_create_token
from channeld.cli.main import run
from tests.api.scripted import ScriptedNode


@dataclass(frozen=True, slots=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one sentence on standard error."""
        assert self.out == "", self.out
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1, self.err
        return self.err[:-1]


Channeld = Callable[..., Said]


class Daemon:
    """A scripted node behind the real server, in a thread of its own; it stops when it is told to."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.node = ScriptedNode()
        self._ready = threading.Event()
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Daemon":
        self.token = load_or_create_token(self.directory / "api.token")
        self._thread.start()
        self._ready.wait()
        (self.directory / "config.toml").write_text(
            f'[node]\ndata_dir = "."\n[api]\nport = {self._port}\n'
            f'[[asset]]\naddress = "0x{"00" * 20}"\nsymbol = "ETH"\ndecimals = 18\n'
        )
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(RuntimeError):  # stopped already, by a command
            self._loop.call_soon_threadsafe(self.node.stopped.set)
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await serve_api(self.node, "127.0.0.1", 0, self.token, 2**20)
        self._port = server.port
        self._ready.set()
        await self.node.stopped.wait()
        await server.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    directory = tmp_path / "alice"
    directory.mkdir()
    with Daemon(directory) as running:
        yield running


@pytest.fixture
def node(daemon: Daemon) -> ScriptedNode:
    return daemon.node


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Channeld:
    """A command line in this process: arguments, and what is typed."""
    monkeypatch.delenv("CHANNELD_DATA_DIR", raising=False)
    monkeypatch.delenv("CHANNELD_PASSWORD", raising=False)

    def call(*arguments: object, typed: str = "") -> Said:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


@pytest.fixture
def alice(daemon: Daemon, command: Channeld, monkeypatch: pytest.MonkeyPatch) -> Channeld:
    """The command line with alice's data directory in the environment."""
    monkeypatch.setenv("CHANNELD_DATA_DIR", str(daemon.directory))
    return command
