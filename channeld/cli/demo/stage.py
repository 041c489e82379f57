"""The processes of the demonstration: started, asked through the public CLI, and stopped again."""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PASSWORD = "demo"
START_S = 30.0
"""A process that is not ready by then will never be."""
STOP_S = 10.0
COMMAND_S = 90.0
"""No single command of the story takes longer."""


class DemoFailed(Exception):
    """Something did not go as the story says."""


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class Stage:
    """Everything that runs, below one directory. Use as a context manager: nothing outlives it."""

    directory: Path
    rpc_url: str = ""
    running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.running):
            self.stop(name)

    def environment(self) -> dict[str, str]:
        return {**os.environ, "CHANNELD_PASSWORD": PASSWORD, "NO_COLOR": "1"}

    def spawn(self, name: str, *arguments: str, ready: str) -> str:
        """Start a long-running command; the line that says it is ready (it contains `ready`)."""
        log = (self.directory / f"{name}.log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", "channeld", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=self.environment(),
            start_new_session=True,
        )
        log.close()
        self.running[name] = process
        return self._wait_for(name, process, ready)

    def _wait_for(self, name: str, process: subprocess.Popen[str], ready: str) -> str:
        assert process.stdout is not None
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if select.select([process.stdout], [], [], 0.1)[0]:
                line = process.stdout.readline()
                if ready in line:
                    return line.strip()
                if not line:
                    break
            elif process.poll() is not None:
                break
        log = (self.directory / f"{name}.log").read_text()[-2_000:]
        raise DemoFailed(f"{name} did not start: {log}")

    def stop(self, name: str) -> None:
        """Ask a process to end, and make it."""
        process = self.running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def kill(self, name: str) -> None:
        """SIGKILL: the machine of this node is gone."""
        process = self.running.pop(name)
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def pause(self, name: str) -> None:
        """SIGSTOP: the process is there and does nothing."""
        self.running[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        self.running[name].send_signal(signal.SIGCONT)

    def release(self) -> None:
        """Let everything run on."""
        self.running.clear()

    def clear(self) -> None:
        """Stop everything and remove what it left."""
        for name in list(self.running):
            self.stop(name)
        shutil.rmtree(self.directory)

    def cli(self, *arguments: str, expect: tuple[int, ...] = (0,), show_progress: bool = False) -> Any:
        """Run one command of the public CLI with --json; the document that it prints.

        With `show_progress` its progress bar is seen, which it draws on a terminal only.
        """
        result = subprocess.run(
            [sys.executable, "-m", "channeld", "--json", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if show_progress else subprocess.PIPE,
            text=True,
            env=self.environment(),
            timeout=COMMAND_S,
            check=False,
        )
        if result.returncode not in expect:
            said = (result.stderr or "").strip()
            raise DemoFailed(f"channeld {' '.join(arguments)[:300]}: exit code {result.returncode}: {said}")
        return json.loads(result.stdout) if result.stdout.strip() else None

    def of(
        self, who: str, *arguments: str, expect: tuple[int, ...] = (0,), show_progress: bool = False
    ) -> Any:
        """A command to the daemon of `who`."""
        data_dir = str(self.directory / who)
        return self.cli("--data-dir", data_dir, *arguments, expect=expect, show_progress=show_progress)
