// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {vm} from "./Vm.sol";

struct Params {
    address a;
    address b;
    address asset;
    uint256 config;
}

struct Signature {
    bytes32 r;
    bytes32 vs;
}

struct Exit {
    address peer;
    uint256 config;
    int256 net;
    bytes32 salt;
}

/// The contract under test, as docs/protocol.md describes it.
interface Adjudicator {
    function deposit(Params calldata p, bool toB, uint256 amount) external payable;
    function deposit_with_permit(
        Params calldata p,
        bool toB,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;
    function close(
        Params calldata p,
        int128 net,
        uint40 until,
        Signature calldata byA,
        Signature calldata byB
    ) external;
    function withdraw(
        Params calldata p,
        uint96 toA,
        uint96 toB,
        uint40 until,
        Signature calldata byA,
        Signature calldata byB
    ) external;
    function challenge(
        Params calldata p,
        uint64 version,
        int128 net,
        bytes32 claims,
        Signature calldata byA,
        Signature calldata byB
    ) external;
    function challenge_for(
        Params calldata p,
        uint64 version,
        int128 net,
        bytes32 claims,
        Signature calldata byA,
        Signature calldata byB,
        uint64 minimum,
        uint40 until,
        Signature calldata permit
    ) external;
    function respond(
        Params calldata p,
        uint64 version,
        int128 net,
        bytes32 claims,
        Signature calldata byA,
        Signature calldata byB
    ) external;
    function settle(Params calldata p, int256 net, bytes32 salt) external;
    function settle_batch(address hub, address asset, Exit[] calldata exits) external;
    function settle_claims(Params calldata p, int256 net, bytes32 salt) external;
    function register_secret(bytes32 preimage) external;
    function register_secrets(bytes32[] calldata preimages) external;
    function publish_price(bytes calldata feed, uint40 timestamp, uint128 price, Signature[] calldata proofs)
        external;
    function publish_redstone(
        bytes calldata feed,
        uint40 timestamp,
        uint256[] calldata values,
        Signature[] calldata proofs
    ) external;
    function claim_credit(address asset, address to) external;
    function claim_credits(address[] calldata assets, address to) external;

    function DOMAIN() external view returns (bytes32);
    function channels(bytes32 id) external view returns (uint256);
    function disputes(bytes32 id) external view returns (uint256);
    function secrets(bytes32 hash) external view returns (uint256);
    function prices(bytes32 key) external view returns (uint256);
    function credits(address asset, address owner) external view returns (uint256);
}

/// The committed bytecode, deployed. Another file of the same shape may be named in the environment.
function deployed(string memory name, string memory variable) returns (address made) {
    string memory path = vm.envOr(variable, string.concat("../../contracts/", name, ".json"));
    bytes memory code = vm.parseJsonBytes(vm.readFile(path), ".bytecode");
    assembly {
        made := create(0, add(code, 32), mload(code))
    }
    require(made != address(0), "not deployed");
}

function adjudicator() returns (Adjudicator) {
    return Adjudicator(deployed("adjudicator", "CHANNELD_ADJUDICATOR"));
}
