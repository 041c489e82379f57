"""The failure of bytes that no correct node would send."""

from channeld.core.errors import PeerViolation


class MalformedMessage(PeerViolation):
    """What a peer sent cannot be read. `where` names the field or the byte; values are never quoted,
    so that neither payload nor secrets reach a log."""

    def __init__(self, where: str, expected: str, actual: str) -> None:
        super().__init__(f"{where}: expected {expected}, got {actual}")
        self.where = where
        self.expected = expected
        self.actual = actual
