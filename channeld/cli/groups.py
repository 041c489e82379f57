"""The commands that stand below another one."""

from channeld.cli.lazy import Lazy, LazyGroup

option = LazyGroup(
    "option",
    lazy={
        "quote": Lazy("channeld.cli.options", "quote", "Ask a writer for a premium."),
        "buy": Lazy("channeld.cli.options", "buy", "Buy an option."),
        "positions": Lazy("channeld.cli.options", "positions", "List open positions."),
        "trades": Lazy("channeld.cli.options", "trades", "List trades, newest first."),
        "settle": Lazy("channeld.cli.options", "settle", "Settle what has expired, with the peers."),
    },
    help="Quote, buy, list and settle options.",
    epilog="Options are named like ETH-27DEC26-4000-P, or ETH-27DEC26-4000-C:5000 with a call's cap. The "
    "date means 08:00 UTC unless a time follows it: 27DEC26T143000.",
)

chain = LazyGroup(
    "chain",
    lazy={
        "dev": Lazy("channeld.cli.chain_dev", "dev", "Run a development chain."),
        "advance": Lazy("channeld.cli.chain_tools", "advance", "Move a development chain's clock."),
        "faucet": Lazy("channeld.cli.chain_tools", "faucet", "Give play money of a development chain."),
        "deploy": Lazy("channeld.cli.chain_tools", "deploy", "Deploy the adjudicator."),
    },
    help="Run a development chain, move its clock, deploy the contracts.",
)

oracle = LazyGroup(
    "oracle",
    lazy={
        "run": Lazy("channeld.cli.oracle", "run", "Run an oracle in the foreground."),
        "publish": Lazy("channeld.cli.oracle", "publish", "Have a settlement price signed."),
    },
    help="Sign the settlement prices of options.",
)

database = LazyGroup(
    "db",
    lazy={
        "check": Lazy("channeld.cli.database", "check", "Read all of it, and say what is wrong."),
        "export": Lazy("channeld.cli.database", "export", "Print it as lines of JSON."),
        "prune": Lazy("channeld.cli.database", "forget", "Forget old history, and give back the room."),
    },
    help="Check the database that [database] names, dump it readably, forget old history.",
)
