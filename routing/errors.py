"""What the routing package raises. Raised means that nothing changed."""

from collections.abc import Callable
from enum import Enum


class RoutingError(Exception):
    """Base of every failure of this package."""


class UnknownChannel(RoutingError):
    """An event or policy names a channel that the chain has not shown (or has closed)."""


class ConflictingEvent(RoutingError):
    """An event contradicts what is known; the chain scan that fed it is broken."""


class ForeignPolicy(RoutingError):
    """A policy by a node that is no end of the channel: anybody can sign about anybody's channel."""


class BadPolicy(RoutingError):
    """A policy with a field out of its range."""


class BadInput(RoutingError):
    """The caller asked for, or reported, something that makes no sense."""


class Why(Enum):
    """Why there is no route, as far as the search can tell."""

    NO_SUCH_NODE = "no such node"
    EXCLUDED = "excluded"
    DISCONNECTED = "not connected"
    CAPACITY = "capacity"
    FEE_LIMIT = "fee limit"
    HOP_LIMIT = "hop limit"
    DEADLINE_BUDGET = "deadline budget"
    SEARCH_LIMIT = "search limit"


class NoRoute(RoutingError):
    """No route within the query's limits; `why` is for programs, the message for people.

    `words` has a pair of braces for each of `amounts`, which are in the asset's smallest unit.
    """

    def __init__(self, why: Why, words: str, *amounts: int) -> None:
        self.why = why
        self._words, self._amounts = f"no route ({why.value}): {words}", amounts
        super().__init__(self.told(str))

    def told(self, amount: Callable[[int], str]) -> str:
        """The message with each amount as `amount` writes it."""
        return self._words.format(*map(amount, self._amounts))
