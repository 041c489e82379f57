"""Many payments at once: from a list of invoices to one outcome."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from channeld.api.client import ApiClient
from channeld.api.endpoints import StreamedPayment
from channeld.api.json_forms import to_json
from channeld.api.requests import Pay
from channeld.cli.outcome import TransferFailed
from channeld.cli.session import Session
from channeld.core.errors import OperationalError, Rejected

MAX_BATCH_BYTES = 64 * 2**20
"""Some hundred thousand invoices; whatever is longer is not a list of invoices."""


def read_batch(lines: TextIO, timeout_s: float) -> list[Pay]:
    """Invoices, one a line. Raises Rejected if there is none."""
    text = lines.read(MAX_BATCH_BYTES + 1)
    if len(text) > MAX_BATCH_BYTES:
        raise Rejected(f"expected a list of invoices of at most {MAX_BATCH_BYTES} bytes")
    asked = [Pay(line.strip(), timeout_s=timeout_s) for line in text.splitlines() if line.strip()]
    if not asked:
        raise Rejected("expected invoices, one a line, got none")
    return asked


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What became of a batch: its results in the order of its lines."""

    results: tuple[StreamedPayment, ...]
    elapsed_s: float

    def count(self, status: str) -> int:
        """So many ended so; "rejected" were never begun."""
        return sum(self._status(result) == status for result in self.results)

    def _status(self, result: StreamedPayment) -> str:
        if result.payment is not None:
            return result.payment.status
        return "rejected" if result.error is not None and result.error.kind == "rejected" else "broken"

    def why(self) -> str:
        """One of the reasons why not all were paid."""
        for result in self.results:
            if result.error is not None:
                return result.error.message
            if result.payment is not None and result.payment.failure:
                return result.payment.failure
        return ""

    @property
    def payments_per_s(self) -> float:
        return self.count("succeeded") / self.elapsed_s

    def document(self) -> dict[str, Any]:
        statuses = ("succeeded", "failed", "pending", "rejected", "broken")
        return {
            **{status: self.count(status) for status in statuses},
            "elapsed_s": round(self.elapsed_s, 3),
            "payments_per_s": round(self.payments_per_s, 1),
            "results": [to_json(result) for result in self.results],
        }


def pay_batch(session: Session, payments: Sequence[Pay], in_flight: int) -> None:
    """Pay all, show what became of them. Raises TransferFailed & co. unless all succeeded."""

    async def pay_all(client: ApiClient) -> BatchOutcome:
        found: list[StreamedPayment] = []
        with _progress() as progress:
            task = progress.add_task("paying", total=len(payments), rate="")
            begin_s = time.perf_counter()
            async for result in client.pay_many(payments, in_flight):
                found.append(result)
                rate = len(found) / (time.perf_counter() - begin_s)
                progress.update(task, completed=len(found), rate=f"{rate:.0f}/s")
            elapsed_s = time.perf_counter() - begin_s
        found.sort(key=lambda result: result.index)
        return BatchOutcome(tuple(found), elapsed_s)

    batch = session.ask(pay_all)
    session.show(
        batch.document(),
        f"{batch.count('succeeded')} of {len(payments)} paid in {batch.elapsed_s:.2f} s, "
        f"{batch.payments_per_s:.0f} payments/s",
    )
    _judge(batch, len(payments))


def _progress() -> Progress:
    """On a terminal only, and on standard error: the result is what is printed."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    rate = TextColumn("{task.fields[rate]}")
    return Progress(*columns, rate, TimeElapsedColumn(), console=console, disable=not console.is_terminal)


def _judge(batch: BatchOutcome, asked: int) -> None:
    """Raise unless all were paid: what is uncertain before what is certain."""
    why = f": {batch.why()}" if batch.why() else ""
    uncertain = batch.count("pending") + batch.count("broken") + asked - len(batch.results)
    if uncertain:
        raise OperationalError(f"{uncertain} of {asked} are not decided, see `channeld payments`{why}")
    if batch.count("failed"):
        raise TransferFailed(f"{batch.count('failed')} of {asked} payments did not go through{why}")
    if batch.count("rejected"):
        raise Rejected(f"{batch.count('rejected')} of {asked} payments were not begun{why}")
