"""History is forgotten, and nobody loses or pays anything by it: in memory, in SQLite, in PostgreSQL."""

import asyncio
import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from channeld.adapters.journal.memory import MemoryJournal
from channeld.adapters.journal.postgres import PostgresJournal
from channeld.adapters.journal.records import Delete, Identity, Journal, Put
from channeld.adapters.journal.sqlite import SqliteJournal
from channeld.cli.main import run
from channeld.config.file import render
from channeld.config.settings import Config, DatabaseSettings
from channeld.core.channel import Channel, Phase
from channeld.core.claims import OptionTerms, PayoffKind, Side
from channeld.core.draft import Record
from channeld.core.errors import Rejected
from channeld.core.identity import ChannelParams
from channeld.core.records import (
    ClaimRef,
    Forward,
    ForwardStatus,
    Invoice,
    InvoiceStatus,
    OptionLeg,
    Payment,
    PaymentStatus,
    Secret,
    Stream,
    Trade,
    TradeRole,
    TradeStatus,
)
from channeld.daemon import pruning
from channeld.daemon.checkpoints import checkpoint_row, stored_checkpoint
from channeld.daemon.history import LONGEST_INVOICE_S, PAID, PaymentsMade
from channeld.daemon.housekeeping import Housekeeping
from channeld.daemon.inspection import inspect
from channeld.daemon.pruning import HISTORIES, MIN_AGE_S, prune
from channeld.daemon.storage import open_existing
from channeld.wire.records import encode_record
from tests.daemon.cluster import USD, cluster, eventually
from tests.daemon.town import STAKE, channels_through_bob
from tests.postgres_server import PostgresServer

ALICE = Identity(1, b"\x02" + b"a" * 32)
DAY_S = 86_400
NOW_S = 1_900_000_000
CAROL = b"\x02" + b"c" * 32
FEED = b"\x05" * 31 + b"\x18"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    made: Journal
    if request.param == "memory":
        made = MemoryJournal()
    elif request.param == "sqlite":
        made = SqliteJournal(tmp_path / "alice", ALICE)
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        made = PostgresJournal(server.new_schema(), ALICE)
        assert made.try_lead()
    with closing(made):
        yield made


def preimage(name: str) -> bytes:
    return sha256(name.encode()).digest()


def hashlock(name: str) -> bytes:
    return sha256(preimage(name)).digest()


def payment(name: str, age_days: int, status: PaymentStatus = PaymentStatus.SUCCEEDED) -> Payment:
    at_s = NOW_S - age_days * DAY_S
    secret = preimage(name) if status is PaymentStatus.SUCCEEDED else b""
    return Payment(hashlock(name), CAROL, bytes(20), 5, 0, at_s, status=status, preimage=secret)


def invoice(name: str, age_days: int) -> Invoice:
    at_s = NOW_S - age_days * DAY_S
    asked = (hashlock(name), preimage(name), bytes(32), bytes(20), 5, "tea", at_s - 30 * DAY_S, at_s + DAY_S)
    return Invoice(*asked, InvoiceStatus.PAID, 5, at_s)


def trade(name: str, age_days: int, expires_in_days: int) -> Trade:
    at_s = NOW_S - age_days * DAY_S
    terms = OptionTerms(PayoffKind.CALL, FEED, NOW_S + expires_in_days * DAY_S, 4_000, 5_000)
    leg = OptionLeg(terms, 10**6)
    sides = (TradeRole.BUYER, leg, bytes(20), 5, 0, at_s + 60, CAROL, at_s)
    return Trade(hashlock(name), *sides, TradeStatus.BOUND, preimage(name))


def forward(name: str, age_days: int) -> Forward:
    refs = (ClaimRef(preimage(name), 2), ClaimRef(hashlock(name), 3))
    return Forward(*refs, hashlock(name), NOW_S - age_days * DAY_S, 1, ForwardStatus.FULFILLED)


def past(*records: Record) -> list[Put]:
    return [Put(f"{kind}_done", key, value) for kind, key, value in map(encode_record, records)]


def names_left(journal: Journal, kind: str, names: Iterable[str]) -> set[str]:
    keys = {key for key, _ in journal.load(kind)}
    return {name for name in names if hashlock(name) in keys}


def test_what_is_old_goes_and_what_decides_about_money_stays(journal: Journal):
    old, young, years = payment("old", 100), payment("young", 50), payment("years", 900)
    failed = payment("failed", 100, PaymentStatus.FAILED)
    secret = Secret(hashlock("claimed"), preimage("claimed"))
    journal.commit(
        [
            *past(years, old, failed, young, invoice("paid", 100), invoice("just paid", 10)),
            *past(trade("over", 100, -95), trade("runs", 100, 20), forward("carried", 100)),
            Put("secret", secret.key, encode_record(secret)[2]),
            Put("chain_secret", hashlock("public"), bytes(37)),
        ]
    )
    removed: dict[str, int] = {}
    for kind, count in prune(journal, NOW_S - 90 * DAY_S, NOW_S):
        removed[kind] = removed.get(kind, 0) + count
    assert removed == {"payment": 3, "invoice": 1, "forward": 1, "trade": 1, "stream": 0}
    payments = ("old", "young", "years", "failed")
    assert names_left(journal, "payment_done", payments) == {"young"}
    assert names_left(journal, "invoice_done", ("paid", "just paid")) == {"just paid"}
    assert names_left(journal, "trade_done", ("over", "runs")) == {"runs"}
    assert journal.count("forward_done") == 0
    assert journal.count("secret") == journal.count("chain_secret") == 1

    # Whoever paid must know it as long as the invoice may be shown again.
    made = PaymentsMade(journal)
    assert {name for name in payments if hashlock(name) in made} == {"old", "young"}
    assert names_left(journal, PAID, payments) == {"old"}
    list(prune(journal, NOW_S - 90 * DAY_S, NOW_S + LONGEST_INVOICE_S - 101 * DAY_S))
    assert hashlock("old") in made
    list(prune(journal, NOW_S - 90 * DAY_S, NOW_S + LONGEST_INVOICE_S))
    assert hashlock("old") not in made and journal.count(PAID) == 0

    journal.reclaim()
    assert names_left(journal, "payment_done", payments) == {"young"}
    journal.commit(past(payment("after", 1)))
    assert names_left(journal, "payment_done", ("after", "young")) == {"after", "young"}
    assert inspect(journal).faults == []


def test_kinds_may_be_kept_and_a_rehearsal_changes_nothing(journal: Journal):
    journal.commit(past(payment("old", 100), invoice("paid", 100)))
    assert sum(count for _, count in prune(journal, NOW_S - 90 * DAY_S, NOW_S, dry=True)) == 2
    assert journal.count("payment_done") == journal.count("invoice_done") == 1
    assert dict(prune(journal, NOW_S - 90 * DAY_S, NOW_S, ("invoice",))) == {"invoice": 1}
    assert journal.count("payment_done") == 1
    with pytest.raises(Rejected, match="at least a day to stay"):
        list(prune(journal, NOW_S - MIN_AGE_S + 1, NOW_S))


def channel_record(name: str, phase: Phase) -> Channel:
    params = ChannelParams(b"\x0a" * 20, b"\x0c" * 20, bytes(20), 3_600, 1)
    return Channel(hashlock(name), params, Side.A, CAROL, phase, 0)


def stream(channel: str, purpose: int, age_days: int, began_days: int = 900) -> Stream:
    began_s, last_s = NOW_S - began_days * DAY_S, NOW_S - age_days * DAY_S
    return Stream(hashlock(channel), False, bytes([purpose]) * 16, 3, 30, began_s, last_s)


def test_totals_of_pushes_go_with_their_channel_and_not_before(journal: Journal):
    phases = [phase for phase in Phase if phase is not Phase.CLOSED]
    records = [channel_record("closed", Phase.CLOSED), *(channel_record(p.name, p) for p in phases)]
    journal.commit([Put(kind, key, value) for kind, key, value in map(encode_record, records)])
    kept = [stream("closed", 1, 80), stream("nobody knows it", 1, 100)]
    kept += [stream(phase.name, 1, 800) for phase in phases]
    journal.commit(past(*kept, stream("closed", 2, 100), stream("closed", 3, 899)))
    assert sum(count for _, count in prune(journal, NOW_S - 90 * DAY_S, NOW_S, dry=True)) == 2
    assert journal.count("stream_done") == len(kept) + 2
    assert dict(prune(journal, NOW_S - 90 * DAY_S, NOW_S, ("stream",))) == {"stream": 2}
    assert {key for key, _ in journal.load("stream_done")} == {record.key for record in kept}


async def test_alice_forgets_what_she_pushed_in_a_closed_channel_and_counts_on_in_the_others(tmp_path):
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        peers = {}
        for name in ("bob", "carol"):
            await net.connect("alice", name)
            peers[name] = await net.open("alice", name, "USD", STAKE, 0)
            await eventually(lambda name=name: peers[name] in net["alice"].engine.tables.terms)
            await net["alice"].push(net.node_id(name), "USD", b"tea".ljust(16), [USD, USD], 10.0)
        assert (await net["alice"].close_channel(peers["bob"], False, 15.0)).phase == "closed"
        journal, in_a_hundred_days_s = net["alice"].engine.journal, net.now_s + 100 * DAY_S
        removed = dict(prune(journal, in_a_hundred_days_s - 90 * DAY_S, in_a_hundred_days_s, ("stream",)))
        assert removed["stream"] > 0
        listed = (await net["alice"].streams(None, 10))[0]
        assert [(each.channel_id, each.count) for each in listed] == [(peers["carol"], 2)]
        await net["alice"].push(net.node_id("carol"), "USD", b"tea".ljust(16), [USD], 10.0)
        listed = (await net["alice"].streams(None, 10))[0]
        assert [(each.count, each.total) for each in listed] == [(3, 3 * USD)]
        gone = await net["alice"].stream(peers["bob"], "sent", b"tea".ljust(16))
        assert (gone.count, gone.total) == (0, 0)
        assert inspect(journal).faults == []


def test_a_long_history_is_pruned_step_by_step_and_not_read_to_its_end(journal: Journal, monkeypatch):
    monkeypatch.setattr(pruning, "STEP", 10)
    journal.commit(past(*(payment(f"{age}", age) for age in range(200, 100, -1))))
    journal.commit(past(payment("ancient", 900)))  # it ended late: found though younger ones came before
    journal.commit(past(*(payment(f"{age}", age) for age in range(100, 0, -1))))
    looked_at = []
    decode = pruning._times
    monkeypatch.setattr(pruning, "_times", lambda *of: looked_at.append(of) or decode(*of))
    steps = [count for _, count in prune(journal, NOW_S - 150 * DAY_S, NOW_S, ("payment",))]
    assert sum(steps) == 50 and max(steps) == 10
    assert len(looked_at) <= 70  # not 201
    list(prune(journal, NOW_S - 90 * DAY_S, NOW_S, ("payment",)))
    assert names_left(journal, "payment_done", ("ancient", "91", "90", "1")) == {"90", "1"}


def test_the_file_gives_its_room_back(tmp_path):
    with closing(SqliteJournal(tmp_path / "alice", ALICE)) as journal:
        for begin in range(0, 20_000, 1_000):
            names = (f"{n}" for n in range(begin, begin + 1_000))
            journal.commit(past(*(payment(name, 900, PaymentStatus.FAILED) for name in names)))
        journal.commit([*past(payment("young", 1)), Put("channel", b"x", b"y")])
        full = journal.size_bytes()
        assert full > 20_000 * 150
        list(prune(journal, NOW_S - 90 * DAY_S, NOW_S))
        journal.reclaim()
        assert journal.size_bytes() < full / 50
        journal.commit([Put("channel", b"z", b"y")])
        modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "alice").iterdir()}
        assert modes == {"journal.sqlite": 0o600, "journal.sqlite-wal": 0o600, "lock": 0o600}
    (tmp_path / "alice" / "journal.compacted").write_bytes(b"what a crash has left")
    with closing(SqliteJournal(tmp_path / "alice", ALICE)) as journal:
        journal.reclaim()
        assert [key for key, _ in journal.load("channel")] == [b"x", b"z"]
        journal.check()


def the_newest_block_is_of(config: Config, time_s: int) -> Put:
    with open_existing(config, writable=True) as journal:
        checkpoint = stored_checkpoint(journal)
        assert checkpoint is not None
        row = checkpoint_row(checkpoint.block_number, checkpoint.block_hash, time_s)
        journal.commit([row])
    return row


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_alice_prunes_and_pays_nothing_twice(tmp_path, postgres, capfd, database, monkeypatch):
    async with cluster(tmp_path, "alice", "bob", "carol") as net:
        await net.stop("alice")
        plain, url = net.config, postgres.new_schema() if database == "postgres" else ""
        net.config = lambda name: (  # type: ignore[method-assign]
            replace(plain(name), database=DatabaseSettings(url)) if name == "alice" else plain(name)
        )
        await net.start("alice")
        await channels_through_bob(net)
        (invoice,) = await net["carol"].create_invoice("USD", 7 * USD, "tea", 300 * DAY_S, 1)
        assert (await net["alice"].pay(invoice.text, None, None, 10.0)).status == "succeeded"
        assert len((await net["alice"].payments(None, 10))[0]) == 1

        directory = tmp_path / "alice"
        (directory / "config.toml").write_text(render(net.config("alice")))
        command = ("--data-dir", str(directory), "db", "prune", "--before")
        assert await asyncio.to_thread(run, [*command, "90d"]) == 1
        assert "in use" in (said := capfd.readouterr().err) or "leads" in said
        await net.stop("alice")
        for wrong in ("soon", "0d", "2026-13-01"):
            assert await asyncio.to_thread(run, [*command, wrong]) == 2
        capfd.readouterr()
        in_a_hundred_days_s = net.now_s + 100 * DAY_S
        rehearsal = [*command, "90d", "--json", "--dry-run"]
        with monkeypatch.context() as later:
            later.setattr("channeld.cli.database.now_s", lambda: in_a_hundred_days_s)
            # A clock that is ahead ages nothing: not this computer's,
            assert await asyncio.to_thread(run, rehearsal) == 0
            assert json.loads(capfd.readouterr().out)["removed"]["payment"] == 0
            in_ten_days = f"{datetime.fromtimestamp(net.now_s + 10 * DAY_S, UTC):%Y-%m-%d}"
            assert await asyncio.to_thread(run, [*command, in_ten_days]) == 1
            assert "at least a day to stay" in capfd.readouterr().err
        row = the_newest_block_is_of(net.config("alice"), in_a_hundred_days_s)
        assert await asyncio.to_thread(run, rehearsal) == 0  # and not the chain's,
        assert json.loads(capfd.readouterr().out)["removed"]["payment"] == 0
        with monkeypatch.context() as later:
            later.setattr("channeld.cli.database.now_s", lambda: in_a_hundred_days_s)
            assert await asyncio.to_thread(run, rehearsal) == 0  # but both.
            assert json.loads(capfd.readouterr().out)["removed"]["payment"] == 1
            assert await asyncio.to_thread(run, [*command, "90d", "--json"]) == 0
            assert json.loads(capfd.readouterr().out)["removed"]["payment"] == 1
        assert await asyncio.to_thread(run, ["--data-dir", str(directory), "db", "check"]) == 0
        with open_existing(net.config("alice"), writable=True) as journal:
            journal.commit([Delete(row.kind, row.key)])
        assert await asyncio.to_thread(run, rehearsal) == 1
        assert "run the daemon once" in capfd.readouterr().err

        await net.start("alice")
        await eventually(lambda: net["alice"].engine.tables.online)
        assert await net["alice"].payments(None, 10) == ([], (await net["alice"].trades(None, 1))[1])
        with pytest.raises(Rejected, match="is paid already"):
            await net["alice"].pay(invoice.text, None, None, 10.0)


async def test_an_invoice_that_would_have_to_be_remembered_for_ever_is_not_paid(tmp_path):
    async with cluster(tmp_path, "alice", "bob") as net:
        await eventually(lambda: all(daemon.engine.tables.now_s for daemon in net.daemons.values()))
        expiry_s = LONGEST_INVOICE_S + DAY_S
        (invoice,) = await net["bob"].create_invoice("ETH", 7, "", expiry_s, 1)
        with pytest.raises(Rejected, match="expires within 366 days"):
            await net["alice"].pay(invoice.text, None, None, 10.0)


async def test_the_daemon_clears_away_what_lapsed_and_what_is_old(tmp_path):
    async with cluster(tmp_path, "carol") as net:
        carol = net["carol"]
        await eventually(lambda: carol.engine.tables.now_s)
        (lapsed,) = await carol.create_invoice("USD", 7 * USD, "tea", 60, 1)
        (open_,) = await carol.create_invoice("USD", 8 * USD, "cake", 300 * DAY_S, 1)
        journal, house = carol.engine.journal, Housekeeping(carol.engine, 90)
        house.round()
        assert journal.count("invoice") == 2, "both may still be paid"
        net.advance(120)
        net.chain.chain.mine(1)
        await eventually(lambda: carol.engine.tables.now_s > lapsed.expires_s)
        house.round()
        await eventually(lambda: journal.count("invoice") == 1)
        assert (await carol.invoice(lapsed.hashlock)).status == "expired"
        assert (await carol.invoice(open_.hashlock)).status == "open"
        assert [i.status for i in (await carol.invoices(None, 10))[0]] == ["open", "expired"]

        now_s = carol.engine.tables.now_s
        old, young = (
            replace(payment(name, 0), created_s=now_s - days * DAY_S)
            for name, days in (("old", 100), ("young", 80))
        )
        journal.commit(past(old, young))
        house = Housekeeping(carol.engine, 90)
        for _ in HISTORIES:
            house.round()
        assert names_left(journal, "payment_done", ("old", "young")) == {"young"}
        assert hashlock("old") in PaymentsMade(journal)

        # A record that the disk has changed is no reason to stop, and none to go on forgetting.
        journal.commit([Put("payment_done", b"?" * 32, b"nonsense"), *past(replace(old, hashlock=b"!" * 32))])
        house = Housekeeping(carol.engine, 90)
        for _ in range(3):
            house.round()
        assert journal.get("payment_done", b"!" * 32) is not None
