"""Groups whose commands are imported when they are run.

Scripts call the command line in loops: `channeld info` must not pay for the EVM of `channeld chain dev`.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from channeld.cli.session import HELP, with_common_options


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command that is not imported yet: where it is, and its line in the list of commands."""

    module: str
    name: str
    summary: str


class LazyGroup(click.Group):
    """A group of lazy commands, in the order of its table."""

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy], **settings: Any) -> None:
        super().__init__(*args, **{"context_settings": HELP | {"max_content_width": 100}} | settings)
        self.lazy = lazy
        with_common_options(self)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = self.lazy.get(cmd_name)
        if found is None:
            return None
        command = getattr(importlib.import_module(found.module), found.name)
        assert isinstance(command, click.Command), f"{found.module}.{found.name} is no command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self.lazy.items()])
