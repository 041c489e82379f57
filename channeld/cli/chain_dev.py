"""`channeld chain dev`: an EVM chain for development, in this process."""

import asyncio
import json
import signal
from pathlib import Path

import click

from channeld.cli.amounts import read_amount
from channeld.cli.reading import as_usage, reads
from channeld.cli.session import Command, Session, pass_session
from channeld.services.devchain.server import run_forever, serve
from channeld.services.devchain.settings import DevChainSettings

DEFAULT = DevChainSettings()
BLOCK_INTERVAL_S = 5.0
"""Daemons go by the chain's latest block and take no new claims while it is minutes old."""


@click.command(cls=Command)
@click.option("--host", default=DEFAULT.host, show_default=True)
@click.option("--port", type=int, default=DEFAULT.port, show_default=True, help="0: any free one.")
@click.option("--chain-id", type=int, default=DEFAULT.chain_id, show_default=True)
@click.option("--accounts", type=int, default=DEFAULT.accounts, show_default=True, help="With play money.")
@click.option(
    "--balance", "balance_wei", default="10000 ETH", show_default=True, metavar="AMOUNT",
    callback=reads(lambda text: read_amount(text, "ETH", 18)), help="Of each account.",
)  # fmt: skip
@click.option("--state", type=click.Path(path_type=Path, dir_okay=False), help="Keep the chain in this file.")
@click.option(
    "--block-interval",
    "block_interval_s",
    type=float,
    default=BLOCK_INTERVAL_S,
    show_default=True,
    metavar="SECONDS",
    help="A block so often, empty or not; 0: only when there is something, and daemons doubt the clock.",
)
@click.option("--no-automine", is_flag=True, help="Do not mine a block for each transaction.")
@pass_session
def dev(
    session: Session,
    host: str,
    port: int,
    chain_id: int,
    accounts: int,
    balance_wei: int,
    state: Path | None,
    block_interval_s: float,
    no_automine: bool,
) -> None:
    """Run a development chain until Ctrl-C: JSON-RPC for several processes, and a clock that can be moved.

    Prints accounts with their keys, and the URL last, when it is ready.
    """
    with as_usage():
        settings = DevChainSettings(
            host=host,
            port=port,
            chain_id=chain_id,
            accounts=accounts,
            balance_wei=balance_wei,
            state_path=state,
            automine=not no_automine,
            block_interval_s=block_interval_s,
        )
    asyncio.run(_run_for_programs(settings) if session.json else run_forever(settings))


async def _run_for_programs(settings: DevChainSettings) -> None:
    """As run_forever, with one line of JSON when it is ready."""
    server = await serve(settings)
    try:
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        accounts = [
            {"address": f"0x{account.address.hex()}", "key": f"0x{account.key.hex()}"}
            for account in server.chain.accounts
        ]
        click.echo(json.dumps({"url": server.url, "chain_id": server.chain.chain_id, "accounts": accounts}))
        await stopped.wait()
    finally:
        await server.close()
