"""docs/api.md lists the routes and fields that the code has, and no others."""

import re
from dataclasses import fields

from channeld.api import commands
from channeld.api.endpoints import ENDPOINTS, PAYMENT_STREAM_PATH, PUSH_STREAM_PATH, RECEIVED_PATH
from channeld.api.failures import STATUS
from tests.docs.documents import inline_code, read, rows, section

TEXT = read("docs/api.md")

ANSWERS = {
    "### Node": commands.NodeInfo,
    "### Peer": commands.PeerInfo,
    "### Channel": commands.ChannelInfo,
    "### Credit": commands.CreditInfo,
    "### Invoice": commands.InvoiceInfo,
    "### Decoded invoice": commands.DecodedInvoice,
    "### Payment": commands.PaymentInfo,
    "### Push": commands.PushInfo,
    "### Stream": commands.StreamInfo,
    "### Quote": commands.QuoteInfo,
    "### Trade": commands.TradeInfo,
    "### Position": commands.PositionInfo,
}


def test_every_route_is_told_and_no_other():
    said = [inline_code(row[0])[0] for row in rows(section(TEXT, "## Routes"))]
    coded = [f"{each.method} {each.path}" for each in ENDPOINTS]
    coded += [f"POST {PAYMENT_STREAM_PATH}", f"POST {PUSH_STREAM_PATH}", f"GET {RECEIVED_PATH}"]
    assert sorted(said) == sorted(coded)


def test_every_route_answers_what_is_told():
    said = {inline_code(row[0])[0]: row[1] for row in rows(section(TEXT, "## Routes"))}
    headings = {kind: heading.removeprefix("### ").lower() for heading, kind in ANSWERS.items()}
    for endpoint in ENDPOINTS:
        kind = getattr(endpoint.answer, "kind", None)
        told = said[f"{endpoint.method} {endpoint.path}"]
        assert (f"[{headings[kind]}](" in told) if kind is not None else told == "`{}`", endpoint.path
        name = getattr(endpoint.answer, "name", None)
        assert name is None or told.startswith(f'`{{"{name}": [`'), endpoint.path


def test_every_field_of_a_request_is_told_and_no_other():
    said: dict[str, set[str]] = {}
    route = ""
    for place, names, _ in rows(section(TEXT, "## What is asked").partition("### Pages")[0]):
        route = inline_code(place)[0] if place else route
        said.setdefault(route, set()).update(inline_code(names))
    coded = {
        f"{each.method} {each.path}": {field.name for field in fields(each.request)} - set(each.path_fields)
        for each in ENDPOINTS
    }
    paged = {"before", "limit"}
    assert said == {route: names for route, names in coded.items() if names and names != paged}
    assert paged <= set(inline_code(section(TEXT, "### Pages")))


def test_every_field_of_an_answer_is_told_and_no_other():
    for heading, kind in ANSWERS.items():
        said = {name for row in rows(section(TEXT, heading)) for name in inline_code(row[0])}
        assert said == {field.name for field in fields(kind)}, heading
    assets = inline_code(next(row[1] for row in rows(section(TEXT, "### Node")) if row[0] == "`assets`"))
    assert assets == [field.name for field in fields(commands.AssetInfo)]


def test_every_kind_of_failure_has_its_status():
    said = {inline_code(row[1])[0]: int(row[0]) for row in rows(section(TEXT, "## Failures"))}
    assert said == STATUS


def test_seconds_and_defaults_are_those_of_the_code():
    for endpoint in ENDPOINTS:
        defaults = {field.name: field.default for field in fields(endpoint.request)}
        if "timeout_s" in defaults:
            assert re.search(rf"\b{defaults['timeout_s']:.0f}\b", section(TEXT, "## Asking")), endpoint.path
