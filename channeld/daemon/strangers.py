"""Processor time for strangers: together a share of one core, one after the other.

Keys are free, so what one stranger may say bounds nothing: sixteen may come from one network. What all of
them cost is counted, and whoever has used up his lot is not read from until it is his turn to have another;
TCP passes that on to him. A stranger is whom we have no channel with and do not dial.

Attack stopped: many strangers who each say what is costly to judge, so that nobody else is heard.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

SHARE = 0.2
"""Of one core, for all strangers together: enough to greet a hundred newcomers a second, and what others
wait for is held up for a fifth of the time at most."""

LOT_S = 0.002
"""What one has before it is the next one's turn: some twelve policies. As long as a payment takes, so nobody
waits for much longer; with shorter ones the changing of turns would be a cost itself."""

BURST_S = 0.05
"""What may be saved up while nobody says anything: an ordinary newcomer never waits."""

MESSAGE_S = 20e-6
BYTE_S = 5e-9
"""What a message has cost before it is handled: websocket, decryption, tasks. Measured: 3 µs for a small one
among many in a frame, 17 µs for one of 18 kB; one alone in its frame wakes a task too, which is estimated.
Length is charged at five times what it costs: nothing that a stranger needs to say is long."""


@dataclass(slots=True)
class Account:
    """Of one connection: what is left of its lot; below nothing if its last message cost more."""

    left_s: float = 0.0


class StrangersTime:
    """`spend` for each message; if it says so, `wait` before the next one is read."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._saved_s = BURST_S
        self._counted_at_s = clock_s()
        self._turns = asyncio.Lock()  # first come, first served
        self._waiting = 0

    def spend(self, account: Account, handling_s: float, size: int) -> bool:
        """A message of `size` bytes was handled in `handling_s`; whether its sender has to wait now."""
        account.left_s -= handling_s + MESSAGE_S + size * BYTE_S
        while account.left_s <= 0 and not self._waiting and self._take(account):
            pass
        return account.left_s <= 0

    async def wait(self, account: Account) -> None:
        """Until it is this one's turn, again and again if it owes more than one lot."""
        self._waiting += 1
        try:
            while account.left_s <= 0:
                async with self._turns:
                    while not self._take(account):  # noqa: ASYNC110 (there is no event for it)
                        await asyncio.sleep((LOT_S - self._saved_s) / SHARE)
        finally:
            self._waiting -= 1

    def _take(self, account: Account) -> bool:
        """One lot, if so much is there."""
        now_s = self._clock_s()
        self._saved_s = min(BURST_S, self._saved_s + (now_s - self._counted_at_s) * SHARE)
        self._counted_at_s = now_s
        if self._saved_s < LOT_S:
            return False
        self._saved_s -= LOT_S
        account.left_s += LOT_S
        return True
