"""What liars bring to the chain: whatever an honest node has ever signed, and secrets."""

from typing import TYPE_CHECKING

from channeld.core.claims import State
from channeld.wire.eip712 import claims_calldata, claims_hash, state_digest
from tests.contracts.model.books import DISPUTED
from tests.contracts.model.calls import Call
from tests.simulator.chain import DOMAIN, as_model
from tests.simulator.forging import Forger

if TYPE_CHECKING:
    from tests.simulator.mischief import Mischief

NO_SIGNATURE = (bytes(32), bytes(32))


def challenge(mischief: "Mischief", forger: Forger) -> bool:
    """On chain, with any state that the victim ever signed: the newest, or a better one."""
    life = forger.liar.life
    if life.dice.below(4) and forger.view.phase.signs_states:
        return False
    state = life.dice.pick(forger.states())
    signature = _signature_of(forger, state)
    if signature is None:
        return False
    params, me = as_model(forger.view.params), forger.view.me
    channel = life.chain.books.channels.get(forger.channel_id)
    name = "respond" if channel is not None and channel.status == DISPUTED else "challenge"
    signatures = (signature, NO_SIGNATURE) if me == 0 else (NO_SIGNATURE, signature)
    hashed = claims_hash(state.claims.values())
    return mischief.submit(forger, Call(name, (params, state.version, state.net, hashed, *signatures)))


def _signature_of(forger: Forger, state: State) -> tuple[bytes, bytes] | None:
    """The victim's own, if it ever gave it."""
    if state.version == 0:
        return NO_SIGNATURE
    if (forger.channel_id, state) not in forger.victim.signed:
        return None
    given = forger.victim.signer.sign_digest(state_digest(DOMAIN, forger.channel_id, state))
    return given[:32], given[32:]


def settle_on_chain(mischief: "Mischief", forger: Forger) -> bool:
    books, lists = forger.liar.life.chain.books, forger.liar.life.chain.lists
    standing = books.disputes.get(forger.channel_id)
    if standing is None:
        return False
    params = as_model(forger.view.params)
    claims = lists.get(standing.claims, ())
    if claims:
        call = Call("settle_claims", (params, standing.net, standing.salt), claims_calldata(claims))
    else:
        call = Call("settle", (params, standing.net, standing.salt))
    return mischief.submit(forger, call)


def submit_close(mischief: "Mischief", forger: Forger) -> bool:
    """Any close that the victim ever signed."""
    offers = [offer for offer in forger.victim.closes if offer.channel_id == forger.channel_id]
    if not offers:
        return False
    offer = forger.liar.life.dice.pick(offers)
    given = forger.victim.sign_close(offer)
    signature = given[:32], given[32:]
    signatures = (signature, NO_SIGNATURE) if forger.view.me == 0 else (NO_SIGNATURE, signature)
    call = Call("close", (as_model(forger.view.params), offer.net, offer.until_s, *signatures))
    return mischief.submit(forger, call)


def register(mischief: "Mischief", forger: Forger) -> bool:
    secrets = list(mischief.repertoire.secrets.values())
    if not secrets:
        return False
    return mischief.submit(forger, Call("register_secret", (forger.liar.life.dice.pick(secrets[-8:]),)))
