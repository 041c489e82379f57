"""One daemon to one data directory: two of them would sign different states of one version."""

import contextlib
import fcntl
import os
from pathlib import Path

from channeld.adapters.private_file import MODE, sync_directory
from channeld.core.errors import OperationalError, Rejected

LOCK_NAME = "lock"
PRIVATE_DIR = 0o700
"""The directory holds secrets of payments in flight: nobody else on the machine may read them."""


def private_directory(path: Path) -> None:
    """Make the directory, or take away what others may do in it; its creation is durable."""
    try:
        if not path.is_dir():
            path.mkdir(mode=PRIVATE_DIR, parents=True)
            sync_directory(path.parent)
        if path.stat().st_mode & 0o077:
            path.chmod(PRIVATE_DIR)
    except OSError as error:
        raise OperationalError(f"data directory {path}: expected one that is ours alone: {error}") from error


class DirectoryLock:
    """Held from construction to `release`, or to the end of the process however it ends.

    The file stays: removing it would let two processes lock two files of the same name.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / LOCK_NAME
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        except OSError as error:
            raise OperationalError(f"{path}: expected to open the lock file: {error}") from error
        try:
            self._take(directory)
        except BaseException:
            os.close(self._descriptor)
            raise

    def _take(self, directory: Path) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise Rejected(
                f"data directory {directory} is in use by process {holder}: "
                "stop that one first, or give this one its own directory"
            ) from error
        with contextlib.suppress(OSError):  # a full disk may keep the pid out, never the lock
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
