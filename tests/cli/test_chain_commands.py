"""The commands around the chain, with a real development chain and a real oracle in their processes."""

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contracts import artifacts
from tests.cli.conftest import Channeld

CAROL = "0xCA35b7d915458EF540aDe6068dFe2F44E8fa733c"


@contextmanager
def process(*arguments: str, password: str = "") -> Iterator[Any]:
    """A long-running command, and the line of JSON with which it is ready."""
    with subprocess.Popen(
        [sys.executable, "-m", "channeld", "--json", *arguments],
        stdout=subprocess.PIPE,
        env={"CHANNELD_PASSWORD": password} if password else None,
    ) as running:
        assert running.stdout is not None
        try:
            yield json.loads(running.stdout.readline())
            running.terminate()
            assert running.wait() == 0
        finally:
            running.kill()


@pytest.fixture(scope="module")
def chain() -> Iterator[Any]:
    with process("chain", "dev", "--port", "0", "--accounts", "2", "--balance", "5 ETH") as ready:
        yield ready


@pytest.fixture(scope="module")
def rpc(chain: Any) -> list[str]:
    return ["--rpc", chain["url"]]


def test_the_chain_tells_its_accounts(chain: Any) -> None:
    assert chain["chain_id"] == 1337931
    assert [len(account["address"]) for account in chain["accounts"]] == [42, 42]


def test_contracts_are_deployed_and_tokens_minted(command: Channeld, rpc: list[str]) -> None:
    made = command("chain", "deploy", "--dev-account", "0", "--token", *rpc, "--json").document
    assert set(made) == {"adjudicator", "token"}
    given = command("chain", "faucet", "12.5 TEST", CAROL, "--token", made["token"], *rpc, "--json").document
    assert given == {"address": CAROL.lower(), "asset": made["token"], "amount": "12500000"}
    more = command("chain", "faucet", "1", CAROL, "--token", made["token"], *rpc)
    assert more.out == f"1 TEST to {CAROL}\n"
    assert balance(made["token"], CAROL, rpc[1]) == 13_500_000
    wrong = command("chain", "faucet", "1 TEST", CAROL, "--token", CAROL, *rpc)
    assert wrong.code == 3
    assert command("chain", "faucet", "1.0000001", CAROL, "--token", made["token"], *rpc).code == 2


def balance(token: str, owner: str, url: str) -> int:
    """Asked without our own adapter."""
    call = {"to": token, "data": "0x70a08231" + owner[2:].lower().rjust(64, "0")}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, "latest"]})
    with urllib.request.urlopen(urllib.request.Request(url, body.encode())) as answer:
        return int(json.load(answer)["result"], 16)


def test_a_node_deploys_with_its_own_key_and_takes_play_money(
    command: Channeld, chain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHANNELD_PASSWORD", "x")
    here = ["--data-dir", tmp_path / "node"]
    command(*here, "init", "--light-kdf", "--chain-rpc", chain["url"])
    poor = command(*here, "chain", "deploy")
    assert poor.code == 3
    assert command(*here, "chain", "faucet", "1 ETH").code == 0
    assert set(command(*here, "chain", "deploy", "--json").document) == {"adjudicator"}
    assert len(artifacts.adjudicator().bytecode) > 0
    assert command(*here, "chain", "faucet", "1 DOGE").error == (
        "error: expected one of the configured assets (ETH), got 'DOGE'"
    )


def test_the_clock_moves_forward_only(command: Channeld, rpc: list[str]) -> None:
    before = command("chain", "advance", "0", *rpc, "--json").document
    after = command("chain", "advance", "3600", *rpc, "--json").document
    # blocks of one second run ahead of the wall, which the clock waits for
    assert after["block_time_s"] > before["block_time_s"] + 3500
    there = command("chain", "advance", "--to", after["block_time_s"] + 100, *rpc, "--json").document
    assert there["block_time_s"] == after["block_time_s"] + 100
    assert there["block_number"] == after["block_number"] + 1
    back = command("chain", "advance", "--to", after["block_time_s"], *rpc)
    assert (back.code, "lower than or equal" in back.error) == (1, True)


def test_a_chain_that_is_not_there(command: Channeld) -> None:
    said = command("chain", "advance", "1", "--rpc", "http://127.0.0.1:1")
    assert (said.code, "http://127.0.0.1:1" in said.error) == (3, True)


def test_a_port_that_is_taken_is_told(command: Channeld, chain: Any) -> None:
    port = chain["url"].rpartition(":")[2]
    taken = command("chain", "dev", "--port", port)
    assert (taken.code, f"127.0.0.1:{port}" in taken.error) == (3, True)


def test_an_oracle_signs_once_and_for_ever(command: Channeld, chain: Any, tmp_path: Path) -> None:
    home = tmp_path / "oracle"
    here = ["--data-dir", str(home)]
    run = [*here, "oracle", "run", "--port", "0", "--light-kdf", "--chain-rpc", chain["url"]]
    with process(*run, "--pair", "ETH/USD", "--pair", "BTC/USD", password="x") as ready:
        assert [feed["pair"] for feed in ready["feeds"]] == ["ETH/USD", "BTC/USD"]
        assert ready["feeds"][0]["signers"] == [ready["signer"]]
        assert sorted(path.name for path in home.iterdir() if "-" not in path.name) == [
            "keystore.json",
            "oracle.token",
            "prices.db",
        ]
        now_s = command("chain", "advance", "0", "--rpc", chain["url"], "--json").document["block_time_s"]
        publish = [*here, "oracle", "publish", "--url", ready["url"], "--pair", "ETH/USD", "--json"]
        signed = command(*publish, "4000.5", "--at", now_s).document
        assert (signed["price_e8"], signed["timestamp_s"]) == ("400050000000", now_s)
        assert len(signed["signatures"]) == 1
        assert command(*publish, "4000.5", "--at", now_s).document == signed
        other = command(*publish, "4001", "--at", now_s)
        assert (other.code, "signed for that instant already" in other.error) == (1, True)
        early = command(*publish, "4000", "--option", "ETH-27DEC36-4000-P")
        assert (early.code, "expected an instant that has come" in early.error) == (1, True)
        unnamed = command(*here, "oracle", "publish", "--url", ready["url"], "4000", "--at", now_s)
        assert (unnamed.code, "ETH/USD, BTC/USD" in unnamed.error) == (1, True)
        signer = ready["signer"]
    with process(*run, "--pair", "ETH/USD", password="x") as again:
        assert again["signer"] == signer
        assert command(*publish[:-4], again["url"], "4001", "--at", now_s).code == 1


def test_an_oracle_of_nothing_is_refused(
    command: Channeld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHANNELD_PASSWORD", "x")
    here = ["--data-dir", tmp_path / "oracle", "oracle", "run", "--light-kdf"]
    nothing = command(*here)
    assert nothing.code == 2
    assert nothing.error.startswith("error: expected something to sign: name it with --pair or --feed (Usage")
    assert not (tmp_path / "oracle").exists()
    foreign = command(*here, "--feed", f"pair=ETH/USD,threshold=1,signers={CAROL}", "--port", "0")
    assert (foreign.code, "expected one of our keys among its signers" in foreign.error) == (1, True)


def test_an_oracle_that_listens_everywhere_tells_nodes_this_machines_name(tmp_path: Path) -> None:
    """Nobody fetches a price from 0.0.0.0."""
    run = ["--data-dir", str(tmp_path / "oracle"), "oracle", "run", "--port", "0", "--light-kdf"]
    with process(*run, "--pair", "ETH/USD", "--host", "0.0.0.0", password="secret") as ready:
        assert ready["url"].startswith(f"http://{socket.gethostname()}:")
