"""The chain over HTTP: what clients of a full node expect to get, and what nobody may do to it."""

import asyncio
import json

import pytest

from channeld.core.errors import OperationalError
from channeld.services.devchain import dispatch
from channeld.services.devchain.hashing import keccak256
from channeld.services.devchain.miner import TASK
from channeld.services.devchain.server import BODY_LIMIT_BYTES, DevChainServer
from tests.devchain.cast import Client, calldata, client_of, contract_code, hexed, person, running

NOTED = hexed(keccak256(b"Noted(address,uint256,bytes)"))


async def deployed(server: DevChainServer, client: Client, name: str = "alice") -> tuple[str, str]:
    """Somebody's address, and that of the contract they deployed over HTTP."""
    alice = person(server.chain, name)
    raw = alice.sign(b"", contract_code(), gas=3_000_000)
    receipt = await client.get(
        "eth_getTransactionReceipt", await client.get("eth_sendRawTransaction", hexed(raw))
    )
    return hexed(alice.address), receipt["contractAddress"]


async def test_the_chain_introduces_itself(server: DevChainServer, client: Client) -> None:
    assert await client.get("eth_chainId") == hex(1337931)
    assert await client.get("net_version") == "1337931"
    assert (await client.get("web3_clientVersion")).startswith("channeld/")
    assert await client.get("eth_syncing") is False
    accounts = await client.get("eth_accounts")
    assert accounts == [hexed(account.address) for account in server.chain.accounts]
    assert await client.get("eth_getBalance", accounts[0], "latest") == hex(10_000 * 10**18)


async def test_a_transaction_is_followed_from_the_pool_to_its_receipt(
    server: DevChainServer, client: Client
) -> None:
    await client.get("evm_setAutomine", False)
    alice, bob = person(server.chain, "alice"), person(server.chain, "bob")
    raw = alice.sign(bob.address, value_wei=5)
    transaction_hash = await client.get("eth_sendRawTransaction", hexed(raw))
    assert transaction_hash == hexed(keccak256(raw))
    waiting = await client.get("eth_getTransactionByHash", transaction_hash)
    assert (waiting["blockHash"], waiting["nonce"], waiting["value"]) == (None, "0x0", "0x5")
    assert await client.get("eth_getTransactionReceipt", transaction_hash) is None
    pending = await client.get("eth_getBlockByNumber", "pending", False)
    assert (pending["number"], pending["transactions"]) == ("0x1", [transaction_hash])
    assert await client.get("eth_getTransactionCount", hexed(alice.address), "latest") == "0x0"
    assert await client.get("eth_getTransactionCount", hexed(alice.address), "pending") == "0x1"

    assert await client.get("evm_mine") == "0x0"
    assert await client.get("eth_blockNumber") == "0x1"
    mined = await client.get("eth_getTransactionByHash", transaction_hash)
    receipt = await client.get("eth_getTransactionReceipt", transaction_hash)
    block = await client.get("eth_getBlockByNumber", "0x1", True)
    assert block == await client.get("eth_getBlockByHash", block["hash"], True)
    assert block["transactions"] == [mined]
    assert (mined["from"], mined["to"]) == (hexed(alice.address), hexed(bob.address))
    assert mined["blockHash"] == receipt["blockHash"] == block["hash"]
    assert (receipt["status"], receipt["gasUsed"], receipt["contractAddress"]) == ("0x1", "0x5208", None)
    assert int(receipt["effectiveGasPrice"], 16) == int(block["baseFeePerGas"], 16) + 10**9
    assert await client.get("eth_getBlockReceipts", "latest") == [receipt]


async def test_tags_name_blocks(server: DevChainServer, client: Client) -> None:
    server.chain.mine(100)
    found = [
        (await client.get("eth_getBlockByNumber", tag, False))["number"]
        for tag in ("earliest", "latest", "pending", "safe", "finalized", "0x10")
    ]
    assert found == ["0x0", "0x64", "0x65", hex(68), hex(36), "0x10"]
    assert await client.get("eth_getBlockByNumber", "0x65", False) is None


async def test_a_contract_is_called_and_its_revert_comes_with_data(
    server: DevChainServer, client: Client
) -> None:
    alice, contract = await deployed(server, client)
    assert await client.get("eth_getCode", contract, "latest") != "0x"
    assert await client.get("eth_getCode", contract, "earliest") == "0x"
    note = {"from": alice, "to": contract, "data": hexed(calldata("note(uint256,bytes)", 7, b"x"))}
    assert await client.get("eth_call", note, "latest") == "0x"
    assert 21_000 < int(await client.get("eth_estimateGas", note), 16) < 60_000
    assert await client.get("eth_getStorageAt", contract, "0x0", "latest") == hexed(bytes(32))
    refuse = {"to": contract, "input": hexed(calldata("refuse()"))}
    for method in ("eth_call", "eth_estimateGas"):
        answer = await client.ask(method, refuse)
        assert answer["error"]["code"] == 3
        assert answer["error"]["message"] == "execution reverted: not today"
        assert answer["error"]["data"].startswith("0x08c379a0")


async def test_logs_are_found_by_address_topic_and_block(server: DevChainServer, client: Client) -> None:
    alice, contract = await deployed(server, client)
    signer = person(server.chain, "alice")
    signer.next_nonce = 1
    for number in range(3):
        signer.mined(bytes.fromhex(contract[2:]), calldata("note(uint256,bytes)", number, b"x"))
    everything = {"fromBlock": "0x0", "toBlock": "latest"}
    logs = await client.get("eth_getLogs", everything)
    assert [int(entry["topics"][2], 16) for entry in logs] == [0, 1, 2]
    assert logs[0]["topics"][:2] == [NOTED, "0x" + alice[2:].rjust(64, "0")]
    two = "0x" + "2".rjust(64, "0")
    for question, expected in (
        ({"address": contract}, logs),
        ({"address": [contract, "0x" + "11" * 20]}, logs),
        ({"address": "0x" + "11" * 20}, []),
        ({"topics": [NOTED]}, logs),
        ({"topics": [None, None, [two, "0x" + "0" * 64]]}, [logs[0], logs[2]]),
        ({"topics": [["0x" + "22" * 32]]}, []),
        ({"topics": [[]]}, logs),
        ({"fromBlock": "0x3", "toBlock": "0x3"}, logs[1:2]),
        ({"fromBlock": "0x3", "toBlock": "0xffff"}, logs[1:]),
    ):
        assert await client.get("eth_getLogs", {**everything, **question}) == expected, question
    assert await client.get("eth_getLogs", {"blockHash": logs[2]["blockHash"]}) == logs[2:]
    assert await client.get("eth_getLogs", {}) == logs[2:]
    for question, words in (
        ({"fromBlock": "0x2", "toBlock": "0x1"}, "invalid block range params"),
        ({"blockHash": logs[0]["blockHash"], "fromBlock": "0x0"}, "cannot specify both"),
        ({"blockHash": "0x" + "33" * 32}, "unknown block"),
        ({"topics": [None] * 5}, "at most 4 topics"),
        ({"address": "0x12"}, "expected 20 bytes"),
        ({"fromBlock": "0x0", "toBlock": hex(200_000)}, ""),
    ):
        answer = await client.ask("eth_getLogs", question)
        assert words in answer.get("error", {"message": ""})["message"]


async def test_fees_are_suggested(server: DevChainServer, client: Client) -> None:
    alice = person(server.chain, "alice")
    server.chain.set_automine(False)
    for tip_gwei in (3, 1):
        alice.send(alice.address, max_priority_fee_per_gas_wei=tip_gwei * 10**9)
    server.chain.mine(3)
    history = await client.get("eth_feeHistory", "0x2", "0x2", [0, 50, 51, 100])
    assert history["oldestBlock"] == "0x1"
    assert len(history["baseFeePerGas"]) == 3
    assert history["gasUsedRatio"] == [42_000 / 30_000_000, 0.0]
    assert history["reward"] == [[hex(tip * 10**9) for tip in (1, 1, 3, 3)], ["0x0"] * 4]
    third = await client.get("eth_getBlockByNumber", "0x3", False)
    assert history["baseFeePerGas"][2] == third["baseFeePerGas"]
    tip = int(await client.get("eth_maxPriorityFeePerGas"), 16)
    pending = await client.get("eth_getBlockByNumber", "pending", False)
    assert int(await client.get("eth_gasPrice"), 16) == tip + int(pending["baseFeePerGas"], 16)


async def test_time_and_branches_are_moved_over_http(server: DevChainServer, client: Client) -> None:
    now_s = server.chain.head.timestamp_s
    assert await client.get("evm_increaseTime", 100) == 100
    assert await client.get("evm_increaseTime", "0x64") == 200
    await client.get("evm_mine")
    assert server.chain.head.timestamp_s >= now_s + 200
    await client.get("evm_setNextBlockTimestamp", now_s + 5000)
    await client.get("evm_mine")
    assert server.chain.head.timestamp_s == now_s + 5000
    await client.get("evm_mine", {"timestamp": now_s + 6000, "blocks": 2})
    assert server.chain.head.timestamp_s == now_s + 6001
    snapshot = await client.get("evm_snapshot")
    await client.get("anvil_mine", "0x5", "0xa")
    assert await client.get("eth_blockNumber") == "0x9"
    before = server.chain.head.hash
    await client.get("anvil_reorg", 2, [])
    assert server.chain.head.number == 9
    assert server.chain.head.hash != before
    await client.get("anvil_rollback", 1)
    assert server.chain.head.number == 8
    assert await client.get("evm_revert", snapshot) is True
    assert server.chain.head.number == 4
    assert await client.get("evm_revert", snapshot) is False


async def test_a_reorganisation_returns_transactions_to_the_pool_or_not(
    server: DevChainServer, client: Client
) -> None:
    alice = person(server.chain, "alice")
    alice.mined(alice.address)
    answer = await client.get("dev_reorg", 1, "return", 1)
    assert (len(answer["dropped"]), len(answer["mined"]), answer["waiting"]) == (1, 1, 0)
    assert answer["mined"] == [hexed(server.chain.head.hash)]
    assert len(server.chain.head.receipts) == 1
    assert (await client.get("dev_reorg", 1, "return"))["waiting"] == 1
    assert server.chain.head.number == 0
    raw = alice.sign(alice.address, nonce=0, value_wei=3, max_fee_per_gas_wei=2 * 10**10)
    server.chain.mine()
    # A given transaction takes the place of the dropped one.
    await client.get("anvil_reorg", 1, [[hexed(raw), 0]])
    assert [one.transaction_hash for one in server.chain.head.receipts] == [keccak256(raw)]
    assert (await client.get("dev_reorg", 1, "vanish"))["waiting"] == 0


async def test_money_comes_from_nothing_or_from_the_faucet(server: DevChainServer, client: Client) -> None:
    bob = "0x" + "b0" * 20
    await client.get("anvil_setBalance", bob, "0x5")
    assert await client.get("eth_getBalance", bob, "latest") == "0x5"
    transaction_hash = await client.get("dev_faucet", bob, hex(10**18))
    assert (await client.get("eth_getTransactionReceipt", transaction_hash))["status"] == "0x1"
    assert int(await client.get("eth_getBalance", bob), 16) == 10**18 + 5
    code, words = await client.fail("dev_faucet", bob, hex(10**30))
    assert code == -32000
    assert "the faucet gives" in words


async def test_blocks_come_at_an_interval_while_it_is_set(server: DevChainServer, client: Client) -> None:
    await client.get("evm_setIntervalMining", 0.01)
    async with asyncio.timeout(20):
        while int(await client.get("eth_blockNumber"), 16) < 3:
            pass
    assert await client.get("anvil_getIntervalMining") == 0.01
    await client.get("evm_setIntervalMining", 60)
    assert [task.get_name() for task in asyncio.all_tasks()].count(TASK) == 1
    await client.get("evm_setIntervalMining", 0)
    await client.get("eth_blockNumber")
    assert TASK not in [task.get_name() for task in asyncio.all_tasks()]
    assert await client.get("anvil_getIntervalMining") is None
    _, words = await client.fail("evm_setIntervalMining", 0.001)
    assert "a block interval is" in words


async def test_many_clients_send_at_once_and_each_transaction_is_mined_once(server: DevChainServer) -> None:
    people = [person(server.chain, f"client {number}") for number in range(4)]
    target = bytes.fromhex("77" * 20)

    async def spend(number: int) -> list[str]:
        async with client_of(server.url) as client:
            return [
                await client.get(
                    "eth_sendRawTransaction", hexed(people[number].sign(target, nonce=nonce, value_wei=1))
                )
                for nonce in range(25)
            ]

    hashes = [one for some in await asyncio.gather(*map(spend, range(4))) for one in some]
    mined = [
        hexed(receipt.transaction_hash) for block in server.chain.history.blocks for receipt in block.receipts
    ]
    assert sorted(mined) == sorted(hashes)
    assert server.chain.balance_wei(target) == 100


async def test_a_batch_is_answered_in_order(server: DevChainServer, client: Client) -> None:
    batch = [
        {"jsonrpc": "2.0", "id": "a", "method": "eth_chainId"},
        {"jsonrpc": "2.0", "method": "evm_mine"},
        {"jsonrpc": "2.0", "id": 7, "method": "eth_blockNumber", "params": []},
        {"jsonrpc": "2.0", "id": float("1e5"), "method": "nothing_at_all"},
        "no request",
    ]
    status, answers = await client.post(json.dumps(batch).encode())
    assert status == 200
    assert [answer.get("id") for answer in answers] == ["a", 7, None, None]
    assert answers[1]["result"] == "0x1"
    assert [answer["error"]["code"] for answer in answers[2:]] == [-32601, -32600]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"NaN", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[Infinity]}', -32700),
        (b"[" * 100_000, -32700),
        (b'{"a":' * 100_000, -32700),
        (b"[" + b"[]," * 30_000 + b"[]]", -32600),
        (('"' + "[" * 50_000).encode("utf-16"), -32700),
        (b"[" * 300 + b"]" * 300, -32700),
        (b'{"a":' + b"[" * 15 + b"]" * 15 + b"}", -32600),
        (b"1" * 5000, -32700),
        (b"[]", -32600),
        (b"5", -32600),
        (b"null", -32600),
        (b"{}", -32600),
        (b'{"id":1,"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[1]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance"}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"__init__"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"\\"[[[[[[[[[[[[[[[[[[{{{{{{{{{{{{{{"}', -32601),
    ],
    ids=lambda part: repr(part)[:40],
)
async def test_bodies_that_are_no_request_get_an_error(client: Client, body: bytes, code: int) -> None:
    status, answer = await client.post(body)
    assert status == 200
    assert answer["error"]["code"] == code
    assert await client.get("eth_blockNumber") == "0x0"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBalance", ["0x12"]),
        ("eth_getBalance", ["0x" + "zz" * 20]),
        ("eth_getBalance", [None]),
        ("eth_getBalance", ["0x" + "00" * 20, {}]),
        ("eth_getBalance", ["0x" + "00" * 20, "0x01"]),
        ("eth_getBalance", ["0x" + "00" * 20, "newest"]),
        ("eth_getBlockByNumber", ["0x" + "f" * 65, False]),
        ("eth_getBlockByNumber", ["latest", "yes"]),
        ("eth_getBlockByHash", ["0x12", False]),
        ("eth_call", ["0x"]),
        ("eth_call", [{"to": 5}]),
        ("eth_call", [{"data": "0x1"}]),
        ("eth_call", [{"data": "0x 1"}]),
        ("eth_call", [{"data": "0x 11 "}]),
        ("eth_call", [{"gas": 5}]),
        ("eth_call", [{"gas": hex(2**64)}]),
        ("eth_call", [{"gasPrice": "0x1", "maxFeePerGas": "0x1"}]),
        ("eth_call", [{"maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2"}]),
        ("eth_call", [{"data": "0x11", "input": "0x22"}]),
        ("eth_call", [{"accessList": [1]}]),
        ("eth_call", [{"accessList": [{"address": "0x" + "11" * 20, "storageKeys": ["0x1"]}]}]),
        ("eth_call", [{}, "latest", {}]),
        ("eth_getLogs", [[]]),
        ("eth_getLogs", [{"topics": [5]}]),
        ("eth_getLogs", [{"topics": "0x"}]),
        ("eth_getLogs", [{"address": ["0x" + "11" * 20] * 1001}]),
        ("eth_feeHistory", ["0x0", "latest"]),
        ("eth_feeHistory", ["0x1", "latest", [101]]),
        ("eth_feeHistory", ["0x1", "latest", ["a"]]),
        ("eth_sendRawTransaction", [5]),
        ("eth_sendRawTransaction", ["0x" + "00" * 140_000]),
        ("evm_increaseTime", [-5]),
        ("evm_increaseTime", [1.5]),
        ("evm_increaseTime", [True]),
        ("evm_setAutomine", [1]),
        ("evm_setIntervalMining", ["soon"]),
        ("evm_mine", [[]]),
        ("dev_reorg", [1, "somewhere"]),
        ("dev_reorg", [0, "return", 10**9]),
        ("anvil_reorg", [1, [5]]),
    ],
)
async def test_parameters_of_the_wrong_kind_are_named(
    server: DevChainServer, client: Client, method: str, params: list[object]
) -> None:
    code, words = await client.fail(method, *params)
    assert code == -32602
    assert len(words) < 300
    assert server.chain.head.number == 0


async def test_a_block_above_the_head_has_no_state(client: Client) -> None:
    code, words = await client.fail("eth_getBalance", "0x" + "00" * 20, "0x5")
    assert (code, words) == (-32000, "header not found: block 5 is above the head 0")
    code, words = await client.fail("eth_getBalance", "0x" + "00" * 20, {"blockHash": "0x" + "11" * 32})
    assert (code, words) == (-32000, "header for hash not found")


async def test_a_body_or_a_batch_above_the_limit_is_refused(client: Client) -> None:
    status, _ = await client.post(b" " * (BODY_LIMIT_BYTES + 1))
    assert status == 413
    batch = [{"jsonrpc": "2.0", "id": 1, "method": "evm_mine"}] * (dispatch.BATCH_LIMIT + 1)
    _, answer = await client.post(json.dumps(batch).encode())
    assert answer["error"]["message"] == "batch too large: 1001 requests, limit 1000"
    assert await client.get("eth_blockNumber") == "0x0"


async def test_a_batch_stops_executing_when_its_answers_are_too_long(
    server: DevChainServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "BATCH_ANSWER_LIMIT_BYTES", 3000)
    batch = [
        {"jsonrpc": "2.0", "id": number, "method": "eth_getBlockByNumber", "params": ["latest", False]}
        for number in range(5)
    ]
    batch.append({"jsonrpc": "2.0", "id": 5, "method": "evm_mine", "params": []})
    _, answers = await client.post(json.dumps(batch).encode())
    assert [answer["id"] for answer in answers] == [0, 1, 2, 3, 4, 5]
    assert "result" in answers[0]
    assert answers[-1]["error"] == {"code": -32005, "message": "response too large"}
    assert server.chain.head.number == 0


async def test_a_bug_is_answered_and_logged_and_the_chain_goes_on(
    server: DevChainServer, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(server.chain, "call", broken)
    code, words = await client.fail("eth_call", {})
    assert code == -32603
    assert "a bug" not in words
    assert "a bug" in caplog.text
    assert await client.get("eth_blockNumber") == "0x0"


async def test_a_port_that_is_taken_is_an_error_with_words(server: DevChainServer) -> None:
    with pytest.raises(OperationalError, match=f"cannot listen on 127.0.0.1:{server.port}"):
        async with running(port=server.port):
            pass
