"""Contract and books side by side: who there is, what is deployed, and whether both agree."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.evm import Party, party
from channeld.wire.eip712 import keccak
from contracts.artifacts import adjudicator, erc20_test_token
from contracts.compile import HERE
from tests.contracts.hostile import build
from tests.contracts.model.books import ETH, Books, Habits, Params, Refused
from tests.contracts.model.calls import Blob, Call
from tests.contracts.model.engine import GAS, Engine, slot_in, slots_of
from tests.contracts.model.law import execute
from tests.contracts.model.money import CHAIN_ID
from tests.contracts.model.signing import chain_domain, word

START_S = 1_800_000_000
PURSE = 2**97
"""More than a deposit can hold, so that the limit can be met."""

alice, bob, carol, mallory = (party(name) for name in ("alice", "bob", "carol", "mallory"))
CAST = (alice, bob, carol, mallory)
TOKENS = {
    "plain": "test_token",
    "silent": "silent_token",
    "hostile": "hostile_token",
    "permit": "permit_token",
}
HOSTILE = Path(build.__file__).parent


class Disagreement(AssertionError):
    """Contract and model are not of one opinion."""


@dataclass(slots=True)
class World:
    """One engine with all contracts deployed; `reset` makes it new."""

    engine: Engine
    court: bytes = b""
    wallet: Party = field(default_factory=lambda: Party("wallet", bytes(32), b""))
    tokens: dict[str, bytes] = field(default_factory=dict)
    books: Books = field(init=False)
    assets: dict[bytes, bytes] = field(default_factory=dict)  # channel id => asset
    slots: dict[str, int] = field(default_factory=dict)
    _cells: dict[bytes, int] = field(default_factory=dict)  # token => slot of its balances
    _hook_slot: int = 0

    def __post_init__(self) -> None:
        engine = self.engine
        engine.now_s, engine.number = START_S, 1_000
        self.court = engine.deploy(adjudicator())
        self.slots = slots_of(HERE / "adjudicator.vy")
        self.wallet = replace(self.wallet, address=engine.deploy(build.hostile("wallet")))
        for kind, source in TOKENS.items():
            path = HERE / f"{source}.vy" if kind == "plain" else HOSTILE / f"{source}.vy"
            artifact = erc20_test_token() if kind == "plain" else build.hostile(source)
            self.tokens[kind] = engine.deploy(artifact)
            self._cells[self.tokens[kind]] = slots_of(path)["balanceOf"]
        self._hook_slot = slots_of(HOSTILE / "hostile_token.vy")["hook_worked"]
        for who in CAST:
            engine.fund(who.address, PURSE)
        engine.fund(self.wallet.address, PURSE)
        self._hand_out()
        engine.mark()

    def _hand_out(self) -> None:
        engine = self.engine
        self.as_wallet(self.wallet.address, Call("behave_wallet", (1, 0)))
        for kind, token in self.tokens.items():
            for who in (*CAST, self.wallet):
                engine.send(alice.address, token, Call("mint", (who.address, PURSE)).data)
                if kind == "permit":
                    continue
                approve = Call("approve", (self.court, 2**200))
                if who is self.wallet:
                    self.as_wallet(token, approve)
                else:
                    engine.send(who.address, token, approve.data)

    def reset(self) -> None:
        self.engine.rewind()
        self.engine.now_s, self.engine.number = START_S, 2_000
        books = Books(self.court, chain_domain("channeld", CHAIN_ID, self.court), START_S)
        books.execute = execute
        for asset in (ETH, *self.tokens.values()):
            for who in (*CAST, self.wallet):
                books.balances[asset, who.address] = PURSE
        books.habits = {token: Habits(kind) for kind, token in self.tokens.items()}
        books.habits[self.wallet.address] = Habits("wallet")
        self.books = books
        self.assets = {}

    def name_of(self, address: bytes) -> str:
        known = {who.address: who.name for who in (*CAST, self.wallet)}
        known |= {token: kind for kind, token in self.tokens.items()} | {self.court: "court", ETH: "ETH"}
        return known.get(address, address.hex()[:8])

    def told(self, value: object) -> str:
        """For people to read."""
        match value:
            case Params():
                ends = f"{self.name_of(value.a)}-{self.name_of(value.b)}"
                return f"<{ends} {self.name_of(value.asset)} {value.period_s} s #{value.config % 2**216}>"
            case Call():
                tail = f" + {value.tail.hex()}" if value.tail else ""
                return f"{value.name}{self.told(value.args)}{tail}" + f" {value.value_wei} wei" * (
                    value.value_wei > 0
                )
            case tuple() | list():
                return f"({', '.join(map(self.told, value))})"
            case bytes():
                return self.name_of(value) if len(value) == 20 else value.hex()[:8] + "…"
            case _:
                return str(value)

    # -- doing --

    def as_wallet(self, to: bytes, call: Call, gas: int = GAS) -> None:
        run = Call("run", (to, Blob(call.data), call.value_wei))
        self.engine.send(alice.address, self.wallet.address, run.data, 0, gas)

    def act(self, sender: bytes, call: Call, gas: int = GAS) -> Refused | None:
        """Call the contract and the model; both must do the same, down to the words of a refusal.

        Below `GAS` the contract may also revert for that, but nothing else may then happen.
        """
        self.engine.number += 1
        books = self.books
        books.now_s, books.salt = self.engine.now_s, self.engine.salt()
        said = self._ask_contract(sender, call, gas)
        if gas < GAS and said is not None:
            for kind in ("ETH", "token"):
                if said.words == "payout: too little gas" and (kind == "ETH") == (call_asset(call) == ETH):
                    books.fired[f"{said.words} [{kind}]"] += 1
            return said
        meant = None
        try:
            execute(books, sender, call)
        except Refused as refused:
            meant = refused
        if (said is None) != (meant is None) or (said and meant and said.words != meant.words):
            raise Disagreement(f"contract: {_told(said)}; model: {_told(meant)}")
        if said is None:
            self._remember(call)
            self.compare()
        return meant

    def _ask_contract(self, sender: bytes, call: Call, gas: int) -> Refused | None:
        try:
            if sender == self.wallet.address:
                self.as_wallet(self.court, call, gas)
            else:
                self.engine.send(sender, self.court, call.data, call.value_wei, gas)
        except Refused as refused:
            return refused
        return None

    def _remember(self, call: Call) -> None:
        if call.args and isinstance(call.args[0], Params):
            self.note(call.args[0])

    def note(self, params: Params) -> None:
        self.assets[params.id(self.books.domain)] = params.asset

    def habituate(self, address: bytes, call: Call) -> None:
        """Change the habits of a token or wallet; anybody may."""
        self.engine.number += 1
        self.engine.send(mallory.address, address, call.data)

    # -- comparing --

    def compare(self) -> None:
        """All storage that the model speaks of, all balances, and that nothing is owed in vain."""
        books, engine, court = self.books, self.engine, self.court
        expected: dict[tuple[str, tuple[bytes, ...]], int] = {}
        for identity, channel in books.channels.items():
            expected["channels", (identity,)] = channel.slot
            standing = books.disputes.get(identity)
            expected["disputes", (identity,)] = standing.slot(identity) if standing else 0
        for lock, seen_s in books.registries.secrets.items():
            expected["secrets", (lock,)] = seen_s
        for (feed, instant_s), (published_s, price) in books.registries.prices.items():
            expected["prices", (_price_key(feed, instant_s),)] = published_s << 128 | price
        owed = {asset: books.owed(asset, self.assets) for asset in (ETH, *self._cells)}
        for asset in owed:
            for who in (*CAST, self.wallet):
                expected["credits", (asset, who.address)] = books.credits.get((asset, who.address), 0)
        for (name, keys), value in expected.items():
            found = engine.storage(court, slot_in(self.slots[name], *keys))
            if found != value:
                raise Disagreement(f"{name} of {[key.hex() for key in keys]}: {found:x}, model: {value:x}")
        for (asset, owner), value in books.balances.items():
            if asset == ETH:
                found = engine.balance_wei(owner)
            else:
                found = engine.storage(asset, slot_in(self._cells[asset], owner))
            if found != value:
                names = f"{self.name_of(owner)} has {found} of {self.name_of(asset)}"
                raise Disagreement(f"{names}, model: {value}")
        if bool(engine.storage(self.tokens["hostile"], self._hook_slot)) != books.hook_worked:
            raise Disagreement(f"the call inside a transfer; model: {books.hook_worked}")
        for asset, amount in owed.items():
            held = books.balance(asset, court)
            if held < amount and asset not in books.broken:
                raise Disagreement(f"holds {held} of {self.name_of(asset)}, owes {amount}")


def call_asset(call: Call) -> bytes:
    """What a call pays out, ETH if nothing."""
    first = call.args[0] if call.args else ETH
    if isinstance(first, Params):
        return first.asset
    asset: bytes = call.args[1] if call.name == "settle_batch" else first
    return asset


def _price_key(feed: bytes, instant_s: int) -> bytes:
    return keccak(feed + word(instant_s))


def _told(refused: Refused | None) -> str:
    return "done" if refused is None else f"refused ({refused.path or 'no words'})"
