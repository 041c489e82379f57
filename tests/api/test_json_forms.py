"""Dataclasses as JSON and back."""

import dataclasses
import json
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channeld.api import commands
from channeld.api.endpoints import ENDPOINTS, StreamedPayment
from channeld.api.failures import Failure
from channeld.api.json_forms import dump_json, from_json, parse_json, to_json
from channeld.core.errors import Rejected

RESULTS = [kind for kind in vars(commands).values() if dataclasses.is_dataclass(kind)] + [
    StreamedPayment,
    Failure,
]
REQUESTS = [endpoint.request for endpoint in ENDPOINTS]


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Anything a field of that type could hold."""
    if get_origin(kind) is tuple:
        return st.lists(values(get_args(kind)[0]), max_size=3).map(tuple)
    if get_args(kind):
        return st.none() | values(get_args(kind)[0])
    if dataclasses.is_dataclass(kind):
        assert isinstance(kind, type)
        return st.builds(kind, **{field.name: values(field.type) for field in dataclasses.fields(kind)})
    if kind is int:
        return st.integers(-(2**53) + 1, 2**53 - 1)
    return {bytes: st.binary(max_size=40), str: st.text(max_size=20), bool: st.booleans()}[kind]


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_is_sent_comes_back(kind: Any, data: st.DataObject) -> None:
    sent = data.draw(values(kind))
    assert from_json(kind, parse_json(dump_json(to_json(sent)))) == sent


def test_amounts_survive_readers_who_only_have_doubles() -> None:
    asset = commands.AssetInfo(bytes(20), "ETH", 18, 2**95 - 1, 2**53 + 1, 2**64)
    document = json.loads(dump_json(to_json(asset)), parse_int=float)
    assert document == {
        "address": "0x" + "00" * 20,
        "symbol": "ETH",
        "decimals": 18.0,
        "on_chain": "39614081257132168796771975167",
        "in_channels": "9007199254740993",
        "credit": "18446744073709551616",
    }


@pytest.mark.parametrize("kind", [*RESULTS, *REQUESTS], ids=lambda kind: kind.__name__)
def test_every_integer_is_an_amount_or_a_count(kind: Any) -> None:
    """Building the readers asserts it for each field's name."""
    with pytest.raises(Rejected, match="expected an object"):
        from_json(kind, 5)
    with pytest.raises(Rejected, match="unknown field"):
        from_json(kind, {"no such field": 1})


@settings(max_examples=300, deadline=None)
@given(
    raw=st.binary(max_size=60)
    | st.text(max_size=60).map(str.encode)
    | st.from_regex(r'[\[\]{}:,"0-9eE\-. ntf]*').map(str.encode)
)
def test_parsing_either_agrees_with_the_library_or_rejects(raw: bytes) -> None:
    try:
        parsed = parse_json(raw)
    except Rejected:
        return
    assert json.dumps(parsed) == json.dumps(json.loads(raw))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.just("0x00")
    | st.just("5"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_values_in_any_fields_are_read_or_rejected(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(REQUESTS))
    names = [field.name for field in dataclasses.fields(kind)]
    document = {name: data.draw(json_values) for name in names if data.draw(st.booleans())}
    try:
        assert isinstance(from_json(kind, document), kind)
    except Rejected as error:
        assert len(str(error)) < 300
