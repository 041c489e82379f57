"""`channeld init`: a data directory with a key and a configuration."""

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from channeld.adapters.journal.lock import private_directory
from channeld.adapters.private_file import sync_directory
from channeld.adapters.signer import Signer
from channeld.cli import tables
from channeld.cli.chain_rpc import check_rpc_url
from channeld.cli.keys import make_key, open_key, password_option
from channeld.cli.reading import as_usage, checks
from channeld.cli.rows import row_as_toml
from channeld.cli.session import CONFIG_NAME, KEYSTORE_NAME, Command, Session, pass_session
from channeld.config.file import parse, render
from channeld.config.settings import Config
from channeld.core.errors import OperationalError, Rejected
from channeld.wire.address import checksummed


@click.command(cls=Command)
@click.option(
    "--chain-rpc", metavar="URL", callback=checks(check_rpc_url), help="JSON-RPC of your Ethereum node."
)
@click.option("--chain-id", type=int, help="1 is Ethereum's main network.")
@click.option("--adjudicator", metavar="ADDRESS", help="The contract that holds the channels.")
@click.option("--alias", help="Name shown to others.")
@click.option("--listen-host", help="Where peers connect.")
@click.option("--listen-port", type=int)
@click.option("--api-port", type=int, help="Where this command line finds the daemon.")
@click.option("--asset", "assets", multiple=True, metavar="KEY=VALUE,...", help="Another asset than ETH.")
@click.option("--feed", "feeds", multiple=True, metavar="KEY=VALUE,...", help="Who signs a pair's prices.")
@click.option("--set", "settings", multiple=True, metavar="TABLE.KEY=VALUE", help="Any other setting.")
@click.option("--light-kdf", is_flag=True, help="A weakly encrypted key, for play money.")
@password_option
@pass_session
def init(
    session: Session,
    /,
    assets: tuple[str, ...],
    feeds: tuple[str, ...],
    settings: tuple[str, ...],
    light_kdf: bool,
    password_file: Path | None,
    **named: Any,
) -> None:
    """Make a data directory: a new key, encrypted, and a commented configuration.

    A key that is there already (keystore.json, an Ethereum keystore V3) is taken. A password file is
    remembered in the configuration.

    \b
    --asset address=0x...,symbol=TEST,decimals=6
    --feed pair=ETH/USD,threshold=2,signers=0x...,signers=0x...,signers=0x...,urls=https://...
    --set chain.confirmations=12
    """
    given = _named_settings(named)
    if password_file is not None:
        given += [("node", "password_file", json.dumps(str(password_file.absolute())))]
    with as_usage():
        given += [_setting(text) for text in settings]
        config = _configured(session.data_dir.absolute(), given, assets, feeds)
    path, keystore = session.data_dir / CONFIG_NAME, session.data_dir / KEYSTORE_NAME
    if path.exists():
        raise Rejected(f"expected no {path}: this node is made already; edit that file instead")
    private_directory(session.data_dir)
    if keystore.exists():
        signer = open_key(keystore, password_file)
    else:
        signer = make_key(keystore, password_file, light=light_kdf)
    _write(path, render(replace(config, node=replace(config.node, data_dir=Path(".")))))
    _show(session, signer, config)


def _named_settings(named: Mapping[str, str | int | None]) -> list[tuple[str, str, str]]:
    """Options that have a name of their own, as (table, key, TOML value)."""
    places = {
        "chain_rpc": ("chain", "rpc_url"),
        "chain_id": ("chain", "chain_id"),
        "adjudicator": ("chain", "adjudicator"),
        "alias": ("node", "alias"),
        "listen_host": ("peer", "listen_host"),
        "listen_port": ("peer", "listen_port"),
        "api_port": ("api", "port"),
    }
    return [(*places[name], json.dumps(value)) for name, value in named.items() if value is not None]


def _setting(text: str) -> tuple[str, str, str]:
    """TABLE.KEY=VALUE; a VALUE that is no TOML is a text."""
    name, equals, value = text.partition("=")
    table, dot, key = name.strip().partition(".")
    if not equals or not dot or not table.isidentifier() or not key.isidentifier():
        raise Rejected(f"expected --set TABLE.KEY=VALUE, got {text[:80]!r}")
    try:
        alone = set(tomllib.loads(f"value = {value}")) == {"value"}
    except tomllib.TOMLDecodeError:
        alone = False
    return table, key, value if alone else json.dumps(value)


def _configured(
    base: Path, given: Iterable[tuple[str, str, str]], assets: Iterable[str], feeds: Iterable[str]
) -> Config:
    """The configuration, checked as a file would be: the options are written as one and read."""
    lines_of: dict[str, dict[str, str]] = {"node": {"data_dir": '"."'}}
    for table, key, value in given:
        if table in ("asset", "feed"):
            raise Rejected(f"expected --{table} KEY=VALUE,... instead of --set {table}.{key}")
        if key in lines_of.get(table, {}) and key != "data_dir":
            raise Rejected(f"expected {table}.{key} once, got it twice")
        lines_of.setdefault(table, {})[key] = value
    text = ""
    for table, lines in lines_of.items():
        text += f"[{table}]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())
    text += "".join(row_as_toml("asset", row) for row in assets)
    text += "".join(row_as_toml("feed", row) for row in feeds)
    config = parse(text, base)
    return replace(config, asset=Config().asset + config.asset) if assets else config


def _write(path: Path, text: str) -> None:
    """The file appears last: with it, the directory is complete."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        sync_directory(path.parent)
    except OSError as error:
        raise OperationalError(f"expected to write {path}: {error.strerror}") from error


def _show(session: Session, signer: Signer, config: Config) -> None:
    directory = str(session.data_dir.absolute())
    port = config.peer.listen_port
    document = {
        "data_dir": directory,
        "node_id": f"0x{signer.public_key.hex()}",
        "address": f"0x{signer.address.hex()}",
        "listen_port": port,
        "api_port": config.api.port,
    }
    missing = (
        "" if config.chain.adjudicator is not None else ", after naming the adjudicator in its config.toml"
    )
    known = tables.facts(
        ("data directory", directory),
        ("node", signer.public_key.hex()),
        ("account", checksummed(signer.address)),
        ("peers connect to", f"{signer.public_key.hex()}@HOST:{port}" if port else ""),
    )
    session.show(document, known, "", f"Next: send coins to the account, then `channeld run`{missing}.")
