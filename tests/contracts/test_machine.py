"""The contract and a model of it, driven together by people of whom one is mallory."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.contracts.model import acts, oracle_acts, surroundings
from tests.contracts.model.books import ETH, Params
from tests.contracts.model.calls import Call
from tests.contracts.model.coverage import REFUSALS, UNSIGNED, missing, table, words_in_sources
from tests.contracts.model.engine import GAS, HAS_REVM, best_engine
from tests.contracts.model.scene import Scene
from tests.contracts.model.uniform import BACKEND
from tests.contracts.model.world import Disagreement, World, alice
from tests.core.soak import LONGER_ROUNDS, examples
from tests.dice import Dice

STEPS = 40
# What the engine in pure Python manages in the time that revm needs for all; rare paths may be missed then.
EXAMPLES = 2_000 if HAS_REVM else 100
THROWS = st.integers(0, 2**24 - 1).map(Dice)

FIRED: Counter[str] = Counter()


class Adjudication(RuleBasedStateMachine):
    """A few channels and everything that can happen to them."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.world.reset()
        self.world.books.fired = FIRED
        self.scene = Scene(self.world)
        self.agreed = True

    @initialize(dice=THROWS)
    def begin(self, dice: Dice) -> None:
        self.scene.set(dice)
        note(surroundings.wallet_habits(self.scene, dice))
        for sender, call in acts.first_deposits(self.scene, dice):
            self._do(sender, call)
        note(surroundings.token_habits(self.scene, dice))

    def _do(self, sender: bytes, call: Call, gas: int = GAS) -> None:
        told = self.world.told
        trick, self.scene.trick = self.scene.trick, ""
        try:
            refused = self.world.act(sender, call, gas)
        except Disagreement:
            self.agreed = False
            note(f"  {self.scene.now_s} {self.world.name_of(sender)}: {told(call)}")
            raise
        if trick and refused is not None and refused.words in UNSIGNED:
            FIRED[f"trick refused: {trick}"] += 1
        self.scene.remember(sender, call)
        note(f"  {self.scene.now_s} {self.world.name_of(sender)}: {told(call)}: {refused or 'done'}")

    @rule(dice=THROWS)
    def deposit(self, dice: Dice) -> None:
        self._do(*acts.deposit(self.scene, dice))

    @rule(dice=THROWS)
    def deposit_with_permit(self, dice: Dice) -> None:
        self._do(*acts.deposit_with_permit(self.scene, dice))

    @rule(dice=THROWS)
    def close(self, dice: Dice) -> None:
        self._do(*acts.close(self.scene, dice))

    @rule(dice=THROWS)
    def withdraw(self, dice: Dice) -> None:
        self._do(*acts.withdraw(self.scene, dice))

    @rule(dice=THROWS)
    def challenge(self, dice: Dice) -> None:
        self._do(*acts.challenge(self.scene, dice))

    @rule(dice=THROWS)
    def respond(self, dice: Dice) -> None:
        self._do(*acts.respond(self.scene, dice))

    @rule(dice=THROWS)
    def settle(self, dice: Dice) -> None:
        self._do(*acts.settle(self.scene, dice))

    @rule(dice=THROWS)
    def settle_again(self, dice: Dice) -> None:
        self._do(*acts.settle(self.scene, dice))

    @rule(dice=THROWS)
    def settle_batch(self, dice: Dice) -> None:
        self._do(*acts.settle_batch(self.scene, dice))

    @rule(dice=THROWS)
    def claim_again(self, dice: Dice) -> None:
        self._do(*acts.claim_credit(self.scene, dice))

    @rule(dice=THROWS)
    def claim_credit(self, dice: Dice) -> None:
        self._do(*acts.claim_credit(self.scene, dice))

    @rule(dice=THROWS)
    def show_secrets(self, dice: Dice) -> None:
        self._do(*oracle_acts.register_secrets(self.scene, dice))

    @rule(dice=THROWS)
    def publish(self, dice: Dice) -> None:
        self._do(*oracle_acts.publish(self.scene, dice))

    @rule(dice=THROWS)
    def decide(self, dice: Dice) -> None:
        act = oracle_acts.decide(self.scene, dice)
        self._do(*(act or acts.settle(self.scene, dice)))

    @rule(dice=THROWS)
    def wait(self, dice: Dice) -> None:
        """Until something is about to change, has just changed, or a little."""
        moments = self.scene.next_moments()
        now_s = self.scene.now_s
        if moments and dice.below(8):
            now_s = max(now_s, dice.pick(moments) - dice.pick((0, 1)))
        else:
            now_s += dice.pick((1, 60, 601))
        self.scene.go_to(now_s)
        note(f"it is {self.world.engine.now_s}")

    @rule(dice=THROWS)
    def replay(self, dice: Dice) -> None:
        """An old call again: by somebody else, in another channel, with less gas, or just so."""
        if not self.scene.history:
            return
        sender, call = dice.pick(self.scene.history[::-1])
        gas = GAS
        match dice.below(6):
            case 1:
                sender = dice.pick(
                    (alice.address, self.world.wallet.address, self.scene.sender(dice, self.scene.stage[0]))
                )
            case 2 if call.args and isinstance(call.args[0], Params):
                call = Call(call.name, (self.scene.channel(dice), *call.args[1:]), call.tail, call.value_wei)
            case 3:
                gas = 50_000 + 5_000 * dice.below(40)
            case 4:
                call = replace(call, value_wei=1)
        self._do(sender, call, gas)

    @rule(dice=THROWS)
    def starve(self, dice: Dice) -> None:
        """A payout with little gas is made in full or not at all."""
        make = dice.pick((acts.settle, acts.close, acts.settle_batch, acts.withdraw))
        self._do(*make(self.scene, dice), gas=60_000 + 4_000 * dice.below(50))

    @rule(dice=THROWS)
    def surroundings(self, dice: Dice) -> None:
        happens = dice.pick(
            (
                surroundings.token_habits,
                surroundings.wallet_habits,
                surroundings.token_habits,
                surroundings.front_run_permit,
                surroundings.grow_old,
                surroundings.donate,
            )
        )
        note(happens(self.scene, dice))

    @rule(dice=THROWS)
    def hook(self, dice: Dice) -> None:
        """The hostile token calls somebody back while it is in the middle of a deposit."""
        act = surroundings.hooked_deposit(self.scene, dice)
        if act is not None:
            note(f"  {self.world.told(self.world.books.habits[self.world.tokens['hostile']].hook)} inside")
            self._do(*act)

    def teardown(self) -> None:
        if self.agreed:
            self.world.compare()


@pytest.fixture(scope="module")
def world() -> World:
    return World(best_engine())


def test_the_model_knows_every_refusal_of_the_contract() -> None:
    assert words_in_sources() == {words for words in REFUSALS if ": " in words or "signed" in words}


@pytest.mark.parametrize("exits", [125, 128, 129, 150])
def test_the_wallet_can_say_what_the_others_say(world: World, exits: int) -> None:
    """Whatever is replayed by it, the longest batch too, is refused by the contract or not at all."""
    world.reset()
    batch = [(world.wallet.address, 600, 0, bytes(32))] * exits
    refused = world.act(world.wallet.address, Call("settle_batch", (alice.address, ETH, batch)))
    assert (refused is None) == (exits <= 128)


def live(lives: int) -> None:
    usual = settings(examples(EXAMPLES, STEPS), max_examples=lives, backend=BACKEND, database=None)
    phases = [Phase.generate, Phase.shrink]
    run_state_machine_as_test(Adjudication, settings=settings(usual, phases=phases))


def test_contract_and_model_agree(world: World, counted: list[str]) -> None:
    """Whatever did not happen may in longer rounds, whose dice are the same everywhere, too."""
    Adjudication.world = world
    FIRED.clear()
    lives = examples(EXAMPLES, STEPS).max_examples
    live(lives)
    for factor in LONGER_ROUNDS:
        if HAS_REVM and missing(FIRED):
            live(factor * lives)
    engine = "revm" if HAS_REVM else "pure Python"
    counted.append(f"adjudicator: {lives} runs of {STEPS} steps on {engine}:\n{table(FIRED)}")
    assert not (HAS_REVM and missing(FIRED))
