"""`channeld db`: check the journal, and dump it readably."""

import json
from typing import TextIO

import click
from rich.table import Table

from channeld.cli import outcome
from channeld.cli.session import Command, Session, pass_session
from channeld.daemon.exporting import exported
from channeld.daemon.inspection import inspect, signed_in
from channeld.daemon.storage import open_for_reading
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
    with open_for_reading(session.config) as journal:
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
@click.option("--output", type=click.File("w"), default="-", help="A file instead of standard output.")
@pass_session
def export(session: Session, secrets: bool, kinds: tuple[str, ...], output: TextIO) -> None:
    """Print every record as a line of JSON, oldest first.

    SQLite: while the daemon is stopped. The lines are for people and scripts; they cannot be read back.
    """
    with open_for_reading(session.config) as journal:
        for line in exported(journal, secrets=secrets, kinds=kinds):
            output.write(json.dumps(line, ensure_ascii=False) + "\n")
