# pragma version 0.4.3
"""
@title Secrets and when they were first seen
@notice One registry for all channels: every hop of a route that knows the hash learns the secret here,
        so that all of them may share one deadline. Works before any dispute.
"""

# Most secrets in one transaction: the buffer is paid for by every batch.
MAX_SECRETS: constant(uint256) = 64

event SecretRegistered:
    hash: indexed(bytes32)
    preimage: bytes32

event SecretsRegistered:
    preimages: DynArray[bytes32, MAX_SECRETS]


# sha256 of the secret => time of its first registration (unix seconds; 0: never)
secrets: public(HashMap[bytes32, uint256])


@external
def register_secret(preimage: bytes32):
    """
    @notice Show the secret of a hashlock. Showing it again changes nothing.
    """
    hash: bytes32 = sha256(preimage)
    if self.secrets[hash] == 0:
        self.secrets[hash] = block.timestamp
        log SecretRegistered(hash=hash, preimage=preimage)


@external
def register_secrets(preimages: DynArray[bytes32, MAX_SECRETS]):
    """
    @notice Show many secrets. Known ones are skipped, so that nobody can make a batch fail by showing
            one of its secrets first. The event repeats the whole batch.
    """
    for preimage: bytes32 in preimages:
        hash: bytes32 = sha256(preimage)
        if self.secrets[hash] == 0:
            self.secrets[hash] = block.timestamp
    log SecretsRegistered(preimages=preimages)
