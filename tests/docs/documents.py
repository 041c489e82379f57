"""The documents as a reader sees them: text, headings, tables, code, links."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next of its level or above."""
    level = heading.split(" ")[0]
    assert f"\n{heading}\n" in text, f"no heading {heading!r}"
    _, _, rest = text.partition(f"\n{heading}\n")
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The rows of every table in `text`, heads left out, as their cells."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rules = {number for number, line in enumerate(lines) if line.startswith("|---")}
    heads = {number - 1 for number in rules}
    below = [line for number, line in enumerate(lines) if number not in rules | heads]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in below]
    return [[cell.strip() for cell in row] for row in cells]


def inline_code(text: str) -> list[str]:
    """Everything between backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def code_lines(text: str) -> list[str]:
    """Indented lines: commands, layouts, examples. One that ends in a backslash goes on."""
    joined = re.sub(r"\\\n *", "", text)
    return [line.strip() for line in joined.splitlines() if line.startswith("    ")]


def anchors(text: str) -> set[str]:
    """What `#...` can point at, as code hosts make it of headings."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    """The targets of links; code that looks like one is none."""
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose))
