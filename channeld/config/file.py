"""The configuration as a TOML file: read strictly, written with a comment on every setting."""

import difflib
import json
import re
import textwrap
import tomllib
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from channeld.config.about import About
from channeld.config.settings import AssetSettings, Config, FeedSettings
from channeld.core.claims import MAX_AMOUNT
from channeld.core.errors import Rejected
from channeld.wire.address import checksummed, parse_address

COMMENT_COLUMNS = 100
MAX_FILE_BYTES = 2**20
"""A thousand times the example: whatever is larger is not a configuration."""

ARRAYS: Mapping[str, type] = {"asset": AssetSettings, "feed": FeedSettings}
"""Tables that may stand several times, in double brackets."""

EXAMPLE_FEED = FeedSettings(
    "ETH/USD", 2, tuple(bytes([n]) * 20 for n in (0x11, 0x22, 0x33)), urls=("https://oracle.example/prices",)
)
"""Shown as a comment where a file has no feed: there are no signers that everybody should trust."""


def load(path: Path) -> Config:
    """Read a file. Rejected, naming file, table and key, for anything unknown, ill-typed or out of bounds.

    `~` is the home directory, and paths are relative to the file's own directory.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Rejected(f"{path}: expected a configuration file: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise Rejected(f"{path}: expected at most {MAX_FILE_BYTES} bytes, got {len(content)}")
    try:
        return parse(content.decode(), path.absolute().parent)
    except UnicodeDecodeError as error:
        raise Rejected(f"{path}: expected UTF-8: {error.reason} at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise Rejected(f"{path}: expected TOML: {error}") from error
    except Rejected as error:
        raise Rejected(f"{path}: {error}") from error


def parse(text: str, base: Path) -> Config:
    """A file's text as a Config; relative paths start at `base`."""
    document = tomllib.loads(text, parse_float=Decimal)
    types_of = get_type_hints(Config)
    tables: dict[str, Any] = {}
    for name, content in document.items():
        if name not in types_of:
            raise Rejected(_unknown_table(name, content))
        if name in ARRAYS:
            if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
                raise Rejected(f"expected tables [[{name}]], got {_described(content)}")
            tables[name] = tuple(_table(f"[[{name}]]", ARRAYS[name], row, base) for row in content)
        elif isinstance(content, dict):
            tables[name] = _table(f"[{name}]", types_of[name], content, base)
        else:
            raise Rejected(f"expected a table [{name}], got {_described(content)}")
    return Config(**tables)


def default_toml() -> str:
    """The file with every setting at its default; config.example.toml is this text."""
    return render(Config())


def render(config: Config) -> str:
    """A configuration as a commented file that `load` reads back as the same configuration."""
    parts = [
        "# Configuration of channeld. Every setting is here, at the value it has if it is left out, unless",
        "# changed. The unit ends the name: _s seconds, _ppm millionths, _gwei 1e-9 of the chain's coin,",
        "# _units the asset's smallest unit. Amounts may be quoted where they exceed 64 bits.",
    ]
    for table in fields(Config):
        content = getattr(config, table.name)
        if table.name not in ARRAYS:
            parts += ["", *_rendered(f"[{table.name}]", content)]
        elif content:
            for row in content:
                parts += ["", *_rendered(f"[[{table.name}]]", row)]
        else:
            example = EXAMPLE_FEED if table.name == "feed" else Config().asset[0]
            parts += ["", *(f"# {line}" for line in _rendered(f"[[{table.name}]]", example))]
    return "\n".join(parts) + "\n"


# Reading -------------------------------------------------------------------------------------------


def _settings(table: type) -> dict[str, tuple[Any, About]]:
    """Name -> (type, About) of each setting of a table, in its order."""
    hints = get_type_hints(table, include_extras=True)
    settings = {}
    for setting in fields(table):
        assert get_origin(hints[setting.name]) is Annotated, f"{table.__name__}.{setting.name} has no About"
        kind, about = get_args(hints[setting.name])
        settings[setting.name] = (kind, about)
    return settings


def _table(name: str, table: type, content: Mapping[str, object], base: Path) -> Any:
    settings = _settings(table)
    for key in content:
        if key not in settings:
            raise Rejected(_unknown_key(name, key, settings))
    for setting in fields(table):
        if _required(setting) and setting.name not in content:
            raise Rejected(f"{name} {setting.name}: expected a value, it has no default")
    values = {}
    for key, given in content.items():
        kind, about = settings[key]
        try:
            values[key] = _value(kind, about, given, base)
        except Rejected as error:
            raise Rejected(f"{name} {key}: {error}") from error
    return table(**values)


def _required(setting: Field[Any]) -> bool:
    return setting.default is MISSING and setting.default_factory is MISSING


def _unknown_key(name: str, key: str, settings: Mapping[str, object]) -> str:
    message = f"{name} {key}: expected a known setting"
    elsewhere = [title for title, table in _tables().items() if title != name and key in _settings(table)]
    close = difflib.get_close_matches(key, list(settings), n=1, cutoff=0.5)
    if elsewhere:
        return f"{message}; it belongs in {elsewhere[0]}"
    if close:
        return f"{message}; did you mean {close[0]}?"
    return f"{message}; {name} has {', '.join(settings)}"


def _unknown_table(name: str, content: object) -> str:
    if not isinstance(content, dict | list):
        places = [title for title, table in _tables().items() if name in _settings(table)]
        return f"{name}: expected a table before it" + (f"; it belongs in {places[0]}" if places else "")
    names = [table.name for table in fields(Config)]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"[{name}]: expected one of the tables {', '.join(names)}" + (
        f"; did you mean {close[0]}?" if close else ""
    )


def _tables() -> dict[str, type]:
    hints = get_type_hints(Config)
    return {f"[[{n}]]" if n in ARRAYS else f"[{n}]": ARRAYS.get(n, hints[n]) for n in hints}


def _value(kind: Any, about: About, given: object, base: Path) -> object:
    """One value as its type; Rejected says what was expected and what came."""
    if get_origin(kind) is tuple:
        if not isinstance(given, list):
            raise _wrong("a list", given)
        return tuple(_value(get_args(kind)[0], about, item, base) for item in given)
    if get_origin(kind) is types.UnionType:
        if given == "":
            return None
        kind = get_args(kind)[0]
    if kind is bool:
        if not isinstance(given, bool):
            raise _wrong("true or false", given)
        return given
    if kind in (int, float, Decimal):
        return _number(kind, about, given)
    if not isinstance(given, str):
        raise _wrong("a text in quotes", given)
    if kind is bytes:
        return parse_address(given)
    if kind is Path:
        return _path(given, base)
    return _text(about, given)


def _number(kind: type, about: About, given: object) -> int | float | Decimal:
    low, high = about.low, about.high
    assert low is not None and high is not None, "a number without bounds"
    expected = f"{'a whole number' if kind is int else 'a number'} from {low} to {high}"
    number: int | Decimal
    if kind is int and isinstance(given, str) and re.fullmatch("[0-9]{1,78}", given):
        number = int(given)  # a quoted amount: other TOML tools stop at 64 bits
    elif isinstance(given, bool):
        raise _wrong(expected, given)
    elif isinstance(given, int) or (isinstance(given, Decimal) and given.is_finite() and kind is not int):
        number = given
    else:
        raise _wrong(expected, given)
    if not low <= number <= high:
        raise _wrong(expected, given)
    converted: int | float | Decimal = kind(number)
    return converted


def _text(about: About, given: str) -> str:
    if about.one_of and given not in about.one_of:
        raise _wrong(f"one of {', '.join(about.one_of)}", given)
    if about.like and not re.fullmatch(about.like, given):
        like = f"a text like {about.like}"
        if about.secret:
            raise Rejected(f"expected {like}, got another (not shown: it may hold a password)")
        raise _wrong(like, given)
    if about.low is not None and about.high is not None:
        length = len(given.encode())
        if not about.low <= length <= about.high:
            raise _wrong(f"a text of {about.low} to {about.high} bytes", given)
    return given


def _path(given: str, base: Path) -> Path:
    if not given or "\0" in given:
        raise _wrong("a path", given)
    try:
        return base / Path(given).expanduser()
    except RuntimeError as error:
        raise _wrong("a path whose ~ is a known user", given) from error


def _wrong(expected: str, given: object) -> Rejected:
    return Rejected(f"expected {expected}, got {_described(given)}")


def _described(given: object) -> str:
    match given:
        case bool():
            return str(given).lower()
        case int() | Decimal():
            return str(given)[:80]
        case str():
            return f"the text {given[:80]!r}"
        case list():
            return f"a list of {len(given)}"
        case dict():
            return "a table"
        case _:
            return f"a {type(given).__name__}"


# Writing -------------------------------------------------------------------------------------------


def _rendered(name: str, settings: Any) -> list[str]:
    lines = [*_comment(type(settings).__doc__ or ""), name]
    for key, (kind, about) in _settings(type(settings)).items():
        lines += [*_comment(about.reason + _bounds(kind, about)), f"{key} = {_toml(getattr(settings, key))}"]
    return lines


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), COMMENT_COLUMNS - 2)]


def _bounds(kind: Any, about: About) -> str:
    if about.one_of:
        return f" (one of {', '.join(about.one_of)})"
    if kind in (int, float, Decimal) and about.low != about.high and about.high != MAX_AMOUNT:
        return f" ({about.low} to {about.high})"
    return ""


def _toml(value: object) -> str:
    match value:
        case None:
            return '""'
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if value < 2**63 else f'"{value}"'
        case float() | Decimal():
            return str(value)
        case bytes():
            return f'"{checksummed(value)}"'
        case Path():
            home = Path.home()
            return _quoted(f"~/{value.relative_to(home)}" if value.is_relative_to(home) else str(value))
        case tuple():
            return "[" + ", ".join(_toml(item) for item in value) + "]"
        case _:
            return _quoted(str(value))


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's, except that TOML wants DEL escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
