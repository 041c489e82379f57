"""What every command needs: where the daemon is, how to ask it, and how to show what it said."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console, RenderableType
from rich.text import Text

from channeld.api.client import ApiClient
from channeld.api.http1 import Unreachable, parse_base_url
from channeld.api.json_forms import MAX_SAFE
from channeld.api.token import read_token
from channeld.config.file import load
from channeld.config.settings import ApiSettings, Config
from channeld.core.errors import Rejected

T = TypeVar("T")

DATA_DIR_VARIABLE = "CHANNELD_DATA_DIR"
CONFIG_NAME = "config.toml"
TOKEN_NAME = "api.token"
KEYSTORE_NAME = "keystore.json"

PIPED_COLUMNS = 1_000
"""A table that goes into a file is not cut to the width of a terminal that is not there."""


def _default_data_dir() -> Path:
    return Path(os.environ.get(DATA_DIR_VARIABLE) or "~/.channeld").expanduser()


@dataclass(slots=True)
class Session:
    """The options that every command takes, before or after its name."""

    data_dir: Path = field(default_factory=_default_data_dir)
    api_url: str = ""
    json: bool = False
    _config: Config | None = None

    # asking the daemon

    def ask(self, work: Callable[[ApiClient], Awaitable[T]], waiting: str = "") -> T:
        """Run `work` with a client. `waiting` says meanwhile, on a terminal, what for."""
        client = ApiClient(self._url(), self._token())

        async def working() -> T:
            return await work(client)

        try:
            with self._spinner(waiting):
                return asyncio.run(working())
        except Unreachable as error:
            raise Unreachable(
                f"{error}; start the daemon with `channeld run`, or name it with --api"
            ) from error

    def _url(self) -> str:
        if self.api_url:
            return self.api_url
        settings = self.config.api if self.has_config else ApiSettings()
        if settings.port == 0:
            raise Rejected("expected --api URL: the configured port 0 means any, and the log says which")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
        return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"

    def _token(self) -> str:
        directory = self.node_dir
        if not (directory / TOKEN_NAME).exists():
            raise Rejected(f"expected {directory / TOKEN_NAME}, which `channeld run` makes: {self._remedy()}")
        return read_token(directory / TOKEN_NAME)

    # the data directory

    @property
    def has_config(self) -> bool:
        return (self.data_dir / CONFIG_NAME).exists()

    @property
    def config(self) -> Config:
        """The configuration file. Raises Rejected if there is none or it is wrong."""
        if self._config is None:
            if not self.has_config:
                raise Rejected(f"expected {self.data_dir / CONFIG_NAME}: {self._remedy()}")
            self._config = load(self.data_dir / CONFIG_NAME)
        return self._config

    @property
    def node_dir(self) -> Path:
        """Where the configuration says that keys, journal and token are; usually next to it."""
        return self.config.node.data_dir if self.has_config else self.data_dir

    @property
    def keystore_path(self) -> Path:
        """The key's file. Raises Rejected if there is none."""
        path = self.node_dir / KEYSTORE_NAME
        if not path.exists():
            raise Rejected(f"expected {path}: {self._remedy()}")
        return path

    def _remedy(self) -> str:
        return f"make a node with `channeld init`, or name yours with --data-dir or {DATA_DIR_VARIABLE}"

    # showing

    def show(self, document: dict[str, Any], *readable: RenderableType) -> None:
        """One JSON document with --json, else what people read."""
        if self.json:
            click.echo(json.dumps(document, indent=2, ensure_ascii=False))
            return
        if sys.stdout.isatty():
            console = Console(highlight=False)
            for part in readable:
                console.print(part, soft_wrap=isinstance(part, str | Text), markup=False)
        else:
            for part in readable:
                click.echo(_plain(part))

    def _spinner(self, waiting: str) -> AbstractContextManager[object]:
        console = Console(stderr=True)
        if not waiting or not console.is_terminal:
            return nullcontext()
        return console.status(waiting)


def _plain(part: RenderableType) -> str:
    """As it goes into a file: as wide as it is, without colours and without blanks at the ends of lines."""
    console = Console(width=PIPED_COLUMNS, force_terminal=False, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(part, soft_wrap=isinstance(part, str | Text), markup=False, end="")
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


# The common options --------------------------------------------------------------------------------


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    assert parameter.name is not None
    if value:
        setattr(ctx.ensure_object(Session), parameter.name, value)
    return value


def _remember_url(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    if value:
        try:
            parse_base_url(value)
        except Rejected as error:
            raise click.BadParameter(str(error)) from None
    return _remember(ctx, parameter, value)


def with_common_options(command: click.Command) -> None:
    """Give a command the options of a Session, behind its own."""
    command.params += [
        click.Option(
            ["--data-dir", "data_dir"],
            type=click.Path(path_type=Path, file_okay=False),
            help=f"Directory of the node.  [default: ${DATA_DIR_VARIABLE} or ~/.channeld]",
            expose_value=False,
            callback=_remember,
        ),
        click.Option(
            ["--api", "api_url"],
            metavar="URL",
            help="Address of the daemon's API.  [default: as configured]",
            expose_value=False,
            callback=_remember_url,
        ),
        click.Option(
            ["--json", "json"],
            is_flag=True,
            help="Print one JSON document: ids in hex, amounts in smallest units.",
            expose_value=False,
            callback=_remember,
        ),
    ]


HELP = {"help_option_names": ["-h", "--help"]}
"""Of every command by itself: click remembers the names that a command was first asked for under, so those
that come from whatever stands above it would depend on who asked first."""


class Command(click.Command):
    """A command with the common options. Its function takes the Session first (`@pass_session`)."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **{"context_settings": HELP} | settings)
        with_common_options(self)


pass_session = click.make_pass_decorator(Session, ensure=True)


Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def page_options(function: Decorated) -> Decorated:
    """--limit and --before, for lists that come in pages."""
    limit = click.IntRange(1, 1_000)
    function = click.option("--limit", type=limit, default=20, show_default=True, help="Most shown.")(
        function
    )
    place = click.IntRange(0, MAX_SAFE)
    return click.option(
        "--before", type=place, metavar="PLACE", help="Go on from the next_before of the last page."
    )(function)
