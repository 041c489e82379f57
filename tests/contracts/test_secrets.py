"""The registry of secrets: shared by all, first sight counts, nobody can spoil a batch."""

import pytest

from tests.contracts.town import Town, alice, mallory, secret

MOST = 64


def test_a_secret_is_stored_with_the_time_of_its_first_sight(town: Town) -> None:
    key = secret("x")
    assert town.court.view("secrets", key.hash) == 0
    mined = town.court.send(mallory, "register_secret", key.preimage)
    assert mined.event("SecretRegistered") == {"hash": key.hash, "preimage": key.preimage}
    first_s = town.now_s
    town.wait(100)
    again = town.court.send(alice, "register_secret", key.preimage)
    assert again.events == ()
    assert town.court.view("secrets", key.hash) == first_s


def test_a_batch_skips_what_is_known_instead_of_failing(town: Town) -> None:
    """One secret of a batch shown first by mallory must not make twenty fail near a deadline."""
    keys = [secret(str(n)) for n in range(MOST)]
    town.court.send(mallory, "register_secret", keys[7].preimage)
    first_s = town.now_s
    town.wait(5)
    mined = town.court.send(alice, "register_secrets", [key.preimage for key in keys])
    assert mined.event("SecretsRegistered")["preimages"] == tuple(key.preimage for key in keys)
    seen = [town.court.view("secrets", key.hash) for key in keys]
    assert seen == [first_s if n == 7 else first_s + 5 for n in range(MOST)]


def test_the_same_secret_twice_in_a_batch(town: Town) -> None:
    key = secret("x")
    town.court.send(alice, "register_secrets", [key.preimage, key.preimage])
    assert town.court.view("secrets", key.hash) == town.now_s


def test_a_batch_has_a_limit(town: Town) -> None:
    with pytest.raises(Exception, match="revert"):
        town.court.send(alice, "register_secrets", [secret(str(n)).preimage for n in range(MOST + 1)])
    town.reveal(*(secret(str(n)) for n in range(MOST)))
    assert town.court.view("secrets", secret(str(MOST - 1)).hash) == town.now_s


def test_a_hash_is_not_its_own_secret(town: Town) -> None:
    key = secret("x")
    town.court.send(mallory, "register_secret", key.hash)
    assert town.court.view("secrets", key.hash) == 0
