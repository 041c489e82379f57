"""A small HTTP/1.1 client over asyncio streams [RFC 9112].

The command line starts anew for each command, and importing aiohttp's client takes 0.15 s of that, four
times as long as the rest; this takes nothing. One connection a request: the API is on this machine.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from channeld.core.errors import OperationalError, Rejected

MAX_HEAD_BYTES = 65_536
"""Our server's heads have 200 bytes; somebody else's must not fill the memory."""
MAX_BODY_BYTES = 64 * 2**20
"""A page of 1,000 invoices has 1 MiB."""
MAX_CHUNK_LINE_BYTES = 1_024

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """Where a server is. `path` has no slash at its end."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_base_url(text: str) -> BaseUrl:
    """http://HOST:PORT/PATH or https. Raises Rejected."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise Rejected(f"expected a URL as http://127.0.0.1:9741, got {text!r}: {error}") from None
    odd = parts.query or parts.fragment or parts.username or not text.isascii() or not text.isprintable()
    if parts.scheme not in PORTS or not parts.hostname or odd or " " in text:
        raise Rejected(f"expected a URL as http://127.0.0.1:9741, got {text!r}")
    return BaseUrl(parts.scheme, parts.hostname, port or PORTS[parts.scheme], parts.path.rstrip("/"))


@dataclass(frozen=True, slots=True)
class Reply:
    """The head of an answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]


class Exchange:
    """One request and its answer, which may overlap."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send_chunk(self, data: bytes) -> None:
        """A part of a chunked body; waits while the server does not keep up."""
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self._writer.drain()

    async def end_chunks(self) -> None:
        """The end of a chunked body."""
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def reply(self) -> Reply:
        """The head of the answer."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            status_line, *lines = head.decode("latin-1").split("\r\n")[:-2]
            protocol, status = status_line.split(" ")[:2]
            if not protocol.startswith("HTTP/1."):
                raise ValueError
            pairs = (line.partition(":") for line in lines)
            return Reply(int(status), {name.strip().lower(): value.strip() for name, _, value in pairs})
        except (ValueError, asyncio.LimitOverrunError):
            raise OperationalError(
                "expected an HTTP answer, got something else: is the port right?"
            ) from None

    async def body(self, reply: Reply) -> AsyncIterator[bytes]:
        """The parts of the answer's body as they come. Raises OperationalError where it is cut short."""
        try:
            if reply.headers.get("transfer-encoding", "").lower() == "chunked":
                async for chunk in self._chunks():
                    yield chunk
            elif "content-length" in reply.headers:
                yield await self._reader.readexactly(_size(reply.headers["content-length"], 10))
            else:
                while chunk := await self._reader.read(MAX_HEAD_BYTES):
                    yield chunk
        except (ValueError, asyncio.LimitOverrunError):
            raise OperationalError("expected an HTTP body, got something else: is the port right?") from None

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := _size((await self._reader.readuntil(b"\r\n")).partition(b";")[0].decode("latin-1"), 16):
            yield await self._reader.readexactly(size)
            await self._reader.readexactly(2)


def _size(text: str, base: int) -> int:
    size = int(text, base)
    if not 0 <= size <= MAX_BODY_BYTES:
        raise OperationalError(f"expected an answer of at most {MAX_BODY_BYTES} bytes, got {size}")
    return size


@asynccontextmanager
async def exchange(
    base: BaseUrl, method: str, target: str, headers: Mapping[str, str], body: bytes | None
) -> AsyncIterator[Exchange]:
    """Send a request's head, and its body unless that is None (then it is sent in chunks).

    Raises OperationalError if nobody answers or the connection breaks.
    """
    try:
        context = ssl.create_default_context() if base.scheme == "https" else None
        reader, writer = await asyncio.open_connection(
            base.host, base.port, ssl=context, limit=MAX_HEAD_BYTES
        )
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise Unreachable(f"nobody answers at {base} ({why})") from error
    length = {"Transfer-Encoding": "chunked"} if body is None else {"Content-Length": str(len(body))}
    lines = [f"{method} {base.path}{target} HTTP/1.1", f"Host: {base.authority}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (*headers.items(), *length.items())]
    try:
        writer.write("\r\n".join((*lines, "", "")).encode("latin-1") + (body or b""))
        with suppress(ConnectionError):  # a server that refuses early may close; its answer still comes
            await writer.drain()
        yield Exchange(reader, writer)
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        raise OperationalError(f"{base} closed the connection before it had answered") from error
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class Unreachable(OperationalError):
    """Nobody listens there."""
