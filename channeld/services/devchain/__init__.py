"""An Ethereum chain for development: Prague rules, one process, JSON-RPC over HTTP."""
