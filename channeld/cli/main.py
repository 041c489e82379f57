"""`channeld`: every command, and what its failures look like."""

import sys

import click

from channeld.cli import outcome
from channeld.cli.lazy import Lazy, LazyGroup
from channeld.core.errors import ChanneldError, Rejected

COMMANDS = {
    "init": Lazy("channeld.cli.init", "init", "Make a data directory: key, configuration."),
    "run": Lazy("channeld.cli.run", "run", "Run the daemon in the foreground."),
    "stop": Lazy("channeld.cli.node", "stop", "Stop the daemon."),
    "info": Lazy("channeld.cli.node", "info", "Show this node, its chain and its money."),
    "peers": Lazy("channeld.cli.node", "peers", "List known peers."),
    "connect": Lazy("channeld.cli.node", "connect", "Connect to a peer, and stay connected."),
    "disconnect": Lazy("channeld.cli.node", "disconnect", "Let go of a peer."),
    "channels": Lazy("channeld.cli.channels", "channels", "List channels, or show one."),
    "open": Lazy("channeld.cli.channels", "open_channel", "Open a channel with a peer."),
    "deposit": Lazy("channeld.cli.channels", "deposit", "Deposit more into a channel."),
    "close": Lazy("channeld.cli.channels", "close", "Close a channel, with the peer or alone."),
    "credits": Lazy("channeld.cli.credits", "list_credits", "List, or fetch, payouts that failed."),
    "invoice": Lazy("channeld.cli.payments", "invoice", "Make, list or read invoices."),
    "pay": Lazy("channeld.cli.payments", "pay", "Pay an invoice, or many."),
    "payments": Lazy("channeld.cli.payments", "payments", "List payments, or show one."),
    "push": Lazy("channeld.cli.pushes", "push", "Pay a neighbour without an invoice, or stream to it."),
    "streams": Lazy("channeld.cli.pushes", "streams", "List what was pushed, or follow what comes in."),
    "option": Lazy("channeld.cli.groups", "option", "Quote, buy, list and settle options."),
    "db": Lazy("channeld.cli.groups", "database", "Check the database, dump it, forget old history."),
    "demo": Lazy("channeld.cli.demo.command", "demo", "See it all on this machine."),
    "chain": Lazy("channeld.cli.groups", "chain", "Development chain, its clock, contracts."),
    "oracle": Lazy("channeld.cli.groups", "oracle", "Sign settlement prices."),
}

EPILOG = f"""\b
Exit codes:
  {outcome.OK}  done
  {outcome.REJECTED}  rejected: cannot be done as asked, nothing changed
  {outcome.USAGE}  wrong usage: cannot be meant as it is written, nothing was done
  {outcome.OPERATIONAL}  daemon, chain or peer did not answer (in time); what was begun may go on
  {outcome.FAILED}  a payment or trade failed; no money was spent on it

Amounts are decimal, with their asset's symbol: "0.5 ETH" or 0.5ETH, or 0.5 with --asset. Channels may be
named by the beginning of their id, peers by their alias or the beginning of their id.
"""

NO_COMMAND = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""Its message is the whole help; older versions of click have none and say so by themselves."""

cli = LazyGroup(
    "channeld",
    lazy=COMMANDS,
    help="State channels that carry payments and option trades.",
    epilog=EPILOG,
)
cli = click.version_option(package_name="channeld", message="%(version)s")(cli)


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """One command line, to its exit code. Errors go to standard error in one sentence."""
    try:
        ended = cli.main(arguments, prog_name="channeld", standalone_mode=False)
    except click.Abort:
        click.echo("interrupted", err=True)
        return outcome.INTERRUPTED
    except click.UsageError as error:
        return _misused(error)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except outcome.TransferFailed as error:
        click.echo(f"failed: {error}", err=True)
        return outcome.FAILED
    except ChanneldError as error:
        return _told(error)
    except ExceptionGroup as group:
        return _told(_expected_one(group))
    return ended if isinstance(ended, int) else outcome.OK


def _misused(error: click.UsageError) -> int:
    """One line: what is wrong, and how it would be right; a group without a command shows what it has."""
    if isinstance(error, NO_COMMAND):
        error.show()
        return outcome.USAGE
    what = " ".join(error.format_message().split()).removesuffix(".")
    usage = "" if error.ctx is None else f" ({' '.join(error.ctx.get_usage().split())})"
    click.echo(f"error: {what[:1].lower()}{what[1:]}{usage}", err=True)
    return outcome.USAGE


def _told(error: ChanneldError) -> int:
    click.echo(f"error: {error}", err=True)
    return outcome.REJECTED if isinstance(error, Rejected) else outcome.OPERATIONAL


def _expected_one(group: ExceptionGroup[Exception]) -> ChanneldError:
    """The first failure of several tasks, if all are of the kind that we expect; a bug is raised on."""
    expected, bugs = group.split(ChanneldError)
    if bugs is not None or expected is None:
        raise group
    first: BaseException = expected
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, ChanneldError)
    return first
