"""The network of the demonstration: chain, contracts, oracle, people; all asked through the public CLI."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from rich.table import Table

from channeld.adapters.chain.rpc import RpcClient, RpcSettings
from channeld.cli.demo.books import USD
from channeld.cli.demo.stage import Stage, free_port
from channeld.core.identity import ETH
from channeld.services.audit import Audit, audit
from channeld.services.devchain.accounts import development_account
from channeld.wire.address import checksummed

MINTED_EACH = 100_000 * USD
ETH_EACH = 100
FEED = "ETH/USD"
ORACLES = ("oracle-1", "oracle-2", "oracle-3")
THRESHOLD = 2
ON_DEMAND = ("--block-interval", "0")
"""Blocks only when there is something in them, so that the story can show where there is nothing."""
GRACE_H = 24
CLOCK_SKEW_LIMIT_S = 3_600
"""The story moves the chain's clock by 40 minutes in all; a real daemon would stop at two."""


class Network:
    """Addresses, ids and ports, and what one does with them."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.contracts: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        self.accounts: dict[str, str] = {}
        self.ports: dict[str, int] = {}
        self.oracles: dict[str, str] = {}
        self.feed = ""
        self.chain_id = 0
        self.given = {"ETH": 0, "USD": 0}

    # --- chain and oracle ---------------------------------------------------------------------------

    def start_chain(self, tell: Callable[[str], None]) -> None:
        """An embedded EVM and the contracts on it."""
        ready = self.stage.spawn("chain", "--json", "chain", "dev", "--port", "0", *ON_DEMAND, ready='"url"')
        started = json.loads(ready)
        self.stage.rpc_url, self.chain_id = started["url"], started["chain_id"]
        tell(f"an embedded EVM chain serves JSON-RPC at {self.stage.rpc_url}")
        self.contracts = self.stage.cli(
            "chain", "deploy", "--dev-account", "0", "--token", "--rpc", self.stage.rpc_url
        )
        tell(f"adjudicator at {self.contracts['adjudicator']}, test token at {self.contracts['token']}")

    def start_oracles(self, tell: Callable[[str], None]) -> None:
        """Three oracles with a key each, of which two must sign the same price."""
        signers = [development_account(label).address for label in ORACLES]
        self.feed = f"pair={FEED},threshold={THRESHOLD},grace_h={GRACE_H}," + ",".join(
            f"signers={checksummed(address)}" for address in signers
        )
        for label in ORACLES:
            options = ("--dev-account", label, "--feed", self.feed, "--port", "0")
            directory = str(self.stage.directory / label)
            arguments = ("--json", "--data-dir", directory, "oracle", "run", *options)
            ready = self.stage.spawn(label, *arguments, "--chain-rpc", self.stage.rpc_url, ready='"url"')
            self.oracles[label] = json.loads(ready)["url"]
        tell(f"{len(ORACLES)} oracles sign {FEED}; the same price by {THRESHOLD} of them counts")

    def sign_price(self, instant_s: int, usd: int) -> None:
        """The operators of as many oracles as are needed have a price signed."""
        for label in ORACLES[:THRESHOLD]:
            directory = str(self.stage.directory / label)
            asked = ("oracle", "publish", str(usd), "--at", str(instant_s), "--url", self.oracles[label])
            self.stage.cli("--data-dir", directory, *asked)

    def chain_time_s(self) -> int:
        """The chain's clock: that of a block mined now."""
        return self._advance("0")

    def advance(self, seconds: int) -> None:
        """Move the chain's clock ahead of its newest block; only a development chain can do that."""
        self.advance_to(self.chain_time_s() + seconds)

    def advance_to(self, at_s: int) -> None:
        """Move the chain's clock to `at_s` unless it is later already.

        To an instant and not by a difference: blocks mined in one second of the wall's clock stand ahead
        of it, and a difference would be lost to that.
        """
        if self.chain_time_s() < at_s:
            self._advance("--to", str(at_s))

    def _advance(self, *arguments: str) -> int:
        block = self.stage.cli("chain", "advance", *arguments, "--rpc", self.stage.rpc_url)
        return int(block["block_time_s"])

    def block_number(self) -> int:
        """The newest block that alice's daemon has seen."""
        return int(self.stage.of("alice", "info")["block_number"])

    # --- people -------------------------------------------------------------------------------------

    def make_person(self, who: str) -> None:
        """A data directory with a key and a configuration."""
        self.ports[who], api_port = free_port(), free_port()
        asset = f"address={self.contracts['token']},symbol=USD,decimals=6,max_size_units={10**12}"
        urls = "".join(f",urls={url}" for url in self.oracles.values())
        made = self.stage.of(
            who,
            "init",
            "--alias",
            who,
            "--chain-rpc",
            self.stage.rpc_url,
            "--chain-id",
            str(self.chain_id),
            "--adjudicator",
            self.contracts["adjudicator"],
            "--listen-host",
            "127.0.0.1",
            "--listen-port",
            str(self.ports[who]),
            "--api-port",
            str(api_port),
            "--asset",
            asset,
            "--feed",
            self.feed + urls,
            "--light-kdf",
            *self._settings(),
        )
        self.ids[who], self.accounts[who] = made["node_id"].removeprefix("0x"), made["address"]

    def _settings(self) -> list[str]:
        settings = (
            "chain.confirmations=1",
            "chain.poll_interval_s=0.2",
            f"chain.clock_skew_limit_s={CLOCK_SKEW_LIMIT_S}",
            "channel.challenge_period_s=600",
            "channel.min_challenge_period_s=600",
            "option.quoting=true",
            f'option.underlyings=["{FEED}"]',
            "option.quote_lifetime_s=60",
        )
        return [part for setting in settings for part in ("--set", setting)]

    def run_person(self, who: str, *, offline: bool = False) -> None:
        """Start a daemon and wait until it answers."""
        more = ("--offline",) if offline else ()
        data_dir = str(self.stage.directory / who)
        self.stage.spawn(who, "--data-dir", data_dir, "--json", "run", *more, ready='"api"')

    def fund(self, who: str) -> int:
        """Play money: ETH from the chain's faucet, freshly minted tokens. Returns the tokens given."""
        account, rpc = self.accounts[who], ("--rpc", self.stage.rpc_url)
        self.stage.cli("chain", "faucet", f"{ETH_EACH} ETH", account, *rpc)
        token = ("--token", self.contracts["token"])
        self.stage.cli("chain", "faucet", str(MINTED_EACH // USD), account, *token, *rpc)
        self.given["USD"] += MINTED_EACH
        self.given["ETH"] += ETH_EACH * 10**18
        return MINTED_EACH

    def connect(self, one: str, other: str) -> None:
        self.stage.of(one, "connect", f"{self.ids[other]}@127.0.0.1:{self.ports[other]}")

    def open(self, one: str, other: str, symbol: str, amount: str, other_amount: str) -> str:
        """A channel that both fund; its id."""
        opened = self.stage.of(one, "open", self.ids[other], f"{amount} {symbol}")
        channel_id: str = opened["channel_id"]
        self.stage.of(other, "deposit", channel_id, f"{other_amount} {symbol}")
        return channel_id

    def is_offered(self, who: str, channel_id: str) -> bool:
        """Whether `who` owes a payment in a channel that also holds one option."""
        return int(self.stage.of(who, "channels", channel_id)["open_claims"]) == 2

    def positions_table(self, who: str, positions: list[dict[str, Any]]) -> Table:
        """The open options of one person."""
        table = Table(title=f"{who}'s positions", title_justify="left")
        for heading in ("option", "side", "with", "contracts", "locked collateral"):
            table.add_column(heading)
        for each in positions:
            payer = who if each["side"] == "short" else each["peer_alias"]
            table.add_row(
                each["name"],
                each["side"],
                each["peer_alias"],
                f"{int(each['size_e8']) / 1e8:g}",
                f"{int(each['locked']) / USD:,.2f} USD, {payer}'s",
            )
        return table

    def audit(self) -> dict[str, Audit]:
        """Where all the money is, from the chain itself."""
        owners = [bytes.fromhex(address[2:]) for address in self.accounts.values()]
        adjudicator, token = (bytes.fromhex(self.contracts[name][2:]) for name in ("adjudicator", "token"))

        async def look() -> dict[str, Audit]:
            async with RpcClient(RpcSettings(self.stage.rpc_url)) as rpc:
                return {
                    "ETH": await audit(rpc, adjudicator, ETH, owners),
                    "USD": await audit(rpc, adjudicator, token, owners),
                }

        return asyncio.run(look())
