"""The configurations: what holds, how many states it has, and the variants that must be caught.

`make test` plays SAFE and what must be caught; `make model` LARGE and the walks as well. The counts are of
this model as it stands: who changes a rule, a scene or a reduction changes them deliberately, here and in
docs/model.md.
"""

from dataclasses import dataclass, field

from tests.model.exploring import ROUND, STUCK, Found, explore, resolves, walk
from tests.model.moving import Rules
from tests.model.play import Play
from tests.model.scenes import (
    Scene,
    bundle,
    buyer,
    line,
    neighbours,
    payment,
    pusher,
    shop,
    staggered,
    swap,
    trade,
    two_hubs,
    two_payments,
    writer,
)
from tests.model.world import EARLY, LEAPS, LIAR, LOST, TWICE


@dataclass(frozen=True)
class Run:
    """`ends_well`: also that every story comes to an end, and every channel between honest nodes to rest."""

    name: str
    scene: Scene
    rules: Rules = field(default_factory=Rules)
    states: int = 0
    ends_well: bool = False

    def search(self, limit: int = 10**9) -> Found:
        return (resolves if self.ends_well else explore)(Play(self.scene, self.rules), limit)


LATE = {"skew": 1, "margin": 2, "deadline": 4}
"""Clocks that differ by a phase, with margins for it."""

REORG = {"depth": 2, "delay": 2, "margin": 2, "deadline": 4, "traffic": False}
"""Blocks are undone two phases deep; what is submitted is final two phases later, just in time."""

CRASHES = {"pushes": True, "drops": 1, "sleepy": True}
"""A connection is lost, and whoever had to register a secret may not have been there."""

SLOW = {"prompt": False, "sleepy": True}
"""What is on its way may stay there over a deadline that its sender has missed to register for."""

SAFE = (
    Run("payment through a hub, with other traffic", payment(), states=24_890),
    Run("the same, bob odd and even", payment(flipped=(0, 1), traffic=False), states=1_701),
    Run("the same, bob even in both channels", payment(flipped=(0,), traffic=False), states=1_701),
    Run("the same, bob odd in both channels", payment(flipped=(1,), traffic=False), states=1_701),
    Run("payment, the incoming deadline later", staggered(traffic=False), states=2_788),
    Run("two payments under one hashlock", two_payments(same_lock=True), states=40_115),
    Run("option trade through a hub (R14)", trade(), states=117_575),
    Run("bob writes an option", writer(), states=2_525),
    Run("bob buys an option", buyer(), states=1_148),
    Run("pushes for goods", shop(), states=24),
    Run("a push, asked for again when it was dropped", pusher(), states=50),
    Run("payment across two chains, a phase apart", swap(stairs=1, delay=1), states=13_026),
    Run("payment, blocks undone", payment(**REORG), states=6_313),
    Run("bob writes an option, blocks undone", writer(depth=1, delay=1), states=4_877),
    Run("payment over two hubs, honest in the middle", two_hubs(), states=19_632, ends_well=True),
    Run("neighbours pay each other, one loss", neighbours(drops=1), states=4_014, ends_well=True),
    Run(
        "three pushes, two losses", neighbours(forth=0, back=0, pushes=3, drops=2), states=674, ends_well=True
    ),
    Run("neighbours, clocks apart", neighbours(**LATE), states=2_178, ends_well=True),
    Run("a line of three, one loss", line(drops=1), states=15_015, ends_well=True),
    Run("a line of three there and back", line(there_and_back=True), states=9_990, ends_well=True),
    Run("a line of four", line(hops=3), states=5_055, ends_well=True),
    Run("crashes over a deadline", line(**CRASHES), states=61_337, ends_well=True),
    Run("neighbours, slow, one loss", neighbours(drops=1, **SLOW), states=16_440, ends_well=True),
)

LARGE = (
    Run("crashes, sides exchanged", line(flipped=(0,), **CRASHES), states=58_158, ends_well=True),
    Run("a line of three, slow", line(**SLOW), states=106_336, ends_well=True),
    Run("neighbours, clocks apart, one loss", neighbours(drops=1, **LATE), states=43_670, ends_well=True),
    Run("payment with other traffic, blocks undone", payment(**{**REORG, "traffic": True}), states=114_070),
    Run("option trade across two assets", trade(assets=2), states=212_573),
    Run("two payments under two hashlocks", two_payments(), states=246_977),
    Run("two payments in opposite directions", two_payments(opposite=True), states=784_947),
    Run("a line of four, one loss", line(hops=3, drops=1), states=247_752, ends_well=True),
    Run("payment over two hubs, one loss", two_hubs(drops=1), states=329_389, ends_well=True),
    Run("payment across two chains, blocks undone", swap(stairs=2, delay=1, depth=1), states=30_742),
)
"""Complete too, in minutes."""

WALKS = (
    Run("option trade across two assets, blocks undone", trade(assets=2, depth=1, delay=1)),
    Run("two payments in opposite directions, blocks undone", two_payments(opposite=True, depth=1, delay=1)),
    Run("a line of four there and back, two losses", line(hops=3, there_and_back=True, drops=2)),
)
"""Too large to be complete: random walks, which prove nothing."""


@dataclass(frozen=True)
class Caught:
    """A variant that looks right, and what it comes to."""

    name: str
    scene: Scene
    rules: Rules
    fault: str
    ends_well: bool = False

    def search(self) -> Found:
        return (resolves if self.ends_well else explore)(Play(self.scene, self.rules), 300_000)


QUIET = payment(traffic=False)

LOSING = (
    Caught("b1 one version for both", payment(), Rules(parity=False), "bob ends with"),
    Caught("b2 what lost is acted upon", payment(), Rules(accept_lost=True), "bob ends with"),
    Caught("b3 an unsigned no counts", QUIET, Rules(unsigned_no=True), "bob ends with"),
    Caught("b4 a late fulfilment counts", QUIET, Rules(late_fulfil=True), "bob ends with"),
    Caught("b5 sent before it is durable", QUIET, Rules(durable=False), "bob ends with"),
    Caught("b6 a bundle, countersigned at once", bundle(), Rules(), "bob ends with"),
    Caught("b7 a bundle, withheld", bundle(), Rules(withhold=True), "bob ends with"),
    Caught(
        "b9 a bundle, withheld, one deadline",
        bundle(deadline=2),
        Rules(withhold=True),
        "bob ends with",
    ),
    Caught("b8 the writer holds the secret", buyer(owners=(None,), reveals=()), Rules(), "bob ends with"),
    Caught("answered backwards while unanswered", QUIET, Rules(back_early=True), "bob ends with"),
    Caught(
        "one of two claims under a hashlock is gone",
        two_payments(same_lock=True),
        Rules(back_by_lock=True),
        "bob ends with",
    ),
    Caught("an option is gone, its premium let go", trade(), Rules(back_whole_trade=True), "bob ends with"),
    Caught("the same across two assets", trade(assets=2), Rules(back_whole_trade=True), "bob ends with"),
    Caught("leaps without a bound", QUIET, Rules(refusal="unbounded"), LEAPS),
    Caught("a version forgotten and used again", payment(), Rules(durable=False), TWICE),
    Caught("one deadline across two chains", swap(stairs=0, delay=1), Rules(), "bob ends with"),
    Caught("a staircase without reorganisations", swap(stairs=1, delay=1, depth=1), Rules(), "bob ends with"),
    Caught("a registration counts unconfirmed", payment(**REORG), Rules(trust_head=True), "bob ends with"),
    Caught(
        "answered backwards before it is final on chain",
        payment(**REORG),
        Rules(expire_at_head=True),
        "bob ends with",
    ),
    Caught(
        "what the newest block shows is not registered",
        payment(**REORG),
        Rules(rest_on_head=True),
        "bob ends with",
    ),
    Caught("no time to be mined anew", payment(**{**REORG, "delay": 3}), Rules(), "bob ends with"),
    Caught("a push is repeated when unanswered", pusher(), Rules(push_again=True), "bob ends with"),
    Caught("goods for a push that was seen", shop(), Rules(sell_on_sight=True), "bob ends with"),
)

STANDING_STILL = (
    Caught("same versions", neighbours(), Rules(parity=False), LIAR, True),
    Caught("what lost is forgotten", neighbours(forth=0, back=0, pushes=2), Rules(rebase=False), STUCK, True),
    Caught("nothing is said again", neighbours(drops=1), Rules(resend=False), STUCK, True),
    Caught("no refusals (R8)", line(**CRASHES), Rules(refusal="none"), STUCK, True),
    Caught("no countersigned parent", line(**CRASHES), Rules(ack_parent_first=False), STUCK, True),
    Caught("an announced proposal is not awaited", line(**CRASHES), Rules(await_resend=False), STUCK, True),
    Caught("nobody hangs up on a slow connection", line(**SLOW), Rules(hangs_up=False), STUCK, True),
    Caught("what was signed is forgotten", neighbours(drops=1), Rules(durable=False), LOST, True),
    Caught("nobody says what it holds", neighbours(drops=1), Rules(wait_online=False), EARLY, True),
    Caught("answers are answered", neighbours(), Rules(echo=True), ROUND, True),
)

UNHARMED = (
    Caught("a parent that nobody countersigned", QUIET, Rules(parent_signed=False), ""),
    Caught("acting on every enforceable state", QUIET, Rules(act_on_all=True), ""),
)
"""Rules that the model does not need for anybody's money; each has another reason (docs/model.md)."""


def walks(run: Run, runs: int, steps: int, seed: int) -> Found:
    return walk(Play(run.scene, run.rules), runs, steps, seed)
