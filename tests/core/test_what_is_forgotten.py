"""What a node has no more use for must not stay, whoever would like to fill it."""

from channeld.core.operations import Fulfil
from channeld.core.records import Secret
from tests.core.network import T0_S
from tests.core.test_losing_variants import LOCK, SECRET, Street


def test_a_secret_that_comes_when_its_claim_is_over_is_not_kept():
    street = Street()
    bob = street.bob
    street.say("alice", street.signed("alice", street.ab, bob.channel(street.ab).theirs, street.incoming()))
    (owed,) = street.carried()
    late = street.signed("carol", street.bc, bob.channel(street.bc).mine, Fulfil(owed.claim_id, SECRET))
    # Carol leaves bob's offer unanswered until it is over, so that it stays in what he signed.
    over_s = owed.deadline_s + bob.tables.margins.reorg_s + 1 - T0_S
    bob.tables.now_s += over_s
    bob.tables.confirmed_s += over_s
    bob.ring()
    assert street.failed_back()
    street.say("carol", late)
    assert LOCK not in bob.tables.records[Secret] and LOCK not in bob.tables.refs_of_hash
