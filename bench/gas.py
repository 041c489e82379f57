"""What each call of the adjudicator costs: gas of the whole transaction, by the rules of Prague.

Deterministic: the committed bytecode on the in-process EVM. Conditions: the sender is a party and signs
nothing itself, payees exist, token balances are not zero, amounts and salts have few zero bytes.
`--write` keeps the figures in contracts/gas.json, which a test compares with a new run.
"""

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random

from bench.evm import Arena, Channel, Contract, Court, Party, party, with_claims
from channeld.core.claims import Claim, OptionTerms, PayoffKind, State
from channeld.core.identity import ETH
from channeld.core.operations import MAX_CLAIMS_PER_SIDE
from channeld.wire.eip712 import Feed, price_digest
from contracts.artifacts import erc20_test_token

GAS_FILE = Path(__file__).parents[1] / "contracts" / "gas.json"
PERIOD_S = 86_400
DEPOSIT = 1_234_567_890_123_456_789
BATCH = 20
CHANNELS = 100
NETTED = 16
BLOCK_GAS = 30_000_000
CHANNEL_CLAIMS = 2 * MAX_CLAIMS_PER_SIDE

LIMITS = {
    "open_eth": 50_000,
    "open_erc20": 68_000,
    "deposit_eth": 32_000,
    "deposit_erc20": 50_000,
    "close_eth": 55_000,
    "close_erc20": 62_000,
    "challenge": 60_000,
    "respond": 40_000,
    "settle_eth": 50_000,
    "settle_erc20": 57_000,
    "secret": 46_000,
    "secret_each": 24_800,
    "lock_each": 3_600,
    "option_each": 3_300,
    "price_2of3": 58_000,
    "settle_batch_each": 20_000,
}
"""The marks that this contract keeps."""

OTHERS = {
    "open_eth": "Nitro 46.5k",
    "open_erc20": "Raiden 142.7k, Nitro 69.9k, Perun 69.0k, Nitrolite 582k",
    "close_eth": "Nitro 111.5k",
    "close_erc20": "Raiden 128.7k, Nitro 112.7k, Perun 254k, Nitrolite 204k",
    "challenge": "Raiden 137.7k, Nitro 113.1k, Perun 108.8k, Nitrolite 254k",
    "respond": "Raiden 90.5k, Nitro 73.6k, Perun 76.8k, Nitrolite 197k",
    "settle_erc20": "Raiden 93.2k, Nitro 82.0k, Perun 206k, Nitrolite 119k",
    "secret": "Raiden 46.2k",
    "lock_each": "Raiden 4.2k",
}
"""Measured on other systems' contracts (docs/decisions.md)."""


class Scene:
    """Two funded parties, a token, an adjudicator, and a source of bytes that repeats itself."""

    def __init__(self) -> None:
        self.random = Random(2026)
        self.arena = Arena()
        self.court = Court(self.arena)
        token = erc20_test_token()
        self.token = Contract(self.arena, token, self.arena.deploy(token))
        self.alice, self.bob = party("alice"), party("bob")
        for who in (self.alice, self.bob):
            self.enrich(who)
        self.token.send(self.alice, "mint", self.court.address, 1)
        self.signers = sorted((party(f"signer {n}") for n in range(3)), key=lambda who: who.address)
        self.feed = Feed("ETH/USD", 8, 1, 2, 12, tuple(who.address for who in self.signers))

    def enrich(self, who: Party) -> None:
        self.arena.fund(who.address, 10**24)
        self.token.send(who, "mint", who.address, 10**24)
        self.token.send(who, "approve", self.court.address, 2**256 - 1)

    def channel(self, asset: bytes) -> Channel:
        return self.court.channel(self.alice, self.bob, asset, PERIOD_S, self.random.getrandbits(216))

    def funded(self, asset: bytes) -> Channel:
        channel = self.channel(asset)
        self.court.deposit(channel.a, channel, channel.a, DEPOSIT)
        self.court.deposit(channel.b, channel, channel.b, DEPOSIT)
        return channel

    def with_peer(self, asset: bytes, index: int) -> Channel:
        """A channel of alice with a peer of its own, funded by both."""
        peer = party(f"peer {index}")
        self.enrich(peer)
        salt = self.random.getrandbits(216)
        channel = self.court.channel(self.alice, peer, asset, PERIOD_S, salt)
        for who in (self.alice, peer):
            self.court.deposit(who, channel, who, DEPOSIT)
        return channel

    def secret(self) -> bytes:
        return self.random.randbytes(32)

    def settlement_gas(self, state: State, asset: bytes = ETH) -> int:
        """Of settling `state` of a new channel after its window. Nothing is left behind."""
        with self.arena.rehearsal():
            channel = self.funded(asset)
            challenged = self.court.send(channel.a, "challenge", *channel.signed_state(state))
            salt = challenged.event("Challenged")["salt"]
            self.arena.now_s += PERIOD_S
            return self.court.settle_state(channel.a, channel, state, salt).gas


def deposits(scene: Scene) -> dict[str, int]:
    """open_* and deposit_*: the first deposit opens; the second is the other side's."""
    gas: dict[str, int] = {}
    for name, asset in (("eth", ETH), ("erc20", scene.token.address)):
        channel = scene.channel(asset)
        gas[f"open_{name}"] = scene.court.deposit(channel.a, channel, channel.a, DEPOSIT).gas
        gas[f"deposit_{name}"] = scene.court.deposit(channel.b, channel, channel.b, DEPOSIT).gas
    return gas


def closes(scene: Scene) -> dict[str, int]:
    """close_*: one party sends what the other has signed."""
    gas: dict[str, int] = {}
    for name, asset in (("eth", ETH), ("erc20", scene.token.address)):
        channel = scene.funded(asset)
        until_s = scene.arena.now_s + 3_600
        gas[f"close_{name}"] = scene.court.send(
            channel.a, "close", *channel.signed_close(DEPOSIT // 7, until_s)
        ).gas
    return gas


def disputes(scene: Scene) -> dict[str, int]:
    """challenge, respond and settle_* of states without claims."""
    gas: dict[str, int] = {}
    for name, asset in (("eth", ETH), ("erc20", scene.token.address)):
        channel = scene.funded(asset)
        old, new = State(4_001, DEPOSIT // 9), State(4_002, DEPOSIT // 7)
        challenge = scene.court.send(channel.a, "challenge", *channel.signed_state(old))
        respond = scene.court.send(channel.b, "respond", *channel.signed_state(new))
        gas["challenge"] = max(challenge.gas, gas.get("challenge", 0))
        gas["respond"] = max(respond.gas, gas.get("respond", 0))
        scene.arena.now_s += PERIOD_S
        salt = respond.event("Challenged")["salt"]
        gas[f"settle_{name}"] = scene.court.settle(channel.a, channel, new.net, salt).gas
    return gas


def secrets(scene: Scene) -> dict[str, int]:
    """One secret alone; secret_each is a batch of 20 divided by 20."""
    one = scene.court.send(scene.alice, "register_secret", scene.secret()).gas
    batch = scene.court.send(scene.alice, "register_secrets", [scene.secret() for _ in range(BATCH)]).gas
    return {"secret": one, "secret_each": round(batch / BATCH)}


def prices(scene: Scene) -> dict[str, int]:
    """price_2of3, and the price stays for the options below."""
    expiry_s = expiry_of(scene)
    price = 3_456_78901234
    digest = price_digest(scene.feed.feed_id, expiry_s, price)
    proofs = [scene.signers[0].sign(digest), scene.signers[2].sign(digest)]
    definition = scene.feed.definition
    mined = scene.court.send(scene.alice, "publish_price", definition, expiry_s, price, proofs)
    return {"price_2of3": mined.gas}


def expiry_of(scene: Scene) -> int:
    return scene.arena.now_s // 3_600 * 3_600


def claims(scene: Scene) -> dict[str, int]:
    """lock_each and option_each: the slope of a settlement from 2 claims to 42."""
    price = prices(scene)
    locks = [make_lock(scene, index) for index in range(42)]
    options = [make_option(scene, index) for index in range(42)]
    return price | {"lock_each": slope(scene, locks), "option_each": slope(scene, options)}


def slope(scene: Scene, made: Sequence[Claim]) -> int:
    few, many = (
        scene.settlement_gas(with_claims(State(9, DEPOSIT // 7), *part)) for part in (made[:2], made)
    )
    return round((many - few) / (len(made) - 2))


def make_lock(scene: Scene, index: int) -> Claim:
    """A hash-locked transfer whose secret is registered; the payers alternate."""
    preimage = scene.secret()
    scene.court.send(scene.alice, "register_secret", preimage)
    amount = scene.random.randrange(10**15, 10**16)
    return Claim(index, amount, sha256(preimage).digest(), scene.arena.now_s + 2 * PERIOD_S)


def make_option(scene: Scene, index: int) -> Claim:
    """An option of the published group: calls and puts in turn, without a hashlock."""
    strike = scene.random.randrange(2_000 * 10**8, 5_000 * 10**8)
    kind, bound = (PayoffKind.CALL, 2 * strike) if index % 4 < 2 else (PayoffKind.PUT, 0)
    terms = OptionTerms(kind, scene.feed.feed_id, expiry_of(scene), strike, bound)
    return Claim(index, scene.random.randrange(10**12, 10**13), None, 0, terms)


def batches(scene: Scene) -> dict[str, int]:
    """settle_batch_each: 100 channels of one hub, divided by 100; the dearer of the two assets."""
    gas = []
    for asset in (ETH, scene.token.address):
        channels = [scene.with_peer(asset, index) for index in range(CHANNELS)]
        exits = []
        for channel in channels:
            peer = channel.b if channel.a == scene.alice else channel.a
            state = State(4_001, scene.random.randrange(-DEPOSIT // 2, DEPOSIT // 2))
            mined = scene.court.send(channel.a, "challenge", *channel.signed_state(state))
            salt = mined.event("Challenged")["salt"]
            exits.append((peer.address, channel.params.config, state.net, salt))
        scene.arena.now_s += PERIOD_S
        mined = scene.court.send(scene.alice, "settle_batch", scene.alice.address, asset, exits)
        assert len([event for event in mined.events if event.name == "Closed"]) == CHANNELS
        gas.append(round(mined.gas / CHANNELS))
    return {"settle_batch_each": max(gas)}


def pending(scene: Scene) -> dict[str, int]:
    """pending_each: of options that stay pending under their own hashlocks, in groups as large as are
    netted and in the worst order for sorting, falling and without overlaps: the dearest claim there is."""
    few, many = (
        scene.settlement_gas(with_claims(State(9, 0), Claim(10**6, 1), *make_pending(scene, groups)))
        for groups in (1, 4)
    )
    return {"pending_each": round((many - few) / (3 * NETTED))}


def make_pending(scene: Scene, groups: int) -> list[Claim]:
    made = []
    for index in range(groups * NETTED):
        expiry_s = scene.arena.now_s + 10**6 + index // NETTED
        strike = (5_000 - 100 * (index % NETTED)) * 10**8
        terms = OptionTerms(PayoffKind.PUT, scene.feed.feed_id, expiry_s, strike, strike - 1)
        made.append(Claim(2 * index + 1, 10**12 + index, scene.secret(), expiry_s - 60, terms))
    return made


SCENES: tuple[Callable[[Scene], dict[str, int]], ...] = (
    deposits,
    closes,
    disputes,
    secrets,
    claims,
    pending,
    batches,
)


CLAIM_KINDS = ("lock_each", "option_each", "pending_each")


def measure() -> dict[str, int]:
    """Gas by key, each group of calls in a scene of its own."""
    gas: dict[str, int] = {}
    for play in SCENES:
        gas |= play(Scene())
    return {key: gas[key] for key in (*LIMITS, *sorted(gas.keys() - LIMITS.keys()))}


def most_claims(gas: dict[str, int], kind: str) -> int:
    """How many claims of one kind a settlement may have that fills a block."""
    return (BLOCK_GAS - gas["settle_eth"]) // gas[kind]


def run(options: list[str]) -> dict[str, int]:
    """Print the table; with --write keep the figures."""
    unknown = set(options) - {"--write"}
    if unknown:
        raise SystemExit(f"gas: expected no option but --write, got {' '.join(sorted(unknown))}")
    gas = measure()
    print(f"{'operation':<20}{'gas':>9}{'mark':>9}  elsewhere")
    for key, spent in gas.items():
        mark = LIMITS.get(key)
        over = "  OVER" if mark is not None and spent > mark else ""
        limit = f"{mark:,}" if mark is not None else ""
        print(f"{key:<20}{spent:>9,}{limit:>9}  {OTHERS.get(key, '')}{over}")
    for kind in CLAIM_KINDS:
        most = most_claims(gas, kind)
        print(
            f"{kind.removesuffix('_each'):<8} claims of one settlement in a 30M-gas block: about {most:,}",
            end="",
        )
        print(f" = {most / CHANNEL_CLAIMS:.1f} times the protocol's limit of {CHANNEL_CLAIMS}")
    if "--write" in options:
        GAS_FILE.write_text(json.dumps(gas, indent=2) + "\n")
    return gas


if __name__ == "__main__":
    run([])
