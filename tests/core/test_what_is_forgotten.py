"""What a node has no more use for must not stay, whoever would like to fill it."""

from channeld.core.operations import Fulfil
from channeld.core.records import Payment, Secret
from tests.core.network import T0_S
from tests.core.test_losing_variants import DEADLINE_S, LOCK, SECRET, Street


def test_a_secret_that_comes_when_its_claim_is_over_is_not_kept():
    street = Street()
    bob = street.bob
    street.traffic(street.bc, SECRET)
    (offer,) = bob.channel(street.bc).mine.claims.values()
    late = street.signed("carol", street.bc, bob.channel(street.bc).mine, Fulfil(offer.claim_id, SECRET))
    # Carol leaves his offer unanswered until it is over, so that it stays in what he signed.
    over_s = DEADLINE_S + bob.tables.margins.reorg_s + 1 - T0_S
    bob.tables.now_s += over_s
    bob.tables.confirmed_s += over_s
    bob.ring()
    assert not bob.tables.records[Payment] and LOCK not in bob.tables.refs_of_hash
    street.say("carol", late)
    assert LOCK not in bob.tables.records[Secret] and LOCK not in bob.tables.refs_of_hash
