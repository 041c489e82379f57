"""The state file: an append-only log of results.

Two designs were possible: log the raw transactions and execute them again at start, or log what each block
changed. Executing costs about a millisecond a transaction in Python, several for a deployment, so a chain of
some thousand blocks would take many seconds to come back; reading the changes of a block takes some 30 µs.
The log therefore holds blocks with their receipts and the state cells they changed, changes of the clock, and
the transactions that wait.

A record is its length and CRC-32 (4 bytes each, big-endian) and a msgpack list. A process that dies while
writing leaves a torn last record, which the next start cuts off: a block is in the file whole or not at all.
Records reach the operating system before the call that caused them returns, so a killed process loses
nothing; they are not forced to the disk, because a development chain need not survive a power cut.
"""

import contextlib
import fcntl
import logging
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgpack

from channeld.core.errors import OperationalError
from channeld.services.devchain.errors import StateFileRefused

MAGIC = b"channeld devchain 1\n"
FRAME = struct.Struct(">II")
# A block of 100M gas holds no more than this; a larger length is damage.
RECORD_LIMIT_BYTES = 256 * 1024 * 1024

log = logging.getLogger(__name__)

Record = list[object]


class StateLog:
    """One open state file, held by one process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._broken = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            self._file: BinaryIO = os.fdopen(descriptor, "r+b", buffering=0)
        except OSError as wrong:
            raise StateFileRefused(f"cannot open the state file {path}: {wrong}") from wrong
        try:
            self._lock()
            self._read_magic()
        except BaseException:
            self._file.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as wrong:
            raise StateFileRefused(
                f"the state file {self._path} is in use by another development chain"
            ) from wrong

    def _read_magic(self) -> None:
        found = self._file.read(len(MAGIC))
        if not found:
            self._write(MAGIC)
        elif found != MAGIC:
            raise StateFileRefused(
                f"{self._path} is not a state file: expected {MAGIC!r} at its start, got {found!r}"
            )

    def records(self) -> Iterator[Record]:
        """Every whole record, from the first; afterwards the file stands at its end."""
        content = self._file.read()
        position = 0
        while (record := _frame_at(content, position)) is not None:
            position += FRAME.size + len(record)
            yield msgpack.unpackb(record, strict_map_key=True, use_list=True)
        torn = len(content) - position
        if torn:
            log.warning("cut %d bytes of a torn record off the end of %s", torn, self._path)
        self._file.truncate(len(MAGIC) + position)
        self._file.seek(len(MAGIC) + position)

    def append(self, record: Record) -> None:
        """Write one record; OperationalError if the disk refuses, and from then on for every record."""
        payload = msgpack.packb(record)
        self._write(FRAME.pack(len(payload), zlib.crc32(payload)) + payload)

    def _write(self, data: bytes) -> None:
        if self._broken:
            raise OperationalError(f"an earlier write to {self._path} failed; restart the chain")
        try:
            written = self._file.write(data)
        except OSError as wrong:
            self._broken = True
            raise OperationalError(f"cannot write the state file {self._path}: {wrong}") from wrong
        if written != len(data):
            self._broken = True
            raise OperationalError(f"{self._path}: {written} of {len(data)} bytes fitted on the disk")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.fsync(self._file.fileno())
        self._file.close()


def _frame_at(content: bytes, position: int) -> bytes | None:
    if position + FRAME.size > len(content):
        return None
    length, checksum = FRAME.unpack_from(content, position)
    payload = content[position + FRAME.size : position + FRAME.size + length]
    if length > RECORD_LIMIT_BYTES or len(payload) != length or zlib.crc32(payload) != checksum:
        return None
    return payload
