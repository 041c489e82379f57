"""`channeld run`: the daemon itself, in the foreground."""

import json
from pathlib import Path

import click

from channeld.cli.keys import open_key, password_option
from channeld.cli.session import Command, Session, pass_session
from channeld.daemon import app


@click.command(cls=Command)
@click.option("--offline", is_flag=True, help="Talk to the chain alone and to no peer: to leave from here.")
@password_option
@pass_session
def run(session: Session, password_file: Path | None, offline: bool) -> None:
    """Run the daemon in the foreground, until Ctrl-C or `channeld stop`.

    Says on one line when it is ready. It logs to standard error, or where [node] log_file says.
    """
    config = session.config
    signer = open_key(session.keystore_path, password_file or config.node.password_file)

    def ready(api_url: str, listen_port: int) -> None:
        document = {"api": api_url, "node_id": f"0x{signer.public_key.hex()}", "listen_port": listen_port}
        text = f"node {signer.public_key.hex()} ready: peers on port {listen_port}, API on {api_url}"
        click.echo(json.dumps(document) if session.json else text)

    app.run(config, signer, offline=offline, on_ready=ready)
