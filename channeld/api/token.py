"""The secret that opens the API, in a file that only the daemon's user can read."""

import os
import re
import secrets
from pathlib import Path

from channeld.core.errors import OperationalError, Rejected

TOKEN_BYTES = 32
"""Nobody guesses 256 bits."""
_TOKEN = re.compile(f"[0-9a-f]{{{2 * TOKEN_BYTES}}}")


def load_or_create_token(path: Path) -> str:
    """The token at `path`; a new one, mode 0600, if there is none. The directory must exist.

    Raises Rejected for a file that holds no token or that others may read, OperationalError if the
    disk refuses.
    """
    if not path.exists():
        _write(path, secrets.token_hex(TOKEN_BYTES))
    return read_token(path)


def read_token(path: Path) -> str:
    """The token at `path`. Raises Rejected, which never repeats what was read."""
    try:
        with path.open("rb") as stream:
            shared_mode = os.fstat(stream.fileno()).st_mode & 0o077
            found = stream.read(2 * TOKEN_BYTES + 2).decode("ascii", "replace").strip()
    except OSError as error:
        raise Rejected(f"expected an API token at {path}: {error.strerror}") from error
    if shared_mode and os.name == "posix":
        raise Rejected(f"expected {path} to be its owner's alone: run chmod 600 {path}")
    if not _TOKEN.fullmatch(found):
        raise Rejected(f"expected {2 * TOKEN_BYTES} hex digits in {path}: delete it and restart the daemon")
    return found


def _write(path: Path, token: str) -> None:
    """Whole or not at all: the token appears under its name when it is durable."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(token.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OperationalError(f"expected to write the API token {path}: {error.strerror}") from error
