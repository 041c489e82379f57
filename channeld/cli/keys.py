"""The key of a data directory: its password, its file, its address."""

import json
import os
import sys
from pathlib import Path

import click

from channeld.adapters.signer import SCRYPT_N, Signer, create_keystore, load_keystore, read_password
from channeld.cli.session import Decorated
from channeld.core.errors import Rejected
from channeld.wire.address import parse_address

LIGHT_SCRYPT_N = 2**12
"""4 MiB and milliseconds for each guess, as geth's --lightkdf: for play money."""
MAX_KEYSTORE_BYTES = 16_384


def password_option(function: Decorated) -> Decorated:
    """--password-file; without it CHANNELD_PASSWORD, then a prompt."""
    return click.option(
        "--password-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Its first line is the keystore's password.  [default: $CHANNELD_PASSWORD, then a prompt]",
    )(function)


def open_key(path: Path, password_file: Path | None) -> Signer:
    """The signer of a keystore. Raises Rejected for a wrong password."""
    prompt = (lambda: _prompt(f"Password of {path}", twice=False)) if sys.stdin.isatty() else None
    return load_keystore(path, read_password(file=password_file, environment=os.environ, prompt=prompt))


def make_key(path: Path, password_file: Path | None, *, light: bool) -> Signer:
    """A new keystore; its password is asked for twice where it is asked for."""
    prompt = (lambda: _prompt("Password of the new key", twice=True)) if sys.stdin.isatty() else None
    password = read_password(file=password_file, environment=os.environ, prompt=prompt)
    return create_keystore(path, password, scrypt_n=LIGHT_SCRYPT_N if light else SCRYPT_N)


def _prompt(text: str, *, twice: bool) -> str:
    answer = click.prompt(text, hide_input=True, confirmation_prompt=twice, err=True)
    assert isinstance(answer, str)
    return answer


def keystore_address(path: Path) -> bytes:
    """The account of a keystore, without its password. Raises Rejected."""
    try:
        with path.open("rb") as stream:
            named = json.loads(stream.read(MAX_KEYSTORE_BYTES))["address"]
        return parse_address("0x" + named.removeprefix("0x"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Rejected(f"expected an Ethereum keystore that names its address at {path}") from error
