"""Making a node: key, configuration, and what `run` says about wrong ones."""

import json
import os
import pty
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from channeld.adapters.signer import load_keystore
from channeld.config.file import load, parse
from channeld.config.settings import Config
from channeld.core.errors import Rejected
from tests.cli.conftest import Channeld

PASSWORD = "correct horse"
TOKEN = "0x" + "7e" * 20
SIGNER = "0x" + "51" * 20


@pytest.fixture
def channeld(command: Channeld, monkeypatch: pytest.MonkeyPatch) -> Channeld:
    monkeypatch.setenv("CHANNELD_PASSWORD", PASSWORD)
    return command


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "alice"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_init_makes_a_directory_that_is_its_owners_alone(channeld: Channeld, home: Path) -> None:
    made = channeld("--data-dir", home, "init", "--light-kdf", "--json").document
    assert (mode(home), mode(home / "config.toml"), mode(home / "keystore.json")) == (0o700, 0o600, 0o600)
    assert sorted(path.name for path in home.iterdir()) == ["config.toml", "keystore.json"]
    signer = load_keystore(home / "keystore.json", PASSWORD)
    assert made["node_id"] == "0x" + signer.public_key.hex()
    assert made["address"] == "0x" + signer.address.hex()
    assert load(home / "config.toml").node.data_dir == home


def test_the_configuration_is_what_the_options_say(channeld: Channeld, home: Path) -> None:
    options = {
        "--alias": 'al"ice\\',
        "--chain-rpc": "http://127.0.0.1:1234",
        "--chain-id": 1337931,
        "--adjudicator": "0x" + "ad" * 20,
        "--listen-host": "127.0.0.1",
        "--listen-port": 1,
        "--api-port": 2,
        "--asset": f"address={TOKEN},symbol=TEST,decimals=6,max_size_units=5",
        "--feed": f"pair=ETH/USD,threshold=1,signers={SIGNER},urls=http://a,urls=http://b,grace_h=1",
    }
    given = [str(part) for pair in options.items() for part in pair]
    settings = [
        "chain.confirmations=1",
        "chain.tip_gwei = 0.5",
        "option.quoting=true",
        "node.log_level=debug",
    ]
    settings += ['option.underlyings=["ETH/USD"]', "node.log_file=/var/log/a=b.log"]
    for setting in settings:
        given += ["--set", setting]
    assert channeld("--data-dir", home, "init", "--light-kdf", *given).code == 0
    config = load(home / "config.toml")
    assert (config.node.alias, config.node.log_level, config.node.log_file) == (
        'al"ice\\',
        "debug",
        Path("/var/log/a=b.log"),
    )
    assert (config.chain.rpc_url, config.chain.chain_id) == ("http://127.0.0.1:1234", 1337931)
    assert (config.chain.adjudicator, config.chain.confirmations) == (b"\xad" * 20, 1)
    assert (config.peer.listen_host, config.peer.listen_port, config.api.port) == ("127.0.0.1", 1, 2)
    assert [asset.symbol for asset in config.asset] == ["ETH", "TEST"]
    assert (config.asset[1].decimals, config.asset[1].max_size_units) == (6, 5)
    assert (config.feed[0].urls, config.feed[0].signers) == (("http://a", "http://b"), (b"\x51" * 20,))
    assert (config.option.quoting, config.option.underlyings) == (True, ("ETH/USD",))


def test_without_options_all_is_default_and_commented(channeld: Channeld, home: Path) -> None:
    channeld("--data-dir", home, "init", "--light-kdf")
    text = (home / "config.toml").read_text()
    assert tomllib.loads(text)["node"]["data_dir"] == "."  # the directory may be moved or copied
    assert parse(text.replace('data_dir = "."', 'data_dir = "~/.channeld"'), home) == Config()
    assert "# JSON-RPC. Who runs it can hide a challenge from you" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--set", "chain.confirmations=0"],
            "[chain] confirmations: expected a whole number from 1 to 256, got 0",
        ),
        (
            ["--set", "chain.confirmation=1"],
            "[chain] confirmation: expected a known setting; did you mean confirmations?",
        ),
        (["--set", "chains.confirmations=1"], "[chains]: expected one of the tables"),
        (["--set", "confirmations=1"], "expected --set TABLE.KEY=VALUE, got 'confirmations=1'"),
        (["--set", "chain.confirmations"], "expected --set TABLE.KEY=VALUE"),
        (["--set", "api.port=1\n[chain]\nchain_id=2"], "[api] port: expected a whole number"),
        (["--set", "asset.symbol=X"], "expected --asset KEY=VALUE,... instead of --set asset.symbol"),
        (["--chain-id", "5", "--set", "chain.chain_id=6"], "expected chain.chain_id once, got it twice"),
        (["--chain-id", "0"], "[chain] chain_id: expected a whole number from 1 to"),
        (["--adjudicator", "0xAb"], "[chain] adjudicator: expected an address"),
        (["--asset", "symbol"], "expected --asset KEY=VALUE,KEY=VALUE, got 'symbol'"),
        (["--asset", "symbol=A,symbol=B"], "expected symbol once in --asset, got it 2 times"),
        (["--asset", f"address={TOKEN},symbol=A"], "[[asset]] decimals: expected a value"),
        (
            ["--asset", f"address=0x{'00' * 20},symbol=A,decimals=1"],
            "[[asset]] address: expected each only once",
        ),
        (
            ["--feed", f"pair=ETH/USD,threshold=2,signers={SIGNER}"],
            "[[feed]] ETH/USD: expected different signers",
        ),
    ],
)
def test_a_wrong_setting_leaves_nothing_behind(
    channeld: Channeld, home: Path, options: list[str], message: str
) -> None:
    said = channeld("--data-dir", home, "init", "--light-kdf", *options)
    assert said.code == 2
    assert message in said.error
    assert not home.exists()


def test_a_node_is_never_made_twice(channeld: Channeld, home: Path) -> None:
    channeld("--data-dir", home, "init", "--light-kdf")
    before = (home / "keystore.json").read_bytes(), (home / "config.toml").read_bytes()
    again = channeld("--data-dir", home, "init", "--light-kdf", "--alias", "other")
    assert (again.code, "this node is made already" in again.error) == (1, True)
    assert before == ((home / "keystore.json").read_bytes(), (home / "config.toml").read_bytes())


def test_a_key_that_is_there_is_taken(
    channeld: Channeld, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = channeld("--data-dir", home, "init", "--light-kdf", "--json").document
    (home / "config.toml").unlink()
    again = channeld("--data-dir", home, "init", "--json").document
    assert again["node_id"] == first["node_id"]
    (home / "config.toml").unlink()
    monkeypatch.setenv("CHANNELD_PASSWORD", "wrong")
    wrong = channeld("--data-dir", home, "init")
    assert (wrong.code, "wrong password" in wrong.error) == (1, True)
    assert not (home / "config.toml").exists()


def test_without_a_password_init_says_how_to_give_one(command: Channeld, home: Path) -> None:
    said = command("--data-dir", home, "init", "--light-kdf")
    assert said.code == 1
    assert "CHANNELD_PASSWORD" in said.error
    assert not (home / "keystore.json").exists()


def test_a_password_file_is_remembered(command: Channeld, home: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\nnot this line\n")
    made = command("--data-dir", home, "init", "--light-kdf", "--password-file", tmp_path / "password")
    assert made.code == 0
    assert load(home / "config.toml").node.password_file == tmp_path / "password"
    load_keystore(home / "keystore.json", PASSWORD)
    said = command("--data-dir", home, "run")
    assert said.error.endswith("expected [chain] adjudicator to name the contract that holds the channels")


def test_run_says_what_is_wrong_with_the_node(channeld: Channeld, home: Path) -> None:
    assert "`channeld init`" in channeld("--data-dir", home, "run").error
    channeld("--data-dir", home, "init", "--light-kdf", "--adjudicator", "0x" + "ad" * 20)
    keystore = home / "keystore.json"
    keystore.rename(home / "elsewhere")
    assert str(keystore) in channeld("--data-dir", home, "run").error
    (home / "elsewhere").rename(keystore)
    text = (home / "config.toml").read_text()
    (home / "config.toml").write_text(text.replace("poll_interval_s = 2.0", "poll_interval_s = 0"))
    said = channeld("--data-dir", home, "run")
    assert (said.code, "[chain] poll_interval_s: expected a number from 0.05 to 60, got 0" in said.error) == (
        1,
        True,
    )


def test_run_refuses_a_wrong_password(
    channeld: Channeld, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channeld("--data-dir", home, "init", "--light-kdf")
    monkeypatch.setenv("CHANNELD_PASSWORD", "wrong")
    said = channeld("--data-dir", home, "run")
    assert (said.code, "wrong password" in said.error) == (1, True)


def on_a_terminal(lines: list[tuple[bytes, bytes]], *arguments: str) -> tuple[int, bytes]:
    """Run a command whose standard input and error are a terminal, answering each prompt in turn.

    `lines` are what is waited for, and what is typed then. Returns exit code and standard output.
    """
    master, slave = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "CHANNELD_PASSWORD"}
    with subprocess.Popen(
        [sys.executable, "-m", "channeld", *arguments],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
        env=environment,
        start_new_session=True,
    ) as process:
        os.close(slave)
        try:
            for prompt, answer in lines:
                shown = b""
                while not shown.rstrip().endswith(prompt):
                    shown += os.read(master, 4096)
                assert b"secret" not in shown  # what is typed is not echoed
                os.write(master, answer + b"\n")
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            os.close(master)
    return process.returncode, out


FIRST, AGAIN = b"Password of the new key:", b"Repeat for confirmation:"


def test_the_prompt_asks_twice_and_shows_nothing(home: Path) -> None:
    typed = [(FIRST, b"secret word"), (AGAIN, b"secret word")]
    code, out = on_a_terminal(typed, "--data-dir", str(home), "--json", "init", "--light-kdf")
    assert code == 0
    assert json.loads(out)["data_dir"] == str(home)
    load_keystore(home / "keystore.json", "secret word")
    unlock = b"Password of " + str(home / "keystore.json").encode() + b":"
    assert on_a_terminal([(unlock, b"secret")], "--data-dir", str(home), "run") == (1, b"")


def test_two_different_passwords_are_asked_for_again(home: Path) -> None:
    typed = [(FIRST, b"one"), (AGAIN, b"other"), (FIRST, b"two"), (AGAIN, b"two")]
    assert on_a_terminal(typed, "--data-dir", str(home), "init", "--light-kdf")[0] == 0
    with pytest.raises(Rejected, match="wrong password"):
        load_keystore(home / "keystore.json", "one")
    load_keystore(home / "keystore.json", "two")


def test_the_default_key_is_encrypted_as_wallets_do(channeld: Channeld, home: Path) -> None:
    channeld("--data-dir", home, "init")
    assert json.loads((home / "keystore.json").read_text())["crypto"]["kdfparams"]["n"] == 2**18
