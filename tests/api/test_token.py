"""The file that opens the API."""

import os
import stat
from pathlib import Path

import pytest

from channeld.api.token import load_or_create_token, read_token
from channeld.core.errors import OperationalError, Rejected


def test_a_new_token_is_secret_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "api.token"
    os.umask(os.umask(0))  # whatever the umask, the file is its owner's
    token = load_or_create_token(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_token(path) == read_token(path) == token
    assert len(token) == 64
    assert list(tmp_path.iterdir()) == [path]  # no temporary file is left
    assert load_or_create_token(tmp_path / "other") != token


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"zz" * 32, b"ab" * 33, b"\xff" * 64, b"AB" * 32])
def test_what_is_no_token_is_refused_without_repeating_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "api.token"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(Rejected, match="expected 64 hex digits") as caught:
        load_or_create_token(path)
    assert "short" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_token_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "api.token"
    load_or_create_token(path)
    path.chmod(mode)
    with pytest.raises(Rejected, match="chmod 600"):
        read_token(path)


def test_no_token_no_directory(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="expected an API token at"):
        read_token(tmp_path / "api.token")
    with pytest.raises(OperationalError, match="expected to write the API token"):
        load_or_create_token(tmp_path / "nowhere" / "api.token")
