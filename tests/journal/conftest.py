"""Both journals, behind one fixture: what the shared suite says, each of them must do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from channeld.adapters.journal.memory import MemoryJournal
from channeld.adapters.journal.records import Identity, Journal
from channeld.adapters.journal.sqlite import SqliteJournal

ALICE = Identity(chain_id=1, node_id=b"\x02" + b"a" * 32)
MALLORY = Identity(chain_id=1, node_id=b"\x03" + b"m" * 32)


@pytest.fixture
def alice() -> Identity:
    return ALICE


@pytest.fixture
def mallory() -> Identity:
    return MALLORY


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    made: Journal = MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "alice", ALICE)
    yield made
    made.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "alice"
