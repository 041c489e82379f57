"""Everything that must have happened before the machine may say that all is well.

A refusal is a path: the words of an assertion, and in brackets the case, where several conditions or
several assertions say the same.
"""

import re
from collections import Counter

from contracts.compile import HERE
from tests.contracts.model.mischief import TRICKS

REFUSALS: dict[str, tuple[str, ...]] = {
    "claims: not whole words": (),
    "challenge: not a party": (),
    "challenge: not open": ("none", "disputed", "closed"),
    "close: no such channel": ("none", "closed"),
    "close: too late": (),
    "credit: nothing owed": (),
    "credit: transfer failed": ("token says no",),
    "deposit: no ETH here": (),
    "deposit: not open": ("disputed", "closed"),
    "deposit: nothing or too large": ("nothing", "too large"),
    "deposit: transfer failed": ("token says no",),
    "deposit: wrong value": (),
    "deposits: below zero": (),
    "deposits: too large": ("pot", "one side"),
    "not signed by a": (),
    "not signed by b": (),
    "open: a must be below b": ("same", "swapped"),
    "open: no address": (),
    "open: period": ("short", "long"),
    "payout: too little gas": ("ETH", "token"),
    "permit: not by a party": (),
    "permit: too late": (),
    "permit: version too low": ("no minimum", "below the minimum"),
    "price: no grace": (),
    "price: not a signer of the feed": (),
    "price: not as many signatures as the threshold": ("more", "fewer"),
    "price: signers must ascend": ("nobody", "twice", "order"),
    "price: threshold is no majority": ("nobody", "some"),
    "price: too early": (),
    "price: unknown scheme": (),
    "price: zero": (),
    "redstone: no grace": (),
    "redstone: no price": ("zero", "too large"),
    "redstone: not every signer": ("values", "signatures", "nobody", "feed"),
    "redstone: not signed": (),
    "redstone: signers must ascend": ("twice", "order"),
    "redstone: too early": (),
    "redstone: unknown scheme": (),
    "respond: no dispute": ("none", "open", "closed"),
    "respond: not later": ("the same", "older"),
    "respond: too late": (),
    "settle: no dispute": ("none", "open", "closed"),
    "settle: not the state": ("net", "claims", "salt"),
    "settle: nothing to do yet": (),
    "settle: too early": (),
    "signature: high s": (),
    "state: version 0 is empty": ("net", "claims"),
    "withdraw: not open": ("none", "disputed", "closed"),
    "withdraw: too late": (),
    "withdraw: too often": (),
    # Refused by the compiler's own checks, or from outside.
    "": (
        "no array",
        "no bool",
        "no int128",
        "no uint128",
        "median overflows",
        "no uint64",
        "no uint96",
        "no such call",
        "no token there",
        "feed cut off",
        "re-entered",
        "takes no value",
        "allowance too small",
        "balance too small",
        "an answer that is no bool",
        "token burns the gas",
        "burns the gas",
    ),
    "banned": ("receiver",),
    "no thanks": ("wallet",),
}

GUARDED = (
    *("claim_credit", "claim_credits", "close", "deposit", "deposit_with_permit"),
    *("settle", "settle_batch", "settle_claims", "withdraw"),
)
"""The calls that the one lock keeps out while another of them runs."""

UNSIGNED = frozenset({"not signed by a", "not signed by b", "signature: high s"})
"""What the contract says to tampered signatures."""

RULES = (
    *(f"trick refused: {trick}" for trick in TRICKS),
    *(f"agreed: {who} calls" for who in ("a", "b", "a stranger")),
    *(f"batch skips: settle: no dispute [{status}]" for status in ("none", "open", "closed")),
    *(f"batch skips: settle: not the state [{what}]" for what in ("net", "claims")),
    "batch skips: settle: too early",
    "batch: hub is a",
    "batch: hub is b",
    "answered in the last second",
    *(f"claim: transfer {fate}" for fate in ("free", "live", "dead", "pending")),
    *(f"claim: option {fate}" for fate in ("free", "live", "dead", "pending")),
    *(
        f"claim: kind {kind} {price}"
        for kind in range(1, 7)
        for price in ("priced", "price pending", "price dead")
    ),
    *(f"claim: priced at its strike - {n}" for n in (0, 1)),
    *(f"claim: secret at its deadline + {n} s" for n in (0, 1)),
    *(f"claim: void {kind}" for kind in (1, 2, 3, 4, 5, 6, 7, 8, 63)),
    "claim: void, outlives its expiry",
    "claim: cut",
    "claim: more options stay pending than can be netted",
    "clamped to nothing",
    "clamped to the pot",
    "closed open",
    "closed disputed",
    "closed in the last second",
    "left with nothing signed",
    "opened",
    "topped up",
    "topped up after a withdrawal",
    "withdrawn",
    "withdrawn what was earned",
    "settled in part",
    "settled in part again",
    "settled in part: only free money",
    "pushed",
    "credited: no thanks [wallet]",
    "credited: banned [receiver]",
    "credited: token says no",
    "credited: no words [takes no ETH]",
    "credited: no words [burns the gas]",
    "credited: no words [token burns the gas]",
    "credits: one of which nothing is owed",
    "permit: taken",
    "permit: invalid permit [token], and no matter",
    "permit: permit expired [token], and no matter",
    "permit: no words [no permits here], and no matter",
    *(
        f"price: published {when}"
        for when in ("at once", "in time", "at the end of grace", "too late", "already")
    ),
    "redstone: published already",
    "secret: known already",
    "a wallet that calls back",
    "hook: challenge got in",
    "hook: respond got in",
    "hook: register_secret got in",
    *(f"hook: {name} refused: no words [re-entered]" for name in GUARDED),
    *(
        f"{name} done"
        for name in (
            *("deposit", "deposit_with_permit", "close", "withdraw", "challenge", "challenge_for", "respond"),
            *("settle", "settle_claims", "settle_batch", "register_secret", "register_secrets"),
            *("publish_price", "publish_redstone", "claim_credit", "claim_credits"),
        )
    ),
)


def paths() -> list[str]:
    """All refusals, as `Refused.path` names them."""
    return [
        f"{words or 'no words'} [{case}]" if case else words
        for words, cases in REFUSALS.items()
        for case in cases or ("",)
    ]


def words_in_sources() -> set[str]:
    """What the contract says when it refuses."""
    sources = (path.read_text() for path in HERE.glob("*.vy") if path.name != "test_token.vy")
    return set(re.findall(r'"((?:[a-z_]+: |not signed by )[^"]+)"', "".join(sources)))


def missing(fired: Counter[str]) -> list[str]:
    return [name for name in (*paths(), *RULES) if not fired[name]]


def table(fired: Counter[str]) -> str:
    """How often each path was taken, two to a line; what was not demanded is left out."""
    cells = [f"{fired[name]:8} {name}" for name in (*paths(), *RULES)]
    half = (len(cells) + 1) // 2
    lines = zip(cells[:half], [*cells[half:], ""], strict=False)
    return "\n".join(f"{left:72.72}{right}".rstrip() for left, right in lines)
