"""JSON-RPC 2.0 over HTTP to any EVM node, with what a remote node needs: deadlines, retries, limits.

Three failures, all OperationalError: the node cannot be reached (NodeUnreachable), it refuses
(NodeRefusal, with its message), or it answers nonsense (MalformedAnswer).
"""

import asyncio
import itertools
import json
import logging
import random
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn

import aiohttp
from yarl import URL

from channeld.adapters.chain.fields import MalformedAnswer
from channeld.core.errors import OperationalError, Rejected
from channeld.wire.json_strict import parse_json

log = logging.getLogger(__name__)

METHOD_NOT_FOUND = -32601
OVERLOADED_STATUS = frozenset({408, 425, 429, 502, 503, 504})
"""Overload and gateways: retried even if they come with a JSON body. Some nodes send their ordinary
JSON-RPC errors with other statuses than 200; those are read."""
SHOWN_CHARACTERS = 300
"""How much of a node's message is kept: revert reasons are short, and a node could send megabytes."""
CHUNK_BYTES = 65_536


class NodeUnreachable(OperationalError):
    """No answer: connection, timeout, or an HTTP status that is not 200, after every retry."""


class AnswerTooLarge(OperationalError):
    """The answer exceeded the limit; a smaller question may still be answered."""


class NodeRefusal(OperationalError):
    """The node answered with a JSON-RPC error. `data` is what came with it (revert data), or None."""

    def __init__(self, method: str, code: int, message: str, data: object) -> None:
        super().__init__(f"node: {method} was refused ({code}): {message}")
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True)
class RpcSettings:
    """How to talk to one node. `url` is http or https and may hold an API key: it is never logged."""

    url: str
    timeout_s: float = 10.0
    attempts: int = 5
    backoff_s: float = 0.2
    """The first pause before a retry; each next one is twice as long, up to `max_backoff_s`."""
    max_backoff_s: float = 5.0
    max_answer_bytes: int = 16 * 2**20
    """A block full of our longest logs has 7 MiB; a node that sends without end must not fill the memory."""
    max_connections: int = 16
    """More questions at once wait for their turn: public nodes limit connections."""


class RpcClient:
    """One node. Use as an async context manager, or call `close`."""

    def __init__(self, settings: RpcSettings) -> None:
        """Raises Rejected if the URL is none of http or https."""
        self._settings = settings
        self.origin = _origin(settings.url)
        self._ids = itertools.count(1)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "RpcClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; a call afterwards opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def call(self, method: str, *params: Any, retried: bool = True) -> Any:
        """One question, its `result` as decoded JSON (None if null).

        Transport failures are retried with backoff unless `retried` is False: every method that the
        adapter uses may be repeated without harm (a raw transaction is the same transaction), but
        for instance evm_increaseTime may not.
        """
        attempts = self._settings.attempts if retried else 1
        pause_s = self._settings.backoff_s
        for attempt in range(1, attempts + 1):
            try:
                return await self._ask(method, params)
            except NodeUnreachable as error:
                if attempt == attempts:
                    raise
                log.info("%s; attempt %d of %d", error, attempt, attempts)
            # jitter, so that three daemons that lost one node do not come back in step
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, self._settings.max_backoff_s)
        raise AssertionError("attempts must be at least 1")

    async def _ask(self, method: str, params: tuple[Any, ...]) -> Any:
        request_id = next(self._ids)
        body = json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
        answer = _decoded(method, await self._post(method, body))
        if answer.get("id") != request_id or isinstance(answer.get("id"), bool):
            _raise_foreign(method, request_id, answer)
        if answer.get("error") is not None:
            _raise_refusal(method, answer["error"])
        if "result" not in answer:
            raise MalformedAnswer(method, "a result or an error", sorted(map(str, answer)))
        return answer["result"]

    async def _post(self, method: str, body: str) -> bytes:
        """The answer's bytes, decompressed and limited."""
        session = self._connected()
        received = bytearray()
        try:
            async with session.post(self._settings.url, data=body, allow_redirects=False) as response:
                async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                    received += chunk
                    if len(received) > self._settings.max_answer_bytes:
                        raise AnswerTooLarge(
                            f"node: expected at most {self._settings.max_answer_bytes} bytes from {method}"
                        )
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = type(error).__name__  # not its text: that may hold the path, and so the API key
            raise NodeUnreachable(f"node {self.origin}: no answer to {method} ({reason})") from None
        if status in OVERLOADED_STATUS or (status != 200 and not received.lstrip().startswith(b"{")):
            raise NodeUnreachable(f"node {self.origin}: {method} was answered with HTTP status {status}")
        return bytes(received)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
                connector=aiohttp.TCPConnector(limit=self._settings.max_connections),
                headers={"Content-Type": "application/json"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _origin(url: str) -> str:
    """Scheme, host and port: what of an URL may be shown."""
    try:
        parsed = URL(url)
        if parsed.scheme in ("http", "https"):
            return str(parsed.origin())
    except ValueError:
        pass
    raise Rejected("expected the node's URL to start with http:// or https:// and a host")


def _decoded(method: str, received: bytes) -> dict[str, Any]:
    try:
        answer = parse_json(received)
    except ValueError as error:
        raise MalformedAnswer(method, "JSON", received[:200]) from error
    if not isinstance(answer, dict):
        raise MalformedAnswer(method, "an object", answer)
    return answer


def _raise_foreign(method: str, request_id: int, answer: dict[str, Any]) -> NoReturn:
    """An answer without our id: an error before the node read the id, or somebody else's answer."""
    if answer.get("id") is None and answer.get("error") is not None:
        _raise_refusal(method, answer["error"])
    raise MalformedAnswer(method, f"an answer to request {request_id}", answer.get("id"))


def _raise_refusal(method: str, error: object) -> NoReturn:
    if not isinstance(error, dict):
        raise MalformedAnswer(method, "an error object", error)
    code, message = error.get("code"), error.get("message")
    if not isinstance(code, int) or not isinstance(message, str):
        raise MalformedAnswer(method, "an error with code and message", error)
    shown = "".join(c if c.isprintable() else " " for c in message[:SHOWN_CHARACTERS])
    raise NodeRefusal(method, code, shown, error.get("data"))
