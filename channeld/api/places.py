"""A number of places, taken and given back many at a time."""

import asyncio


class Places:
    """`free` of them to begin with."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._freed = asyncio.Event()

    async def take(self, most: int) -> int:
        """At least one place, at most so many."""
        while not self._free:
            self._freed.clear()
            await self._freed.wait()
        taken = min(most, self._free)
        self._free -= taken
        return taken

    def release(self, count: int) -> None:
        self._free += count
        self._freed.set()
