"""Commands are there, have help, and import no more than they need."""

import re
import subprocess
import sys

import click
import pytest

from channeld.cli.lazy import LazyGroup
from channeld.cli.main import cli
from tests.cli.conftest import Channeld

HEAVY = ("aiohttp", "eth", "networkx", "numpy", "scipy", "coincurve", "cryptography", "uvloop", "msgpack")
"""Each takes longer to import than a command takes to run."""


def every_command(group: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    if isinstance(group, LazyGroup):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            assert command.name == name
            found += every_command(command, (*path, name))
    return found


COMMANDS = every_command(cli)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: Channeld, path: tuple[str, ...]) -> None:
    said = command(*path, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: channeld{''.join(' ' + name for name in path)} ")
    for option in ("--data-dir", "--api", "--json"):
        assert option in said.out or path == ("demo",)  # it makes its own nodes
    assert command(*path, "-h").out == said.out


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_both_its_names_whoever_asks(path: tuple[str, ...]) -> None:
    """Also in a context of its own, as documents' examples are checked in: click remembers the first."""
    found: click.Command = cli
    for name in path:
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), name)
        assert inner is not None
        found = inner
    alone = found.make_context(found.name, [], resilient_parsing=True)
    assert found.get_help_option_names(alone) == ["-h", "--help"]


def test_the_help_names_every_exit_code(command: Channeld) -> None:
    text = command("--help").out
    for code, meaning in enumerate(("done", "rejected", "wrong usage", "did not answer", "failed")):
        assert any(line.strip().startswith(f"{code}  ") and meaning in line for line in text.splitlines())


def test_the_list_of_commands_says_what_their_help_says() -> None:
    """The summaries stand beside the commands, so that listing them imports none."""
    for group in (
        cli,
        *(cli.get_command(click.Context(cli), name) for name in ("option", "chain", "oracle")),
    ):
        assert isinstance(group, LazyGroup)
        for name, lazy in group.lazy.items():
            command = group.get_command(click.Context(group), name)
            assert command is not None
            assert lazy.summary.endswith(".")
            assert command.help
            if name not in ("demo", "option", "oracle", "chain"):
                verb = re.compile(r"\w+").match
                assert verb(lazy.summary)[0] == verb(command.help)[0], name  # type: ignore[index]


@pytest.mark.parametrize(
    "arguments",
    ["--help", "info --help", "pay --help", "option buy --help", "chain --help", "--data-dir /nowhere info"],
)
def test_ordinary_commands_import_nothing_heavy(arguments: str) -> None:
    program = (
        "import sys\n"
        "from channeld.cli.main import run\n"
        f"run({arguments.split()!r})\n"
        f"found = sorted({set(HEAVY)!r} & set(sys.modules))\n"
        "sys.exit(f'imported {found}' if found else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_version_is_told(command: Channeld) -> None:
    said = command("--version")
    assert (said.code, said.out.count(".")) == (0, 2)


def test_a_reader_who_leaves_early_is_no_error() -> None:
    """As `channeld --help | head -1`."""
    with subprocess.Popen(
        [sys.executable, "-m", "channeld", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("what", ["quote", "buy"])
def test_the_help_says_which_cap_a_call_has_if_none_is_named(command: Channeld, what: str) -> None:
    assert "twice the strike if left out" in " ".join(command("option", what, "--help").out.split())
