"""What must have happened in a full run, so that no life's going well is for want of trouble."""

from tests.simulator import acts, faults, mischief, plots
from tests.simulator.ledger import Ledger, kinds

WANTED = {
    # Prices come when the storm is over, and then every daemon settles by itself, unasked.
    "act": (
        *(name for name in acts.ACTS if name != "settle"),
        "buy over 1 hops",
        "buy over 2 hops",
        "pay over 3 hops",
        "pay again",
        "refuse to pay again",
    ),
    "fault": (*faults.FAULTS, "crash", "crash before a write", "crash after a write", "forgotten"),
    "mischief": (*mischief.MISCHIEF, "vanish for ever"),
    "plot": tuple(plots.PLOTS),
    "chain": (
        "reorganisation",
        "mined challenge",
        "mined respond",
        "mined close",
        "mined settle",
        "mined settle_claims",
        "mined register_secret",
        "mined publish_price",
        "settled in part",
    ),
    "forward": ("fulfilled", "failed"),
    "event": ("hangs up",),
    "end": ("all is resolved", "books agreed to the unit"),
    **kinds(),
}


def unseen(total: Ledger) -> str:
    """What did not happen, for people: a few lives that go well show less than they seem to."""
    number, missing = sum(len(names) for names in WANTED.values()), total.missing(WANTED)
    if not missing:
        return f"everything that is wanted occurred: {number} kinds of things"
    return f"{len(missing)} of {number} kinds of things never occurred in these lives: {', '.join(missing)}"
