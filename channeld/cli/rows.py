"""Tables of the configuration as one option: KEY=VALUE,KEY=VALUE."""

import json
from collections.abc import Iterable
from pathlib import Path

from channeld.config.file import parse
from channeld.config.settings import Config
from channeld.core.errors import Rejected

LISTS = frozenset({"signers", "urls"})
"""Keys that hold a list: repeated for each item."""


def row_as_toml(table: str, text: str) -> str:
    """KEY=VALUE,... as a [[table]] of a configuration file. Raises Rejected."""
    found: dict[str, list[str]] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or not key.strip().isidentifier():
            raise Rejected(f"expected --{table} KEY=VALUE,KEY=VALUE, got {part[:80]!r}")
        found.setdefault(key.strip(), []).append(value.strip())
    lines = [f"[[{table}]]"]
    for key, values in found.items():
        if key not in LISTS and len(values) > 1:
            raise Rejected(f"expected {key} once in --{table}, got it {len(values)} times")
        # numbers may be quoted in a configuration, so that everything may be
        lines.append(f"{key} = {json.dumps(values if key in LISTS else values[0])}")
    return "\n".join((*lines, ""))


def read_rows(table: str, rows: Iterable[str]) -> Config:
    """A configuration with these rows in it and defaults besides. Raises Rejected."""
    return parse("".join(row_as_toml(table, row) for row in rows), Path())
