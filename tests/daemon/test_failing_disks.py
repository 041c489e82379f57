"""Bob's disk fails while alice pays him: he stops, says why, and has signed nothing that he did not store."""

import asyncio
import platform
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from channeld.config.settings import DatabaseSettings
from channeld.core.channel import Channel
from channeld.core.errors import OperationalError, Rejected
from channeld.services.devchain.accounts import development_account
from channeld.wire.records import decode_record
from tests import postgres_server
from tests.daemon.cluster import USD, Cluster, cluster, eventually
from tests.daemon.doomed import END_S, FSYNCS, Doomed
from tests.daemon.town import STAKE, is_quiet
from tests.postgres_server import serving

SMALL_DISK = "size=160m"
"""Of a PostgreSQL server: what it makes for itself takes about 60 MB."""


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """A file system of its own, of a bounded size; skips where nobody may mount one."""
    mount = shutil.which("mount")
    if mount is None:
        pytest.skip("no mount here")
    directory.mkdir(exist_ok=True)
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", SMALL_DISK, "tmpfs", directory], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"only root can make a small disk: {mounted.stderr.strip()}")
    directory.chmod(0o755)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def fill(directory: Path) -> Path:
    """Leave no byte free."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    return filler


def stored_in_sqlite(directory: Path) -> Callable[[], Channel]:
    def read() -> Channel:
        with closing(sqlite3.connect(directory / "journal.sqlite")) as database:
            ((value,),) = database.execute("SELECT value FROM records_channel")
        return _channel(value)

    return read


def stored_in_postgres(url: str) -> Callable[[], Channel]:
    def read() -> Channel:
        with psycopg.connect(url) as database:
            ((value,),) = database.execute("SELECT value FROM records_channel").fetchall()
        return _channel(bytes(value))

    return read


def _channel(value: bytes) -> Channel:
    record = decode_record("channel", value)
    assert isinstance(record, Channel)
    return record


async def pays_until_it_ends(net: Cluster, bob: Doomed, texts: list[str]) -> None:
    """alice pays invoice after invoice, whatever becomes of each, until bob is gone."""
    async with asyncio.timeout(END_S):
        for text in texts:
            if not bob.is_alive:
                return
            with suppress(OperationalError, Rejected):
                await net["alice"].pay(text, None, None, 0.5)
        await eventually(lambda: not bob.is_alive, END_S)


async def story(
    net: Cluster,
    bob: Doomed,
    trouble: Callable[[], None],
    stored: Callable[[], Channel],
    cure: Callable[[], None],
) -> None:
    """Payments, trouble, the end; what alice holds; then bob comes back and all goes on."""
    await bob.start()
    try:
        port = net["alice"].listen_port
        await bob.commands.connect(f"{net.node_id('alice').hex()}@127.0.0.1:{port}")
        opened = await net["alice"].open_channel(net.node_id("bob"), "USD", STAKE, None, 30.0)
        invoices = await bob.commands.create_invoice("USD", USD // 100, "", 86_400, 1_000)
        texts = [invoice.text for invoice in invoices]
        for text in texts[:5]:
            assert (await net["alice"].pay(text, None, None, 30.0)).status == "succeeded"
        ending = asyncio.create_task(bob.failed())
        trouble()
        await pays_until_it_ends(net, bob, texts[5:-1])
        await ending
        assert bob.said.startswith("JournalFailed: "), bob.said
        cure()
        # Whatever alice holds with his signature is in his journal: `theirs` is the highest that he signed.
        held, kept = net.state("alice", opened.channel_id).theirs, stored()
        assert kept.mine.version >= held.version > 0
        if kept.mine.version == held.version:
            assert (kept.mine.net, dict(kept.mine.claims)) == (held.net, dict(held.claims))
        bob.destroy()
        bob.trouble = ""
        await bob.start()
        await eventually(lambda: opened.channel_id in net["alice"].engine.tables.online, 60.0)
        assert (await net["alice"].pay(texts[-1], None, None, 60.0)).status == "succeeded"
        await eventually(lambda: is_quiet(net.state("alice", opened.channel_id)), 60.0)
        there = await bob.commands.channel(opened.channel_id)
        here = await net["alice"].channel(opened.channel_id)
        assert (here.version, here.ours, here.theirs) == (there.version, there.theirs, there.ours)
    finally:
        bob.destroy()


def doomed(net: Cluster, trouble: str = "", url: str = "") -> Doomed:
    config = net.config("bob")
    node = replace(config.node, log_file=net.directory / "bob.log")
    config = replace(config, node=node, database=DatabaseSettings(url, 2.0) if url else config.database)
    return Doomed(config, development_account("bob").key, trouble)


SQLITE = {
    "full": "disk I/O error|database or disk is full",
    "read-only": "readonly database",
    "not syncing": "disk I/O error",
}
"""What SQLite says. A limit to the size of files stands for a full disk where nobody may mount one."""


@pytest.mark.parametrize("trouble", SQLITE)
async def test_sqlite_cannot_store(tmp_path, trouble):
    if trouble == "not syncing" and platform.machine() not in FSYNCS:
        pytest.skip("the numbers of this machine's system calls are not known")
    async with cluster(tmp_path, "alice", "bob", running=["alice"], clock_skew_limit_s=10**7) as net:
        bob = doomed(net, trouble)
        await story(net, bob, bob.begin_trouble, stored_in_sqlite(tmp_path / "bob"), lambda: None)
        assert any(words in bob.said for words in SQLITE[trouble].split("|")), bob.said
        assert "records" in bob.said and "journal.sqlite" in bob.said


async def test_sqlite_cannot_store_a_transaction(tmp_path):
    """Only the file of transactions fails. Who goes on nevertheless cannot answer a challenge."""
    async with cluster(tmp_path, "alice", "bob", running=["alice"], clock_skew_limit_s=10**7) as net:
        bob = doomed(net, "transactions read-only")
        await bob.start()
        try:
            port = net["alice"].listen_port
            await bob.commands.connect(f"{net.node_id('alice').hex()}@127.0.0.1:{port}")
            opened = await net["alice"].open_channel(net.node_id("bob"), "USD", STAKE, None, 30.0)
            (invoice,) = await bob.commands.create_invoice("USD", USD, "", 86_400, 1)
            assert (await net["alice"].pay(invoice.text, None, None, 30.0)).status == "succeeded"
            ending = asyncio.create_task(bob.failed())
            bob.begin_trouble()
            with suppress(OperationalError):
                await bob.commands.close_channel(opened.channel_id, True, 60.0)
            await ending
            assert bob.said.startswith("OutboxFailed: ") and "readonly" in bob.said, bob.said
            assert "transactions.db: expected to store the transaction challenge:" in bob.said
            bob.destroy()
            bob.trouble = ""
            await bob.start()
            await eventually(lambda: net.dispute("alice", opened.channel_id) is not None, 60.0)
        finally:
            bob.destroy()


async def test_sqlite_on_a_disk_that_is_really_full(tmp_path):
    with small_disk(tmp_path / "bob"):
        async with cluster(tmp_path, "alice", "bob", running=["alice"], clock_skew_limit_s=10**7) as net:
            bob = doomed(net)
            fillers: list[Path] = []
            await story(
                net,
                bob,
                lambda: fillers.append(fill(tmp_path / "bob")),
                stored_in_sqlite(tmp_path / "bob"),
                lambda: fillers[0].unlink(),
            )
            assert "full" in bob.said


async def test_the_postgres_server_is_killed(tmp_path):
    with ExitStack() as stack:
        try:
            server = stack.enter_context(serving())
        except LookupError as missing:
            pytest.skip(str(missing))
        url = server.new_schema()
        async with cluster(tmp_path, "alice", "bob", running=["alice"], clock_skew_limit_s=10**7) as net:
            bob = doomed(net, url=url)
            await story(net, bob, server.stop, stored_in_postgres(url), server.start)
            assert "connection" in bob.said


async def test_the_postgres_servers_disk_is_really_full(tmp_path, monkeypatch):
    with ExitStack() as stack:
        if postgres_server.binaries() is None:
            pytest.skip("PostgreSQL's server is not installed")
        # Not below tmp_path: the path of a socket must be short, and others must be able to enter.
        disk = Path(tempfile.mkdtemp(prefix="channeld-disk-"))
        stack.callback(disk.rmdir)
        stack.enter_context(small_disk(disk))
        monkeypatch.setattr(postgres_server.tempfile, "tempdir", str(disk))
        server = stack.enter_context(serving())
        monkeypatch.setattr(postgres_server.tempfile, "tempdir", None)
        url = server.new_schema()
        fillers: list[Path] = []

        def cure() -> None:
            fillers[0].unlink()
            server.stop()
            server.start()

        async with cluster(tmp_path, "alice", "bob", running=["alice"], clock_skew_limit_s=10**7) as net:
            bob = doomed(net, url=url)
            await story(net, bob, lambda: fillers.append(fill(disk)), stored_in_postgres(url), cure)
