"""Failures as the API sends them: an HTTP status, and a body that says which kind and why."""

from dataclasses import dataclass
from typing import Any

from channeld.core.errors import ChanneldError, OperationalError, PeerViolation, Rejected


@dataclass(frozen=True, slots=True)
class Failure:
    """`kind` is for programs, `message` (one sentence) for people."""

    kind: str
    message: str


REJECTED = "rejected"  #          400: the request cannot be done; nothing changed
UNAUTHORIZED = "unauthorized"  # 401: no token, or not this daemon's
FORBIDDEN = "forbidden"  #       403: a web page's request
NOT_FOUND = "not_found"  #       404: no such route, peer, channel, invoice or payment
OPERATIONAL = "operational"  #   503: the chain, a peer or the disk did not do its part
PEER = "peer"  #                 502: a peer broke the protocol
BUG = "bug"  #                   500: the daemon's log has the trace

STATUS = {
    REJECTED: 400,
    UNAUTHORIZED: 401,
    FORBIDDEN: 403,
    NOT_FOUND: 404,
    OPERATIONAL: 503,
    PEER: 502,
    BUG: 500,
}


def failure_of(error: BaseException) -> Failure:
    """What a command raised, as the caller may know it: a bug's text stays in the log."""
    match error:
        case Rejected():
            return Failure(REJECTED, str(error))
        case OperationalError():
            return Failure(OPERATIONAL, str(error))
        case PeerViolation():
            return Failure(PEER, str(error))
        case _:
            return Failure(BUG, "the daemon met a bug; its log says more")


def error_of(failure: Failure) -> ChanneldError:
    """A failure as the client raises it: the caller's own fault is Rejected, all else operational."""
    if failure.kind in (REJECTED, NOT_FOUND):
        return Rejected(failure.message)
    return OperationalError(failure.message)


def error_body(failure: Failure) -> dict[str, Any]:
    return {"error": {"kind": failure.kind, "message": failure.message}}
