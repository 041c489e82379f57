"""JSON-RPC 2.0: from the bytes of a request to the bytes of its answer."""

import json
import logging
from typing import Any

from channeld.core.errors import OperationalError, Rejected
from channeld.services.devchain.errors import CallReverted, QueryTooLarge
from channeld.services.devchain.rpc_dev import DEV_METHODS, Node
from channeld.services.devchain.rpc_eth import ETH_METHODS
from channeld.services.devchain.rpc_params import INVALID_PARAMS, SERVER_ERROR, Params, RpcError
from channeld.wire.json_strict import parse_json

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INTERNAL_ERROR = -32603
LIMIT_EXCEEDED = -32005
REVERTED = 3

# go-ethereum's limit of a batch; one connection must not keep the others waiting for longer.
BATCH_LIMIT = 1000
# And of its answers together: the client has to hold them in memory too.
BATCH_ANSWER_LIMIT_BYTES = 25 * 1024 * 1024

log = logging.getLogger(__name__)


def answer(node: Node, body: bytes) -> bytes | None:
    """The response to one request or batch; None if it holds notifications only."""
    try:
        request = parse_json(body)
    except ValueError:
        return _encode(_failure(None, PARSE_ERROR, "parse error: expected a JSON-RPC request"))
    if not isinstance(request, list):
        response = _answer_one(node, request)
        return None if response is None else _encode(response)
    if not request:
        return _encode(_failure(None, INVALID_REQUEST, "empty batch"))
    if len(request) > BATCH_LIMIT:
        text = f"batch too large: {len(request)} requests, limit {BATCH_LIMIT}"
        return _encode(_failure(None, INVALID_REQUEST, text))
    return _answer_batch(node, request)


def _answer_batch(node: Node, requests: list[Any]) -> bytes | None:
    answers: list[bytes] = []
    size_bytes = 0
    for request in requests:
        if size_bytes > BATCH_ANSWER_LIMIT_BYTES:
            # Nothing more is executed: a write whose answer is lost would surprise its sender.
            answers.append(_encode(_failure(_id_of(request), LIMIT_EXCEEDED, "response too large")))
            continue
        response = _answer_one(node, request)
        if response is not None:
            answers.append(_encode(response))
            size_bytes += len(answers[-1])
    return b"[" + b",".join(answers) + b"]" if answers else None


def _answer_one(node: Node, request: Any) -> dict[str, Any] | None:
    if not isinstance(request, dict):
        return _failure(None, INVALID_REQUEST, "invalid request: expected an object")
    identifier = _id_of(request)
    method, params = request.get("method"), request.get("params", [])
    if request.get("jsonrpc") != "2.0" or not isinstance(method, str):
        return _failure(
            identifier, INVALID_REQUEST, 'invalid request: expected "jsonrpc": "2.0" and a method'
        )
    if params is None:
        params = []
    if not isinstance(params, list):
        return _failure(identifier, INVALID_PARAMS, "non-array args: parameters are positional")
    response = _run(node, identifier, method, params)
    return response if "id" in request else None


def _run(node: Node, identifier: Any, method: str, params: list[Any]) -> dict[str, Any]:
    try:
        return {"jsonrpc": "2.0", "id": identifier, "result": _invoke(node, method, params)}
    except RpcError as wrong:
        return _failure(identifier, wrong.code, str(wrong), wrong.data)
    except CallReverted as reverted:
        return _failure(identifier, REVERTED, str(reverted), "0x" + reverted.data.hex())
    except QueryTooLarge as wrong:
        return _failure(identifier, LIMIT_EXCEEDED, str(wrong))
    except (Rejected, OperationalError) as wrong:
        return _failure(identifier, SERVER_ERROR, str(wrong))
    except Exception:
        log.exception("%s failed by a bug", method)
        return _failure(identifier, INTERNAL_ERROR, f"internal error in {method}; the chain's log has it")


def _invoke(node: Node, method: str, params: list[Any]) -> Any:
    if method in ETH_METHODS:
        eth_handler, most = ETH_METHODS[method]
        _check_count(params, most)
        return eth_handler(node.chain, Params(params))
    if method in DEV_METHODS:
        dev_handler, most = DEV_METHODS[method]
        _check_count(params, most)
        return dev_handler(node, Params(params))
    shown = method if len(method) <= 60 else method[:57] + "..."
    raise RpcError(METHOD_NOT_FOUND, f"the method {shown} does not exist/is not available")


def _check_count(params: list[Any], most: int) -> None:
    if len(params) > most:
        raise RpcError(INVALID_PARAMS, f"too many arguments, want at most {most}")


def _id_of(request: Any) -> Any:
    """Only text and integers are echoed."""
    identifier = request.get("id") if isinstance(request, dict) else None
    # A float could be infinite, which JSON cannot say.
    allowed = isinstance(identifier, str | int) and not isinstance(identifier, bool)
    return identifier if allowed else None


def _failure(identifier: Any, code: int, message: str, data: str | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": identifier, "error": error}


def _encode(response: dict[str, Any]) -> bytes:
    return json.dumps(response, separators=(",", ":")).encode()
