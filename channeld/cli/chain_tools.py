"""`channeld chain advance|faucet|deploy`: what a chain is asked for besides channels."""

import asyncio
import secrets
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from channeld.adapters.chain.blocks import Block, block_at
from channeld.adapters.chain.fields import hex_data
from channeld.adapters.chain.outbox import Request
from channeld.adapters.chain.reads import TokenReader
from channeld.adapters.chain.rpc import METHOD_NOT_FOUND, NodeRefusal, RpcClient, RpcSettings
from channeld.adapters.chain.transactions import (
    TransactionSettings,
    open_transactor,
)
from channeld.adapters.chain.transactions import (
    deploy as deploy_contract,
)
from channeld.adapters.signer import Signer
from channeld.api.commands import AssetInfo
from channeld.cli import tables
from channeld.cli.amounts import WrittenAmount, choose_asset, read_positive, to_units
from channeld.cli.chain_rpc import rpc_option
from channeld.cli.keys import keystore_address, open_key, password_option
from channeld.cli.reading import as_usage, reads
from channeld.cli.session import Command, Session, pass_session
from channeld.config.settings import ChainSettings
from channeld.core.errors import OperationalError, Rejected
from channeld.core.identity import ETH
from channeld.services.devchain.accounts import development_account
from channeld.wire.address import checksummed, parse_address
from channeld.wire.decimals import shown
from channeld.wire.eip712 import keccak
from contracts import artifacts

T = TypeVar("T")

POLL_S = 0.1
"""People wait for it, and it is asked for a few blocks only."""


def _with_rpc(session: Session, rpc_url: str | None, work: Callable[[RpcClient], Awaitable[T]]) -> T:
    configured = session.config.chain if session.has_config else ChainSettings()

    async def working() -> T:
        async with RpcClient(RpcSettings(rpc_url or configured.rpc_url, attempts=2)) as rpc:
            return await work(rpc)

    return asyncio.run(working())


async def _dev(rpc: RpcClient, method: str, *params: Any) -> Any:
    """A call that only development chains have."""
    try:
        return await rpc.call(method, *params, retried=False)
    except NodeRefusal as error:
        if error.code == METHOD_NOT_FOUND:
            raise Rejected(
                f"expected a development chain at {rpc.origin}: it does not know {method}"
            ) from error
        raise Rejected(error.message) from error


async def _head(rpc: RpcClient) -> Block:
    head = await block_at(rpc)
    if head is None:
        raise OperationalError("node: expected a latest block, got none")
    return head


# The clock -----------------------------------------------------------------------------------------


@click.command(cls=Command)
@click.argument("seconds", type=click.IntRange(0), required=False)
@click.option(
    "--to", "to_s", type=click.IntRange(0), metavar="UNIX_TIME",
    help="To this time instead; never backwards.",
)  # fmt: skip
@rpc_option
@pass_session
def advance(session: Session, seconds: int | None, to_s: int | None, rpc_url: str | None) -> None:
    """Move a development chain's clock ahead by SECONDS and mine a block."""
    if (seconds is None) == (to_s is None):
        raise click.UsageError("expected SECONDS or --to UNIX_TIME")

    async def move(rpc: RpcClient) -> Block:
        if to_s is not None:
            await _dev(rpc, "evm_setNextBlockTimestamp", to_s)
        else:
            await _dev(rpc, "evm_increaseTime", seconds)
        await _dev(rpc, "evm_mine")
        return await _head(rpc)

    head = _with_rpc(session, rpc_url, move)
    document = {"block_number": head.number, "block_time_s": head.timestamp_s}
    session.show(document, f"block {head.number} of {tables.when(head.timestamp_s)}")


# Play money ----------------------------------------------------------------------------------------


@click.command(cls=Command)
@click.argument("amount", callback=reads(read_positive))
@click.argument("address", required=False, callback=reads(parse_address))
@click.option(
    "--token", metavar="ADDRESS", callback=reads(parse_address),
    help="A test token.  [default: the asset that the amount names]",
)  # fmt: skip
@rpc_option
@pass_session
def faucet(
    session: Session, amount: WrittenAmount, address: bytes | None, token: bytes | None, rpc_url: str | None
) -> None:
    """Give AMOUNT of play money to ADDRESS, or to this node.

    "10 ETH" comes from the development chain; tokens are minted, which test tokens let anyone do.
    """
    to = keystore_address(session.keystore_path) if address is None else address

    async def give(rpc: RpcClient) -> tuple[AssetInfo, int]:
        asset = await _asset(session, rpc, amount.symbol, token)
        with as_usage():
            units = to_units(amount.number, asset.decimals, asset.symbol)
        if asset.address == ETH:
            await _dev(rpc, "dev_faucet", hex_data(to), hex(units))
        else:
            await _mint(rpc, asset.address, to, units)
        return asset, units

    asset, units = _with_rpc(session, rpc_url, give)
    document = {"address": hex_data(to), "asset": hex_data(asset.address), "amount": str(units)}
    session.show(document, f"{shown(units, asset.decimals, asset.symbol)} to {checksummed(to)}")


async def _asset(session: Session, rpc: RpcClient, symbol: str, token: bytes | None) -> AssetInfo:
    if token is not None:
        reader = TokenReader(rpc, token)
        return AssetInfo(reader.address, await reader.symbol(), await reader.decimals(), 0, 0, 0)
    if symbol.upper() in ("", "ETH"):
        return AssetInfo(ETH, "ETH", 18, 0, 0, 0)
    configured = session.config.asset
    return choose_asset([AssetInfo(a.address, a.symbol, a.decimals, 0, 0, 0) for a in configured], symbol)


async def _mint(rpc: RpcClient, token: bytes, to: bytes, units: int) -> None:
    """The test token's own call; a key of its own for each, so that several at once do not collide."""
    signer = Signer.generate()
    await _dev(rpc, "dev_faucet", hex_data(signer.address), hex(10**18))
    payload = keccak(b"mint(address,uint256)")[:4] + bytes(12) + to + units.to_bytes(32, "big")
    await _execute(rpc, signer, Request(token, payload))


async def _execute(rpc: RpcClient, signer: Signer, request: Request) -> None:
    with tempfile.TemporaryDirectory() as directory:
        settings = TransactionSettings(poll_s=POLL_S)
        async with open_transactor(rpc, signer, Path(directory) / "outbox.db", settings) as transactor:
            await transactor.execute(secrets.token_hex(8), request)


# Contracts -----------------------------------------------------------------------------------------


@click.command(cls=Command)
@click.option("--dev-account", metavar="LABEL", help="Pay with this account of a development chain.")
@click.option(
    "--keystore",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Pay with this key.  [default: this node's]",
)
@click.option("--token", "with_token", is_flag=True, help="A test token too, which anyone may mint.")
@rpc_option
@password_option
@pass_session
def deploy(
    session: Session,
    dev_account: str | None,
    keystore: Path | None,
    with_token: bool,
    rpc_url: str | None,
    password_file: Path | None,
) -> None:
    """Deploy the adjudicator and print its address. One serves everybody on a chain."""
    if dev_account is not None and keystore is not None:
        raise click.UsageError("expected --dev-account or --keystore")
    if dev_account is not None:
        signer = Signer(development_account(dev_account).key)
    else:
        signer = open_key(keystore or session.keystore_path, password_file)

    async def create(rpc: RpcClient) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as directory:
            settings = TransactionSettings(poll_s=POLL_S)
            async with open_transactor(rpc, signer, Path(directory) / "outbox.db", settings) as transactor:
                made = {"adjudicator": artifacts.adjudicator().bytecode}
                if with_token:
                    made["token"] = artifacts.erc20_test_token().bytecode
                return {
                    name: await deploy_contract(transactor, rpc, name, code) for name, code in made.items()
                }

    found = _with_rpc(session, rpc_url, create)
    document = {name: hex_data(address) for name, address in found.items()}
    session.show(document, tables.facts(*((name, checksummed(address)) for name, address in found.items())))
