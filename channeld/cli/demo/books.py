"""What everybody should own, kept beside the story by plain arithmetic, and held against what they do own."""

from dataclasses import dataclass, field

from rich.table import Table

from channeld.cli.demo.stage import DemoFailed, Stage

USD = 10**6
"""Smallest units of the demonstration's token in one."""

PEOPLE = ("alice", "bob", "carol")


@dataclass(frozen=True, slots=True)
class Holding:
    """What one person has of one asset, in smallest units."""

    on_chain: int
    in_channels: int

    @property
    def total(self) -> int:
        return self.on_chain + self.in_channels


@dataclass(slots=True)
class Books:
    """Expected token totals by person. ETH pays for gas and is only shown."""

    expected: dict[str, int] = field(default_factory=dict)

    def move(self, payer: str, payee: str, amount: int) -> None:
        """`amount` smallest units of the token should have changed hands."""
        self.expected[payer] -= amount
        self.expected[payee] += amount

    def check(self, actual: dict[str, dict[str, Holding]], act: str) -> None:
        """Every total must be as expected, to the last unit. Raises DemoFailed."""
        for who, holdings in actual.items():
            found = holdings["USD"].total
            if found != self.expected[who]:
                raise DemoFailed(
                    f"after {act}: expected {who} to own {self.expected[who]} smallest units of USD, "
                    f"found {found} ({found - self.expected[who]:+d})"
                )


def holdings_of(stage: Stage, who: str) -> dict[str, Holding]:
    """By symbol, as the daemon of `who` says."""
    info = stage.of(who, "info")
    return {
        asset["symbol"]: Holding(int(asset["on_chain"]), int(asset["in_channels"]))
        for asset in info["assets"]
    }


def balance_table(title: str, actual: dict[str, dict[str, Holding]], books: Books) -> Table:
    """One row a person; the last column says whether the total is as expected, to the last unit."""
    table = Table(title=title, title_justify="left")
    for heading in ("", "ETH on chain", "ETH in channels", "USD on chain", "USD in channels", "USD in all"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_column("expected")
    for who, holdings in actual.items():
        eth, usd = holdings["ETH"], holdings["USD"]
        met = usd.total == books.expected[who]
        table.add_row(
            who,
            f"{eth.on_chain / 10**18:,.4f}",
            f"{eth.in_channels / 10**18:,.4f}",
            f"{usd.on_chain / USD:,.6f}",
            f"{usd.in_channels / USD:,.6f}",
            f"{usd.total / USD:,.6f}",
            "met" if met else f"NO: {books.expected[who] / USD:,.6f}",
        )
    return table
