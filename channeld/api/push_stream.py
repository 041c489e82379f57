"""Many pushes over one request: lines of amounts in, lines of totals out; and lines about what comes in.

For callers that push thousands of times a second. What has come in together is asked for together and
answered by one line; each push is one all the same. No more than `in_flight` wait at once: further lines are
read when answers have been taken, so a caller that asks faster than the peer signs, or reads slowly, is
slowed down.
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from aiohttp import web

from channeld.api.commands import Commands, StreamInfo
from channeld.api.endpoints import MAX_PUSH_LINE_BYTES, StreamedPushes
from channeld.api.failures import failure_of
from channeld.api.json_forms import MAX_SHOWN, dump_json, to_json
from channeld.api.places import Places
from channeld.api.requests import PAYMENT_TIMEOUT_S, PushMany
from channeld.core.claims import MAX_AMOUNT
from channeld.core.errors import ChanneldError, Rejected

NEWLINE = b"\n"
AMOUNT = re.compile(rb'"([1-9][0-9]{0,28})"')
"""2^95 has 29 digits."""

GONE_S = 1.0
"""How soon a follower that has left makes room for another."""

Part = tuple[int, ...] | Rejected
"""Amounts that are pushed together, or a line that is none."""

log = logging.getLogger(__name__)


async def serve_push_stream(
    commands: Commands, request: web.Request, settings: PushMany
) -> web.StreamResponse:
    """Answer one stream. Pushes that were read are made even if the caller goes away."""
    response = _lines_of_json()
    await response.prepare(request)
    results: asyncio.Queue[StreamedPushes | None] = asyncio.Queue()
    places = Places(settings.in_flight)

    async def push(index: int, amounts: tuple[int, ...]) -> None:
        results.put_nowait(await _pushed(commands, settings, index, amounts))

    async def read() -> None:
        index = 0
        rest = b""
        async with asyncio.TaskGroup() as pushing:
            async for chunk in request.content.iter_any():
                *lines, rest = (rest + chunk).split(NEWLINE)
                if len(rest) > MAX_PUSH_LINE_BYTES:
                    lines, rest = [*lines, rest], b""
                for part in _parts([line for line in lines if line.strip()]):
                    index = await take(pushing, index, part)
            for part in _parts([rest] if rest.strip() else []):
                index = await take(pushing, index, part)
        results.put_nowait(None)

    async def take(pushing: asyncio.TaskGroup, index: int, part: Part) -> int:
        """Ask for what stands in some lines, as places come free; the index of the next line."""
        if isinstance(part, Rejected):
            await places.take(1)
            results.put_nowait(StreamedPushes(index, 1, None, failure_of(part)))
            return index + 1
        while part:
            some = await places.take(len(part))
            pushing.create_task(push(index, part[:some]))
            index, part = index + some, part[some:]
        return index

    async def write() -> None:
        while (result := await results.get()) is not None:
            await response.write(dump_json(to_json(result)) + NEWLINE)
            places.release(result.lines)

    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(read())
            both.create_task(write())
    except* ConnectionError:
        pass  # the caller went away: nobody is left to tell
    else:
        await response.write_eof()
    return response


def _lines_of_json() -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    # a caller who is cut off in mid-stream must not leave half a line in front of another request
    response.force_close()
    return response


def _parts(lines: list[bytes]) -> Iterator[Part]:
    """Runs of amounts, and between them the lines that are none."""
    amounts: list[int] = []
    for line in lines:
        matched = AMOUNT.fullmatch(line.strip())
        if matched is not None and (amount := int(matched[1])) <= MAX_AMOUNT:
            amounts.append(amount)
            continue
        yield tuple(amounts)
        amounts = []
        yield Rejected(f'expected an amount in quotes, as "1000", got {line[:MAX_SHOWN]!r}')
    yield tuple(amounts)


async def _pushed(
    commands: Commands, settings: PushMany, index: int, amounts: tuple[int, ...]
) -> StreamedPushes:
    """What became of some lines."""
    try:
        pushed = await commands.push(
            settings.peer, settings.asset, settings.stream, amounts, PAYMENT_TIMEOUT_S
        )
    except ChanneldError as error:
        return StreamedPushes(index, len(amounts), None, failure_of(error))
    except Exception as error:
        log.exception("api: lines %d to %d of a push stream met a bug", index, index + len(amounts) - 1)
        return StreamedPushes(index, len(amounts), None, failure_of(error))
    return StreamedPushes(index, len(amounts), pushed, None)


async def serve_received(commands: Commands, request: web.Request) -> web.StreamResponse:
    """A line whenever pushes have come in, until the caller goes away or the daemon stops."""
    response = _lines_of_json()
    await response.prepare(request)
    async with aclosing(commands.received()) as lines:
        try:
            while (stream := await _next(lines, request)) is not None:
                await response.write(dump_json(to_json(stream)) + NEWLINE)
        except ConnectionError:
            pass  # the caller went away
    return response


async def _next(lines: AsyncGenerator[StreamInfo, None], request: web.Request) -> StreamInfo | None:
    """What comes in next; None if the caller has gone, which a server that writes nothing must look for."""
    coming = asyncio.ensure_future(anext(lines))
    try:
        while not (await asyncio.wait([coming], timeout=GONE_S))[0]:
            if request.transport is None or request.transport.is_closing():
                return None
        return coming.result()
    finally:
        if not coming.done():
            coming.cancel()
            await asyncio.wait([coming])
