"""`channeld db`: a journal in order passes, one that is not is told of, and secrets stay inside."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from channeld.adapters.chain import calls
from channeld.adapters.chain.fees import Fees
from channeld.adapters.chain.outbox import Entry, Request, Stage, Version
from channeld.adapters.journal.memory import MemoryJournal
from channeld.adapters.journal.records import Delete, Identity, Journal, Put
from channeld.adapters.journal.sqlite import SqliteJournal
from channeld.cli.main import run
from channeld.config.file import render
from channeld.config.settings import Config, DatabaseSettings
from channeld.core.channel import Channel
from channeld.daemon.exporting import exported
from channeld.daemon.outbox import JournalOutbox
from channeld.wire.records import decode_record, encode_record
from tests.daemon.cluster import USD, cluster
from tests.daemon.town import buy, channels_through_bob


def settled(directory: Path, config: Config) -> Path:
    """The directory with its configuration in it, for the command line."""
    (directory / "config.toml").write_text(render(config))
    return directory


def db(directory: Path, *arguments: str) -> int:
    return run(["--data-dir", str(directory), "db", *arguments])


async def test_the_journals_of_a_busy_day_are_in_order_in_either_database(tmp_path, postgres, capfd):
    async with cluster(tmp_path, "alice", "bob", "carol", running=["alice", "carol"]) as net:
        sqlite, url = net.config, postgres.new_schema()
        net.config = lambda name: (  # type: ignore[method-assign]
            replace(sqlite(name), database=DatabaseSettings(url)) if name == "bob" else sqlite(name)
        )
        await net.start("bob")
        await channels_through_bob(net)
        (invoice,) = await net["carol"].create_invoice("USD", 7 * USD, "tea", None, 1)
        assert (await net["alice"].pay(invoice.text, None, None, 10.0)).status == "succeeded"
        await net["carol"].create_invoice("USD", 8 * USD, "cake", None, 1)
        await net.price(net.now_s - 60, 4_000)
        await buy(net, "alice", "carol", "4000-C:5000", net.now_s + 86_400)
        await net["alice"].push(net.node_id("bob"), "USD", bytes(16), [5, 6], 10.0)
        bob = settled(tmp_path / "bob", net.config("bob"))
        assert db(bob, "check") == 0, "PostgreSQL: while the daemon runs"
        carol = settled(tmp_path / "carol", net.config("carol"))
        capfd.readouterr()
        assert db(carol, "check") == 1
        assert "is in use by process" in capfd.readouterr().err
        for name in ("alice", "carol"):
            await net.stop(name)
        alice = settled(tmp_path / "alice", net.config("alice"))
        for directory in (alice, carol, bob):
            capfd.readouterr()
            assert db(directory, "check", "--json") == 0
            found = json.loads(capfd.readouterr().out)
            assert found["faults"] == []
            assert found["records"]["channel"] == (2 if directory == bob else 1)
            says_everything_but_secrets(directory, capfd)
            assert found["records"].get("stream_done", 0) == (0 if directory == carol else 1)
        says_what_was_pushed(bob, capfd)
        assert_secrets_on_demand(carol, capfd)


def says_everything_but_secrets(directory: Path, capfd) -> None:
    assert db(directory, "export") == 0
    out = capfd.readouterr().out
    lines = [json.loads(line) for line in out.splitlines()]
    channel = next(line for line in lines if line["kind"] == "channel")
    assert channel["value"]["deposits"]["a"] == str(5_000 * USD)
    assert channel["value"]["phase"] == "open"
    assert {line["kind"] for line in lines} >= {"channel", "peer", "chain", "graph_channel"}
    for line in lines:
        if line["kind"] in ("invoice", "invoice_done"):
            assert line["value"]["preimage"] == line["value"]["payment_secret"] == "redacted"
    assert db(directory, "export", "--secrets") == 0
    secrets = set(secrets_in([json.loads(line) for line in capfd.readouterr().out.splitlines()]))
    assert secrets or directory.name == "bob"  # a hub keeps none for longer than it must
    assert not [secret for secret in secrets if secret.removeprefix("0x") in out]


def secrets_in(told: Any) -> Iterator[str]:
    """What stands where a secret belongs, however deep."""
    for name, value in told.items() if isinstance(told, dict) else enumerate(told):
        if name in ("preimage", "payment_secret"):
            yield from [value] if value != "0x" else []
        elif isinstance(value, dict | list):
            yield from secrets_in(value)


def test_a_secret_that_is_about_to_be_registered_is_told_on_demand_only():
    """The transaction may not be mined yet, or not even sent: whoever reads it could be first."""
    preimage, journal = bytes(range(32)), MemoryJournal()
    request = Request(b"\x11" * 20, calls.register_secret(preimage))
    versions = (Version(b"\x22" * 32, b"signed" + preimage, Fees(1, 2)),)
    name = f"secret:{sha256(preimage).hexdigest()}"
    outbox = JournalOutbox(journal, b"me")
    outbox.put(Entry(name, Stage.SENT, 3, request, 100_000, versions))
    outbox.put(Entry(f"{name} again", Stage.FINAL, 4, request, 100_000, versions))
    told = json.dumps(list(exported(journal, secrets=False)))
    assert preimage.hex() not in told and told.count(sha256(preimage).hexdigest()) == 2
    assert json.dumps(list(exported(journal, secrets=True))).count(preimage.hex()) == 4


def says_what_was_pushed(bob: Path, capfd) -> None:
    assert db(bob, "export", "--kind", "stream_done") == 0
    (stream,) = [json.loads(line)["value"] for line in capfd.readouterr().out.splitlines()]
    assert (stream["count"], stream["total"], stream["outgoing"]) == (2, "11", False)


def assert_secrets_on_demand(carol: Path, capfd) -> None:
    assert db(carol, "export", "--secrets", "--kind", "invoice") == 0
    (cake,) = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    secret = cake["value"]["preimage"]
    assert len(secret) == 66 and cake["value"]["amount"] == str(8 * USD)
    assert db(carol, "export") == 0
    assert secret not in capfd.readouterr().out
    kept = carol / "export.jsonl"
    assert db(carol, "export", "--secrets", "--kind", "invoice", "--output", str(kept)) == 0
    assert secret in kept.read_text() and kept.stat().st_mode & 0o777 == 0o600


def test_only_files_of_our_own_are_made_private(tmp_path, capfd):
    """As root an export to /dev/null would else take it away from everybody else."""
    bob = settled(tmp_path, replace(Config(), node=replace(Config().node, data_dir=tmp_path)))
    identity = Identity(Config().chain.chain_id, b"\x02" * 33)
    with closing(SqliteJournal(tmp_path, identity)) as journal:
        journal.commit([Put("payment_paid", b"key", b"\x01")])
    old, pipe = tmp_path / "old", tmp_path / "pipe"
    old.write_text("something longer than what comes\n" * 100)
    old.chmod(0o644)
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        for output in (old, pipe):
            assert db(bob, "export", "--output", str(output)) == 0
        piped = os.read(reader, 10_000).decode()
    finally:
        os.close(reader)
    assert piped == old.read_text() and json.loads(piped)["key"] == "0x6b6579"
    assert [stat.S_IMODE(each.stat().st_mode) for each in (old, pipe)] == [0o600, 0o666]
    assert db(bob, "export", "--output", str(tmp_path / "nowhere" / "file")) == 1
    assert "--output: expected a file that can be written" in capfd.readouterr().err


def channel_in(journal: Journal) -> Channel:
    ((_, value),) = journal.load("channel")
    channel = decode_record("channel", value)
    assert isinstance(channel, Channel)
    return channel


def stolen(journal: Journal) -> None:
    channel = channel_in(journal)
    journal.commit([Put(*encode_record(replace(channel, theirs=replace(channel.theirs, net=10**30))))])


def torn(journal: Journal) -> None:
    ((key, value),) = journal.load("channel")
    journal.commit([Put("channel", key, value[:-1] + bytes([value[-1] ^ 1]))])


def astray(journal: Journal) -> None:
    ((key, value),) = journal.load("channel")
    journal.commit([Delete("channel", key), Put("channel", bytes(32), value)])


def twice(journal: Journal) -> None:
    ((key, value),) = journal.load("payment_done")
    journal.commit([Put("payment", key, value)])


def leapt(journal: Journal) -> None:
    channel = channel_in(journal)
    version = channel.theirs.version + 1
    version += (version ^ channel.me ^ 1) & 1  # the peer's parity
    journal.commit([Put(*encode_record(replace(channel, mine=replace(channel.mine, version=version))))])


FAULTS: dict[Callable[[Journal], None], tuple[str, ...]] = {
    stolen: ("can be enforced and is not covered", "expected the peer's signature under version"),
    torn: ("expected the checksum of its content",),
    astray: ("expected its own key",),
    twice: ("expected history in the archive", "expected it once"),
    leapt: ("expected our own proposal to have our parity", "expected the operations of the unanswered"),
}


async def test_whatever_is_wrong_is_told(tmp_path, capfd):
    async with cluster(tmp_path, "alice", "bob") as net:
        await net.connect("alice", "bob")
        await net.open("alice", "bob", "USD", 100 * USD, 100 * USD)
        (invoice,) = await net["bob"].create_invoice("USD", USD, "", None, 1)
        assert (await net["alice"].pay(invoice.text, None, None, 10.0)).status == "succeeded"
        await net.stop("alice")
        identity = Identity(net.config("alice").chain.chain_id, net.node_id("alice"))
        alice = settled(tmp_path / "alice", net.config("alice"))
        sound = (alice / "journal.sqlite").read_bytes()
        for harm, told in FAULTS.items():
            with closing(SqliteJournal(alice, identity)) as journal:
                harm(journal)
            assert db(alice, "check", "--json") == 3
            faults = "\n".join(json.loads(capfd.readouterr().out)["faults"])
            for part in told:
                assert part in faults, (harm.__name__, faults)
            (alice / "journal.sqlite").write_bytes(sound)
        assert db(alice, "check") == 0
        (alice / "journal.sqlite").write_bytes(sound[:4096] + bytes(8192) + sound[12288:])
        capfd.readouterr()
        assert db(alice, "check") == 3


@pytest.mark.parametrize("command", ["check", "export"])
def test_a_backup_that_cannot_be_written_to_must_be_copied(tmp_path, capfd, command, monkeypatch):
    directory = settled(tmp_path, replace(Config(), node=replace(Config().node, data_dir=tmp_path)))
    with closing(SqliteJournal(tmp_path, Identity(Config().chain.chain_id, b"\x02" * 33))):
        pass
    kept = sorted(tmp_path.iterdir())
    # What a directory on a disk that is mounted read-only says, to root too.
    monkeypatch.setattr("os.access", lambda path, mode: not (mode & os.W_OK and path == tmp_path))
    assert db(directory, command) == 1
    assert f"to write to {tmp_path}: of a backup, open a writable copy" in capfd.readouterr().err
    assert sorted(tmp_path.iterdir()) == kept


@pytest.mark.parametrize("command", ["check", "export"])
def test_where_there_is_no_journal_none_is_made(tmp_path, capfd, command):
    config = replace(Config(), node=replace(Config().node, data_dir=tmp_path))
    assert db(settled(tmp_path, config), command) == 1
    assert "expected a journal at" in capfd.readouterr().err
    assert not (tmp_path / "journal.sqlite").exists()
