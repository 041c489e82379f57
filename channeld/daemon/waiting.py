"""Waiting for records to change: what the API does while the core works."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Waiters:
    """Wakes whoever waits for a topic and key; a waiter looks again and decides by itself."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, bytes], list[asyncio.Event]] = {}

    def notify(self, topic: str, key: bytes) -> None:
        for event in self._events.get((topic, key), ()):
            event.set()

    async def until(self, topic: str, key: bytes, look: Callable[[], T | None], timeout_s: float) -> T | None:
        """What `look` returns as soon as it is not None; None after the time."""
        event = asyncio.Event()
        waiting = self._events.setdefault((topic, key), [])
        waiting.append(event)
        try:
            async with asyncio.timeout(timeout_s):
                while (found := look()) is None:
                    await event.wait()
                    event.clear()
                return found
        except TimeoutError:
            return look()
        finally:
            waiting.remove(event)
            if not waiting:
                del self._events[topic, key]
