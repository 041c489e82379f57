"""Many payments over one request: lines of JSON in, lines of JSON out as payments end.

For callers that pay hundreds of times a second: no request, no connection and no turn of the loop is
spent on one payment alone. No more than `in_flight` payments wait at once; further lines are read when
results have been taken, so a caller that reads slowly is slowed down instead of filling the memory.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

from aiohttp import web

from channeld.api.commands import Commands
from channeld.api.endpoints import MAX_LINE_BYTES, StreamedPayment
from channeld.api.failures import failure_of
from channeld.api.json_forms import dump_json, from_json, parse_json, to_json
from channeld.api.requests import Pay, PayMany
from channeld.core.errors import ChanneldError, Rejected

NEWLINE = b"\n"

log = logging.getLogger(__name__)


async def serve_payment_stream(
    commands: Commands, request: web.Request, settings: PayMany
) -> web.StreamResponse:
    """Answer one stream. What a payment began goes on if the caller goes away."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    # a caller who is cut off in mid-stream must not leave half a line in front of another request
    response.force_close()
    await response.prepare(request)
    results: asyncio.Queue[StreamedPayment | None] = asyncio.Queue()
    places = asyncio.Semaphore(settings.in_flight)

    async def pay(index: int, line: bytes) -> None:
        results.put_nowait(await _paid(commands, index, line))

    async def read() -> None:
        async with asyncio.TaskGroup() as paying:
            index = 0
            async for line in _lines(request):
                await places.acquire()
                if isinstance(line, Rejected):
                    results.put_nowait(StreamedPayment(index, None, failure_of(line)))
                    break
                paying.create_task(pay(index, line))
                index += 1
        results.put_nowait(None)

    async def write() -> None:
        ended = False
        while not ended:
            batch = [await results.get()]
            while not results.empty():
                batch.append(results.get_nowait())
            ended = batch[-1] is None
            lines = [dump_json(to_json(result)) + NEWLINE for result in batch if result is not None]
            await response.write(b"".join(lines))
            for _ in lines:
                places.release()

    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(read())
            both.create_task(write())
    except* ConnectionError:
        pass  # the caller went away: nobody is left to tell
    else:
        await response.write_eof()
    return response


async def _paid(commands: Commands, index: int, line: bytes) -> StreamedPayment:
    """What became of one line."""
    try:
        ask = from_json(Pay, parse_json(line))
        payment = await commands.pay(ask.invoice, ask.amount, ask.max_fee, ask.timeout_s, ask.channel_id)
    except ChanneldError as error:
        return StreamedPayment(index, None, failure_of(error))
    except Exception as error:
        log.exception("api: line %d of a payment stream met a bug", index)
        return StreamedPayment(index, None, failure_of(error))
    return StreamedPayment(index, payment, None)


async def _lines(request: web.Request) -> AsyncIterator[bytes | Rejected]:
    """The lines of a body, without the empty ones; a Rejected, and no more, if one is too long."""
    rest = b""
    async for chunk in request.content.iter_any():
        *lines, rest = (rest + chunk).split(NEWLINE)
        for line in (*lines, rest):
            if len(line) > MAX_LINE_BYTES:
                yield Rejected(f"expected lines of at most {MAX_LINE_BYTES} bytes, got a longer one")
                return
        for line in lines:
            if line.strip():
                yield line
    if rest.strip():
        yield rest
