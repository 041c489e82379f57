"""docs/api.md names every route, every field, every kind of failure and every limit there is."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from channeld.api import commands, requests
from channeld.api.endpoints import (
    ENDPOINTS,
    MAX_LINE_BYTES,
    MAX_PUSH_LINE_BYTES,
    PAYMENT_STREAM_PATH,
    PUSH_STREAM_PATH,
    RECEIVED_PATH,
    Endpoint,
    StreamedPayment,
    StreamedPushes,
)
from channeld.api.failures import STATUS
from channeld.api.server import MAX_REQUESTS

DOCUMENT = Path(__file__).parents[2] / "docs/api.md"


@pytest.fixture(scope="module")
def text() -> str:
    return DOCUMENT.read_text()


def test_every_route_is_there_and_no_other(text: str) -> None:
    found = set(re.findall(r"^\| `([A-Z]+ /v1/[^`]+)` \|", text, re.M))
    expected = {f"{endpoint.method} {endpoint.path}" for endpoint in ENDPOINTS}
    streams = {f"POST {PAYMENT_STREAM_PATH}", f"POST {PUSH_STREAM_PATH}", f"GET {RECEIVED_PATH}"}
    assert found == expected | streams


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.request.__name__)
def test_every_field_of_every_request_is_there(text: str, endpoint: Endpoint[Any, Any]) -> None:
    for field in dataclasses.fields(endpoint.request):
        assert f"`{field.name}" in text or f"{{{field.name}}}" in text, field.name


@pytest.mark.parametrize(
    "kind",
    [kind for kind in vars(commands).values() if dataclasses.is_dataclass(kind)]
    + [StreamedPayment, StreamedPushes],
    ids=lambda kind: kind.__name__,
)
def test_every_field_of_every_answer_is_there(text: str, kind: type) -> None:
    for field in dataclasses.fields(kind):
        assert f"`{field.name}`" in text or f'"{field.name}"' in text, field.name


def test_every_failure_is_there(text: str) -> None:
    for kind, status in STATUS.items():
        assert f"| {status} | `{kind}` |" in text


def test_the_numbers_are_those_of_the_code(text: str) -> None:
    assert f"{MAX_REQUESTS:,} requests" in text
    assert f"{MAX_LINE_BYTES:,} bytes" in text
    assert f"at most {MAX_PUSH_LINE_BYTES} bytes" in text
    assert f"1 to {requests.MAX_PUSHES:,}" in text
    for number in (requests.CHAIN_TIMEOUT_S, requests.PAYMENT_TIMEOUT_S, requests.PayMany().in_flight):
        assert re.search(rf"default {number:.0f}\b", text), number
