"""`channeld db`: check the journal, dump it readably, forget what is old."""

import json
import re
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from channeld.adapters.journal.records import Journal
from channeld.adapters.private_file import open_private
from channeld.cli import outcome
from channeld.cli.reading import as_usage
from channeld.cli.session import Command, Session, pass_session
from channeld.core.errors import Rejected
from channeld.daemon.checkpoints import confirmed_block_s
from channeld.daemon.exporting import exported
from channeld.daemon.inspection import inspect, signed_in
from channeld.daemon.pruning import HISTORIES, prune, require_old_enough
from channeld.daemon.storage import open_existing
from channeld.wire.eip712 import domain_separator


@click.command(cls=Command)
@pass_session
def check(session: Session) -> int:
    """Read the whole database: indexes, every record, and that every enforceable state is covered.

    SQLite: while the daemon is stopped. Exit code 3 if anything is wrong.
    """
    chain = session.config.chain
    signed = None
    if chain.adjudicator is not None:
        signed = signed_in(domain_separator(chain.chain_id, chain.adjudicator))
    with open_existing(session.config) as journal:
        found = inspect(journal, signed)
    table = Table("kind", "records")
    for kind, count in found.counts.items():
        table.add_row(kind, str(count))
    total = sum(found.counts.values())
    verdict = found.faults or [f"{total} records, nothing wrong"]
    session.show({"records": found.counts, "faults": found.faults}, table, "", *verdict)
    return outcome.OPERATIONAL if found.faults else outcome.OK


@click.command(cls=Command)
@click.option(
    "--secrets", is_flag=True, help="With preimages: whoever reads them can take what is under way."
)
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only these, as `db check` names them.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file instead of standard output; only you may read it (a pipe or a device stays as it is).",
)
@pass_session
def export(session: Session, secrets: bool, kinds: tuple[str, ...], output: Path | None) -> None:
    """Print every record as a line of JSON, oldest first.

    SQLite: while the daemon is stopped. The lines are for people and scripts; they cannot be read back.
    """
    with open_existing(session.config) as journal, ExitStack() as stack:
        file = sys.stdout
        if output is not None:
            try:
                file = stack.enter_context(open_private(output))
            except OSError as error:
                raise Rejected(f"--output: expected a file that can be written: {error}") from error
        for line in exported(journal, secrets=secrets, kinds=kinds):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


_AGE = re.compile(r"([1-9][0-9]{0,4})([dwy])")
_DAYS = {"d": 1, "w": 7, "y": 365}


def now_s() -> int:
    """This computer's time, unix seconds."""
    return int(time.time())


def _known_s(journal: Journal) -> int:
    """The time by which history is old (unix seconds): the newest confirmed block's, or ours if that is less.

    Attack stopped: whoever sets either clock far ahead would have every payment forgotten, and made again.
    """
    confirmed_s = confirmed_block_s(journal)
    if not confirmed_s:
        raise Rejected("expected the database to know the time of a confirmed block: run the daemon once")
    return min(now_s(), confirmed_s)


def _instant(_ctx: click.Context, _parameter: click.Parameter, text: str) -> Callable[[int], int]:
    """A date (UTC) or an age, as unix seconds once it is known what time it is."""
    age = _AGE.fullmatch(text)
    if age is not None:
        age_s = int(age[1]) * _DAYS[age[2]] * 86_400
        return lambda known_s: known_s - age_s
    try:
        instant_s = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
        return lambda _: instant_s
    except ValueError:
        raise click.BadParameter(
            f"expected a date like 2026-01-31 or an age like 90d, got {text!r}"
        ) from None


@click.command("prune", cls=Command)
@click.option(
    "--before", required=True, metavar="DATE|AGE", callback=_instant,
    help="What ended before it is forgotten: 2026-01-31 (UTC), or 90d, 12w, 2y ago.",
)  # fmt: skip
@click.option(
    "--keep", "kept", multiple=True, type=click.Choice(HISTORIES), help="Leave this kind alone; repeatable."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be forgotten.")
@pass_session
def forget(session: Session, before: Callable[[int], int], kept: tuple[str, ...], dry_run: bool) -> None:
    """Forget finished payments, invoices, forwards, trades, and totals of pushes in closed channels.

    While the daemon is stopped; `keep_days` in the configuration does the same while it runs. Channels,
    secrets and all that a dispute may need stay, and no invoice can be paid twice. Ages count from the newest
    block that the database knows, or from this computer's clock if that is behind it.
    """
    with as_usage():
        require_old_enough(before(now_s()), now_s())
    kinds = tuple(kind for kind in HISTORIES if kind not in kept)
    removed = dict.fromkeys(kinds, 0)
    with open_existing(session.config, writable=True) as journal:
        size_before = journal.size_bytes()
        known_s = _known_s(journal)
        for kind, count in prune(journal, before(known_s), known_s, kinds, dry=dry_run):
            removed[kind] += count
        if not dry_run:
            journal.reclaim()
        size_after = journal.size_bytes()
    table = Table("kind", "would be forgotten" if dry_run else "forgotten")
    for kind, count in removed.items():
        table.add_row(kind, str(count))
    as_of = f"ages as of {datetime.fromtimestamp(known_s, UTC):%Y-%m-%d %H:%M} UTC"
    sizes = f"{size_before / 1e6:,.1f} MB before, {size_after / 1e6:,.1f} MB after"
    document = {"removed": removed, "as_of_s": known_s}
    session.show(document | {"bytes_before": size_before, "bytes_after": size_after}, table, "", as_of, sizes)
