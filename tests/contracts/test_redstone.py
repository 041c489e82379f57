"""RedStone prices, proven on production packages of 1 July 2024 and on bent copies of them."""

import base64
import json
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from statistics import median

import pytest

from bench.evm import CompactSignature, Mined, Party, party
from channeld.wire.eip712 import Feed, keccak
from tests.contracts.town import HOUR_S, Town, mallory, refused

DATA = Path(__file__).parents[2] / "../shared/data/oracle/redstone_2024-07-01.json"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the real packages are not in this checkout")
SCHEME = 2


@dataclass(frozen=True, slots=True)
class Package:
    """What one signer has signed."""

    signer: bytes
    symbol: str
    value: int
    timestamp_ms: int
    proof: CompactSignature


def serialised(value: float) -> int:
    """The signed integer: the double, exactly, rounded to 8 decimals (half away from zero)."""
    return int((Decimal(value) * 10**8).quantize(Decimal(1), ROUND_HALF_UP))


def digest_of(symbol: str, value: int, timestamp_ms: int) -> bytes:
    point = symbol.encode().ljust(32, b"\0") + value.to_bytes(32, "big")
    return keccak(point + timestamp_ms.to_bytes(6, "big") + (32).to_bytes(4, "big") + (1).to_bytes(3, "big"))


def real_packages(symbol: str) -> list[Package]:
    """In ascending order of signers."""
    packages = []
    for raw in json.loads(DATA.read_text())[symbol]:
        (point,) = raw["dataPoints"]
        proof = base64.b64decode(raw["signature"])
        vs = (int.from_bytes(proof[32:64], "big") | (proof[64] - 27) << 255).to_bytes(32, "big")
        packages.append(
            Package(
                signer=bytes.fromhex(raw["signerAddress"][2:]),
                symbol=point["dataFeedId"],
                value=serialised(point["value"]),
                timestamp_ms=raw["timestampMilliseconds"],
                proof=(proof[:32], vs),
            )
        )
    return sorted(packages, key=lambda package: package.signer)


def made_packages(values: list[int], instant_s: int, symbol: str = "ETH") -> list[Package]:
    signers: list[Party] = sorted(
        (party(f"node {n}") for n in range(len(values))), key=lambda who: who.address
    )
    return [
        Package(
            who.address,
            symbol,
            value,
            instant_s * 1000,
            who.sign(digest_of(symbol, value, instant_s * 1000)),
        )
        for who, value in zip(signers, values, strict=True)
    ]


def feed_of(packages: list[Package], grace_h: int = 24) -> Feed:
    signers = tuple(package.signer for package in packages)
    return Feed(packages[0].symbol, 8, SCHEME, len(packages), grace_h, signers)


def publish(
    town: Town, packages: list[Package], feed: Feed | None = None, instant_s: int | None = None
) -> Mined:
    return town.court.send(
        mallory,
        "publish_redstone",
        (feed or feed_of(packages)).definition,
        packages[0].timestamp_ms // 1000 if instant_s is None else instant_s,
        [package.value for package in packages],
        [package.proof for package in packages],
    )


def stored(town: Town, packages: list[Package]) -> int:
    instant_s = packages[0].timestamp_ms // 1000
    word: int = town.court.view("prices", keccak(feed_of(packages).feed_id + instant_s.to_bytes(32, "big")))
    assert word >> 128 in (0, town.now_s)
    return word & (2**128 - 1)


@needs_data
@pytest.mark.parametrize("symbol", ["BTC", "ETH"])
def test_the_median_of_real_packages_is_the_price(town: Town, symbol: str) -> None:
    packages = real_packages(symbol)
    assert len({package.value for package in packages}) > 1  # signers differ: whose value is a choice
    mined = publish(town, packages)
    assert stored(town, packages) == median(package.value for package in packages)
    assert mined.event("PricePublished")["price"] == stored(town, packages)
    assert publish(town, packages).events == ()


@needs_data
@pytest.mark.parametrize("symbol", ["BTC", "ETH"])
def test_bent_copies_are_refused(town: Town, symbol: str) -> None:
    refuses_bent_copies(town, real_packages(symbol))


def test_bent_copies_of_packages_made_here_are_refused(town: Town) -> None:
    refuses_bent_copies(town, made_packages([3_400, 3_399, 3_401, 3_400, 3_402], town.now_s - 10))


def refuses_bent_copies(town: Town, packages: list[Package]) -> None:
    first = packages[0]
    bent = [
        replace(first, value=first.value + 1),
        replace(first, proof=packages[1].proof),
        replace(first, proof=(first.proof[0], bytes(32))),
        replace(first, proof=(first.proof[1], first.proof[0])),
        replace(first, signer=bytes(19) + b"\1"),
    ]
    for package in bent:
        with refused("redstone: not signed" if package.proof[1] != first.proof[0] else ""):
            publish(town, [package, *packages[1:]])
    with refused("redstone: not signed"):
        publish(town, packages, instant_s=first.timestamp_ms // 1000 + 10)
    with refused("redstone: not signed"):
        publish(town, packages, replace(feed_of(packages), pair="SOL"))
    assert stored(town, packages) == 0
    publish(town, packages)
    assert stored(town, packages) == median(package.value for package in packages)


def test_publishing_again_changes_nothing_and_does_not_fail(town: Town) -> None:
    """Else a price that came in time would become one that came too late."""
    packages = made_packages([5, 6, 7], town.now_s)
    publish(town, packages)
    key = keccak(feed_of(packages).feed_id + town.now_s.to_bytes(32, "big"))
    word = town.court.view("prices", key)
    town.wait(25 * HOUR_S)
    assert publish(town, packages).events == ()
    assert town.court.view("prices", key) == word


@needs_data
def test_every_named_signer_must_have_signed(town: Town) -> None:
    """Else the sender would choose among the medians of those who did."""
    refuses_a_selection(town, real_packages("ETH"))


def test_every_named_signer_of_packages_made_here_must_have_signed(town: Town) -> None:
    refuses_a_selection(town, made_packages([5, 6, 7, 8, 9], town.now_s))


def refuses_a_selection(town: Town, packages: list[Package]) -> None:
    feed = feed_of(packages)
    for values, proofs in ((4, 4), (4, 5), (5, 4)):
        with refused("redstone: not every signer"):
            town.court.send(
                mallory,
                "publish_redstone",
                feed.definition,
                packages[0].timestamp_ms // 1000,
                [package.value for package in packages[:values]],
                [package.proof for package in packages[:proofs]],
            )
    with refused("redstone: not every signer"):
        publish(town, packages[:4], replace(feed, threshold=4))
    with refused("redstone: signers must ascend"):
        publish(town, packages[::-1], replace(feed, signers=feed.signers[::-1]))
    with refused("redstone: signers must ascend"):
        publish(town, [packages[0], packages[0]])


@pytest.mark.parametrize(
    ("values", "price"),
    [
        ([1], 1),
        ([7], 7),
        ([7, 8], 7),
        ([9, 5], 7),
        ([3, 1, 2], 2),
        ([5, 1, 4, 2], 3),
        ([2**128, 1, 2**255], 2**128),
        ([2**128 - 1, 1, 2**255], 2**128 - 1),
        ([0, 0, 5, 6, 7], 5),
        (list(range(16, 0, -1)), 8),
    ],
)
def test_the_median_whatever_the_order(town: Town, values: list[int], price: int) -> None:
    packages = made_packages(values, town.now_s)
    if price < 2**128:
        publish(town, packages)
        assert stored(town, packages) == price
    else:
        with refused("redstone: no price"):
            publish(town, packages)


@pytest.mark.parametrize("grace_h", [*range(1, 9), 255])
def test_a_price_is_kept_under_the_feed_with_its_grace(town: Town, grace_h: int) -> None:
    packages = made_packages([5, 6, 7], town.now_s)
    feed = feed_of(packages, grace_h)
    publish(town, packages, feed)
    key = keccak(feed.feed_id + town.now_s.to_bytes(32, "big"))
    assert town.court.view("prices", key) == town.now_s << 128 | 6


def test_a_median_of_zero_is_no_price(town: Town) -> None:
    with refused("redstone: no price"):
        publish(town, made_packages([0, 0, 9], town.now_s))


def test_no_price_before_its_instant_nor_of_another_scheme_nor_without_grace(town: Town) -> None:
    early = made_packages([5, 6, 7], town.now_s + 10)
    with refused("redstone: too early"):
        publish(town, early)
    packages = made_packages([5, 6, 7], town.now_s)
    for scheme in (0, 1, 3, 255):
        with refused("redstone: unknown scheme"):
            publish(town, packages, replace(feed_of(packages), scheme=scheme))
    with refused("redstone: no grace"):
        publish(town, packages, feed_of(packages, grace_h=0))
    empty = replace(feed_of(packages), signers=(), threshold=0)
    with refused("redstone: not every signer"):
        town.court.send(mallory, "publish_redstone", empty.definition, town.now_s, [], [])


def test_seventeen_signers_do_not_fit(town: Town) -> None:
    with refused("execution reverted"):
        publish(town, made_packages(list(range(1, 18)), town.now_s))
