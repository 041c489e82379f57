"""Alice's day on the command line, against a scripted daemon behind the real API."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from channeld.adapters.journal.lock import DirectoryLock
from channeld.api.json_forms import to_json
from channeld.core.errors import OperationalError, PeerViolation, Rejected
from tests.api.cast import ALICE, BOB, CAROL
from tests.api.scripted import ScriptedNode
from tests.cli.conftest import Channeld, Daemon

PUT = "ETH-27DEC26-4000-P"


def opened(alice: Channeld, amount: str = "2 ETH") -> Any:
    return alice("open", "bob", amount, "--json").document


def invoiced(alice: Channeld, amount: str = "1 ETH", *options: str) -> Any:
    return alice("invoice", amount, "--json", *options).document["invoices"][0]


def test_info_shows_money_in_units_people_use(alice: Channeld) -> None:
    opened(alice, "1.25 ETH")
    said = alice("info")
    assert said.code == 0
    assert ALICE.hex() in said.out
    assert "ETH        8.75         1.25" in said.out
    assert "TEST       1000            0" in said.out


def test_peers_come_and_go(alice: Channeld) -> None:
    dave = "02" + "da" * 32
    assert dave in alice("connect", f"{dave}@dave.example:9740").out
    assert dave[:10] in alice("peers").out
    assert alice("disconnect", dave[:8]).code == 0
    assert dave[:10] not in alice("peers").out
    assert alice("disconnect", "dave").error == (
        "error: no peer is called 'dave' or has an id that begins so: see `channeld peers`"
    )


def test_a_channel_lives_by_the_beginning_of_its_id(alice: Channeld) -> None:
    made = opened(alice, "2 ETH")
    assert (made["deposit_ours"], made["symbol"], made["decimals"]) == ("2000000000000000000", "ETH", 18)
    prefix = made["channel_id"][:8]
    assert "2.5 ETH ours" in alice("deposit", prefix, "0.5").out
    assert alice("deposit", prefix, "1 TEST").error == "error: expected an amount of ETH, got '1 TEST'"
    assert alice("channels", prefix, "--json").document["ours"] == "2500000000000000000"
    assert alice("close", prefix).code == 0
    assert alice("channels").out == "no channels; see `channeld open`\n"
    assert "closed" in alice("channels", "--all").out
    assert "closed" in alice("channels", prefix).out
    again = alice("close", prefix)
    assert (again.code, again.error) == (1, f"error: channel {made['channel_id']} is closed already")


def test_a_long_list_says_how_it_goes_on(alice: Channeld) -> None:
    first, second = opened(alice, "1 ETH"), opened(alice, "2 ETH")
    newest = alice("channels", "--limit", "1")
    assert second["channel_id"][:10] in newest.out and first["channel_id"][:10] not in newest.out
    assert newest.out.endswith("\nthere is more: --before 1\n")
    rest = alice("channels", "--limit", "1", "--before", "1")
    assert first["channel_id"][:10] in rest.out and "more" not in rest.out
    assert f"there is more: --after {BOB.hex()}" in alice("peers", "--limit", "1").out
    assert "bob" not in alice("peers", "--after", BOB.hex()).out


def test_a_channel_is_left_alone(alice: Channeld) -> None:
    made = opened(alice)
    left = alice("close", made["channel_id"], "--unilateral", "--json").document
    assert (left["phase"], left["note"]) == ("disputed", "settles after the window")


def test_the_challenge_period_can_be_said(alice: Channeld) -> None:
    made = alice(
        "open", BOB.hex()[:9], "3", "--asset", "TEST", "--challenge-period", "600", "--json"
    ).document
    assert (made["symbol"], made["ours"], made["challenge_period_s"]) == ("TEST", "3000000", 600)


def test_an_invoice_is_a_line_to_copy(alice: Channeld) -> None:
    said = alice("invoice", "0.5 TEST", "--description", "an apple")
    text = said.out.splitlines()[-1]
    assert text.startswith("chd1")
    assert "an apple" in alice("invoice", "--decode", text).out
    assert "0.5 TEST" in alice("invoice", "--decode", text).out
    listed = alice("invoice", "--list", "--json").document["invoices"]
    assert [(one["text"], one["amount"]) for one in listed] == [(text, "500000")]
    shown = alice("invoice", "--show", listed[0]["hashlock"]).out
    assert shown.splitlines()[-1] == text
    assert "open" in alice("invoice", "--list").out


def test_many_invoices_are_many_lines(alice: Channeld) -> None:
    lines = alice("invoice", "1", "--asset", "TEST", "--count", "1005").out.splitlines()
    assert len(set(lines)) == 1005
    assert all(line.startswith("chd1") for line in lines)


def test_a_payment_shows_its_receipt(alice: Channeld) -> None:
    invoice = invoiced(alice)
    said = alice("pay", invoice["text"])
    assert said.code == 0
    paid = alice("payments", invoice["hashlock"], "--json").document
    assert paid["preimage"] in said.out
    assert "1 ETH" in said.out
    assert "0.001 ETH" in said.out
    assert "succeeded" in alice("payments").out


def test_the_payer_may_choose_the_amount_and_the_fee(alice: Channeld) -> None:
    invoice = invoiced(alice, "0 ETH")
    assert "any ETH" in alice("invoice", "--decode", invoice["text"]).out
    paid = alice("pay", invoice["text"], "--amount", "0.25", "--max-fee", "0.01 ETH", "--json").document
    assert paid["amount"] == "250000000000000000"
    assert alice("pay", invoice["text"], "--amount", "1 TEST").error == (
        "error: expected an amount of ETH, got '1 TEST'"
    )


def test_a_payment_that_fails_is_4_and_one_in_flight_is_3(alice: Channeld) -> None:
    failed = alice("pay", invoiced(alice, "1 ETH", "--description", "unpayable")["text"])
    assert failed.code == 4
    assert failed.err == "failed: the payment did not go through: no route with enough money\n"
    slow = invoiced(alice, "1 ETH", "--description", "slow")
    pending = alice("pay", slow["text"], "--timeout", "2", "--json")
    assert pending.code == 3
    assert pending.document["status"] == "pending"
    assert pending.err == (
        "error: the payment is still in flight after 2 s: "
        f"look again with `channeld payments {slow['hashlock']}`\n"
    )


def batch_of(alice: Channeld, path: Path, *texts: str) -> Path:
    lines = alice("invoice", "0.01 ETH", "--count", "30").out
    path.write_text(lines + "\n\n" + "\n".join(texts))
    return path


def test_a_batch_is_paid_over_one_request(alice: Channeld, node: ScriptedNode, tmp_path: Path) -> None:
    path = batch_of(alice, tmp_path / "invoices")
    said = alice("pay", "--batch", path, "--json", "--in-flight", "9")
    assert said.code == 0
    document = said.document
    assert (document["succeeded"], document["failed"], document["elapsed_s"] > 0) == (30, 0, True)
    assert [result["index"] for result in document["results"]] == list(range(30))
    assert 1 < node.most_paying <= 9
    assert "30 of 30 paid" in alice("pay", "--batch", "-", typed=path.read_text()).out


def test_a_batch_says_what_did_not_work(alice: Channeld, tmp_path: Path) -> None:
    failing = invoiced(alice, "1 ETH", "--description", "unpayable")["text"]
    slow = invoiced(alice, "1 ETH", "--description", "slow")["text"]
    for texts, code, message in (
        (
            ["chd1wrong"],
            1,
            "error: 1 of 31 payments were not begun: expected an invoice (chd1...), got 'chd1wrong'\n",
        ),
        (
            [failing, "chd1wrong"],
            4,
            "failed: 1 of 32 payments did not go through: no route with enough money\n",
        ),
        (
            [failing, slow],
            3,
            "error: 1 of 32 are not decided, see `channeld payments`: no route with enough money\n",
        ),
    ):
        said = alice("pay", "--batch", batch_of(alice, tmp_path / "invoices", *texts))
        assert (said.code, said.err) == (code, message)
        assert said.out.startswith("30 of 3")
    assert (
        alice("pay", "--batch", "-", typed="\n \n").error == "error: expected invoices, one a line, got none"
    )


def test_an_option_is_quoted_and_bought_after_a_question(alice: Channeld) -> None:
    ask = ("option", "buy", PUT, "1.5", "--writer", "bob", "--asset", "TEST")
    quote = alice("option", "quote", *ask[2:])
    for fact in (
        "2026-12-27 08:00:00 UTC",
        "15 TEST",
        "0.15 TEST",
        "150 TEST, the most it can pay",
        BOB.hex(),
    ):
        assert fact in quote.out
    refused = alice(*ask, typed="n\n")
    assert (refused.code, refused.err) == (1, "Buy? [y/N]: error: nothing was bought\n")
    assert "15 TEST" in refused.out
    assert alice("option", "trades").out == "no trades\n"
    bought = alice(*ask, typed="y\n")
    assert bought.code == 0
    assert "bound" in bought.out
    assert "1.5" in alice("option", "positions").out


def test_without_an_answer_nothing_is_bought(alice: Channeld) -> None:
    said = alice("option", "buy", PUT, "1", "--writer", "bob", "--asset", "TEST")
    assert said.code == 130
    assert alice("option", "trades").out == "no trades\n"


def test_a_program_buys_with_yes(alice: Channeld) -> None:
    ask = ("option", "buy", PUT, "1", "--writer", CAROL.hex(), "--asset", "TEST", "--json")
    assert alice(*ask).code == 2
    trade = alice(*ask, "--yes").document
    assert (trade["status"], trade["premium"], trade["quote"]["collateral"]) == (
        "bound",
        "10000000",
        "100000000",
    )
    dear = alice(*ask, "--yes", "--max-premium", "9.999999")
    assert dear.error == "error: the writer asks for more than 9.999999: nothing was bought"


def test_a_trade_that_fails_is_4(alice: Channeld) -> None:
    said = alice("option", "buy", PUT, "13", "--writer", "bob", "--asset", "TEST", "--yes")
    assert said.code == 4
    assert said.err == "failed: the trade did not go through: the writer did not answer in time\n"


def test_what_has_expired_is_settled(alice: Channeld) -> None:
    channel = opened(alice)
    alice("option", "buy", PUT, "1", "--writer", "bob", "--asset", "TEST", "--yes")
    position = alice("option", "positions", "--json").document["positions"][0]
    assert (position["price_e8"], position["value"]) == ("350000000000", "50000000")
    assert "50 TEST" in alice("option", "settle", channel["channel_id"][:8]).out
    assert alice("option", "settle").error == "error: no option here has expired with a signed price"
    assert alice("option", "positions").out == "no open positions\n"


def test_pages_go_on(alice: Channeld) -> None:
    alice("invoice", "1 TEST", "--count", "5")
    first = alice("invoice", "--list", "--limit", "2", "--json").document
    rest = alice("invoice", "--list", "--before", first["next_before"], "--json").document
    assert (len(first["invoices"]), len(rest["invoices"]), rest["next_before"]) == (2, 3, None)


def test_stop_stops(alice: Channeld) -> None:
    assert alice("stop", "--json").document == {"stopped": True}
    assert alice("info").code == 3


def test_stop_waits_until_the_daemon_is_gone(alice: Channeld, daemon: Daemon) -> None:
    lock = DirectoryLock(daemon.directory)
    late = alice("stop", "--timeout", "0.3")
    assert late.error == "error: the daemon still runs after 0.3 s: see its log"
    lock.release()
    assert alice("stop").code == 3  # nobody is there any more


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (Rejected("too little"), 1, "error: too little"),
        (OperationalError("the chain is gone"), 3, "error: the chain is gone"),
        (PeerViolation("bob sent nonsense"), 3, "error: bob sent nonsense"),
        (AssertionError("inside"), 3, "error: the daemon met a bug; its log says more"),
        (sqlite3.Error("inside"), 3, "error: the daemon met a bug; its log says more"),
    ],
)
def test_failures_are_one_sentence_and_a_code(
    alice: Channeld, node: ScriptedNode, raised: Exception, code: int, message: str
) -> None:
    node.failing = raised
    for arguments in (["info"], ["channels", "--json"], ["open", "bob", "1 ETH"], ["payments"]):
        said = alice(*arguments)
        assert (said.code, said.error) == (code, message)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["info", "extra"],
        ["info", "--nonsense"],
        ["open", "bob"],
        ["credits", "--to", "0x" + "c0" * 20],
        ["invoice"],
        ["invoice", "1 ETH", "--list"],
        ["pay"],
        ["pay", "chd1", "--batch", "-"],
        ["pay", "--batch", "-", "--amount", "1"],
        ["pay", "--batch", "/no/such/file"],
        ["pay", "chd1", "--timeout", "0"],
        ["payments", "--limit", "0"],
        ["option"],
        ["option", "buy", PUT, "1"],
        ["oracle", "publish", "4000"],
        ["chain", "advance"],
        ["chain", "advance", "-5"],
        ["chain", "deploy", "--dev-account", "0", "--keystore", __file__],
    ],
)
def test_wrong_usage_is_2(alice: Channeld, arguments: list[str]) -> None:
    said = alice(*arguments)
    assert said.code == 2
    assert "Usage: " in said.err + said.out


def test_amounts_need_their_asset(alice: Channeld) -> None:
    for arguments, message in (
        (
            ["open", "bob", "1"],
            "error: expected an asset, one of ETH, TEST: write it behind the amount or with --asset",
        ),
        (["open", "bob", "1 DOGE"], "error: expected one of the configured assets (ETH, TEST), got 'DOGE'"),
    ):
        said = alice(*arguments)
        assert (said.code, said.error) == (1, message)


def test_json_and_the_directory_may_stand_anywhere(command: Channeld, daemon: Daemon) -> None:
    here = ["--data-dir", str(daemon.directory)]
    expected = command(*here, "--json", "option", "positions").out
    assert json.loads(expected) == {"positions": [], "next_before": None}
    assert command(*here, "option", "--json", "positions").out == expected
    assert command("option", *here, "positions", "--json").out == expected
    assert command("option", "positions", *here, "--json").out == expected
    assert command("--data-dir", "/nowhere", "option", "positions", *here, "--json").out == expected


def test_another_daemon_can_be_named(command: Channeld, daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "api.token").write_text(daemon.token)
    (tmp_path / "api.token").chmod(0o600)
    there = ["--data-dir", tmp_path, "--api"]
    assert command(*there, daemon.url, "info").code == 0
    nobody = command(*there, "http://127.0.0.1:1", "info")
    assert (nobody.code, nobody.error) == (
        3,
        "error: nobody answers at http://127.0.0.1:1 (Connection refused); "
        "start the daemon with `channeld run`, or name it with --api",
    )
    (tmp_path / "api.token").write_text("00" * 32)
    stranger = command(*there, daemon.url, "info")
    assert (stranger.code, stranger.error) == (
        3,
        "error: the daemon does not accept the token: is --data-dir that of this daemon?",
    )


def test_without_a_node_the_error_says_how_to_make_one(command: Channeld, tmp_path: Path) -> None:
    said = command("--data-dir", tmp_path / "nowhere", "info")
    assert said.code == 1
    assert "`channeld init`" in said.error
    assert "CHANNELD_DATA_DIR" in said.error


def test_every_document_is_that_of_the_api(alice: Channeld, node: ScriptedNode) -> None:
    channel = opened(alice)
    invoice = invoiced(alice)
    paid = alice("pay", invoice["text"], "--json").document
    assert alice("channels", "--json").document == {"channels": [channel], "next_before": None}
    assert alice("payments", "--json").document == {"payments": [paid], "next_before": None}
    assert alice("payments", "--status", "failed", "--json").document["payments"] == []
    assert alice("payments", paid["hashlock"], "--json").document == paid
    quote = alice("option", "quote", PUT, "1", "--writer", "bob", "--asset", "ETH", "--json").document
    assert quote == to_json(node.quotes[bytes.fromhex(quote["quote_id"][2:])])


def test_others_texts_are_shown_as_they_are(alice: Channeld) -> None:
    alice("invoice", "1 ETH", "--description", "[bold]x[/bold] \x1b[31m\u202e")
    assert "[bold]x[/bold] ?[31m?" in alice("invoice", "--list").out
