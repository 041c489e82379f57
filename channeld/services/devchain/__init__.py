"""An Ethereum chain for development: Prague rules, one process, JSON-RPC over HTTP."""

# Before any module of this package can import py-evm.
import channeld.services.devchain.late_precompiles  # noqa: F401
