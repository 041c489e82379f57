"""Blocks at an interval."""

import asyncio
import contextlib
import logging

from channeld.core.errors import Rejected
from channeld.services.devchain.chain import DevChain

SHORTEST_S = 0.01
LONGEST_S = 3600.0
TASK = "interval mining"

log = logging.getLogger(__name__)


class IntervalMiner:
    """Mines a block each so many seconds while it has an interval; needs a running event loop."""

    def __init__(self, chain: DevChain) -> None:
        self._chain = chain
        self._task: asyncio.Task[None] | None = None
        self.interval_s = 0.0

    def set_interval(self, interval_s: float) -> None:
        """0 stops it. The next block comes a whole interval from now."""
        if interval_s != 0 and not SHORTEST_S <= interval_s <= LONGEST_S:
            raise Rejected(f"a block interval is 0 or {SHORTEST_S} to {LONGEST_S} s, not {interval_s}")
        self.interval_s = interval_s
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if interval_s:
            self._task = asyncio.get_running_loop().create_task(self._run(interval_s), name=TASK)

    async def _run(self, interval_s: float) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + interval_s
        while True:
            await asyncio.sleep(due_s - loop.time())
            try:
                self._chain.mine()
            except Exception:
                log.exception("a block could not be mined")
            # After a stall there is one late block, not a burst of them.
            due_s = max(due_s + interval_s, loop.time())

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
