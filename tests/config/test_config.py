"""A file is read strictly, written completely, and an error says what to change."""

from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channeld.config.file import ARRAYS, EXAMPLE_FEED, default_toml, load, parse, render
from channeld.config.settings import AssetSettings, ChannelSettings, Config, FeedSettings, PaymentSettings
from channeld.core.errors import Rejected

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
TOKEN = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # the first test vector of [EIP-55]
UNITS = ("_s", "_days", "_h", "_ppm", "_ppm_per_day", "_percent", "_gwei", "_bytes", "_units")
UNITLESS = {
    "chain_id": "a name",
    "port": "a name",
    "listen_port": "a name",
    "confirmations": "a count of blocks",
    "max_strangers": "a count",
    "max_claims": "a count",
    "max_claims_per_peer": "a count",
    "threshold": "a count",
    "decimals": "a count",
    "max_streams": "a count of streams",
}


def settings_of(name: str) -> dict[str, object]:
    table = ARRAYS.get(name) or get_type_hints(Config)[name]
    return get_type_hints(table, include_extras=True)


def refusal(text: str) -> str:
    with pytest.raises(Rejected) as refused:
        parse(text, Path("/etc/channeld"))
    return str(refused.value)


# The example ---------------------------------------------------------------------------------------


def test_the_example_is_what_the_defaults_say() -> None:
    assert EXAMPLE.read_text() == default_toml(), "run: python -m channeld.config > config.example.toml"
    assert load(EXAMPLE) == Config()


def test_the_example_shows_every_setting_with_a_comment() -> None:
    blocks = {block.split("]")[0].rpartition("[")[2]: block for block in default_toml().split("\n\n")[1:]}
    for table in fields(Config):
        outer = "# " if table.name == "feed" else ""
        lines = [line.removeprefix(outer) for line in blocks[table.name].splitlines()]
        for setting in settings_of(table.name):
            at = [n for n, line in enumerate(lines) if line.startswith(f"{setting} = ")]
            assert len(at) == 1, f"{table.name}.{setting}"
            assert lines[at[0] - 1].startswith("# "), f"{table.name}.{setting} has no comment"


def test_the_feed_shown_as_a_comment_is_one_that_would_work() -> None:
    commented = default_toml().partition("# [[feed]]\n")[2].splitlines()
    text = "[[feed]]\n" + "\n".join(line.removeprefix("# ") for line in commented)
    assert parse(text, Path("/")).feed == (EXAMPLE_FEED,)


def test_every_number_has_its_unit_in_its_name_and_every_setting_a_reason() -> None:
    for table in fields(Config):
        for name, hint in settings_of(table.name).items():
            assert get_origin(hint) is Annotated, f"{table.name}.{name}"
            kind, about = get_args(hint)
            assert len(about.reason) > 10, f"{table.name}.{name}"
            if kind in (int, float, Decimal):
                assert name.endswith(UNITS) or name in UNITLESS, f"{table.name}.{name} has no unit"


# Reading -------------------------------------------------------------------------------------------


def test_an_empty_file_is_all_defaults() -> None:
    assert parse("", Path("/")) == Config()


def test_a_file_sets_what_it_names_and_nothing_else() -> None:
    config = parse(
        f"""
        [chain]
        chain_id = 10
        adjudicator = "{TOKEN.lower()}"
        tip_gwei = 0.001
        [[asset]]
        address = "{TOKEN}"
        symbol = "TOK"
        decimals = 6
        min_claim_units = "12345678901234567890"
        [[feed]]
        pair = "ETH/USD"
        threshold = 2
        signers = ["0x{"22" * 20}", "0x{"11" * 20}"]
        """,
        Path("/"),
    )
    token = bytes.fromhex(TOKEN[2:])
    assert config.chain == replace(Config().chain, chain_id=10, adjudicator=token, tip_gwei=Decimal("0.001"))
    assert config.chain.tip_wei == 1_000_000, "exactly"
    assert config.asset == (AssetSettings(token, "TOK", 6, min_claim_units=12345678901234567890),)
    assert config.feed[0].feed().signers == (bytes([0x11] * 20), bytes([0x22] * 20)), "ascending"
    assert replace(config, chain=Config().chain, asset=Config().asset, feed=()) == Config()


def test_paths_start_at_home_or_at_the_file(tmp_path: Path) -> None:
    path = tmp_path / "alice.toml"
    path.write_text('[node]\ndata_dir = "data"\nlog_file = "~/alice.log"\npassword_file = "/run/password"\n')
    node = load(path).node
    assert node.data_dir == tmp_path / "data"
    assert node.log_file == Path.home() / "alice.log"
    assert node.password_file == Path("/run/password")


def test_a_rendered_configuration_reads_back_the_same() -> None:
    config = Config(
        node=replace(Config().node, alias='al"ice\\ \u2028\x7f', data_dir=Path("/srv/alice")),
        payment=PaymentSettings(deadline_s=900),
        option=replace(Config().option, vol_percent=12.5, underlyings=("ETH/USD",)),
        asset=(*Config().asset, AssetSettings(b"\x11" * 20, "TOK", 6, max_size_units=2**90)),
        feed=(EXAMPLE_FEED,),
    )
    assert parse(render(config), Path("/")) == config


@given(st.text(max_size=8), st.decimals(0, 10**6, places=9))
def test_whatever_can_be_set_is_rendered_exactly(alias: str, tip_gwei: Decimal) -> None:
    config = replace(Config(), node=replace(Config().node, alias=alias))
    config = replace(config, chain=replace(config.chain, tip_gwei=tip_gwei))
    assert parse(render(config), Path("/")) == config


def test_a_margin_just_long_enough_is_taken() -> None:
    chain = "[chain]\nresubmit_after_s = 10\nconfirmations = 1\n"
    assert parse(f"{chain}[payment]\nsecret_margin_s = 12", Path("/")).payment.secret_margin_s == 12


# Refusing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[peer]\nlisten_prot = 1",
            "[peer] listen_prot: expected a known setting; did you mean listen_port?",
        ),
        ("[peer]\nfee_ppm = 1", "[peer] fee_ppm: expected a known setting; it belongs in [payment]"),
        ("[watch]\nxyzzy = 1", "[watch] xyzzy: expected a known setting; [watch] has close_valid_s"),
        ("[peers]\nlisten_port = 1", "[peers]: expected one of the tables node, database, chain, "),
        ("[peers]\nlisten_port = 1", "; did you mean peer?"),
        ("alias = 'alice'", "alias: expected a table before it; it belongs in [node]"),
        ("node = 1", "expected a table [node], got 1"),
        ("[asset]\nsymbol = 'ETH'", "expected tables [[asset]], got a table"),
        ("[[asset]]\nsymbol = 'ETH'", "[[asset]] address: expected a value, it has no default"),
        ("[[node]]\nalias = 'a'", "expected a table [node], got a list of 1"),
        ("[peer]\nmax_strangers = 'many'", "expected a whole number from 0 to 10000, got the text 'many'"),
        (
            "[peer]\nmax_strangers = 1.5",
            "[peer] max_strangers: expected a whole number from 0 to 10000, got 1.5",
        ),
        ("[peer]\nmax_strangers = true", "expected a whole number from 0 to 10000, got true"),
        ("[peer]\nmax_strangers = -1", "expected a whole number from 0 to 10000, got -1"),
        ("[peer]\nmax_strangers = 2024-01-01", "expected a whole number from 0 to 10000, got a date"),
        ("[peer]\nping_interval_s = nan", "expected a number from 0.1 to 600, got NaN"),
        ("[chain]\nmax_fee_gwei = inf", "expected a number from 0 to 1000000, got Infinity"),
        ("[option]\nquoting = 1", "[option] quoting: expected true or false, got 1"),
        (
            "[option]\nunderlyings = 'ETH/USD'",
            "[option] underlyings: expected a list, got the text 'ETH/USD'",
        ),
        (
            "[option]\nunderlyings = ['X']",
            "[option] underlyings: expected pairs that have a [[feed]], got 'X'",
        ),
        ("[node]\nalias = 7", "[node] alias: expected a text in quotes, got 7"),
        (f"[node]\nalias = '{'é' * 17}'", "[node] alias: expected a text of 0 to 32 bytes"),
        ("[node]\nlog_level = 'loud'", "expected one of debug, info, warning, error, got the text 'loud'"),
        ("[node]\ndata_dir = ''", "[node] data_dir: expected a path, got the text ''"),
        ("[node]\ndata_dir = '~nobody-here/x'", "[node] data_dir: expected a path whose ~ is a known user"),
        ("[chain]\nrpc_url = 'localhost:8545'", "[chain] rpc_url: expected a text like https?://.+, got"),
        ("[chain]\nadjudicator = '0x12'", "expected an address (0x and 40 hex digits), got '0x12'"),
        (
            f"[chain]\nadjudicator = '{TOKEN.replace('Aeb', 'aeb')}'",
            f"[chain] adjudicator: expected the checksum of {TOKEN}",
        ),
        (
            "[channel]\nchallenge_period_s = 1200",
            "[channel] challenge_period_s: expected 3600 to 604800 (the min and max that are accepted "
            "from peers), got 1200",
        ),
        (
            "[payment]\nsecret_margin_s = 66",
            "[payment] secret_margin_s: expected more than 66 ([chain] resubmit_after_s, so that a "
            "registration can be sent again at a higher fee, and a second for each of 6 confirmations), "
            "got 66",
        ),
        ("[chain]\nresubmit_after_s = 3600", "[payment] secret_margin_s: expected more than 3606"),
        ("[chain]\nconfirmations = 64", "a second for each of 64 confirmations), got 120"),
        ("[payment]\ndeadline_s = 120", "more than secret_margin_s (120) and at most max_deadline_s (3600)"),
    ],
)
def test_a_refusal_names_table_and_key_and_what_was_expected(text: str, message: str) -> None:
    assert message in refusal(text)


def test_a_refused_database_url_is_not_shown_because_it_may_hold_a_password() -> None:
    text = refusal("[database]\nurl = 'mysql://u:topsecret@db.example/channeld'")
    assert "[database] url: expected a text like (postgres(ql)?://.+)?, got another (not shown" in text
    assert "topsecret" not in text


@pytest.mark.parametrize("amount", ["'1e18'", "'0x10'", "'-1'", "' 1'", "'1_000'", "'١'", "1e18", "0", 2**95])
def test_an_amount_is_a_whole_number_in_digits(amount: object) -> None:
    row = f"[[asset]]\naddress = '{TOKEN}'\nsymbol = 'TOK'\ndecimals = 6\nmin_claim_units = {amount}"
    assert f"[[asset]] min_claim_units: expected a whole number from 1 to {2**95 - 1}, got" in refusal(row)


def test_two_rules_for_one_asset_are_refused() -> None:
    row = f"[[asset]]\naddress = '{TOKEN}'\nsymbol = 'TOK'\ndecimals = 6\n"
    assert f"[[asset]] address: expected each only once, got {TOKEN} 2 times" in refusal(row * 2)


@pytest.mark.parametrize(("threshold", "signers"), [(1, 2), (2, 4), (3, 2), (1, 0)])
def test_a_minority_cannot_certify_a_price(threshold: int, signers: int) -> None:
    with pytest.raises(Rejected, match="expected different signers and a threshold above half of them"):
        FeedSettings("ETH/USD", threshold, tuple(bytes([n]) * 20 for n in range(signers)))


def test_a_signer_counts_once() -> None:
    with pytest.raises(Rejected, match="got 2 of 1 different ones"):
        FeedSettings("ETH/USD", 2, (b"\x11" * 20, b"\x11" * 20))


def test_a_file_that_is_not_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "channeld.toml"
    with pytest.raises(Rejected, match=r"channeld.toml: expected a configuration file: No such file"):
        load(path)
    path.write_text("[node\n")
    with pytest.raises(Rejected, match=r"channeld.toml: expected TOML: .*line 1"):
        load(path)
    path.write_bytes(b"# \xff\n")
    with pytest.raises(Rejected, match="expected UTF-8"):
        load(path)
    path.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(Rejected, match="expected at most 1048576 bytes"):
        load(path)
    path.write_text("[api]\nports = 1\n")
    with pytest.raises(Rejected, match=r"channeld.toml: \[api\] ports: .* did you mean port\?"):
        load(path)


def test_the_accepted_range_must_hold_the_own_period() -> None:
    with pytest.raises(Rejected, match="challenge_period_s"):
        ChannelSettings(max_challenge_period_s=43_200)


def test_every_setting_is_read_by_the_daemon_or_the_command_line():
    package = Path(__file__).parents[2] / "channeld"
    code = "\n".join(path.read_text() for path in package.rglob("*.py") if path.parent.name != "config")
    names = {
        setting.name
        for table in fields(Config)
        for setting in fields(ARRAYS.get(table.name) or get_type_hints(Config)[table.name])
    }
    assert {name for name in names if f".{name.replace('_gwei', '_wei')}" not in code} == set()
