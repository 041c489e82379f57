"""Files that only their owner may read: they hold preimages, signed transactions, prices."""

import os
from pathlib import Path

MODE = 0o600


def make_private(path: Path) -> None:
    """Make an empty file if there is none, with the mode 0600; give an existing one that mode. Durable.

    Before SQLite opens it: SQLite gives a database's log the mode of the database. Raises OSError.
    """
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
    try:
        os.fchmod(descriptor, MODE)
    finally:
        os.close(descriptor)
    if new:
        sync_directory(path.parent)


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
