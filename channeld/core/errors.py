"""The three kinds of failure. Raised means that nothing changed.

A bug is none of these: it is an assertion, and it stops the daemon.
"""


class ChanneldError(Exception):
    """Base of every failure that the daemon expects to meet."""


class Rejected(ChanneldError):
    """Our own caller asked for something that cannot be done (exit code 1, HTTP 4xx)."""


class PeerViolation(ChanneldError):
    """A peer sent what no correct node would send; the connection is dropped, the channel kept."""


class Untimely(PeerViolation):
    """What came would be right at another time: a block or a price has not reached us yet, or it was
    signed in time and came late. It is kept and looked at again; nobody is to blame.
    """


class OperationalError(ChanneldError):
    """The outside failed (chain, disk, network); the operation is retried or the operator told."""
