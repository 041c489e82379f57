"""A state's digest is remembered with the very object it was computed of, and with what it was asked for."""

import random

from channeld.core.claims import Claim, State
from channeld.wire.eip712 import state_digest

DOMAINS = [bytes([number]) * 32 for number in (1, 2)]
CHANNELS = [bytes([number]) * 32 for number in (3, 4)]


def some_state(rng: random.Random) -> State:
    claims = {2 * n: Claim(2 * n, rng.randrange(1, 9), rng.randbytes(32), 1) for n in range(rng.randrange(3))}
    return State(rng.randrange(5), rng.randrange(-5, 5), claims)


def same_content(state: State) -> State:
    return State(state.version, state.net, dict(state.claims), state.last_ids)


def test_what_is_remembered_is_what_a_fresh_state_of_the_same_content_has() -> None:
    """Many more states than are remembered, most of them forgotten and their memory used again."""
    rng = random.Random(1)
    kept = [some_state(rng) for _ in range(50)]
    for _ in range(5_000):
        state = rng.choice(kept) if rng.random() < 0.5 else some_state(rng)
        domain, channel_id = rng.choice(DOMAINS), rng.choice(CHANNELS)
        digest = state_digest(domain, channel_id, state)
        assert digest == state_digest(domain, channel_id, state)
        assert digest == state_digest(domain, channel_id, same_content(state))


def test_one_state_has_another_digest_for_each_channel_and_chain() -> None:
    """Else a signature for one channel would count in another."""
    state = some_state(random.Random(2))
    digests = {state_digest(domain, channel_id, state) for domain in DOMAINS for channel_id in CHANNELS}
    assert len(digests) == 4
    assert digests == {
        state_digest(domain, channel_id, same_content(state)) for domain in DOMAINS for channel_id in CHANNELS
    }
