"""JSON from mallory cannot bring a process down, whatever a library did to its recursion limit."""

import contextlib
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channeld.wire.json_strict import MAX_DEPTH, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_what_was_encoded_is_decoded(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary())
def test_any_bytes_are_decoded_or_refused(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_json(content)


def test_depth_is_bounded_and_breadth_is_not() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    wide = b"[" + b"[[]]," * 1000 + b"0]"
    assert len(parse_json(wide)) == 1001  # type: ignore[arg-type]
    text = json.dumps(["[" * 1000 + '"' + "{" * 1000])
    assert json.dumps(parse_json(text.encode())) == text
    for deep in (
        b"[" * (MAX_DEPTH + 1),
        b'{"a":' * (MAX_DEPTH + 1),
        b'["]",' * (MAX_DEPTH + 1),
        b'["\\"]",' * (MAX_DEPTH + 1),
    ):
        with pytest.raises(ValueError, match="levels"):
            parse_json(deep)


def test_a_hundred_thousand_brackets_do_not_crash_a_process_with_a_raised_limit() -> None:
    program = (
        "import sys; sys.setrecursionlimit(100_000)\n"
        "from channeld.wire.json_strict import parse_json\n"
        "try: parse_json(b'[' * 100_000)\n"
        "except ValueError: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "refused\n")


@pytest.mark.parametrize(
    "content", [b"NaN", b"-Infinity", b'{"a":Infinity}', b"", b"1 2", b"\xff", b"9" * 5000]
)
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(content)
