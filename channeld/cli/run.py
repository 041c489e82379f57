"""`channeld run`: the daemon itself, in the foreground."""

from pathlib import Path

import click

from channeld.cli.keys import open_key, password_option
from channeld.cli.session import Command, Session, pass_session
from channeld.daemon import app


@click.command(cls=Command)
@password_option
@pass_session
def run(session: Session, password_file: Path | None) -> None:
    """Run the daemon in the foreground, until Ctrl-C or `channeld stop`.

    It logs to standard error, or where [node] log_file says.
    """
    config = session.config
    signer = open_key(session.keystore_path, password_file or config.node.password_file)
    app.run(config, signer)
