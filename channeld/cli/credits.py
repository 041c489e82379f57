"""Credits: what a payout could not deliver, and fetching it."""

import click

from channeld.api import endpoints as api
from channeld.api.commands import Commands, CreditInfo
from channeld.cli import tables
from channeld.cli.amounts import choose_asset
from channeld.cli.channels import chain_timeout
from channeld.cli.reading import check_asset, checks, reads
from channeld.cli.session import Command, Session, pass_session
from channeld.core.errors import ChanneldError, OperationalError, Rejected
from channeld.wire.address import parse_address
from channeld.wire.decimals import shown


@click.command("credits", cls=Command)
@click.option("--claim", is_flag=True, help="Fetch them, and wait until the chain has paid.")
@click.option(
    "--to", "receiver", metavar="ADDRESS", callback=reads(parse_address),
    help="Where to, with --claim.  [default: this node's account]",
)  # fmt: skip
@click.option(
    "--asset", default="", metavar="SYMBOL", callback=checks(check_asset), help="Only of this asset."
)
@chain_timeout
@pass_session
def list_credits(session: Session, claim: bool, receiver: bytes | None, asset: str, timeout_s: float) -> None:
    """List, or fetch with --claim, what payouts could not deliver.

    A token can refuse to be paid to an account. The contract then keeps the money until its owner fetches
    it, to this account or to another one.
    """
    if receiver is not None and not claim:
        raise click.UsageError("--to needs --claim")
    if not claim:
        found = session.ask(lambda client: _of_asset(client, asset))
        session.show(api.CREDITS.answer.encode(found), tables.credits(found))
        return
    fetched, failures = session.ask(
        lambda client: _fetch(client, asset, receiver, timeout_s), "fetching: the chain must confirm it"
    )
    if not fetched and failures:
        raise failures[0]
    lines = "\n".join(f"fetched {shown(one.amount, one.decimals, one.symbol)}" for one in fetched)
    session.show({"claimed": api.CREDITS.answer.encode(fetched)["credits"]}, lines)
    if failures:
        asked = len(fetched) + len(failures)
        raise OperationalError(f"{len(failures)} of {asked} credits were not fetched: {failures[0]}")


async def _of_asset(client: Commands, asset: str) -> list[CreditInfo]:
    """All credits, or those of one asset. Raises Rejected if there is no such asset."""
    found = await client.credits()
    if not asset:
        return found
    chosen = choose_asset((await client.info()).assets, asset)
    return [credit for credit in found if credit.asset == chosen.address]


async def _fetch(
    client: Commands, asset: str, receiver: bytes | None, timeout_s: float
) -> tuple[list[CreditInfo], list[ChanneldError]]:
    """One after the other; a token that refuses still must not keep back the others."""
    owed = await _of_asset(client, asset)
    if not owed:
        raise Rejected("there is no credit to fetch")
    fetched, failures = list[CreditInfo](), list[ChanneldError]()
    for credit in owed:
        try:
            fetched.append(await client.claim_credit(f"0x{credit.asset.hex()}", receiver, timeout_s))
        except ChanneldError as error:
            failures.append(error)
    return fetched, failures
