"""How a command ends: the exit codes that scripts rely on."""

OK = 0
REJECTED = 1
"""Cannot be done as asked; nothing changed."""
USAGE = 2
"""The command line is wrong (click's own code for it)."""
OPERATIONAL = 3
"""The daemon, the chain or a peer did not answer, or not in time: what was begun may go on."""
FAILED = 4
"""A payment or a trade failed for good; no money was spent on it."""
INTERRUPTED = 130
"""As a shell reports Ctrl-C."""


class TransferFailed(Exception):
    """A payment or a trade ended without effect. The message is one sentence."""
