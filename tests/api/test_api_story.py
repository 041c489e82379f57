"""What alice does through the client arrives at her node, and comes back, exactly."""

import inspect

import pytest

from channeld.api.client import ApiClient
from channeld.api.commands import Commands, CreditInfo
from channeld.api.endpoints import ENDPOINTS
from channeld.api.requests import Pay
from channeld.core.errors import OperationalError, PeerViolation, Rejected
from tests.api.cast import ALICE, BOB, CAROL, ETH, T0_S, TEST
from tests.api.scripted import ScriptedNode

FINNEY = 10**15
HUGE = 2**95 - 1


async def test_alice_looks_around(client: ApiClient, node: ScriptedNode) -> None:
    info = await client.info()
    assert info == await node.info()
    assert info.node_id == ALICE
    assert info.assets[0].on_chain == 10 * 10**18  # beyond the doubles of other JSON readers
    assert [peer.alias for peer in (await client.peers())[0]] == ["bob", "carol"]


async def test_alice_connects_to_dave_and_leaves_him(client: ApiClient) -> None:
    dave = b"\x02" + b"\xda" * 32
    connected = await client.connect(f"{dave.hex()}@dave.example:9740")
    assert connected.node_id == dave
    assert connected in (await client.peers())[0]
    await client.disconnect(dave)
    assert connected not in (await client.peers())[0]
    with pytest.raises(Rejected, match="no peer"):
        await client.disconnect(dave)


async def test_a_channel_is_opened_filled_and_closed(client: ApiClient) -> None:
    opened = await client.open_channel(BOB, "ETH", 5 * FINNEY, 3_600, 60.0)
    assert (opened.peer, opened.asset, opened.ours, opened.challenge_period_s) == (
        BOB,
        ETH,
        5 * FINNEY,
        3_600,
    )
    filled = await client.deposit(opened.channel_id, 1, 60.0)
    assert filled.ours == 5 * FINNEY + 1
    assert await client.channel(opened.channel_id) == filled
    assert (await client.channels(False))[0] == [filled]
    closed = await client.close_channel(opened.channel_id, False, 60.0)
    assert closed.phase == "closed"
    assert (await client.channels(False))[0] == []
    assert (await client.channels(True))[0] == [closed]


async def test_a_channel_is_left_alone(client: ApiClient) -> None:
    opened = await client.open_channel(BOB, "ETH", FINNEY, None, 60.0)
    left = await client.close_channel(opened.channel_id, True, 60.0)
    assert left.phase == "disputed"
    assert opened.challenge_period_s == 86_400


async def test_a_credit_is_seen_and_fetched_once(client: ApiClient, node: ScriptedNode) -> None:
    assert await client.credits() == []
    node.owed["TEST"] = HUGE
    owed = CreditInfo(TEST, "TEST", 6, HUGE)
    assert await client.credits() == [owed]
    assert [asset.credit for asset in (await client.info()).assets] == [0, HUGE]
    assert await client.claim_credit("TEST", b"\x0b" * 20, 60.0) == owed
    assert node.sent_to == [b"\x0b" * 20]
    with pytest.raises(Rejected, match="no credit of TEST"):
        await client.claim_credit("TEST", None, 60.0)


async def test_an_invoice_is_made_read_and_paid(client: ApiClient) -> None:
    (invoice,) = await client.create_invoice("TEST", HUGE, "zwölf Äpfel 🍎", None, 1)
    assert invoice.amount == HUGE
    assert invoice.description == "zwölf Äpfel 🍎"
    assert await client.invoice(invoice.hashlock) == invoice
    decoded = await client.decode_invoice(invoice.text)
    assert (decoded.payee, decoded.amount, decoded.expires_s) == (CAROL, HUGE, T0_S + 3_600)
    paid = await client.pay(invoice.text, None, 10**28, 5.0)
    assert (paid.status, paid.amount, len(paid.preimage)) == ("succeeded", HUGE, 32)
    assert await client.payment(invoice.hashlock) == paid


async def test_an_amount_is_the_payers_if_the_invoice_leaves_it_open(client: ApiClient) -> None:
    (invoice,) = await client.create_invoice("ETH", 0, "", 60, 1)
    with pytest.raises(Rejected, match="leaves the amount open"):
        await client.pay(invoice.text, None, None, 5.0)
    assert (await client.pay(invoice.text, 7, 0, 5.0)).amount == 7


async def test_a_failed_payment_is_an_answer_not_an_error(client: ApiClient) -> None:
    (invoice,) = await client.create_invoice("ETH", 1, "unpayable", None, 1)
    paid = await client.pay(invoice.text, None, None, 5.0)
    assert (paid.status, paid.preimage, paid.failure) == ("failed", b"", "no route with enough money")


async def test_every_list_comes_in_pages(client: ApiClient) -> None:
    """Whatever is listed, and however it is narrowed down, each thing is on one page."""
    made = [(await client.open_channel(BOB, "ETH", n, None, 60.0)).channel_id for n in range(1, 6)]
    seen, before = [], None
    while True:
        items, page = await client.channels(True, "", before, 2)
        assert len(items) <= 2
        seen += [item.channel_id for item in items]
        if (before := page.next_before) is None:
            break
    assert seen == made[::-1]
    found, _ = await client.channels(True, made[3].hex()[:20])
    assert [item.channel_id for item in found] == [made[3]]
    (first,), on = await client.peers("", None, 1)
    assert on.next_after == first.node_id
    (second,), end = await client.peers("", on.next_after, 1)
    assert {first.alias, second.alias} == {"bob", "carol"} and end.next_after is None
    assert [peer.alias for peer in (await client.peers("carol"))[0]] == ["carol"]
    for description in ("unpayable", "fine"):
        (invoice,) = await client.create_invoice("ETH", 1, description, None, 1)
        await client.pay(invoice.text, None, None, 5.0)
    assert [p.status for p in (await client.payments(None, 10, "failed"))[0]] == ["failed"]
    assert len((await client.payments(None, 10))[0]) == 2


async def test_pages_lead_from_the_newest_to_the_oldest(client: ApiClient) -> None:
    made = await client.create_invoice("ETH", 1, "", None, 7)
    seen, before = [], None
    while True:
        items, page = await client.invoices(before, 3)
        seen += items
        if page.next_before is None:
            break
        before = page.next_before
    assert seen == made[::-1]
    assert (await client.payments(None, 10))[0] == []


async def test_an_option_is_quoted_bought_and_settled(client: ApiClient) -> None:
    quote = await client.quote_option("ETH-27DEC26-4000-P", 150_000_000, "ETH", CAROL, 5.0)
    assert (quote.size_e8, quote.hops, quote.accept_by_s) == (150_000_000, 2, T0_S + 10)
    with pytest.raises(Rejected, match="above the limit of 1"):
        await client.buy_option(quote.quote_id, 1, 5.0)
    trade = await client.buy_option(quote.quote_id, quote.premium, 5.0)
    assert (trade.status, trade.premium) == ("bound", quote.premium)
    assert (await client.trades(None, 5))[0] == [trade]
    (position,), _ = await client.positions()
    assert (position.price_e8, position.value) == (3_500 * 10**8, quote.collateral // 2)
    assert await client.settle_options(None, 5.0) == [position]
    with pytest.raises(Rejected, match="no option here"):
        await client.settle_options(position.channel_id, 5.0)


async def test_many_payments_go_over_one_request(client: ApiClient, node: ScriptedNode) -> None:
    made = await client.create_invoice("ETH", 3, "", None, 500)
    asks = [Pay(invoice.text) for invoice in made]
    asks[250] = Pay("chd1nobodyknowsthis")
    results = [result async for result in client.pay_many(asks, in_flight=40)]
    assert sorted(result.index for result in results) == list(range(500))
    by_index = {result.index: result for result in results}
    wrong = by_index.pop(250)
    assert wrong.payment is None
    assert wrong.error is not None
    assert wrong.error.kind == "rejected"
    for index, result in by_index.items():
        assert result.payment is not None
        assert result.payment.hashlock == made[index].hashlock
    assert 1 < node.most_paying <= 40


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (Rejected("too little"), Rejected, "too little"),
        (OperationalError("the chain is gone"), OperationalError, "the chain is gone"),
        (PeerViolation("bob sent nonsense"), OperationalError, "bob sent nonsense"),
        (AssertionError("secret inside"), OperationalError, "the daemon met a bug"),
    ],
)
async def test_failures_keep_their_kind(
    client: ApiClient, node: ScriptedNode, raised: Exception, expected: type[Exception], message: str
) -> None:
    node.failing = raised
    with pytest.raises(expected, match=message) as caught:
        await client.info()
    assert "secret" not in str(caught.value)


async def test_stop_is_answered_before_the_node_stops(client: ApiClient, node: ScriptedNode) -> None:
    await client.stop()
    assert node.stopped.is_set()


async def test_without_a_daemon_the_error_says_where_it_was_looked_for() -> None:
    with pytest.raises(
        OperationalError, match=r"nobody answers at http://127\.0\.0\.1:1 \(Connection refused\)"
    ):
        await ApiClient("http://127.0.0.1:1", "00").info()


def test_every_command_has_its_route_and_the_client_has_every_command() -> None:
    commands = {
        name for name, _ in inspect.getmembers(Commands, inspect.isfunction) if not name.startswith("_")
    }
    for name in commands:
        of_protocol, of_client = getattr(Commands, name), getattr(ApiClient, name)
        assert inspect.signature(of_protocol) == inspect.signature(of_client), name
    assert len(ENDPOINTS) == len(commands - {"received"})  # lines without an end are no row of the table
    assert len({(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}) == len(ENDPOINTS)
