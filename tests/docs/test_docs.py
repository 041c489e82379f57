"""What the documents name is there: files, headings, commands and their options."""

import re
import shlex

import click
import pytest

from channeld.cli.main import cli
from tests.docs.documents import DOCUMENTS, ROOT, anchors, code_lines, inline_code, links

PATH = re.compile(
    r"(?:channeld|routing|contracts|docs|tests|bench|\.ci)/[\w./-]+|[\w.-]+\.(?:toml|md)|Makefile"
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATORS = [path for path in DOCUMENTS if path.name != "protocol.md"]
ELSEWHERE = {"config.toml"}
"""In a data directory, not in the repository."""

documents = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


@documents
def test_every_link_leads_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for target in links(text):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        other = path.parent / name if name else path
        assert other.exists(), f"{path.name} links to {target}"
        if anchor:
            assert anchor in anchors(other.read_text(encoding="utf-8")), f"{path.name} links to {target}"


@documents
def test_every_file_that_is_named_exists(path):
    for code in inline_code(path.read_text(encoding="utf-8")):
        if PATH.fullmatch(code) and code not in ELSEWHERE:
            assert (ROOT / code).exists(), f"{path.name} names {code}"


def commands() -> list[tuple[str, str]]:
    """Every command line that a document for operators shows: where, and the line."""
    found = []
    for path in OPERATORS:
        text = path.read_text(encoding="utf-8")
        for line in code_lines(text) + inline_code(text):
            shown = re.split(" +# ", line)[0]
            if re.match(r"channeld [a-z]+( |$)", shown):
                found.append((path.name, shown))
    return found


@pytest.mark.parametrize(("document", "line"), commands())
def test_every_command_that_is_shown_is_one(document, line):
    words = shlex.split(line)[1:]
    command: click.Command = cli
    context = click.Context(cli)
    while words and isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, f"{document} shows {line!r}: no command {words[0]}"
        command, words = found, words[1:]
    if isinstance(command, click.Group) or (not words and line in inline_code(README)):
        return  # named, not shown with its arguments
    try:
        command.make_context("channeld", words)
    except (click.MissingParameter, click.NoSuchOption):
        raise
    except click.BadParameter:
        pass  # a placeholder, as ID where a number belongs


def test_the_commands_of_the_readme_are_many():
    assert len({line.split()[1] for document, line in commands() if document == "README.md"}) >= 8


@pytest.mark.parametrize("target", re.findall(r"(?:`|    )make (\w+)", README))
def test_every_make_target_of_the_readme_is_in_the_makefile(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE), target


@documents
def test_no_line_of_prose_is_wider_than_a_page(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        wide = len(line) > 110 and not line.startswith(("|", "    "))
        assert not wide, f"{path.name}:{number} has {len(line)} characters"
