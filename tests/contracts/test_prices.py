"""Settlement prices: one value for one instant, by enough of the named signers."""

from dataclasses import replace

import pytest

from bench.evm import CHAIN_ID, Arena, CompactSignature, Court, Party, party
from channeld.wire.eip712 import Feed, keccak, price_digest
from tests.contracts.town import HOUR_S, USD, Town, alice, mallory, refused


def key_of(feed: Feed, instant_s: int) -> bytes:
    return keccak(feed.feed_id + instant_s.to_bytes(32, "big"))


def send(
    town: Town, feed: Feed, instant_s: int, price: int, signers: list[Party], signed: int | None = None
) -> bytes:
    """Publish with the signatures of these signers (over `signed` if it differs); the stored key."""
    digest = price_digest(feed.feed_id, instant_s, price if signed is None else signed)
    proofs = [who.sign(digest) for who in signers]
    town.court.send(mallory, "publish_price", feed.definition, instant_s, price, proofs)
    return key_of(feed, instant_s)


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_two_of_three_signers_are_enough(town: Town, pair: tuple[int, int]) -> None:
    instant_s = town.now_s - 7
    key = send(town, town.feed, instant_s, 4_000 * USD, [town.oracles[n] for n in pair])
    assert town.court.view("prices", key) == town.now_s << 128 | 4_000 * USD


def test_the_event_names_the_key_and_the_price(town: Town) -> None:
    mined = town.publish(town.now_s, 4_000 * USD)
    key = key_of(town.feed, town.now_s)
    assert mined.event("PricePublished") == {"key": key, "price": 4_000 * USD}


def test_publishing_again_changes_nothing_and_does_not_fail(town: Town) -> None:
    instant_s = town.now_s
    town.publish(instant_s, 4_000 * USD)
    town.wait(50)
    assert town.publish(instant_s, 4_000 * USD, who=alice).events == ()
    assert town.publish(instant_s, 5_000 * USD, who=alice).events == ()  # the signers equivocate
    stored = town.court.view("prices", key_of(town.feed, instant_s))
    assert stored == instant_s << 128 | 4_000 * USD


def test_one_signer_is_not_enough_nor_one_twice(town: Town) -> None:
    one, two, three = town.oracles
    with refused("price: not as many signatures as the threshold"):
        send(town, town.feed, town.now_s, USD, [one])
    with refused("price: not as many signatures as the threshold"):
        send(town, town.feed, town.now_s, USD, [one, two, three])
    with refused("price: signers must ascend"):
        send(town, town.feed, town.now_s, USD, [two, two])
    with refused("price: signers must ascend"):
        send(town, town.feed, town.now_s, USD, [two, one])


def test_a_stranger_is_no_signer(town: Town) -> None:
    first = next(
        who for who in (party(f"stranger {n}") for n in range(99)) if who.address > town.oracles[0].address
    )
    with refused("price: not a signer of the feed"):
        send(town, town.feed, town.now_s, USD, [town.oracles[0], first])


def test_an_invalid_signature_is_by_nobody_even_if_the_feed_names_nobody(town: Town) -> None:
    """ecrecover answers with the zero address: a feed that names it would be signed by anyone."""
    nobody = replace(town.feed, signers=(bytes(20), town.oracles[0].address))
    digest = price_digest(nobody.feed_id, town.now_s, USD)
    broken: CompactSignature = (bytes(32), bytes(32))
    with refused("price: signers must ascend"):
        town.court.send(
            mallory,
            "publish_price",
            nobody.definition,
            town.now_s,
            USD,
            [broken, town.oracles[0].sign(digest)],
        )


def test_signers_must_sign_the_very_value(town: Town) -> None:
    """A median of whichever signatures the sender picks would not be unique."""
    digests = [price_digest(town.feed.feed_id, town.now_s, price) for price in (100, 101)]
    proofs = [who.sign(digest) for who, digest in zip(town.oracles[:2], digests, strict=True)]
    for price in (100, 101):
        with refused("price: "):
            town.court.send(mallory, "publish_price", town.feed.definition, town.now_s, price, proofs)


def test_a_price_is_for_one_instant_and_one_feed(town: Town) -> None:
    digest = price_digest(town.feed.feed_id, town.now_s, USD)
    proofs = [who.sign(digest) for who in town.oracles[:2]]
    with refused("price: "):
        town.court.send(mallory, "publish_price", town.feed.definition, town.now_s - 1, USD, proofs)
    other = replace(town.feed, pair="BTC/USD")
    with refused("price: "):
        town.court.send(mallory, "publish_price", other.definition, town.now_s, USD, proofs)


def test_no_price_before_its_instant(town: Town) -> None:
    with refused("price: too early"):
        town.publish(town.now_s + 1, USD)
    town.wait(1)
    town.publish(town.now_s, USD)


def test_no_price_is_zero(town: Town) -> None:
    """It would be the denominator of coin-settled options: no settlement could get past it."""
    with refused("price: zero"):
        town.publish(town.now_s, 0)


@pytest.mark.parametrize(("threshold", "legal"), [(0, False), (1, False), (2, True), (3, True)])
def test_the_threshold_is_a_majority(town: Town, threshold: int, legal: bool) -> None:
    """With half of the signers or fewer, two values could both be certified."""
    feed = replace(town.feed, threshold=threshold)
    if legal:
        send(town, feed, town.now_s, USD, town.oracles[:threshold])
    else:
        with refused("price: threshold is no majority"):
            send(town, feed, town.now_s, USD, town.oracles[:threshold])


@pytest.mark.parametrize("count", [2, 4, 16])
def test_half_of_the_signers_are_no_majority(town: Town, count: int) -> None:
    """The other half could certify another value."""
    signers = sorted((party(f"signer {n}") for n in range(count)), key=lambda who: who.address)
    feed = replace(town.feed, threshold=count // 2, signers=tuple(who.address for who in signers))
    with refused("price: threshold is no majority"):
        send(town, feed, town.now_s, USD, signers[: count // 2])


@pytest.mark.parametrize("scheme", [0, 2, 3, 255])
def test_an_unknown_scheme_is_refused(town: Town, scheme: int) -> None:
    with refused("price: unknown scheme"):
        town.publish(town.now_s, USD, replace(town.feed, scheme=scheme))


def test_a_feed_has_a_grace(town: Town) -> None:
    with refused("price: no grace"):
        town.publish(town.now_s, USD, replace(town.feed, grace_h=0))


@pytest.mark.parametrize("count", [1, 2, 16])
def test_feeds_of_one_to_sixteen_signers(town: Town, count: int) -> None:
    signers = sorted((party(f"signer {n}") for n in range(count)), key=lambda who: who.address)
    feed = replace(town.feed, threshold=count // 2 + 1, signers=tuple(who.address for who in signers))
    send(town, feed, town.now_s, USD, signers[-feed.threshold :])


def test_seventeen_signers_do_not_fit(town: Town) -> None:
    signers = sorted((party(f"signer {n}") for n in range(17)), key=lambda who: who.address)
    feed = replace(town.feed, threshold=9, signers=tuple(who.address for who in signers))
    with refused("execution reverted"):
        send(town, feed, town.now_s, USD, signers[:9])


def test_a_definition_too_short_to_be_a_feed(town: Town) -> None:
    with refused("execution reverted"):
        town.court.send(mallory, "publish_price", b"ETH/USD", town.now_s, USD, [])


def test_a_late_price_is_stored_with_its_time(town: Town) -> None:
    """Whether it counts is for the settlement to say: expiry + grace."""
    instant_s = town.now_s
    town.wait(13 * HOUR_S)
    town.publish(instant_s, USD)
    assert town.court.view("prices", key_of(town.feed, instant_s)) >> 128 == instant_s + 13 * HOUR_S


def test_one_signed_price_serves_every_contract_and_chain(town: Town) -> None:
    """Else a hub could not carry it from one chain to the other: one hop valued, the next one void."""
    digest = price_digest(town.feed.feed_id, town.now_s, USD)
    proofs = [who.sign(digest) for who in town.oracles[:2]]
    elsewhere = Town(Arena(CHAIN_ID + 1))
    assert elsewhere.court.view("DOMAIN") != town.court.view("DOMAIN")
    for court in (town.court, Court(town.arena), elsewhere.court):
        court.send(mallory, "publish_price", town.feed.definition, town.now_s, USD, proofs)
        assert court.view("prices", key_of(town.feed, town.now_s)) == town.now_s << 128 | USD
