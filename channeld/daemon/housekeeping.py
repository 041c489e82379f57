"""What a daemon clears away while it runs, a little at a time: invoices that lapsed, history that is old.

Neither is urgent, and both may be many: each round looks at a bounded number of records, in the order of
the journal, and the next one goes on where it ended.

Neither is undone, so nothing is cleared away while the chain's clock and ours disagree. Attack stopped: an
Ethereum node that shows a block of the far future, after which every invoice would have lapsed and every
payment be forgotten, and could be made again.
"""

import asyncio
import logging
from itertools import cycle

from channeld.core.events import InvoiceLapsed
from channeld.core.records import Invoice
from channeld.daemon.engine import Engine
from channeld.daemon.history import typed
from channeld.daemon.pruning import HISTORIES, forget_paid_step, prune_step
from channeld.wire.records import DamagedRecord

log = logging.getLogger(__name__)

ROUND_S = 1.0
ROUND_INVOICES = 200
"""Open invoices looked at in a round: 2 ms. A hundred thousand take eight minutes."""

NOTHING_LEFT_S = 3_600
"""How long history rests after all of it was looked through: it gets old by the day."""


class Housekeeping:
    """`keep_days`: how long history is kept; 0: for ever."""

    def __init__(self, engine: Engine, keep_days: int) -> None:
        self._engine = engine
        self._keep_s = keep_days * 86_400
        self._invoices_after = 0
        self._histories = cycle((*HISTORIES, ""))
        self._history = next(self._histories)
        self._history_after = 0
        self._rest_until_s = 0

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(ROUND_S)
            self.round()

    def round(self) -> None:
        """One look at the oldest that was not looked at yet."""
        clock = self._engine.clock
        if not clock.trusted:
            return
        self._lapse_invoices(clock.now_s)
        now_s = min(clock.now_s, int(clock.wall()))
        if self._keep_s and now_s >= self._rest_until_s:
            try:
                self._prune(now_s)
            except DamagedRecord as error:
                log.error("history is not forgotten any more: %s; see `channeld db check`", error)
                self._keep_s = 0  # no reason to stop: no money depends on what is old

    def _lapse_invoices(self, now_s: int) -> None:
        rows = self._engine.journal.since("invoice", self._invoices_after, ROUND_INVOICES)
        for row in rows:
            if typed("invoice", row.value, Invoice).expires_s < now_s:
                self._engine.post(InvoiceLapsed(row.key))
        self._invoices_after = rows[-1].sequence if len(rows) == ROUND_INVOICES else 0

    def _prune(self, now_s: int) -> None:
        journal = self._engine.journal
        if self._history:
            before_s = now_s - self._keep_s
            step = prune_step(journal, self._history, self._history_after, before_s, now_s)
        else:
            step = forget_paid_step(journal, self._history_after, now_s)
        if step.after is not None:
            self._history_after = step.after
            return
        if not self._history:
            self._rest_until_s = now_s + NOTHING_LEFT_S
        self._history, self._history_after = next(self._histories), 0
