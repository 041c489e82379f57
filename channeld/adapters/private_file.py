"""Files that only their owner may read: they hold preimages, signed transactions, prices."""

import os
import stat
from pathlib import Path
from typing import TextIO

MODE = 0o600


def make_private(path: Path) -> None:
    """Make an empty file if there is none, with the mode 0600; give one of ours that mode. Durable.

    Before SQLite opens it: SQLite gives a database's log the mode of the database. Raises OSError.
    """
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
    try:
        _restrict(descriptor)
    finally:
        os.close(descriptor)
    if new:
        sync_directory(path.parent)


def open_private(path: Path) -> TextIO:
    """Open for writing text, from the beginning; a file that is made, or is ours, gets the mode 0600.

    Devices and pipes are written to as they are. Raises OSError.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
    try:
        _restrict(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "w", encoding="utf-8")


def _restrict(descriptor: int) -> None:
    """Regular files of our own only: root would else take /dev/null away from everybody."""
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
        os.fchmod(descriptor, MODE)


def sync_directory(path: Path) -> None:
    """A new file's name is durable only once its directory is."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """What was written to a file is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
