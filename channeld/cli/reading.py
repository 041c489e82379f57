"""What a command line says, read before anybody is asked.

What cannot mean anything is wrong usage, whatever the daemon would say to it: nothing is sent.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from channeld.cli.amounts import WrittenAmount, require_symbol, to_units
from channeld.core.claims import MAX_AMOUNT
from channeld.core.errors import Rejected
from channeld.wire import bech32m
from channeld.wire.address import parse_address
from channeld.wire.decimals import shown
from channeld.wire.invoice import MAX_INVOICE_CHARS, PREFIX

MAX_SYMBOL_CHARS = 12
"""As [[asset]] allows; what is longer must be an address."""


@contextmanager
def as_usage() -> Iterator[None]:
    """What is Rejected inside is wrong usage."""
    try:
        yield
    except Rejected as error:
        raise click.UsageError(str(error)) from None


def reads(read: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """The callback of a parameter: the command gets what `read` makes of it, or of each where it is repeated.

    What `read` rejects is wrong usage; a parameter that is left out stays None.
    """

    def callback(_ctx: click.Context, _parameter: click.Parameter, said: Any) -> Any:
        if said is None:
            return None
        try:
            return tuple(map(read, said)) if isinstance(said, tuple) else read(said)
        except Rejected as error:
            raise click.BadParameter(str(error)) from None

    return callback


def checks(check: Callable[[str], object]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """As `reads`, for what goes on as it was written."""

    def unchanged(text: str) -> str:
        check(text)
        return text

    return reads(unchanged)


def read_invoice(text: str) -> str:
    """An invoice without blanks around it; whether it is signed is for the daemon to say. Raises Rejected."""
    text = text.strip()
    try:
        bech32m.decode(text, PREFIX, MAX_INVOICE_CHARS)
    except bech32m.NotBech32m as error:
        raise Rejected(f"expected an invoice ({PREFIX}1...): {error}") from None
    return text


def check_asset(text: str) -> None:
    """A symbol, an address, or nothing at all. Raises Rejected."""
    if len(text) > MAX_SYMBOL_CHARS or not text.isprintable():
        if not text.startswith("0x"):
            raise Rejected(f"expected a symbol of at most {MAX_SYMBOL_CHARS} characters, got {text[:80]!r}")
        parse_address(text)


def require_one_asset(written: WrittenAmount, asset: str) -> None:
    """Two symbols for one amount, behind it and with --asset, are wrong usage if they differ."""
    if 0 < len(asset) <= MAX_SYMBOL_CHARS and written.symbol.upper() not in ("", asset.upper()):
        raise click.UsageError(f"expected one asset, got {written.symbol} and {asset}")


def units_of(written: WrittenAmount, symbol: str, decimals: int) -> int:
    """An amount of an asset as the daemon describes it, in its smallest units.

    Another asset's symbol is Rejected; what no amount of this one can be is wrong usage.
    """
    require_symbol(written, symbol)
    with as_usage():
        units = to_units(written.number, decimals, symbol)
    if units > MAX_AMOUNT:
        most = shown(MAX_AMOUNT, decimals, symbol)
        raise click.UsageError(f"expected at most {most}, got {written.number}")
    return units
