"""How money moves: tokens with their habits, wallets, pushes and credits."""

from tests.contracts.model.books import ETH, Books, Refused
from tests.contracts.model.signing import PERMIT, chain_domain, hash_struct, recover, typed

CHAIN_ID = 31_337
FEE_PERCENT = 10


def pay_eth(books: Books, to: bytes, amount: int) -> None:
    """From the contract, by a call with value."""
    habits = books.habit(to)
    if to == books.court or habits.kind not in ("person", "wallet"):
        raise Refused("", "takes no ETH")
    if habits.burns:
        raise Refused("", "burns the gas")
    if not habits.accepts:
        raise Refused("no thanks", "wallet")
    _shift(books, ETH, books.court, to, amount, amount)


def transfer(books: Books, asset: bytes, sender: bytes, to: bytes, amount: int) -> int | None:
    """A token's transfer; what it answers, None if nothing."""
    habits = books.habit(asset)
    match habits.kind:
        case "plain" | "permit":
            _shift(books, asset, sender, to, amount, amount)
            return 1
        case "silent":
            _shift(books, asset, sender, to, amount, amount)
            return None
        case "hostile":
            return _hostile(books, asset, sender, to, amount)
        case _:
            raise Refused("", "no token there")


def _hostile(books: Books, asset: bytes, sender: bytes, to: bytes, amount: int) -> int:
    habits = books.habit(asset)
    if books.banned.get((asset, to)):
        raise Refused("banned", "receiver")
    if habits.burns:
        raise Refused("", "token burns the gas")
    if habits.hook is not None:
        try:
            assert books.execute is not None
            books.execute(books, asset, habits.hook)
            books.hook_worked = True
            books.fired[f"hook: {habits.hook.name} got in"] += 1
        except Refused as refused:
            books.hook_worked = False
            books.fired[f"hook: {habits.hook.name} refused: {refused.path}"] += 1
    if habits.lies:
        return 0
    if habits.silent_thief:
        return 1
    fee = amount * FEE_PERCENT // 100 if habits.takes_fee else 0
    _shift(books, asset, sender, to, amount, amount - fee)
    if habits.answer == 0 and sender == books.court:
        books.broken.add(asset)
    return habits.answer


def _shift(books: Books, asset: bytes, sender: bytes, to: bytes, amount: int, arrives: int) -> None:
    if books.balance(asset, sender) < amount:
        raise Refused("", "balance too small")
    books.balances[asset, sender] = books.balance(asset, sender) - amount
    books.balances[asset, to] = books.balance(asset, to) + arrives


def fetch(books: Books, asset: bytes, sender: bytes, amount: int) -> int:
    """A deposit by transferFrom: what arrives."""
    if books.habit(asset).kind in ("person", "wallet"):
        raise Refused("", "no token there")
    before = books.balance(asset, books.court)
    if books.habit(asset).kind == "permit":
        allowed = books.allowances.get((asset, sender), 0)
        if allowed < amount:
            raise Refused("", "allowance too small")
        books.allowances[asset, sender] = allowed - amount
    elif amount >= 2**200:
        raise Refused("", "allowance too small")
    _require_yes(transfer(books, asset, sender, books.court, amount), "deposit: transfer failed")
    return books.balance(asset, books.court) - before


def _require_yes(answer: int | None, words: str) -> None:
    if answer == 0:
        raise Refused(words, "token says no")
    if answer not in (None, 1):
        raise Refused("", "an answer that is no bool")


def push(books: Books, asset: bytes, to: bytes, amount: int) -> None:
    """Pay out; a push that fails becomes a credit."""
    if amount == 0:
        return
    saved = books.save()
    try:
        if asset == ETH:
            pay_eth(books, to, amount)
            paid = True
        else:
            paid = transfer(books, asset, books.court, to, amount) != 0
        why = "token says no"
    except Refused as refused:
        books.restore(saved)
        paid, why = False, refused.path
    if paid:
        books.fired["pushed"] += 1
        return
    books.fired[f"credited: {why}"] += 1
    books.credits[asset, to] = books.credits.get((asset, to), 0) + amount


def claim_credit(books: Books, sender: bytes, asset: bytes, to: bytes) -> None:
    if not books.credits.get((asset, sender)):
        raise Refused("credit: nothing owed")
    _fetch_credit(books, sender, asset, to)


def claim_credits(books: Books, sender: bytes, assets: list[bytes], to: bytes) -> None:
    for asset in assets:
        if books.credits.get((asset, sender)):
            _fetch_credit(books, sender, asset, to)
        else:
            books.fired["credits: one of which nothing is owed"] += 1


def _fetch_credit(books: Books, sender: bytes, asset: bytes, to: bytes) -> None:
    amount = books.credits.pop((asset, sender))
    if asset == ETH:
        pay_eth(books, to, amount)
    else:
        _require_yes(transfer(books, asset, books.court, to, amount), "credit: transfer failed")


def permit(
    books: Books, asset: bytes, owner: bytes, amount: int, deadline: int, v: int, r: bytes, s: bytes
) -> None:
    """[EIP-2612], of the token that has it; the spender is the contract."""
    if books.habit(asset).kind != "permit":
        raise Refused("", "no permits here")
    if books.now_s > deadline:
        raise Refused("permit expired", "token")
    nonce = books.nonces.get((asset, owner), 0)
    domain = chain_domain("Permit Token", CHAIN_ID, asset)
    digest = typed(domain, hash_struct(PERMIT, owner, books.court, amount, nonce, deadline))
    number = int.from_bytes(s, "big")
    if v not in (27, 28) or recover(digest, r, number, v - 27) != owner:
        raise Refused("invalid permit", "token")
    books.nonces[asset, owner] = nonce + 1
    books.allowances[asset, owner] = amount
