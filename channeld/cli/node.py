"""The node and its peers: info, peers, connect, disconnect, stop."""

import time

import click

from channeld.adapters.journal.lock import DirectoryLock
from channeld.api import endpoints as api
from channeld.api.commands import Commands
from channeld.api.http1 import Unreachable
from channeld.cli import tables
from channeld.cli.names import check_peer, peer_named, read_node_id
from channeld.cli.reading import checks, reads
from channeld.cli.session import Command, Session, pass_session
from channeld.core.errors import OperationalError, Rejected
from channeld.wire.peer_address import split_peer_address

STOP_POLL_S = 0.05


@click.command(cls=Command)
@pass_session
def info(session: Session) -> None:
    """Show this node, its chain and its money."""
    found = session.ask(lambda client: client.info())
    session.show(api.INFO.answer.encode(found), tables.node(found), "", tables.balances(found))


@click.command(cls=Command)
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True, help="Most shown.")
@click.option(
    "--after", metavar="NODE", callback=reads(read_node_id),
    help="Go on from the next_after of the last page.",
)  # fmt: skip
@pass_session
def peers(session: Session, limit: int, after: bytes | None) -> None:
    """List known peers."""
    page = session.ask(lambda client: client.peers("", after, limit))
    session.show(api.PEERS.answer.encode(page), tables.peers(page[0]), *tables.more(page[1]))


@click.command(cls=Command)
@click.argument("address", metavar="NODE_ID@HOST:PORT", callback=checks(split_peer_address))
@pass_session
def connect(session: Session, address: str) -> None:
    """Connect to a peer, and stay connected from then on.

    The node id is what the peer's `channeld info` shows.
    """
    peer = session.ask(lambda client: client.connect(address), "connecting")
    session.show(api.CONNECT.answer.encode(peer), tables.peer(peer))


@click.command(cls=Command)
@click.argument("peer", callback=checks(check_peer))
@pass_session
def disconnect(session: Session, peer: str) -> None:
    """Let go of a peer. Channels with it stay."""

    async def let_go(client: Commands) -> bytes:
        node_id = await peer_named(client, peer)
        await client.disconnect(node_id)
        return node_id

    node_id = session.ask(let_go)
    session.show({"node_id": f"0x{node_id.hex()}"}, f"disconnected from {node_id.hex()}")


@click.command(cls=Command)
@click.option("--timeout", "timeout_s", type=click.FloatRange(0, 3_600), default=30.0, show_default=True)
@pass_session
def stop(session: Session, timeout_s: float) -> None:
    """Stop the daemon, and wait until it is gone.

    When this has succeeded, the data directory may be copied.
    """
    session.ask(lambda client: client.stop(), "stopping")
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if _is_gone(session):
            session.show({"stopped": True}, "stopped")
            return
        time.sleep(STOP_POLL_S)
    raise OperationalError(f"the daemon still runs after {timeout_s:g} s: see its log")


def _is_gone(session: Session) -> bool:
    """Nobody answers, and nobody holds the data directory."""
    try:
        session.ask(lambda client: client.info())
        return False
    except Unreachable:
        pass
    except OperationalError:
        return False  # it ends the connections that it has first
    try:
        DirectoryLock(session.node_dir).release()
    except Rejected:
        return False
    return True
