"""What the development chain refuses, and the words it refuses with.

The messages are those of go-ethereum where it has one, because client code matches on them.
"""

from channeld.core.errors import Rejected


class TransactionRejected(Rejected):
    """The transaction cannot enter the pool; it was not stored and nothing changed."""


class CallFailed(Rejected):
    """A call or an estimate could not run, or ran into an error other than a revert."""


class CallReverted(CallFailed):
    """The contract reverted; `data` is what it returned (ABI-encoded error, perhaps empty)."""

    def __init__(self, message: str, data: bytes) -> None:
        super().__init__(message)
        self.data = data


class QueryTooLarge(Rejected):
    """A log query asks for more than one answer may hold; the message says how to narrow it."""


class StateFileRefused(Rejected):
    """The state file is not one of ours, is of another chain, or is held by another process."""
