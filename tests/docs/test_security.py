"""docs/security.md names sources and tests that are there."""

import re
from importlib import import_module

import pytest

from tests.docs.documents import ROOT, inline_code, read

CODE = inline_code(read("docs/security.md"))
MODULES = {path.stem: path.read_text() for path in (ROOT / "contracts").glob("*.vy")}
TESTS = sorted({code for code in CODE if "::" in code})
SOURCES = sorted(
    {code for code in CODE if re.fullmatch(r"(\w+)\.\w+", code) and code.split(".")[0] in MODULES}
)
DOTTED = sorted({code for code in CODE if re.fullmatch(r"channeld(\.\w+)+", code)})


def test_much_is_named() -> None:
    assert len(TESTS) > 120
    assert len(SOURCES) > 40
    assert len(DOTTED) > 10


@pytest.mark.parametrize("code", TESTS)
def test_each_test_that_is_named_exists(code: str) -> None:
    path, _, name = code.partition("::")
    keyword = "function" if path.endswith(".sol") else r"(async )?def|class"
    if name.startswith("Test"):
        keyword = ""
    text = (ROOT / "tests" / path).read_text()
    assert re.search(rf"^ *({keyword}) *{name}\b", text, flags=re.MULTILINE), code


@pytest.mark.parametrize("code", SOURCES)
def test_each_line_of_the_contract_that_is_named_exists(code: str) -> None:
    module, _, name = code.partition(".")
    assert re.search(rf"^(def {name}\(|{name}: )", MODULES[module], flags=re.MULTILINE), code


@pytest.mark.parametrize("code", DOTTED)
def test_each_function_of_the_daemon_that_is_named_exists(code: str) -> None:
    parts = code.split(".")
    (end, *_) = [n for n in range(len(parts), 0, -1) if is_module(parts[:n])]
    found = import_module(".".join(parts[:end]))
    for name in parts[end:]:
        found = getattr(found, name)


def is_module(parts: list[str]) -> bool:
    path = ROOT.joinpath(*parts)
    return path.is_dir() or path.with_suffix(".py").exists()
