"""What is read ahead for a turn is what the disk holds at that turn, and no later one's answer."""

from channeld.adapters.journal.memory import MemoryJournal
from channeld.adapters.journal.records import Put
from channeld.core.records import Payment, PaymentStatus, Stream
from channeld.daemon.history import PAID, PaymentsMade
from channeld.daemon.pushing import StreamTotals
from channeld.daemon.registries import RegisteredSecrets
from channeld.wire.records import encode_record

A, B, C = (bytes([n]) * 32 for n in (1, 2, 3))


def payment(hashlock: bytes, status: PaymentStatus) -> Put:
    made = Payment(hashlock, b"\2" * 33, bytes(20), 5, 0, 1_000, "", status=status)
    _, key, value = encode_record(made)
    return Put("payment_done", key, value)


def test_payments_that_were_made_are_known_whether_looked_up_or_not():
    journal = MemoryJournal()
    journal.commit([payment(A, PaymentStatus.SUCCEEDED), payment(B, PaymentStatus.FAILED), Put(PAID, C, b"")])
    for looked_up in ([], [A, B, C], [B]):
        made = PaymentsMade(journal)
        made.look_up(looked_up)
        assert [each in made for each in (A, B, C)] == [True, False, True]


def test_a_payment_made_since_the_last_turn_is_known_in_the_next():
    journal = MemoryJournal()
    made = PaymentsMade(journal)
    made.look_up([A])
    assert A not in made
    journal.commit([payment(A, PaymentStatus.SUCCEEDED)])
    made.look_up([B])
    assert A in made
    made.look_up([A])
    assert A in made


def test_a_secret_registered_after_it_was_looked_up_is_known():
    journal = MemoryJournal()
    secrets = RegisteredSecrets(journal)
    secrets.look_up([A, B])
    assert A not in secrets
    row = secrets.add(A, b"secret", 1_234)
    assert row is not None
    journal.commit([row])
    secrets.look_up([A, B])
    assert secrets[A] == 1_234
    assert B not in secrets
    again = RegisteredSecrets(journal)
    again.look_up([B, A])
    assert (again[A], again.get(B)) == (1_234, None)


def total(name: bytes, count: int) -> tuple[Put, bytes]:
    _, key, value = encode_record(Stream(A, False, name, count, 10 * count, 1, 2))
    return Put("stream_done", key, value), key


def test_a_total_that_has_grown_since_it_was_looked_up_is_the_new_one_in_the_next_turn():
    journal = MemoryJournal()
    totals = StreamTotals(journal)
    one, tea = total(b"tea".ljust(16, b"\0"), 1)
    two, _ = total(b"tea".ljust(16, b"\0"), 2)
    _, talk = total(b"talk".ljust(16, b"\0"), 1)
    totals.look_up([tea, talk])
    assert (totals.get(tea), totals.get(talk)) == (None, None)
    journal.commit([one])
    totals.look_up([])
    assert totals[tea].count == 1
    totals.look_up([tea])
    journal.commit([two])
    totals.look_up([tea, talk])
    assert (totals[tea].count, totals.get(talk)) == (2, None)
