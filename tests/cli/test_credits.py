"""Payouts that failed, on alice's command line: seen, fetched home or elsewhere."""

from tests.api.scripted import ScriptedNode
from tests.cli.conftest import Channeld


def test_a_payout_that_failed_is_seen_and_fetched(alice: Channeld, node: ScriptedNode) -> None:
    assert alice("credits").out == "no credits: every payout arrived\n"
    assert alice("credits", "--claim").error == "error: there is no credit to fetch"
    node.owed["TEST"] = 2_500_000
    assert "TEST       1000            0     2.5" in alice("info").out
    assert "2.5" in alice("credits").out
    assert alice("credits", "--asset", "ETH").out == "no credits: every payout arrived\n"
    assert alice("credits", "--claim").out == "fetched 2.5 TEST\n"
    assert "TEST     1002.5            0       0" in alice("info").out


def test_a_credit_can_be_sent_elsewhere(alice: Channeld, node: ScriptedNode) -> None:
    node.owed["TEST"] = 7
    cold = b"\xc0" * 20
    (listed,) = alice("credits", "--json").document["credits"]
    assert (listed["symbol"], listed["amount"]) == ("TEST", "7")
    assert alice("credits", "--claim", "--to", "0x1234").code == 2
    assert node.sent_to == []
    assert alice("credits", "--claim", "--to", f"0x{cold.hex()}", "--json").document == {"claimed": [listed]}
    assert node.sent_to == [cold]


def test_a_token_that_refuses_still_does_not_keep_back_the_others(
    alice: Channeld, node: ScriptedNode
) -> None:
    node.owed = {"TEST": 7, "ETH": 10**18}
    node.refusing = {"TEST"}
    said = alice("credits", "--claim")
    assert (said.code, said.out) == (3, "fetched 1 ETH\n")
    assert said.err == "error: 1 of 2 credits were not fetched: TEST refuses still\n"
    assert alice("credits", "--claim").error == "error: TEST refuses still"
    assert node.owed == {"TEST": 7}
