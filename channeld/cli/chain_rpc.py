"""Where an Ethereum node is, as an option."""

import click

from channeld.adapters.chain.rpc import RpcClient, RpcSettings
from channeld.cli.reading import checks
from channeld.cli.session import Decorated


def check_rpc_url(text: str) -> None:
    """Raises Rejected unless a node may be there; never repeats what may hold a key."""
    RpcClient(RpcSettings(text))


def rpc_option(function: Decorated) -> Decorated:
    """--rpc; the configured one is for the command to find."""
    return click.option(
        "--rpc",
        "rpc_url",
        metavar="URL",
        callback=checks(check_rpc_url),
        help="JSON-RPC.  [default: as configured]",
    )(function)
