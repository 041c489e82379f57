"""What can be seen wrong without asking anybody is wrong usage: exit code 2, one line, nothing asked or made.

Every parameter of every command is here: with texts that it refuses and what it says to them, or among those
that take anything.
"""

import shlex
from pathlib import Path

import click
import pytest

from channeld.cli.lazy import LazyGroup
from channeld.cli.main import cli
from channeld.wire import bech32m
from tests.cli.conftest import Channeld, Daemon

NODE = "02" + "da" * 32
HASH = "ab" * 32
ADDRESS = "0x" + "ab" * 20
INVOICE = bech32m.encode("chd", bytes(99))
NOBODY = "http://127.0.0.1:1"
PUT = "ETH-27DEC26-4000-P"

RIGHT = {
    "info": "",
    "stop": "",
    "peers": "",
    "connect": f"{NODE}@bob.example:9740",
    "disconnect": "bob",
    "channels": "abc1",
    "open": "bob '1 ETH'",
    "deposit": "abc1 '1 ETH'",
    "close": "abc1",
    "credits": "--claim",
    "invoice": "'1 ETH'",
    "pay": INVOICE,
    "payments": HASH,
    "push": "bob '1 ETH'",
    "streams": "",
    "option quote": f"{PUT} 1 --writer bob",
    "option buy": f"{PUT} 1 --writer bob",
    "option positions": "",
    "option trades": "",
    "option settle": "abc1",
    "db check": "",
    "db export": "",
    "db prune": "--before 1y",
    "run": "",
    "init": "",
    "chain dev": "",
    "chain advance": f"5 --rpc {NOBODY}",
    "chain faucet": f"'1 ETH' {ADDRESS} --rpc {NOBODY}",
    "chain deploy": f"--dev-account 0 --rpc {NOBODY}",
    "oracle run": "--pair ETH/USD",
    "oracle publish": f"4000 --at 1 --url {NOBODY}",
}
"""Each command as it is right; nobody is there to answer."""

AMOUNT = "expected an amount such as '0.5 ETH'"
POSITIVE = {
    "abc": AMOUNT,
    "1.2.3": AMOUNT,
    "1,5 ETH": AMOUNT,
    "1e18": AMOUNT,
    "": AMOUNT,
    "1 ETH ETH": AMOUNT,
    "0 ETH": "expected an amount above 0, got '0 ETH'",
    f"0.{'0' * 36}1": "expected at most 36 decimals, got 37",
}
AMOUNTS = {text: what for text, what in POSITIVE.items() if "above" not in what}
INVOICES = {
    "lnbc1": "expected an invoice (chd1...)",
    INVOICE[:-1]: "expected an invoice (chd1...): the checksum",
}
CHANNEL = {
    "zz": "expected a channel id or at least 3 of its hex digits, got 'zz'",
    "ab": "expected a channel id or at least 3",
    "0x" + "ab" * 33: "expected a channel id",
}
PEER = {
    "": "expected a peer's alias of at most 32 bytes",
    "b" * 33 + "z": "expected a peer's alias of at most 32 bytes",
    "02" + "zz" * 32: "expected a peer's alias of at most 32 bytes",
    NODE + "00": "expected a node id of 66 hex digits",
    "05" + NODE[2:]: "expected a node id of 66 hex digits that begins with 02 or 03",
}
HASHES = {
    "zz": "expected a hash of 64 hex digits, got 'zz'",
    HASH[2:]: "expected a hash",
    "": "expected a hash",
}
ADDRESSES = {
    "0x1234": "expected an address (0x and 40 hex digits)",
    "0xAb" + "ab" * 19: "expected the checksum",
}
ASSET = {"a symbol too long": "expected a symbol of at most 12 characters", "0x" + "ab" * 8: "an address"}
NAME = {
    "ETH": "expected an option's name such as ETH-27DEC26-4000-P",
    "ETH-99DEC26-4000-C": "expected a date",
    "ETH-27DEC26-0-C": "expected a strike above 0",
}
SIZE = {
    "one": AMOUNT,
    "1 ETH": "expected a number of contracts such as 1.5",
    "0": "expected a number of contracts above 0",
    "0.000000001": "expected at most 8 decimals for a number of contracts, got 9",
}
WHOLE = {"x": "is not a valid integer", "1.5": "is not a valid integer"}
PLACE = {"x": "is not a valid integer", "-1": "is not in the range"}
RANGE = {"x": "is not a valid", "0": "is not in the range"}
PORT = {"x": "is not a valid integer", "65536": "65535"}
TIME = {"x": "is not a valid", "-1": "is not in the range"}
URL = {"nowhere": "expected a URL", "ftp://x": "expected a URL", "http://": "expected a URL"}
RPC = {"nowhere": "expected the node's URL", "ftp://x": "expected the node's URL"}
FILE = {"/no/such/file": "No such file"}
MISSING = {"/no/such/file": "does not exist"}

WRONG: dict[str, dict[str, dict[str, str]]] = {
    "info": {"--api": URL, "--data-dir": {__file__: "is a file"}},
    "stop": {"--timeout": {"x": "is not a valid", "-1": "is not in the range"}},
    "peers": {
        "--limit": RANGE,
        "--after": {"zz": "expected a node id of 66 hex digits", NODE[2:]: "node id"},
    },
    "connect": {
        "address": {
            "bob": "expected PUBLIC_KEY@HOST:PORT with a key of 66 hex digits, got 'bob'",
            f"{NODE}@bob.example": "expected PUBLIC_KEY@HOST:PORT",
            f"{NODE}@bob.example:0": "expected a port from 1 to 65535, got 0",
        }
    },
    "disconnect": {"peer": PEER},
    "channels": {"channel": CHANNEL, "--limit": RANGE, "--before": PLACE},
    "open": {
        "peer": PEER,
        "amount": POSITIVE,
        "--asset": ASSET | {"TEST": "expected one asset, got ETH and TEST"},
        "--challenge-period": {"x": "is not a valid", "599": "is not in the range 600<=x<=2592000"},
        "--timeout": RANGE,
    },
    "deposit": {"channel": CHANNEL, "amount": POSITIVE, "--timeout": RANGE},
    "close": {"channel": CHANNEL, "--timeout": RANGE},
    "credits": {"--to": ADDRESSES, "--asset": ASSET, "--timeout": RANGE},
    "invoice": {
        "amount": AMOUNTS,
        "--asset": ASSET | {"TEST": "expected one asset, got ETH and TEST"},
        "--description": {"x" * 640: "expected a description of at most 639 bytes, got 640"},
        "--expiry": RANGE,
        "--count": RANGE,
        "--show": HASHES,
        "--decode": INVOICES,
        "--limit": RANGE,
        "--before": PLACE,
    },
    "pay": {
        "invoice": INVOICES,
        "--amount": POSITIVE,
        "--max-fee": AMOUNTS,
        "--batch": FILE,
        "--in-flight": RANGE,
        "--timeout": RANGE,
    },
    "payments": {
        "hashlock": HASHES,
        "--status": {"paid": "'paid' is not one of"},
        "--limit": RANGE,
        "--before": PLACE,
    },
    "push": {
        "peer": PEER,
        "amount": POSITIVE,
        "--asset": ASSET | {"TEST": "expected one asset, got ETH and TEST"},
        "--stream": {
            "zz": "expected a stream of up to 32 hex digits, got 'zz'",
            "": "expected a stream",
            "1" * 33: "expected a stream",
        },
        "--count": RANGE,
        "--rate": RANGE,
        "--in-flight": RANGE,
        "--timeout": RANGE,
    },
    "streams": {"--limit": RANGE, "--before": PLACE},
    "option quote": {"name": NAME, "size_e8": SIZE, "--writer": PEER, "--asset": ASSET, "--timeout": RANGE},
    "option buy": {
        "name": NAME,
        "size_e8": SIZE,
        "--writer": PEER,
        "--asset": ASSET,
        "--max-premium": AMOUNTS,
        "--timeout": RANGE,
    },
    "option positions": {"--limit": RANGE, "--before": PLACE},
    "option trades": {"--limit": RANGE, "--before": PLACE},
    "option settle": {"channel": CHANNEL, "--timeout": RANGE},
    "db export": {"--output": {"/": "is a directory"}},
    "db prune": {
        "--before": {
            "yesterday": "expected a date like 2026-01-31 or an age like 90d",
            "2999-01-01": "a day",
        },
        "--keep": {"channel": "'channel' is not one of"},
    },
    "run": {"--password-file": MISSING},
    "init": {
        "--chain-rpc": RPC,
        "--chain-id": WHOLE | {"0": "[chain] chain_id: expected a whole number from 1"},
        "--adjudicator": {"0xAb": "[chain] adjudicator: expected an address"},
        "--alias": {"x" * 33: "[node] alias: expected"},
        "--listen-port": WHOLE | {"65536": "[peer] listen_port: expected"},
        "--api-port": WHOLE | {"65536": "[api] port: expected"},
        "--asset": {"symbol": "expected --asset KEY=VALUE,KEY=VALUE, got 'symbol'"},
        "--feed": {"pair=ETH/USD": "[[feed]] threshold: expected a value"},
        "--set": {
            "chain": "expected --set TABLE.KEY=VALUE, got 'chain'",
            "chain.x=1": "expected a known setting",
        },
        "--password-file": MISSING,
    },
    "chain dev": {
        "--port": PORT,
        "--chain-id": WHOLE | {"0": "chain id must be 1 to 2^53-1, not 0"},
        "--accounts": WHOLE | {"1001": "accounts must be 0 to 1000, not 1001"},
        "--balance": {"lots": AMOUNT, "1 TEST": "expected an amount of ETH, got '1 TEST'"},
        "--state": {"/": "is a directory"},
        "--block-interval": {"x": "is not a valid float", "3601": "block interval must be"},
    },
    "chain advance": {"seconds": WHOLE, "--to": TIME | {"7": "expected SECONDS or --to"}, "--rpc": RPC},
    "chain faucet": {"amount": POSITIVE, "address": ADDRESSES, "--token": ADDRESSES, "--rpc": RPC},
    "chain deploy": {"--keystore": MISSING, "--rpc": RPC, "--password-file": MISSING},
    "oracle run": {
        "--pair": {"": "[[feed]] pair: expected", "ETH USD": "[[feed]] pair: expected"},
        "--grace-h": RANGE | {"256": "is not in the range 1<=x<=255"},
        "--feed": {"pair": "expected --feed KEY=VALUE,KEY=VALUE, got 'pair'"},
        "--port": PORT,
        "--chain-rpc": RPC,
        "--password-file": MISSING,
    },
    "oracle publish": {
        "price_e8": {
            "lots": AMOUNT,
            "4000 USD": "expected a price such as 4000.5, got '4000 USD'",
            "0": "expected a price above 0",
            "0.000000001": "expected at most 8 decimals for a price, got 9",
        },
        "--at": TIME,
        "--option": NAME,
        "--url": URL,
    },
}
"""By command and parameter: a text that it cannot take, and what it says then."""

ANYTHING = {
    ("init", "--listen-host"): "a name or an address of this machine; it is tried when the daemon listens",
    ("chain dev", "--host"): "the same",
    ("oracle run", "--host"): "the same",
    ("chain deploy", "--dev-account"): "any label makes a key",
    ("oracle run", "--dev-account"): "any label makes a key",
    ("oracle publish", "--pair"): "the oracle knows its pairs",
    ("db export", "--kind"): "a kind of which there is nothing is an empty list",
}

CASES = [
    (command, name, text, what)
    for command, parameters in WRONG.items()
    for name, texts in parameters.items()
    for text, what in texts.items()
]


def commands(group: click.Command, path: tuple[str, ...] = ()) -> dict[str, click.Command]:
    if not isinstance(group, LazyGroup):
        return {" ".join(path): group}
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        inner = group.get_command(context, name)
        assert inner is not None
        found |= commands(inner, (*path, name))
    return found


COMMANDS = commands(cli)


def spelled(parameter: click.Parameter) -> str:
    return parameter.opts[0] if isinstance(parameter, click.Option) else parameter.name or ""


def with_wrong(command: str, name: str, text: str) -> list[str]:
    """The right command line with another text for one of its parameters."""
    right = shlex.split(RIGHT[command])
    if name.startswith("--"):
        return [*command.split(), *right, name, text]
    arguments = [each.name for each in COMMANDS[command].params if isinstance(each, click.Argument)]
    right[arguments.index(name)] = text
    return [*command.split(), *right]


def test_every_parameter_is_here() -> None:
    for command, found in COMMANDS.items():
        for parameter in found.params:
            name = spelled(parameter)
            if command == "demo" or (isinstance(parameter, click.Option) and parameter.is_flag):
                continue
            if name in ("--api", "--data-dir"):  # those of info, everywhere
                assert command != "info" or name in WRONG[command]
                continue
            assert (name in WRONG.get(command, {})) != ((command, name) in ANYTHING), f"{command} {name}"
    assert set(RIGHT) == set(COMMANDS) - {"demo"}


@pytest.mark.parametrize(("command_name", "name", "text", "what"), CASES)
def test_what_cannot_be_meant_is_wrong_usage(
    command: Channeld, tmp_path: Path, command_name: str, name: str, text: str, what: str
) -> None:
    """Nobody is there: whoever asked would hear of that instead."""
    home = tmp_path / "nowhere"
    said = command("--data-dir", home, *with_wrong(command_name, name, text))
    assert (said.code, what in said.error) == (2, True), said
    assert said.error.startswith("error: ")
    assert f" (Usage: channeld {command_name} " in said.error
    assert not home.exists()


@pytest.mark.parametrize(
    "line",
    [
        f"option buy {PUT} 1 --writer bob --asset TEST --yes --max-premium '1 ETH'",
        f"pay {INVOICE} --amount '1 ETH' --max-fee '0.1 TEST'",
    ],
)
def test_two_assets_where_there_is_one(command: Channeld, tmp_path: Path, line: str) -> None:
    said = command("--data-dir", tmp_path / "nowhere", *shlex.split(line))
    assert (said.code, said.error.startswith("error: expected one asset, got ETH and TEST (Usage: ")) == (
        2,
        True,
    )


@pytest.mark.parametrize("command_name", sorted(RIGHT.keys() - {"chain dev"}))  # it would run
def test_the_right_ones_get_further(command: Channeld, tmp_path: Path, command_name: str) -> None:
    home = tmp_path / "nowhere"
    said = command("--data-dir", home, *command_name.split(), *shlex.split(RIGHT[command_name]))
    assert said.code in (1, 3), said


@pytest.mark.parametrize(
    "line",
    [
        "open bob '0.0000000000000000001 ETH'",
        "invoice '0.0000000000000000001 ETH'",
        "push bob '0.0000000000000000001 ETH'",
        "push bob 0.0000001 --asset TEST",
        "deposit {channel} 0.0000000000000000001",
        "pay {invoice} --amount 0.0000000000000000001",
        "pay {invoice} --max-fee 0.0000000000000000001",
        f"option buy {PUT} 1 --writer bob --asset TEST --yes --max-premium 0.0000001",
    ],
)
def test_more_decimals_than_the_asset_has_are_wrong_usage_everywhere(
    alice: Channeld, daemon: Daemon, line: str
) -> None:
    """The daemon says how many there are; nothing is done."""
    channel = alice("open", "bob", "2 ETH", "--json").document["channel_id"]
    invoice = alice("invoice", "0 ETH", "--json").document["invoices"][0]["text"]
    before = alice("info", "--json").document, alice("invoice", "--list", "--json").document
    said = alice(*shlex.split(line.format(channel=channel, invoice=invoice)))
    assert said.code == 2, said
    assert "error: expected at most " in said.err
    assert before == (alice("info", "--json").document, alice("invoice", "--list", "--json").document)
    assert alice("payments", "--json").document["payments"] == []
    assert daemon.node.quotes == {}


def test_more_than_any_channel_holds_is_wrong_usage(alice: Channeld) -> None:
    said = alice("open", "bob", "39614081257.132168796771975168 ETH")
    assert said.code == 2, said
    assert said.error.startswith(
        "error: expected at most 39614081257.132168796771975167 ETH, got 39614081257."
    )


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("deposit {channel} '1 TEST'", "expected an amount of ETH, got '1 TEST'"),
        ("open bob '1 DOGE'", "expected one of the configured assets (ETH, TEST), got 'DOGE'"),
        ("open nobody '1 ETH'", "no peer is called 'nobody'"),
        ("close ffff", "no channel begins with ffff"),
    ],
)
def test_what_only_the_daemon_can_know_is_a_refusal(alice: Channeld, line: str, what: str) -> None:
    channel = alice("open", "bob", "2 ETH", "--json").document["channel_id"]
    said = alice(*shlex.split(line.format(channel=channel)))
    assert (said.code, what in said.error) == (1, True), said
