"""Every setting: its unit in its name, its default, its bounds and its reason.

This is the only place where a setting is described: `channeld.config.file` writes these classes as a
commented file and reads one back. A bound that concerns one value stands in its `About` and is checked
by reading; what concerns several is checked by construction.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from channeld.config.about import About
from channeld.config.neighbours import FlightSettings, PushSettings
from channeld.core.claims import MAX_AMOUNT
from channeld.core.errors import Rejected
from channeld.core.identity import ETH, MAX_CHALLENGE_PERIOD_S, MIN_CHALLENGE_PERIOD_S
from channeld.wire.address import checksummed
from channeld.wire.eip712 import Feed

GWEI = 10**9
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """The daemon itself."""

    alias: Annotated[str, About("Name shown to others; up to 32 bytes, as [BOLT-7] allows.", 0, 32)] = ""
    data_dir: Annotated[
        Path, About("Keys, journal and API token; readable by its owner only. One daemon at a time.")
    ] = field(default_factory=lambda: Path.home() / ".channeld")
    password_file: Annotated[
        Path | None,
        About("Holds the keystore's password, for a start without a prompt; empty: ask, or the environment."),
    ] = None
    log_level: Annotated[
        str,
        About(
            "info has a line for each channel that is opened, topped up, disputed, settled or closed, and "
            "for each transaction for one; debug also for each payment, forward and trade that ends; pushes "
            "have none.",
            one_of=("debug", "info", "warning", "error"),
        ),
    ] = "info"
    log_file: Annotated[Path | None, About("Empty: standard error, where systemd and Docker look.")] = None


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Where the journal is. With PostgreSQL, a second daemon of the same key may stand by elsewhere."""

    url: Annotated[
        str,
        About(
            "postgresql://user@host/database; empty: SQLite in data_dir. A password belongs in ~/.pgpass.",
            like=r"(postgres(ql)?://.+)?",
            secret=True,
        ),
    ] = ""
    lease_s: Annotated[
        float,
        About(
            "A daemon that the database has not heard of for so long loses its place to the one that stands "
            "by; it must outlast a restart of the network, and leave room within 10 s for the other's start.",
            2,
            60,
        ),
    ] = 6.0
    keep_days: Annotated[
        int,
        About(
            "Finished payments, invoices, forwards, trades, and totals of pushes in closed channels are "
            "forgotten after so many days; 0: never. `channeld db prune` does the same once.",
            0,
            36_500,
        ),
    ] = 0


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """The Ethereum node and what its transactions may cost."""

    rpc_url: Annotated[
        str,
        About("JSON-RPC. Who runs it can hide a challenge from you: better your own.", like=r"https?://.+"),
    ] = "http://127.0.0.1:8545"
    chain_id: Annotated[
        int, About("1 is Ethereum's main network. The daemon stops if the node is on another.", 1, 2**53 - 1)
    ] = 1
    adjudicator: Annotated[
        bytes | None, About("Address of the contract that holds the channels; empty: none, nothing can run.")
    ] = None
    confirmations: Annotated[
        int,
        About("Blocks, its own included, before a deposit counts: deeper than reorganisations go.", 1, 256),
    ] = 6
    poll_interval_s: Annotated[
        float, About("Half of a short block time: deadlines are minutes.", Decimal("0.05"), 60)
    ] = 2.0
    max_fee_gwei: Annotated[
        Decimal,
        About("Most paid for a unit of gas; so high because a challenge unanswered costs more.", 0, 10**6),
    ] = Decimal(500)
    tip_gwei: Annotated[Decimal, About("Enough for the next few blocks of most chains.", 0, 10**6)] = Decimal(
        1
    )
    clock_skew_limit_s: Annotated[
        int,
        About(
            "Chain and computer apart by more: no new risk. Ten slots: single ones are missed daily.",
            15,
            3_600,
        ),
    ] = 120
    resubmit_after_s: Annotated[
        int, About("A transaction not mined for so long is sent again at a higher fee. Five slots.", 1, 3_600)
    ] = 60

    @property
    def max_fee_wei(self) -> int:
        return int(self.max_fee_gwei * GWEI)

    @property
    def tip_wei(self) -> int:
        return int(self.tip_gwei * GWEI)

    @property
    def least_registration_s(self) -> int:
        """What it takes on any chain to get a transaction mined whose fee was too low, and confirmed: block
        times are whole seconds."""
        return self.resubmit_after_s + self.confirmations


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """Connections to other daemons."""

    listen_host: Annotated[
        str, About("All interfaces; peers must prove a key before anything is parsed.", 1, 253)
    ] = "0.0.0.0"
    listen_port: Annotated[
        int, About("Below the ports that systems give out by themselves; 0: any free one.", 0, 65_535)
    ] = 9740
    max_strangers: Annotated[
        int,
        About("Connected peers without a channel: keys are free, these places are not. 0: none.", 0, 10_000),
    ] = 64
    handshake_timeout_s: Annotated[
        float, About("Five trips; Tor and satellites need a second each.", Decimal("0.1"), 120)
    ] = 10.0
    ping_interval_s: Annotated[
        float, About("Routers forget an idle connection after 60 s or more.", Decimal("0.1"), 600)
    ] = 20.0


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The local HTTP API that the command line talks to."""

    host: Annotated[str, About("Loopback: whoever reaches it needs only the token to spend.", 1, 253)] = (
        "127.0.0.1"
    )
    port: Annotated[int, About("Next to the peers' port; 0: any free one.", 0, 65_535)] = 9741
    max_body_bytes: Annotated[
        int, About("The largest request is a batch of invoices; 1 MiB is thousands.", 1_024, 2**26)
    ] = 2**20


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """What channels are opened and accepted."""

    challenge_period_s: Annotated[
        int,
        About(
            "Of channels opened here: how long you may be offline and still answer a stale state; also how "
            "long the money is held when the other end vanishes. A day.",
            MIN_CHALLENGE_PERIOD_S,
            MAX_CHALLENGE_PERIOD_S,
        ),
    ] = DAY_S
    min_challenge_period_s: Annotated[
        int,
        About(
            "Shortest accepted from a peer: this daemon must not be down for longer.",
            MIN_CHALLENGE_PERIOD_S,
            MAX_CHALLENGE_PERIOD_S,
        ),
    ] = 3_600
    max_challenge_period_s: Annotated[
        int,
        About(
            "Longest accepted from a peer: as long may it hold your deposit. A week.",
            MIN_CHALLENGE_PERIOD_S,
            MAX_CHALLENGE_PERIOD_S,
        ),
    ] = 7 * DAY_S

    def __post_init__(self) -> None:
        ordered = self.min_challenge_period_s <= self.challenge_period_s <= self.max_challenge_period_s
        if not ordered:
            raise Rejected(
                f"[channel] challenge_period_s: expected {self.min_challenge_period_s} to "
                f"{self.max_challenge_period_s} (the min and max that are accepted from peers), "
                f"got {self.challenge_period_s}"
            )


@dataclass(frozen=True, slots=True)
class PaymentSettings:
    """Payments, as sender and as hop."""

    fee_ppm: Annotated[
        int, About("Taken for forwarding, of the amount, on top of the asset's base.", 0, 10**6)
    ] = 100
    max_fee_ppm: Annotated[int, About("Most paid to hops, of the amount: half a per cent.", 0, 10**6)] = 5_000
    invoice_expiry_s: Annotated[int, About("An hour: prices in an invoice go stale.", 1, 365 * DAY_S)] = 3_600
    deadline_s: Annotated[
        int, About("Room given to a payment to finish; a stuck one locks money for as long.", 60, 30 * DAY_S)
    ] = 600
    max_deadline_s: Annotated[
        int, About("Longest that a forwarded payment may lock this node's money.", 60, 30 * DAY_S)
    ] = 3_600
    secret_margin_s: Annotated[
        int,
        About(
            "A secret not acknowledged so long before its deadline is registered on chain: ten slots. Must "
            "exceed resubmit_after_s and a second for each confirmation; better (confirmations + 2) blocks.",
            10,
            DAY_S,
        ),
    ] = 120
    reorg_margin_s: Annotated[
        int,
        About(
            "So long after a deadline it is certain that nothing was registered in time: five slots.",
            0,
            DAY_S,
        ),
    ] = 60

    def __post_init__(self) -> None:
        if not self.secret_margin_s < self.deadline_s <= self.max_deadline_s:
            raise Rejected(
                f"[payment] deadline_s: expected more than secret_margin_s ({self.secret_margin_s}) "
                f"and at most max_deadline_s ({self.max_deadline_s}), got {self.deadline_s}"
            )


@dataclass(frozen=True, slots=True)
class OptionSettings:
    """Options, as hub and as writer."""

    collateral_fee_ppm_per_day: Annotated[
        int, About("Taken as a hub for collateral it locks: 50 is 1.8 % a year, a staking yield.", 0, 10**6)
    ] = 50
    quoting: Annotated[bool, About("Whether to write options at prices of the built-in quoter.")] = False
    quote_lifetime_s: Annotated[
        int,
        About("Accept-by time. Until then the buyer has a free option: 10 s at 60 % are 0.7 bp.", 1, 300),
    ] = 10
    vol_percent: Annotated[float, About("Annual volatility that is quoted.", Decimal("0.1"), 1_000)] = 60.0
    spread_percent: Annotated[
        float, About("Added to a premium when selling, taken off when buying; of the premium.", 0, 100)
    ] = 5.0
    underlyings: Annotated[
        tuple[str, ...], About("Pairs that are quoted; each needs its [[feed]].", 1, 32)
    ] = ()


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How channels are closed and watched."""

    close_valid_s: Annotated[
        int,
        About("A signed cooperative close can be enforced for so long; 50 slots of full blocks.", 60, DAY_S),
    ] = 600


@dataclass(frozen=True, slots=True)
class AssetSettings:
    """Assets that channels may hold; a channel in any other is not accepted (rebasing tokens lose money)."""

    address: Annotated[bytes, About("Of the token; 20 zero bytes are the chain's own coin.")]
    symbol: Annotated[str, About("Shown to people.", 1, 12)]
    decimals: Annotated[int, About("Smallest units in one: 10 to this power.", 0, 36)]
    min_claim_units: Annotated[
        int,
        About(
            "Smallest claim accepted; to settle one costs 3.5k gas, below which it is trust.", 1, MAX_AMOUNT
        ),
    ] = 1
    min_push_units: Annotated[
        int,
        About("Smallest push that peers are asked for, and that is counted by its stream.", 1, MAX_AMOUNT),
    ] = 1
    fee_base_units: Annotated[int, About("Taken for forwarding, for each payment.", 0, MAX_AMOUNT)] = 0
    max_size_units: Annotated[int, About("Largest option the quoter writes; 0: none.", 0, MAX_AMOUNT)] = 0


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """Who signs a settlement price. Options name the feed; every value is part of its id, except the urls."""

    pair: Annotated[str, About("Printable ASCII, up to 32.", 1, 32, like="[!-~]+")]
    threshold: Annotated[int, About("Signatures needed: more than half of the signers.", 1, 255)]
    signers: Annotated[tuple[bytes, ...], About("Their addresses, in any order.")]
    decimals: Annotated[int, About("Strikes are prices with 8 decimals, so nothing else fits.", 8, 8)] = 8
    grace_h: Annotated[
        int, About("Hours after expiry in which the price may be published; then the option is void.", 1, 255)
    ] = 24
    urls: Annotated[tuple[str, ...], About("Where signed prices are fetched.", like=r"https?://.+")] = ()

    def __post_init__(self) -> None:
        distinct = len(set(self.signers))
        if distinct != len(self.signers) or not distinct // 2 < self.threshold <= distinct:
            raise Rejected(
                f"[[feed]] {self.pair}: expected different signers and a threshold above half of them, "
                f"got {self.threshold} of {distinct} different ones"
            )

    def feed(self) -> Feed:
        """As options and the contract know it (scheme 1: our own signatures)."""
        return Feed(self.pair, self.decimals, 1, self.threshold, self.grace_h, tuple(sorted(self.signers)))


ETH_ASSET = AssetSettings(ETH, "ETH", 18, min_claim_units=GWEI, fee_base_units=GWEI, max_size_units=10**18)


@dataclass(frozen=True, slots=True)
class Config:
    """A whole file: one field a table; `asset` and `feed` are arrays of tables."""

    node: NodeSettings = field(default_factory=NodeSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    chain: ChainSettings = field(default_factory=ChainSettings)
    peer: PeerSettings = field(default_factory=PeerSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    channel: ChannelSettings = field(default_factory=ChannelSettings)
    payment: PaymentSettings = field(default_factory=PaymentSettings)
    flight: FlightSettings = field(default_factory=FlightSettings)
    push: PushSettings = field(default_factory=PushSettings)
    option: OptionSettings = field(default_factory=OptionSettings)
    watch: WatchSettings = field(default_factory=WatchSettings)
    asset: tuple[AssetSettings, ...] = (ETH_ASSET,)
    feed: tuple[FeedSettings, ...] = ()

    def __post_init__(self) -> None:
        chain, margin_s = self.chain, self.payment.secret_margin_s
        if margin_s <= chain.least_registration_s:
            raise Rejected(
                f"[payment] secret_margin_s: expected more than {chain.least_registration_s} ([chain] "
                f"resubmit_after_s, so that a registration can be sent again at a higher fee, and a "
                f"second for each of {chain.confirmations} confirmations), got {margin_s}"
            )
        _require_distinct("[[asset]] address", [checksummed(asset.address) for asset in self.asset])
        pairs = [feed.pair for feed in self.feed]
        _require_distinct("[[feed]] pair", pairs)
        for underlying in self.option.underlyings:
            if underlying not in pairs:
                raise Rejected(
                    f"[option] underlyings: expected pairs that have a [[feed]], got {underlying!r}"
                )


def _require_distinct(what: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise Rejected(f"{what}: expected each only once, got {value} {values.count(value)} times")
