"""docs/protocol.md says what the code does: tags, tables, limits and the contract's interface."""

import json
import re
from collections.abc import Iterable
from typing import Any

from channeld.adapters.transport.websocket import CloseCode
from channeld.core.claims import MAX_AMOUNT, PayoffKind
from channeld.core.identity import MAX_CHALLENGE_PERIOD_S, MIN_CHALLENGE_PERIOD_S
from channeld.core.operations import (
    MAX_CLAIMS_PER_SIDE,
    MAX_OPERATIONS,
    MAX_PACKET_BYTES,
    MAX_REASON_BYTES,
    STREAM_BYTES,
)
from channeld.core.pushing import MAX_WAITING_PUSHES
from channeld.core.records import FailureCode
from channeld.core.world import Margins
from channeld.daemon.peering import PROTOCOL, RELAYS_A_SECOND
from channeld.wire import invoice, operations, packet
from channeld.wire import messages as wire
from channeld.wire.framing import MAX_FRAME_BYTES
from channeld.wire.layout import Layout
from channeld.wire.limits import MAX_MESSAGE_BYTES
from channeld.wire.noise import PROLOGUE
from channeld.wire.prices import MAX_SIGNERS
from tests.docs.documents import ROOT, inline_code, read, rows, section

TEXT = read("docs/protocol.md")


def as_said(heading: str) -> dict[int, tuple[str, int]]:
    """A table of tags: tag -> (name, number of fields)."""
    table = rows(section(TEXT, heading))
    return {int(tag): (name, len(fields.split(" · "))) for tag, name, fields in table}


def as_coded(layouts: Iterable[tuple[int, Layout[Any]]]) -> dict[int, tuple[str, int]]:
    return {tag: (layout.name, layout.size) for tag, layout in layouts}


def test_every_message_has_its_tag_and_its_fields():
    assert as_said("### The messages") == as_coded(
        (tag, layout) for tag, (_, layout) in wire._MESSAGES.items()
    )


def test_every_operation_has_its_tag_and_its_fields():
    assert as_said("### Operations") == as_coded(operations._LAYOUTS.items())


def test_every_body_of_a_relay_has_its_tag_and_its_fields():
    said = as_said("### Bodies of a relay")
    assert said == as_coded((tag, layout) for tag, (_, layout) in wire._BODIES.items())


def test_every_packet_has_its_tag_and_its_fields():
    said = {}
    for form, name, fields in rows(section(TEXT, "### Packets")):
        tag = re.fullmatch(r"`\[(\d), \.\.\.\]`", form)
        if tag is not None:
            said[int(tag[1])] = len(fields.split(" · "))
            assert name in ("forward to", "deliver", "write option")
    assert said == {tag: layout.size for tag, layout in packet._LAYOUTS.items()}


def test_every_reason_of_a_failure_has_its_code():
    said = {int(code): name for code, name, _ in rows(section(TEXT, "### Answers"))}
    assert said == {int(code): code.name for code in FailureCode}


def test_every_payoff_has_its_number():
    said = {int(row[0]): row[1] for row in rows(section(TEXT, "## Payoffs"))}
    assert said == {
        int(kind): "FIXED" if kind is PayoffKind.FIXED else name
        for kind, name in zip(
            PayoffKind,
            ("", "call", "put", "digital call", "digital put", "coin-settled call", "coin-settled put"),
            strict=True,
        )
    }


def test_every_field_of_an_invoice_has_its_type():
    said = {int(row[0]): row[3] for row in rows(section(TEXT, "## Invoices"))}
    assert said.keys() == {field.kind for field in invoice._FIELDS}
    never = {kind for kind, default in said.items() if default == "never"}
    assert never == {field.kind for field in invoice._FIELDS if field.default is None}


def test_every_close_code_is_told():
    said = section(TEXT, "### The websocket")
    assert [code for code in CloseCode if str(int(code)) not in said] == []


def test_the_numbers_of_the_limits():
    said = {row[0]: row[1] for row in rows(section(TEXT, "## Limits"))}
    margins = Margins()
    expected = {
        "message": f"{MAX_MESSAGE_BYTES >> 20} MiB",
        "operations of an update": f"1 to {MAX_OPERATIONS}",
        "open claims, a side": f"{MAX_CLAIMS_PER_SIDE}",
        "packet": f"{MAX_PACKET_BYTES:,} bytes",
        "reason of a failure": f"{MAX_REASON_BYTES} bytes",
        "stream of a push": f"{STREAM_BYTES} bytes",
        "pushes that wait in a channel": f"{MAX_WAITING_PUSHES}",
        "nodes of a relay, both ways": f"{wire.MAX_RELAY_HOPS}",
        "relays of one peer, a second": f"{RELAYS_A_SECOND}, more are dropped",
        "challenge period": f"{MIN_CHALLENGE_PERIOD_S} to {MAX_CHALLENGE_PERIOD_S:,} s",
        "signers of a feed": f"{MAX_SIGNERS}",
        "`register`": f"{margins.register_s} s",
        "`reorg`": f"{margins.reorg_s} s",
        "`skew`": f"{margins.skew_s} s",
        "`longest`": f"{margins.longest_s:,} s",
    }
    assert {name: said[name] for name in expected} == expected
    assert said["amount, deposit, size"] == "2^95 − 1" and MAX_AMOUNT == 2**95 - 1


def test_the_numbers_of_the_transport():
    assert f"{MAX_FRAME_BYTES:,} bytes" in section(TEXT, "### The websocket")
    assert f'prologue = "{PROLOGUE.decode()}"' in section(TEXT, "### Handshake")
    assert f"`protocol` is {PROTOCOL}" in section(TEXT, "### The messages")


# The contract --------------------------------------------------------------------------------------


def canonical(parameter: dict[str, Any]) -> str:
    """A type as signatures have it; the two structs by the names that the document gives them."""
    if not parameter["type"].startswith("tuple"):
        return str(parameter["type"])
    inner = "(" + ",".join(canonical(part) for part in parameter["components"]) + ")"
    names = {"(address,address,address,uint256)": "Params", "(bytes32,bytes32)": "Signature"}
    return names.get(inner, inner) + parameter["type"].removeprefix("tuple")


def interface(kind: str) -> set[str]:
    abi = json.loads((ROOT / "contracts/adjudicator.json").read_text())["abi"]
    return {
        f"{entry['name']}({','.join(canonical(each) for each in entry['inputs'])})"
        for entry in abi
        if entry["type"] == kind
    }


def named_in(heading: str) -> set[str]:
    first_cells = " ".join(row[0] for row in rows(section(TEXT, heading)))
    return {code for code in inline_code(first_cells) if "(" in code}


def test_every_call_and_view_of_the_contract_is_told_and_no_other():
    assert named_in("### Calls") | named_in("### Storage") == interface("function")


def test_every_event_of_the_contract_is_told_and_no_other():
    assert named_in("### Events") == interface("event")


def test_every_typed_struct_is_the_contract_s():
    sources = "".join(path.read_text() for path in sorted((ROOT / "contracts").glob("*.vy")))
    typed = set(re.findall(r"\b(?:State|Close|Withdraw|Start|Price)\((?:bytes32|address)[^)]*\)", TEXT))
    assert {name.partition("(")[0] for name in typed} == {"State", "Close", "Withdraw", "Start", "Price"}
    assert [name for name in typed if f'"{name}"' not in sources] == []


def test_as_many_options_are_netted_as_is_said():
    bound = re.search(r"MAX_NETTED: constant\(uint256\) = (\d+)", (ROOT / "contracts/payoffs.vy").read_text())
    assert bound is not None
    assert f"exact worst case of its first {bound[1]} options" in " ".join(TEXT.split())
