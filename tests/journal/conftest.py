"""Every journal, behind one fixture: what the shared suite says, each of them must do."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from channeld.adapters.journal.memory import MemoryJournal
from channeld.adapters.journal.postgres import PostgresJournal
from channeld.adapters.journal.records import Identity, Journal
from channeld.adapters.journal.sqlite import SqliteJournal
from tests.postgres_server import PostgresServer

ALICE = Identity(chain_id=1, node_id=b"\x02" + b"a" * 32)
MALLORY = Identity(chain_id=1, node_id=b"\x03" + b"m" * 32)


@pytest.fixture
def alice() -> Identity:
    return ALICE


@pytest.fixture
def mallory() -> Identity:
    return MALLORY


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    with closing(_made(request, tmp_path)) as made:
        yield made


def _made(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    if request.param == "memory":
        return MemoryJournal()
    if request.param == "sqlite":
        return SqliteJournal(tmp_path / "alice", ALICE)
    server: PostgresServer = request.getfixturevalue("postgres")
    leader = PostgresJournal(server.new_schema(), ALICE)
    assert leader.try_lead()
    return leader


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "alice"
