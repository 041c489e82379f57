"""Where a daemon keeps what it must not lose: SQLite in its directory, or PostgreSQL and its lease."""

import asyncio
import importlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from channeld.adapters.chain.outbox import Outbox, Store
from channeld.adapters.journal.lock import DirectoryLock, private_directory
from channeld.adapters.journal.records import Identity, Journal, OnCommit
from channeld.adapters.journal.sqlite import SqliteJournal
from channeld.adapters.journal.sqlite import stored_identity as sqlite_identity
from channeld.config.settings import Config
from channeld.core.errors import Rejected
from channeld.daemon.outbox import JournalOutbox

if TYPE_CHECKING:
    from channeld.adapters.journal.postgres import PostgresJournal

log = logging.getLogger(__name__)

OUTBOX_NAME = "transactions.db"

STANDBY_POLL_S = 0.25
"""How often a daemon that stands by looks at the lease: a hundredth of a per cent of a core."""

WATCH_S = 0.25
"""How often a daemon looks whether it may still store: whether its lease was lost, its file has failed."""


@dataclass(frozen=True, slots=True)
class Storage:
    """`open_outbox` is told whose transactions they are; `require_ours` raises StorageFailed once this daemon
    may store nothing more: its lease is lost, or its file of transactions has failed.
    """

    journal: Journal
    open_outbox: Callable[[bytes], Store]
    require_ours: Callable[[], None]

    async def watch(self) -> None:
        """For ever, until nothing can be stored: then StorageFailed, and the daemon must stop."""
        while True:
            self.require_ours()
            await asyncio.sleep(WATCH_S)


@asynccontextmanager
async def open_storage(
    config: Config, identity: Identity, on_commit: OnCommit | None
) -> AsyncIterator[Storage]:
    """Open what the configuration names, and wait until this daemon may write to it.

    Raises Rejected if it is another node's, a newer program's or in use, JournalFailed if it fails.
    """
    directory = config.node.data_dir
    if not config.database.url:
        with closing(SqliteJournal(directory, identity, on_commit=on_commit)) as file:
            outboxes: list[Outbox] = []

            def open_outbox(owner: bytes) -> Outbox:
                outboxes.append(Outbox(directory / OUTBOX_NAME, owner))
                return outboxes[-1]

            def require_outbox() -> None:
                for outbox in outboxes:
                    outbox.require_alive()

            yield Storage(file, open_outbox, require_outbox)
        return
    private_directory(directory)
    with ExitStack() as stack:
        stack.callback(DirectoryLock(directory).release)
        database = stack.enter_context(closing(connect(config, identity, on_commit)))
        await _lead(database)
        yield Storage(database, lambda owner: JournalOutbox(database, owner), database.require_lease)


async def _lead(database: "PostgresJournal") -> None:
    told = False
    while not database.try_lead():
        if not told:
            log.info("standing by: %s leads in %s", database.holder(), database.where)
            told = True
        await asyncio.sleep(STANDBY_POLL_S)
    log.info("this daemon leads from now on in %s", database.where)


@contextmanager
def open_existing(config: Config, *, writable: bool = False) -> Iterator[Journal]:
    """What the configuration names, whoever's it is; nothing is made. SQLite: while no daemon runs, and
    `writable` PostgreSQL too.

    Raises Rejected if there is none, if it is of another chain or in use, JournalFailed.
    """
    if not config.database.url:
        directory = config.node.data_dir
        if directory.is_dir():
            _require_writable(directory)
            DirectoryLock(directory).release()  # says who has it
        identity = sqlite_identity(directory)
        journal: Journal = SqliteJournal(directory, _of_chain(config, identity))
    else:
        layout = _adapter("postgres_layout")
        identity = layout.stored_identity(config.database.url, config.database.lease_s)
        database = connect(config, _of_chain(config, identity))
        if writable and not database.try_lead():
            with closing(database):
                raise Rejected(f"expected no daemon to use {database.where}, {database.holder()} leads there")
        journal = database
    with closing(journal):
        yield journal


def _require_writable(directory: Path) -> None:
    """Opening SQLite's file writes what its log holds into it, and the lock keeps a daemon away meanwhile."""
    if not os.access(directory, os.W_OK):
        raise Rejected(f"expected to be allowed to write to {directory}: of a backup, open a writable copy")


def _of_chain(config: Config, found: Identity) -> Identity:
    if found.chain_id != config.chain.chain_id:
        raise Rejected(f"expected a journal of chain {config.chain.chain_id}, got one of {found.chain_id}")
    return found


def connect(config: Config, identity: Identity, on_commit: OnCommit | None = None) -> "PostgresJournal":
    """The configured PostgreSQL journal, for reading until it leads. Raises Rejected, JournalFailed."""
    journal: PostgresJournal = _adapter("postgres").PostgresJournal(
        config.database.url, identity, on_commit=on_commit, lease_s=config.database.lease_s
    )
    return journal


def _adapter(name: str) -> Any:
    """A module that needs the driver, which only those install who use it."""
    try:
        return importlib.import_module(f"channeld.adapters.journal.{name}")
    except ImportError as error:
        raise Rejected(
            "[database] url: expected PostgreSQL's driver to be installed: pip install 'channeld[postgres]'"
        ) from error
