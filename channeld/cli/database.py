"""`channeld db`: check the journal, dump it readably, forget what is old."""

import json
import re
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from channeld.adapters.private_file import make_private
from channeld.cli import outcome
from channeld.cli.reading import as_usage
from channeld.cli.session import Command, Session, pass_session
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
    help="A file instead of standard output; only you may read it.",
)
@pass_session
def export(session: Session, secrets: bool, kinds: tuple[str, ...], output: Path | None) -> None:
    """Print every record as a line of JSON, oldest first.

    SQLite: while the daemon is stopped. The lines are for people and scripts; they cannot be read back.
    """
    with open_existing(session.config) as journal, ExitStack() as stack:
        file = sys.stdout
        if output is not None:
            make_private(output)
            file = stack.enter_context(output.open("w", encoding="utf-8"))
        for line in exported(journal, secrets=secrets, kinds=kinds):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


_AGE = re.compile(r"([1-9][0-9]{0,4})([dwy])")
_DAYS = {"d": 1, "w": 7, "y": 365}


def now_s() -> int:
    """This computer's time, unix seconds."""
    return int(time.time())


def _instant_s(_ctx: click.Context, _parameter: click.Parameter, text: str) -> int:
    """A date (UTC) or an age as unix seconds."""
    age = _AGE.fullmatch(text)
    if age is not None:
        return now_s() - int(age[1]) * _DAYS[age[2]] * 86_400
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise click.BadParameter(
            f"expected a date like 2026-01-31 or an age like 90d, got {text!r}"
        ) from None


@click.command("prune", cls=Command)
@click.option(
    "--before", "before_s", required=True, metavar="DATE|AGE", callback=_instant_s,
    help="What ended before it is forgotten: 2026-01-31 (UTC), or 90d, 12w, 2y ago.",
)  # fmt: skip
@click.option(
    "--keep", "kept", multiple=True, type=click.Choice(HISTORIES), help="Leave this kind alone; repeatable."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be forgotten.")
@pass_session
def forget(session: Session, before_s: int, kept: tuple[str, ...], dry_run: bool) -> None:
    """Forget finished payments, invoices, forwards, trades, and totals of pushes in closed channels.

    While the daemon is stopped; `keep_days` in the configuration does the same while it runs. Channels,
    secrets and all that a dispute may need stay, and no invoice can be paid twice.
    """
    today_s = now_s()
    with as_usage():
        require_old_enough(before_s, today_s)
    kinds = tuple(kind for kind in HISTORIES if kind not in kept)
    removed = dict.fromkeys(kinds, 0)
    with open_existing(session.config, writable=True) as journal:
        size_before = journal.size_bytes()
        for kind, count in prune(journal, before_s, today_s, kinds, dry=dry_run):
            removed[kind] += count
        if not dry_run:
            journal.reclaim()
        size_after = journal.size_bytes()
    table = Table("kind", "would be forgotten" if dry_run else "forgotten")
    for kind, count in removed.items():
        table.add_row(kind, str(count))
    sizes = f"{size_before / 1e6:,.1f} MB before, {size_after / 1e6:,.1f} MB after"
    document = {"removed": removed, "bytes_before": size_before, "bytes_after": size_after}
    session.show(document, table, "", sizes)
