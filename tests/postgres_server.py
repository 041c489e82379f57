"""A PostgreSQL server for the tests: its own directory, its own socket, gone afterwards."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

START_S = 30.0
DEBIAN = Path("/usr/lib/postgresql")
INITDB = ("-U", "tester", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8")


def binaries() -> Path | None:
    """Where initdb and postgres are: on the path, or where Debian keeps them (the newest version)."""
    found = shutil.which("initdb")
    if found is not None and (Path(found).resolve().parent / "postgres").exists():
        return Path(found).resolve().parent
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return versions[-1].parent if versions else None


def unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: whom to run it as then."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise LookupError("no user that is not root")


@dataclass
class PostgresServer:
    """For clients on this machine; nobody needs a password behind its directory."""

    directory: Path
    binaries: Path
    process: "subprocess.Popen[bytes] | None" = None
    names: Iterator[int] = field(default_factory=count)

    @property
    def url(self) -> str:
        return f"postgresql://tester@/postgres?host={self.directory}"

    def new_schema(self) -> str:
        """The URL of an empty one; a database of its own would take ten times as long."""
        name = f"test_{next(self.names)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{self.url}&options=-csearch_path%3D{name}"

    def start(self) -> None:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.directory),
            "shared_buffers": "32MB",
            "max_connections": "40",
            "autovacuum": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.directory / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.directory / "data", *options],
                cwd=self.directory,
                stdout=log,
                stderr=log,
                **unprivileged(),
            )
        end_s = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.url).close()
                return
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.directory / "log.txt").read_text()[-2_000:]
                assert time.monotonic() < end_s, "the server did not start"
                time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)  # at once, as in a power cut: nobody reads it again
            self.process.wait()


@contextmanager
def serving() -> Iterator[PostgresServer]:
    """A running server. Raises LookupError, saying what is missing, where there can be none."""
    found = binaries()
    if found is None:
        raise LookupError("PostgreSQL's server is not installed (apt-get install postgresql)")
    who = unprivileged()
    directory = Path(tempfile.mkdtemp(prefix="channeld-postgres-"))
    try:
        if who:
            os.chown(directory, who["user"], who["group"])
        subprocess.run(
            [found / "initdb", "-D", directory / "data", *INITDB],
            cwd=directory,
            check=True,
            capture_output=True,
            **who,
        )
        server = PostgresServer(directory, found)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
