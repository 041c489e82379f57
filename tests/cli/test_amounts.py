"""Amounts and names as people write them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channeld.api.commands import AssetInfo, ChannelInfo, PeerInfo
from channeld.cli.amounts import (
    choose_asset,
    read_amount,
    read_size,
    read_written,
    to_units,
)
from channeld.cli.names import clean, find_channel, find_peer, read_hash
from channeld.core.errors import Rejected
from channeld.wire.decimals import from_units, shown

ETH = AssetInfo(bytes(20), "ETH", 18, 0, 0, 0)
TEST = AssetInfo(b"\x7e" * 20, "TEST", 6, 0, 0, 0)
FAKE = AssetInfo(b"\xfa" * 20, "TEST", 6, 0, 0, 0)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("1 ETH", 10**18),
        ("1ETH", 10**18),
        ("1 eth", 10**18),
        (" 0.5   ETH ", 5 * 10**17),
        ("0.000000000000000001 ETH", 1),
        ("1.100000000000000000", 11 * 10**17),
        ("0", 0),
        ("007", 7 * 10**18),
        ("39614081257.132168796771975168 ETH", 39614081257132168796771975168),
    ],
)
def test_an_amount_is_read_exactly(text: str, units: int) -> None:
    assert read_amount(text, "ETH", 18) == units


@pytest.mark.parametrize(
    "text",
    [
        *("", "ETH", ".5 ETH", "5.", "1,5 ETH", "1e18", "-1 ETH", "+1", "0x10", "1 2", "1_000", "٥ ETH"),
        *("1 ETH x", "1.0000000000000000001 ETH", "1 TEST", "9" * 61, "1\n2", "NaN", "inf"),
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(Rejected, match="expected"):
        read_amount(text, "ETH", 18)


def test_too_many_decimals_are_an_error_even_if_zero() -> None:
    with pytest.raises(Rejected, match=r"expected at most 6 decimals for TEST, got 7 in 1\.0000000"):
        read_amount("1.0000000", "TEST", 6)


@given(st.integers(-(2**96), 2**96), st.integers(0, 36))
def test_what_is_shown_is_the_amount(amount: int, decimals: int) -> None:
    text = from_units(amount, decimals)
    assert Fraction(text) * 10**decimals == amount
    assert not ("." in text and text.endswith("0"))
    if amount >= 0:
        assert to_units(text, decimals, "it") == amount
        assert read_amount(shown(amount, decimals, "ETH"), "ETH", decimals) == amount


def test_contracts_have_eight_decimals_and_no_symbol() -> None:
    assert read_size("1.5") == 150_000_000
    for wrong in ("1.5 ETH", "0.000000001", "one"):
        with pytest.raises(Rejected, match="expected"):
            read_size(wrong)


@pytest.mark.parametrize(
    ("assets", "named", "chosen"),
    [
        ([ETH], [], ETH),
        ([ETH], ["", ""], ETH),
        ([ETH, TEST], ["TEST", ""], TEST),
        ([ETH, TEST], ["", "test"], TEST),
        ([ETH, TEST], ["TEST", "test"], TEST),
        ([ETH, TEST], ["TEST", "0x" + "7e" * 20], TEST),
        ([ETH, TEST, FAKE], ["", "0x" + "FA" * 20], FAKE),
        ([ETH, TEST], [], "expected an asset, one of ETH, TEST"),
        ([ETH, TEST], ["DOGE"], "expected one of the configured assets (ETH, TEST), got 'DOGE'"),
        ([ETH, TEST], ["ETH", "TEST"], "expected one asset, got ETH and TEST"),
        ([ETH, TEST, FAKE], ["TEST"], "expected the address of one asset: 2 are called TEST"),
        ([], [], "expected an asset"),
    ],
)
def test_the_asset_that_is_meant(assets: list[AssetInfo], named: list[str], chosen: AssetInfo | str) -> None:
    if isinstance(chosen, AssetInfo):
        assert choose_asset(assets, *named) == chosen
    else:
        with pytest.raises(Rejected) as caught:
            choose_asset(assets, *named)
        assert str(caught.value).startswith(chosen)


def peer(digits: str, alias: str, url: str = "ws://127.0.0.1:9740/") -> PeerInfo:
    return PeerInfo(bytes.fromhex(digits.ljust(66, "0")), bytes(20), alias, True, url, 0)


BOB, CAROL, MALLORY = peer("02b0b1", "bob"), peer("02b0ca", "carol"), peer("03bad1", "bob")
STRANGER = peer("03bad2", "bob", url="")


@pytest.mark.parametrize(
    ("peers", "text", "found"),
    [
        ([BOB, CAROL], "bob", BOB),
        ([BOB, CAROL], "02b0b", BOB),
        ([BOB, CAROL], "0x02B0C", CAROL),
        ([BOB, CAROL], "02b0", "2 peers are called '02b0': write the beginning of the id instead"),
        ([BOB, MALLORY], "bob", "2 peers are called 'bob': write the beginning of the id instead"),
        ([BOB, STRANGER], "bob", BOB),
        (
            [STRANGER, CAROL],
            "bob",
            f"{STRANGER.node_id.hex()} is connected and calls itself 'bob', but a name counts only for peers "
            "that you dialled or share a channel with: write an id (`channeld peers`) or its beginning",
        ),
        ([STRANGER], STRANGER.node_id.hex()[:8], STRANGER),
        (
            [STRANGER, peer("03bad3", "bob", url="")],
            "bob",
            "2 connected peers call themselves 'bob', but a name counts only for peers "
            "that you dialled or share a channel with: write an id (`channeld peers`) or its beginning",
        ),
        ([BOB, CAROL], "02", "no peer is called '02' or has an id that begins so: see `channeld peers`"),
        ([BOB, CAROL], "Bob", "no peer is called 'Bob' or has an id that begins so: see `channeld peers`"),
        (
            [peer("02aa", ""), BOB],
            "",
            "no peer is called '' or has an id that begins so: see `channeld peers`",
        ),
        # somebody whose name is the beginning of another's id: the name goes first, the whole id is safe
        ([BOB, peer("03bad1", "02b0b1")], "02b0b1", peer("03bad1", "02b0b1")),
    ],
)
def test_the_peer_that_is_meant(peers: list[PeerInfo], text: str, found: PeerInfo | str) -> None:
    if isinstance(found, PeerInfo):
        assert find_peer(peers, text) == found.node_id
    else:
        with pytest.raises(Rejected) as caught:
            find_peer(peers, text)
        assert str(caught.value) == found


def test_a_whole_node_id_may_be_a_strangers() -> None:
    assert find_peer([BOB], "0x02" + "77" * 32) == b"\x02" + b"\x77" * 32


def channel(digits: str) -> ChannelInfo:
    return ChannelInfo(
        channel_id=bytes.fromhex(digits.ljust(64, "0")),
        peer=BOB.node_id,
        peer_alias="bob",
        phase="open",
        online=True,
        asset=bytes(20),
        symbol="ETH",
        decimals=18,
        deposit_ours=0,
        deposit_theirs=0,
        ours=0,
        theirs=0,
        locked_ours=0,
        locked_theirs=0,
        spendable=0,
        receivable=0,
        open_claims=0,
        version=0,
        challenge_period_s=600,
        note="",
    )


def test_the_channel_that_is_meant() -> None:
    one, other = channel("abc1"), channel("abc2")
    assert find_channel([one, other], "0xABC1") == one
    assert find_channel([one, other], "abc2" + "0" * 60) == other
    for text, why in (
        ("abc", "2 channels begin with abc: write more of the id"),
        ("abd", "no channel begins with abd: see `channeld channels`"),
        ("ab", "expected a channel id or at least 3 of its hex digits, got 'ab'"),
        ("bob", "expected a channel id or at least 3 of its hex digits, got 'bob'"),
        ("", "expected a channel id or at least 3 of its hex digits, got ''"),
    ):
        with pytest.raises(Rejected) as caught:
            find_channel([one, other], text)
        assert str(caught.value) == why


def test_a_hash_is_written_whole() -> None:
    assert read_hash("0x" + "Ab" * 32) == b"\xab" * 32
    for wrong in ("ab", "zz" * 32, "0x" + "ab" * 33, ""):
        with pytest.raises(Rejected, match="expected a hash of 64 hex digits"):
            read_hash(wrong)


def test_others_texts_do_not_steer_the_terminal() -> None:
    assert clean("a\x1b[31mb\r\n\u202ec\x00") == "a?[31mb???c?"
    assert clean("Zoë 🍎") == "Zoë 🍎"


@pytest.mark.parametrize("text", ["5 ETH", "5", "5.25TEST", "1 a.b$c-d_e"])
def test_a_written_amount_is_number_and_symbol(text: str) -> None:
    written = read_written(text)
    assert text.replace(" ", "") == written.number + written.symbol
