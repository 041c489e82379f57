"""Small faults, one at a time, in Vyper sources.

Works on tokens: Python's tokeniser reads Vyper. Only what is inside functions and what constants are defined
as is changed; types, events, structs, words of refusals and docstrings are not.
"""

import io
import token
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Tokens = list[tokenize.TokenInfo]

OPERATORS = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "+": ("-",),
    "-": ("+",),
    "*": ("+",),
    "//": ("*",),
    "%": ("//",),
    "&": ("|",),
    "|": ("&",),
    "^": ("&",),
    "<<": (">>",),
    ">>": ("<<",),
    "+=": ("-=",),
    "-=": ("+=",),
}

NAMES = {
    "and": ("or",),
    "or": ("and",),
    "True": ("False",),
    "False": ("True",),
    "min": ("max",),
    "max": ("min",),
    "unsafe_add": ("unsafe_sub",),
    "unsafe_sub": ("unsafe_add",),
    "unsafe_mul": ("unsafe_add",),
    "OPEN": ("DISPUTED",),
    "DISPUTED": ("OPEN",),
    "LIVE": ("PENDING", "DEAD"),
    "PENDING": ("LIVE", "DEAD"),
    "DEAD": ("LIVE",),
    "deposit_a": ("deposit_b",),
    "deposit_b": ("deposit_a",),
    "to_a": ("to_b",),
    "to_b": ("to_a",),
    "need_a": ("need_b",),
    "need_b": ("need_a",),
    "sig_a": ("sig_b",),
    "sig_b": ("sig_a",),
    "by_a": ("by_b",),
    "by_b": ("by_a",),
    "link": ("rest",),
    "rest": ("link",),
    "strike": ("bound",),
    "bound": ("strike",),
    "low": ("high",),
    "high": ("low",),
}
"""Names that are easily taken for one another."""

SIZED_TYPES = {"Bytes", "DynArray", "String"}
NO_STATEMENTS = {"if", "elif", "else", "for", "def", "pass", "return", "@"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: the text between two offsets of a file, and what stands there instead."""

    path: Path
    text: str  # of the whole file, as it is without the fault
    line: int
    start: int
    end: int
    new: str
    rule: str

    def source(self) -> str:
        return self.text[: self.start] + self.new + self.text[self.end :]

    def __str__(self) -> str:
        old = " ".join(self.text[self.start : self.end].split())
        return f"{self.path.name}:{self.line} {self.rule}: {old} -> {self.new}"


def mutants_of(path: Path) -> list[Mutant]:
    """All of them, in the order of the file."""
    text = path.read_text()
    starts = [0]
    for row in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(row))
    found = []
    for line in _code(text):
        for first, last, new, rule in _faults(line):
            start = starts[first.start[0] - 1] + first.start[1]
            end = starts[last.end[0] - 1] + last.end[1]
            found.append(Mutant(path, text, first.start[0], start, end, new, rule))
    return found


def _code(text: str) -> Iterator[Tokens]:
    """The logical lines inside functions, and those that define constants."""
    line: Tokens = []
    depth, in_function = 0, False
    for item in tokenize.generate_tokens(io.StringIO(text).readline):
        if item.type == token.INDENT:
            depth += 1
        elif item.type == token.DEDENT:
            depth -= 1
        elif item.type == token.NEWLINE:
            if depth == 0:
                in_function = line[0].string == "def"
            strings = {piece.string for piece in line}
            if (depth and in_function) or "constant" in strings or strings == {"@", "nonreentrant"}:
                yield line
            line = []
        elif item.type not in (token.NL, token.COMMENT, token.ENDMARKER):
            line.append(item)


Fault = tuple[tokenize.TokenInfo, tokenize.TokenInfo, str, str]


def _faults(line: Tokens) -> Iterator[Fault]:
    first, last = line[0], line[-1]
    if len(line) == 1 and first.type == token.STRING:
        return
    if first.string == "@":
        yield first, last, "", "lock removed"
        return
    yield from _of_statement(line)
    for index, item in enumerate(_without_types(line)):
        if item is None:
            continue
        if item.type == token.OP:
            for new in OPERATORS.get(item.string, ()):
                if item.string in "+-*" and not _is_binary(line, index):
                    continue
                yield item, item, new, "operator"
        elif item.type == token.NAME:
            if not _is_declared(line, index):
                for new in NAMES.get(item.string, ()):
                    yield item, item, new, "name"
            if item.string == "not":
                yield item, item, "", "operator"
            if (
                item.string in ("a", "b")
                and line[index - 1].string == "."
                and line[index - 2].string == "params"
            ):
                yield item, item, "b" if item.string == "a" else "a", "name"
        elif item.type == token.NUMBER:
            for new in _near(item.string):
                yield item, item, new, "constant"


def _of_statement(line: Tokens) -> Iterator[Fault]:
    """The statement left out, or its condition fixed."""
    first, last = line[0], line[-1]
    if first.string in ("if", "elif"):
        old = _text(line[1:-1])
        yield line[1], line[-2], f"({old}) and False", "condition"
        yield line[1], line[-2], f"({old}) or True", "condition"
    elif first.string == "assert":
        yield first, last, "pass", "check removed"
    elif first.string not in NO_STATEMENTS and not _declares(line):
        yield first, last, "pass", "statement removed"
    depth, question = 0, None
    for index, item in enumerate(line[1:], 1):
        depth += (item.string in "([{") - (item.string in ")]}") if item.type == token.OP else 0
        if item.string == "if" and item.type == token.NAME:
            question = index, depth
        elif item.string == "else" and question is not None and question[1] == depth:
            yield (
                line[question[0] + 1],
                line[index - 1],
                f"not ({_text(line[question[0] + 1 : index])})",
                "condition",
            )
            question = None


def _text(items: Tokens) -> str:
    return " ".join(item.string for item in items)


def _declares(line: Tokens) -> bool:
    """name: type = value, at the beginning of a statement."""
    return len(line) > 1 and line[0].type == token.NAME and line[1].string == ":"


def _is_declared(line: Tokens, index: int) -> bool:
    """Whether it names what is defined here, a field of a struct or event, or an argument."""
    after = line[index + 1].string if index + 1 < len(line) else ""
    return (index == 0 and after == ":") or (after == "=" and index > 0) or line[0].string == "def"


def _is_binary(line: Tokens, index: int) -> bool:
    before = line[index - 1]
    return before.type in (token.NAME, token.NUMBER) or before.string in ")]"


def _without_types(line: Tokens) -> list[tokenize.TokenInfo | None]:
    """The line with None in the place of the sizes of types."""
    items: list[tokenize.TokenInfo | None] = list(line)
    for index, item in enumerate(line):
        if item.string in SIZED_TYPES and line[index + 1].string == "[":
            depth = 0
            for inner in range(index + 1, len(line)):
                depth += (line[inner].string == "[") - (line[inner].string == "]")
                items[inner] = None
                if depth == 0:
                    break
    return items


def _near(number: str) -> Iterator[str]:
    value = int(number.replace("_", ""), 0)
    for new in (value + 1, value - 1):
        if new >= 0:
            yield f"0x{new:0{len(number) - 2}x}" if number.startswith("0x") else str(new)
