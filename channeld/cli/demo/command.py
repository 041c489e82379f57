"""`channeld demo`: the whole story on this machine, in separate processes."""

import tempfile
from pathlib import Path

import click
from rich.console import Console

from channeld.cli.demo.stage import DemoFailed, Stage
from channeld.cli.demo.story import Story
from channeld.cli.outcome import FAILED, OK
from channeld.cli.session import HELP

LOG_COLUMNS = 110
"""Where there is no terminal to fill, the tables have room for all their figures."""


@click.command(context_settings=HELP)
@click.option(
    "--keep", is_flag=True, help="Stop after act 3, leave all running, say where it is and how to end it."
)
def demo(keep: bool) -> int:
    """A payment, an option and an exit: a chain, oracles and three daemons, and a cheat.

    Exit code 0 only if every balance was as it should be, to the last unit. Leaves nothing running.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = LOG_COLUMNS
    directory = Path(tempfile.mkdtemp(prefix="channeld-demo-"))
    with Stage(directory) as stage:
        story = Story(stage, console)
        try:
            story.play(until_act=3 if keep else 7)
        except DemoFailed as failure:
            console.print(f"[bold red]The demonstration failed[/]: {failure}")
            console.print(f"logs and data: {directory}")
            return FAILED
        if keep:
            story.explain()
            stage.release()
        else:
            console.print(f"[bold green]Every balance was met[/], in {story.elapsed_s:.0f} s.")
            stage.clear()
    return OK
