"""The three kinds of failure. Raised means that nothing changed.

A bug is none of these: it is an assertion, and it stops the daemon.
"""

from collections.abc import Callable


class ChanneldError(Exception):
    """Base of every failure that the daemon expects to meet."""


class Rejected(ChanneldError):
    """Our own caller asked for something that cannot be done (exit code 1, HTTP 4xx)."""


class AmountRejected(Rejected):
    """Rejected for amounts of one asset, in `words` with a pair of braces for each.

    The core knows smallest units alone; whoever knows the asset tells people the amounts in its unit.
    """

    def __init__(self, words: str, *amounts: int) -> None:
        super().__init__(words.format(*amounts))
        self._words, self._amounts = words, amounts

    def told(self, amount: Callable[[int], str]) -> str:
        """The sentence with each amount as `amount` writes it."""
        return self._words.format(*map(amount, self._amounts))


class PeerViolation(ChanneldError):
    """A peer sent what no correct node would send; the connection is dropped, the channel kept."""


class Untimely(PeerViolation):
    """What came would be right at another time: a block or a price has not reached us yet, or it was
    signed in time and came late. It is kept and looked at again; nobody is to blame.
    """


class OperationalError(ChanneldError):
    """The outside failed (chain, disk, network); the operation is retried or the operator told."""


class StorageFailed(OperationalError):
    """What must be durable could not be stored. Whoever raised it accepts nothing more, not even what would
    still fit: the daemon must stop, because it may not sign or send what it has not stored.
    """
