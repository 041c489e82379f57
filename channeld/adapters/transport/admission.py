"""How many strangers may be in the house at once: in total, and from one network."""

import logging
from collections import Counter

from channeld.adapters.transport.address import network_of


class Admission:
    """Counts of one kind of guest. Every `enter` that returned None is followed by one `leave`."""

    def __init__(self, total: int, per_network: int) -> None:
        self._total = total
        self._per_network = per_network
        self._inside: Counter[str] = Counter()

    def enter(self, host: str) -> str | None:
        """None if admitted, else why not."""
        network = network_of(host)
        if self._inside.total() >= self._total:
            return f"all {self._total} places are taken"
        if self._inside[network] >= self._per_network:
            return f"all {self._per_network} places of one network are taken"
        self._inside[network] += 1
        return None

    def leave(self, host: str) -> None:
        network = network_of(host)
        assert self._inside[network] > 0, "left without having entered"
        self._inside[network] -= 1
        if not self._inside[network]:
            del self._inside[network]

    @property
    def inside(self) -> int:
        return self._inside.total()


class StrangerLog:
    """Log lines that strangers cause, at most one an interval; the next tells how many were left out."""

    def __init__(self, log: logging.Logger, interval_s: float) -> None:
        self._log = log
        self._interval_s = interval_s
        self._next_at_s = float("-inf")
        self._left_out = 0

    def info(self, now_s: float, line: str) -> None:
        if now_s < self._next_at_s:
            self._left_out += 1
            return
        suffix = f" (and {self._left_out} more like it)" if self._left_out else ""
        self._log.info("%s%s", line, suffix)
        self._left_out = 0
        self._next_at_s = now_s + self._interval_s
