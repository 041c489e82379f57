"""What the server refuses, and how it says so: mallory and the merely mistaken, over real sockets."""

import json
import random
from typing import Any

import aiohttp
import pytest

from channeld.api.server import ApiServer
from tests.api.cast import BOB
from tests.api.conftest import MAX_BODY_BYTES, TOKEN
from tests.api.scripted import ScriptedNode

KEY = {"Authorization": f"Bearer {TOKEN}"}
ID = "0x" + "ab" * 32
INVOICE = {"asset": "ETH", "amount": "5"}
OPEN = {"peer": "0x" + BOB.hex(), "asset": "ETH", "amount": "5"}


async def ask(
    server: ApiServer, method: str, path: str, body: Any = None, headers: Any = None
) -> tuple[int, Any]:
    """The status, and the decoded body. A body is sent as JSON unless it is bytes already."""
    raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **(KEY if headers is None else headers)}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, server.url + path, data=raw, headers=sent) as response,
    ):
        assert response.content_type == "application/json"
        return response.status, await response.json()


async def refused(server: ApiServer, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
    status, answer = await ask(server, method, path, body)
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"kind", "message"}
    return status, answer["error"]["kind"], answer["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer " + "00" * 32},
        {"Authorization": f"Bearer {TOKEN} "[:-2]},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"bearer {TOKEN}"},
        {"Authorization": "Bearer \xff\xfe"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/info", "/v1/nowhere", "/"])
async def test_without_the_token_nothing_is_told(server: ApiServer, headers: Any, path: str) -> None:
    status, answer = await ask(server, "GET", path, headers=headers)
    assert (status, answer["error"]["kind"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:9741", 200),
        ("localhost:9741", 200),
        ("LOCALHOST", 200),
        ("[::1]:9741", 200),
        ("192.168.1.20:9741", 200),
        ("evil.example", 403),
        ("evil.example:9741", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("evil.example@127.0.0.1", 200),  # the name after the @ is what counts, and it is an address
        ("[::1", 403),
        ("", 403),
    ],
)
async def test_a_name_that_others_could_point_at_us_is_refused(
    server: ApiServer, host: str, status: int
) -> None:
    given, answer = await ask(server, "GET", "/v1/info", headers={**KEY, "Host": host})
    assert given == status
    assert status == 200 or answer["error"]["kind"] == "forbidden"


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        # fields
        ("POST", "/v1/invoices", {}, "asset: expected a value, got nothing"),
        ("POST", "/v1/invoices", {**INVOICE, "amout": "5"}, "amout: unknown field; did you mean amount?"),
        (
            "POST",
            "/v1/invoices",
            {**INVOICE, "zzz": 1},
            "zzz: unknown field; expected asset, amount, description, expiry_s, count",
        ),
        ("POST", "/v1/stop", {"force": True}, "force: unknown field; expected none"),
        ("GET", "/v1/info?x=1", None, "x: unknown field; expected none"),
        ("POST", "/v1/invoices?count=5", INVOICE, None),
        # amounts
        (
            "POST",
            "/v1/invoices",
            {"asset": "ETH", "amount": 5},
            'amount: expected a whole number in quotes, as "1000", got the number 5',
        ),
        (
            "POST",
            "/v1/invoices",
            {"asset": "ETH", "amount": "0.5"},
            "amount: expected a whole number in quotes, as \"1000\", got the text '0.5'",
        ),
        ("POST", "/v1/invoices", {"asset": "ETH", "amount": "1e3"}, None),
        ("POST", "/v1/invoices", {"asset": "ETH", "amount": "05"}, None),
        ("POST", "/v1/invoices", {"asset": "ETH", "amount": "+5"}, None),
        ("POST", "/v1/invoices", {"asset": "ETH", "amount": " 5"}, None),
        ("POST", "/v1/invoices", {"asset": "ETH", "amount": "5\n"}, None),
        ("POST", "/v1/invoices", {"asset": "ETH", "amount": "-5"}, None),
        ("POST", "/v1/invoices", {"asset": "ETH", "amount": "-0"}, None),
        ("POST", "/v1/invoices", {"asset": "ETH", "amount": "٥"}, None),
        ("POST", "/v1/invoices", {"asset": "ETH", "amount": "1" * 5000}, None),
        ("POST", "/v1/invoices", {"asset": "ETH", "amount": str(2**95)}, None),
        ("POST", "/v1/invoices", {"asset": "ETH", "amount": None}, None),
        ("POST", "/v1/invoices", {"asset": "ETH", "amount": True}, None),
        ("POST", "/v1/channels", {**OPEN, "amount": "0"}, None),
        # counts and seconds
        (
            "POST",
            "/v1/invoices",
            {**INVOICE, "count": "3"},
            "count: expected a whole number, got the text '3'",
        ),
        (
            "POST",
            "/v1/invoices",
            {**INVOICE, "count": 3.0},
            "count: expected a whole number, got the number 3.0",
        ),
        ("POST", "/v1/invoices", {**INVOICE, "count": 0}, "count: expected 1 to 1000, got the number 0"),
        ("POST", "/v1/invoices", {**INVOICE, "count": 1001}, None),
        ("POST", "/v1/invoices", {**INVOICE, "count": True}, "count: expected a whole number, got true"),
        ("POST", "/v1/invoices", {**INVOICE, "expiry_s": 0}, None),
        ("POST", "/v1/channels", {**OPEN, "challenge_period_s": 599}, None),
        ("POST", "/v1/channels", {**OPEN, "timeout_s": 0}, None),
        ("POST", "/v1/channels", {**OPEN, "timeout_s": 10**400}, None),
        (
            "POST",
            "/v1/channels",
            {**OPEN, "timeout_s": "5"},
            "timeout_s: expected a number, got the text '5'",
        ),
        # texts and flags
        ("POST", "/v1/invoices", {**INVOICE, "asset": 5}, "asset: expected a text, got the number 5"),
        ("POST", "/v1/invoices", {**INVOICE, "asset": ""}, "asset: expected 1 to 64 characters, got 0"),
        ("POST", "/v1/invoices", {**INVOICE, "description": "x" * 641}, None),
        ("POST", f"/v1/channels/{ID}/close", {"unilateral": "yes"}, None),
        ("POST", f"/v1/channels/{ID}/close", {"unilateral": 1}, None),
        # ids
        ("POST", "/v1/channels", {**OPEN, "peer": BOB.hex()}, None),
        ("POST", "/v1/channels", {**OPEN, "peer": "0x" + "gg" * 33}, None),
        ("POST", "/v1/channels", {**OPEN, "peer": "0x" + "a" * 65}, None),
        ("POST", "/v1/channels", {**OPEN, "peer": "0x" + "ab " * 22}, None),
        (
            "POST",
            "/v1/channels",
            {**OPEN, "peer": "0xab"},
            "peer: expected 0x and 33 bytes in hex, got 1 bytes",
        ),
        (
            "POST",
            "/v1/channels",
            {**OPEN, "peer": ["0x" + BOB.hex()]},
            "peer: expected 0x and hex digits, got a list of 1",
        ),
        ("GET", "/v1/channels/0xab", None, "channel_id: expected 0x and 32 bytes in hex, got 1 bytes"),
        ("GET", "/v1/channels/nonsense", None, None),
        (
            "POST",
            f"/v1/channels/{ID}/deposit",
            {"channel_id": ID, "amount": "1"},
            "channel_id: expected in the path only",
        ),
        ("POST", "/v1/options/buy", {"quote_id": "0x"}, None),
        # queries
        ("GET", "/v1/invoices?limit=0", None, "limit: expected 1 to 500, got the number 0"),
        ("GET", "/v1/invoices?limit=ten", None, "limit: expected a whole number, got the text 'ten'"),
        ("GET", "/v1/invoices?limit=5&limit=6", None, "limit: expected once in the query, got it twice"),
        ("GET", "/v1/invoices?before=-1", None, None),
        ("GET", "/v1/invoices?before=99999999999999999999", None, None),
        ("GET", "/v1/channels?closed=1", None, "closed: expected true or false, got the text '1'"),
        ("GET", "/v1/channels?close=true", None, "close: unknown field; did you mean closed?"),
        ("POST", "/v1/payments/stream?in_flight=0", b"", None),
        # documents
        ("POST", "/v1/invoices", b"{", None),
        ("POST", "/v1/invoices", b"[]", "the body: expected an object, got a list of 0"),
        ("POST", "/v1/invoices", b"null", "the body: expected an object, got null"),
        ("POST", "/v1/invoices", b'"x"', "the body: expected an object, got the text 'x'"),
        ("POST", "/v1/invoices", b"\xff\xfe", None),
        ("POST", "/v1/invoices", b'\xef\xbb\xbf{"asset":"ETH","amount":"5"}', None),
        ("POST", "/v1/invoices", b'{"asset":"ETH","amount":"5"} x', None),
        (
            "POST",
            "/v1/invoices",
            b'{"asset":"ETH","amount":"5","amount":"6"}',
            "expected each field once, got 'amount' twice",
        ),
        ("POST", "/v1/invoices", b'{"asset":"ETH","amount":"5","count":NaN}', "expected JSON, got NaN"),
        ("POST", "/v1/invoices", b'{"asset":"ETH","amount":"5","count":' + b"9" * 5000 + b"}", None),
        ("POST", "/v1/invoices", b'{"asset":"ETH","amount":"5","description":"\\ud800"}', None),
        ("POST", "/v1/invoices", b'{"\\ud800":1}', None),
        ("POST", "/v1/channels", b'{"timeout_s":1e999,' + json.dumps(OPEN).encode()[1:], None),
        ("POST", "/v1/invoices", b"[" * 30_000, None),
        ("POST", "/v1/invoices", b'{"a":' * 10_000, None),
    ],
)
async def test_a_bad_request_says_what_was_expected(
    server: ApiServer, method: str, path: str, body: Any, message: str | None
) -> None:
    status, kind, said = await refused(server, method, path, body)
    assert (status, kind) == (400, "rejected")
    assert message in (None, said)
    assert len(said) < 300
    assert "expected" in said or "did you mean" in said


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/nowhere", 404, "not_found"),
        ("GET", "/v2/info", 404, "not_found"),
        ("GET", "/v1/info/", 404, "not_found"),
        ("POST", "/v1/info", 405, "rejected"),
        ("HEAD", "/v1/info", 405, None),
        ("OPTIONS", "/v1/payments", 405, "rejected"),
        ("GET", f"/v1/channels/{ID}", 404, "not_found"),
        ("GET", f"/v1/invoices/{ID}", 404, "not_found"),
        ("GET", f"/v1/payments/{ID}", 404, "not_found"),
        ("DELETE", "/v1/peers/0x" + "02" * 33, 404, "not_found"),
        ("GET", "/v1/payments/stream", 400, "rejected"),
    ],
)
async def test_what_is_not_there(
    server: ApiServer, method: str, path: str, status: int, kind: str | None
) -> None:
    if method == "HEAD":
        async with (
            aiohttp.ClientSession(headers=KEY) as session,
            session.head(server.url + path) as response,
        ):
            assert response.status == status
    else:
        assert (await refused(server, method, path))[:2] == (status, kind)


async def test_a_body_above_the_limit_is_refused(server: ApiServer) -> None:
    fits = json.dumps({**INVOICE, "description": ""}).encode().ljust(MAX_BODY_BYTES)
    assert (await ask(server, "POST", "/v1/invoices", fits))[0] == 200
    status, kind, said = await refused(server, "POST", "/v1/invoices", fits + b" ")
    assert (status, kind) == (413, "rejected")
    assert str(MAX_BODY_BYTES) in said


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_what_a_web_form_can_send_is_not_taken_for_json(server: ApiServer, content_type: str) -> None:
    headers = {**KEY, "Content-Type": content_type}
    status, answer = await ask(server, "POST", "/v1/invoices", INVOICE, headers)
    assert (status, answer["error"]["kind"]) == (415, "rejected")


async def test_a_bug_is_told_without_what_is_inside(
    server: ApiServer, node: ScriptedNode, caplog: pytest.LogCaptureFixture
) -> None:
    node.failing = AssertionError("the secret is 42")
    status, kind, said = await refused(server, "GET", "/v1/info")
    assert (status, kind) == (500, "bug")
    assert "42" not in said
    assert "the secret is 42" in caplog.text  # the operator's log has the trace
    assert TOKEN not in caplog.text


async def test_random_bytes_never_meet_a_bug(server: ApiServer, caplog: pytest.LogCaptureFixture) -> None:
    """Mutations of good requests: whatever comes, it is an answer of the table, never a 500."""
    seed = random.Random(2)
    good = [
        json.dumps(body).encode()
        for body in ({**INVOICE, "count": 2}, OPEN, {"invoice": "chd1", "timeout_s": 1.5})
    ]
    paths = ["/v1/invoices", "/v1/channels", "/v1/payments"]
    seen: dict[int, int] = {}
    async with aiohttp.ClientSession(headers={**KEY, "Content-Type": "application/json"}) as session:
        for turn in range(600):
            body = bytearray(good[turn % 3])
            for _ in range(seed.randrange(1, 6)):
                place = seed.randrange(len(body))
                match seed.randrange(3):
                    case 0:
                        body[place] = seed.randrange(256)
                    case 1:
                        del body[place : place + seed.randrange(1, 9)]
                        body += b" "
                    case _:
                        body[place:place] = seed.choice(
                            [b"{", b"[", b'"', b"null", b"-1", b"1e9", b"\\u0000", b","]
                        )
            async with session.post(server.url + paths[turn % 3], data=bytes(body)) as response:
                seen[response.status] = seen.get(response.status, 0) + 1
                assert isinstance(await response.json(), dict)
    assert set(seen) <= {200, 400}
    assert seen[400] > 100
    assert "bug" not in caplog.text
