"""What happens around the contract: tokens and wallets change their habits, channels grow old."""

from dataclasses import replace

from bench.evm import NO_SIGNATURE
from tests.contracts.model import acts
from tests.contracts.model.books import OPEN, Refused
from tests.contracts.model.calls import Blob, Call, selector
from tests.contracts.model.engine import slot_in
from tests.contracts.model.law import MAX_COUNTER
from tests.contracts.model.scene import PREIMAGES, Dice, Scene
from tests.contracts.model.world import CAST, Disagreement, mallory

MAX_HOOK = 600
"""Bytes of calldata: a push has gas for no more than that."""


def token_habits(scene: Scene, dice: Dice) -> str:
    """The hostile token shows another side of itself, or calls somebody back."""
    world, token = scene.world, scene.world.tokens["hostile"]
    habits, owners = world.books.habits, [who.address for who in (*CAST, world.wallet)]
    match dice.below(4):
        case 0:
            flags = dice.pick(
                (
                    {},
                    {"takes_fee": True},
                    {"lies": True},
                    {"answer": 2},
                    {"answer": 0},
                    {"burns": True},
                    {"silent_thief": True},
                )
            )
            new = replace(habits[token], **{**BEHAVED, **flags})
            shown = (new.takes_fee, new.lies, new.answer, new.burns, new.silent_thief)
            world.habituate(token, Call("behave", tuple(map(int, shown))))
            habits[token] = new
            return f"token: {flags}"
        case 1:
            who = dice.pick([*owners, world.court])
            banned = not world.books.banned.get((token, who), False)
            world.habituate(token, Call("ban", (who, int(banned))))
            world.books.banned[token, who] = banned
            return f"token: banned {world.name_of(who)}: {banned}"
        case _:
            hook = _hook(scene, dice)
            data = hook.data if hook else b""
            target = world.court if hook else bytes(20)
            world.habituate(token, Call("call_back", (target, Blob(data))))
            habits[token] = replace(habits[token], hook=hook)
            return f"token: hook {hook}"


BEHAVED = {"takes_fee": False, "lies": False, "answer": 1, "burns": False, "silent_thief": False}


def _hook(scene: Scene, dice: Dice) -> Call | None:
    token = scene.world.tokens["hostile"]
    match dice.below(6):
        case 0:
            return None
        case 1 | 2:
            own = [params for params in scene.stage if token in params[:2]]
            params = dice.pick(own) if own else scene.stage[0]
            return Call("challenge", (params, 0, 0, bytes(32), NO_SIGNATURE, NO_SIGNATURE))
        case 3:
            return Call("register_secret", (dice.pick(PREIMAGES),))
        case 4:
            call = dice.pick((acts.close, acts.settle, acts.respond, acts.withdraw))(scene, dice)[1]
        case _:
            call = dice.pick(scene.history)[1] if scene.history else Call("claim_credit", (token, token))
    call = replace(call, value_wei=0)
    return call if len(call.data) <= MAX_HOOK else None


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
    world.books.change(identity, counter=MAX_COUNTER - 1)
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
