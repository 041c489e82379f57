"""Who has signed."""

from bench.evm import CompactSignature
from tests.contracts.model.books import Books, Params, Refused
from tests.contracts.model.signing import ORDER, recover, split, typed


def signer(digest: bytes, signature: CompactSignature) -> bytes:
    """Nobody (zero) if it is no signature; only the one with the low s counts."""
    s, parity = split(signature)
    if s > ORDER // 2:
        raise Refused("signature: high s")
    return recover(digest, signature[0], s, parity)


def require_agreed(
    books: Books,
    sender: bytes,
    params: Params,
    struct: bytes,
    sig_a: CompactSignature,
    sig_b: CompactSignature,
) -> None:
    """Both, but a party that calls need not sign."""
    digest = typed(books.domain, struct)
    if sender == params.a:
        books.fired["agreed: a calls"] += 1
    elif signer(digest, sig_a) != params.a:
        raise Refused("not signed by a")
    if sender == params.b:
        books.fired["agreed: b calls"] += 1
    elif signer(digest, sig_b) != params.b:
        raise Refused("not signed by b")
    if sender not in params[:2]:
        books.fired["agreed: a stranger calls"] += 1
