"""What happens around the contract: tokens and wallets change their habits, channels grow old."""

from dataclasses import replace

from bench.evm import NO_SIGNATURE
from tests.contracts.model import acts
from tests.contracts.model.books import ETH, OPEN, Habits, Refused
from tests.contracts.model.calls import Blob, Call, selector
from tests.contracts.model.engine import slot_in
from tests.contracts.model.law import MAX_COUNTER
from tests.contracts.model.scene import PREIMAGES, Scene
from tests.contracts.model.world import CAST, Disagreement, alice, mallory
from tests.dice import Dice

HABITS = (
    Habits("hostile"),
    Habits("hostile", takes_fee=True),
    Habits("hostile", lies=True),
    Habits("hostile", answer=2),
    Habits("hostile", answer=0),
    Habits("hostile", burns=True),
    Habits("hostile", silent_thief=True),
)

MAX_HOOK = 640
"""Bytes of calldata: a push has gas for no more than that."""


def token_habits(scene: Scene, dice: Dice) -> str:
    """The hostile token shows another side of itself, or calls somebody back."""
    world, token = scene.world, scene.world.tokens["hostile"]
    habits, owners = world.books.habits, [who.address for who in (*CAST, world.wallet)]
    match dice.below(4):
        case 0:
            new = replace(dice.pick(HABITS), hook=habits[token].hook)
            shown = (new.takes_fee, new.lies, new.answer, new.burns, new.silent_thief)
            world.habituate(token, Call("behave", tuple(map(int, shown))))
            habits[token] = new
            return f"token: {new}"
        case 1:
            who = dice.pick([*owners, world.court])
            banned = not world.books.banned.get((token, who), False)
            world.habituate(token, Call("ban", (who, int(banned))))
            world.books.banned[token, who] = banned
            return f"token: banned {world.name_of(who)}: {banned}"
        case _:
            return hook_token(scene, _hook(scene, dice))


def hook_token(scene: Scene, hook: Call | None) -> str:
    """What the hostile token does in the middle of each transfer from now on."""
    world, token = scene.world, scene.world.tokens["hostile"]
    if hook and len(hook.data) > MAX_HOOK:
        hook = None
    target, data = (world.court, hook.data) if hook else (bytes(20), b"")
    world.habituate(token, Call("call_back", (target, Blob(data))))
    world.books.habits[token] = replace(world.books.habits[token], hook=hook)
    return f"token: hook {hook and world.told(hook)}"


def _hook(scene: Scene, dice: Dice) -> Call | None:
    token = scene.world.tokens["hostile"]
    match dice.below(8):
        case 0:
            return None
        case 1 | 2:
            own = [params for params in scene.stage if token in params[:2]]
            params = dice.pick(own) if own else scene.stage[0]
            return Call("challenge", (params, 0, 0, bytes(32), NO_SIGNATURE, NO_SIGNATURE))
        case 3:
            return Call("register_secret", (dice.pick(PREIMAGES),))
        case 4 | 5:
            call = acts.respond(scene, dice, token)[1]
        case 6:
            call = guarded(scene, dice)
        case _:
            call = dice.pick(scene.history)[1] if scene.history else guarded(scene, dice)
    return replace(call, value_wei=0)


def guarded(scene: Scene, dice: Dice) -> Call:
    """A call that the lock refuses; but for the lock some would be done."""
    params, token = dice.pick(scene.stage), scene.world.tokens["hostile"]
    signed = (scene.now_s + 1_000, NO_SIGNATURE, NO_SIGNATURE)
    match dice.below(12):
        case 0 | 1:
            return acts.close(scene, dice, token)[1]
        case 2:
            return acts.withdraw(scene, dice, token)[1]
        case 3 | 4:
            return acts.settle(scene, dice)[1]
        case 5:
            return acts.settle_batch(scene, dice)[1]
    return dice.pick(
        (
            Call("claim_credit", (ETH, alice.address)),
            Call("claim_credits", ([ETH], alice.address)),
            Call("close", (params, 0, *signed)),
            Call("deposit", (params, 0, 0)),
            Call("deposit_with_permit", (params, 0, 1, *signed[:1], 27, bytes(32), bytes(32))),
            Call("settle", (params, 0, bytes(32))),
            Call("settle_batch", (token, token, [])),
            Call("settle_claims", (params, 0, bytes(32))),
            Call("withdraw", (params, 0, 0, *signed)),
        )
    )


def hooked_deposit(scene: Scene, dice: Dice) -> acts.Act | None:
    """The hostile token gets something to do and the occasion, if there is a channel for it."""
    token = scene.world.tokens["hostile"]
    fitting = [params for params in scene.stage if params.asset == token]
    if not fitting:
        return None
    params = dice.pick(fitting)
    hook_token(scene, guarded(scene, dice) if dice.below(2) else _hook(scene, dice))
    sender = next(who for who in params[:2] if who != token)
    return sender, Call("deposit", (params, dice.below(2), 50))


def wallet_habits(scene: Scene, dice: Dice) -> str:
    """The wallet takes ETH, refuses it, burns the gas, or calls back while it is paid."""
    world = scene.world
    wallet = world.wallet.address
    accepts, burns = dice.pick(((False, False), (True, False), (False, True), (True, True)))
    world.habituate(wallet, Call("behave_wallet", (int(accepts), int(burns))))
    world.books.habits[wallet] = replace(world.books.habits[wallet], accepts=accepts, burns=burns)
    hook = dice.pick(("", "claim_credit", "settle"))
    data = b""
    if hook == "claim_credit":
        data = Call(hook, (bytes(20), wallet)).data
    elif hook:
        data = Call(hook, (dice.pick(scene.stage), 0, bytes(32))).data
    world.habituate(wallet, Call("call_back", (world.court if hook else bytes(20), Blob(data))))
    if hook and accepts and not burns:
        world.books.fired["a wallet that calls back"] += 1
    return f"wallet: accepts {accepts}, burns {burns}, hook {hook}"


def front_run_permit(scene: Scene, dice: Dice) -> str:
    """Mallory uses somebody's token permit before its owner does."""
    world, token = scene.world, scene.world.tokens["permit"]
    owner, amount = dice.pick(CAST).address, dice.pick((1_000, 10**6))
    words = (owner, world.court, amount, *acts.token_permit(scene, Dice(0), token, owner, amount))
    world.engine.send(mallory.address, token, Call("permit", words).data)
    world.books.nonces[token, owner] = world.books.nonces.get((token, owner), 0) + 1
    world.books.allowances[token, owner] = amount
    return f"permit of {world.name_of(owner)} used by mallory"


def grow_old(scene: Scene, dice: Dice) -> str:
    """As if the channel had seen two million withdrawals."""
    world = scene.world
    params = scene.channel_in(dice, OPEN)
    identity, channel = world.books.channel(params)
    if channel.status != OPEN or channel.counter >= MAX_COUNTER - 1:
        return "nobody grows old"
    world.books.change(identity, counter=MAX_COUNTER - dice.below(2))
    new = world.books.channels[identity].slot
    world.engine.poke(world.court, slot_in(world.slots["channels"], identity), new)
    return "a channel grows old"


def donate(scene: Scene, dice: Dice) -> str:
    """Tokens that nobody deposited, ETH that nobody asked for, calls that do not exist."""
    world = scene.world
    match dice.below(3):
        case 0:
            token = world.tokens["plain"]
            world.engine.send(mallory.address, token, Call("transfer", (world.court, 77)).data)
            world.books.balances[token, mallory.address] -= 77
            world.books.balances[token, world.court] = world.books.balance(token, world.court) + 77
            return "donated tokens"
        case 1:
            data, value_wei = b"", 1
        case _:
            data, value_wei = dice.pick((b"\xde\xad\xbe\xef", selector("settle"), selector("deposit")[:3])), 0
    try:
        world.engine.send(mallory.address, world.court, data, value_wei)
    except Refused:
        world.books.fired["no words [no such call]"] += 1
        return "a call that does not exist"
    raise Disagreement("a call that does not exist was done")
