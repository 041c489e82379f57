// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Params, Signature} from "./Adjudicator.sol";
import {vm} from "./Vm.sol";

uint256 constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

/// The digests of docs/protocol.md, written from its text.
library Digests {
    function domain(address court) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("channeld"),
                keccak256("1"),
                block.chainid,
                court
            )
        );
    }

    function channel(Params memory p, bytes32 within) internal pure returns (bytes32) {
        return keccak256(abi.encode(p.a, p.b, p.asset, p.config, within));
    }

    function typed(bytes32 within, bytes32 structHash) private pure returns (bytes32) {
        return keccak256(abi.encodePacked("\x19\x01", within, structHash));
    }

    function stateStruct(bytes32 id, uint256 version, int256 net, bytes32 claims)
        internal
        pure
        returns (bytes32)
    {
        bytes32 kind = keccak256("State(bytes32 channel,uint64 version,int128 net,bytes32 claims)");
        return keccak256(abi.encode(kind, id, version, net, claims));
    }

    function state(bytes32 within, bytes32 id, uint256 version, int256 net, bytes32 claims)
        internal
        pure
        returns (bytes32)
    {
        return typed(within, stateStruct(id, version, net, claims));
    }

    function close(bytes32 within, bytes32 id, uint256 counter, int256 net, uint256 until)
        internal
        pure
        returns (bytes32)
    {
        bytes32 kind = keccak256("Close(bytes32 channel,uint64 counter,int128 net,uint40 until)");
        return typed(within, keccak256(abi.encode(kind, id, counter, net, until)));
    }

    function withdraw(bytes32 within, bytes32 id, uint256 counter, uint256 toA, uint256 toB, uint256 until)
        internal
        pure
        returns (bytes32)
    {
        bytes32 kind =
            keccak256("Withdraw(bytes32 channel,uint64 counter,uint96 to_a,uint96 to_b,uint40 until)");
        return typed(within, keccak256(abi.encode(kind, id, counter, toA, toB, until)));
    }

    function start(bytes32 within, bytes32 id, address holder, uint256 minimum, uint256 until)
        internal
        pure
        returns (bytes32)
    {
        bytes32 kind = keccak256("Start(bytes32 channel,address holder,uint64 minimum,uint40 until)");
        return typed(within, keccak256(abi.encode(kind, id, holder, minimum, until)));
    }

    function price(bytes32 feed, uint256 instant, uint256 value) internal pure returns (bytes32) {
        bytes32 within = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version)"),
                keccak256("channeld price"),
                keccak256("1")
            )
        );
        bytes32 kind = keccak256("Price(bytes32 feed,uint40 timestamp,uint128 price)");
        return typed(within, keccak256(abi.encode(kind, feed, instant, value)));
    }

    function redstone(bytes32 symbol, uint256 instant, uint256 value) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(symbol, value, uint48(instant * 1000), uint32(32), uint24(1)));
    }
}

function compact(uint256 key, bytes32 digest) pure returns (Signature memory) {
    (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
    return Signature(r, bytes32(uint256(s) | uint256(v - 27) << 255));
}

/// A high s: of the other signature of the same digest, or the highest where that does not fit 255 bits.
function twin(Signature memory proof) pure returns (Signature memory) {
    uint256 s = ORDER - (uint256(proof.vs) << 1 >> 1);
    uint256 parity = 1 - (uint256(proof.vs) >> 255);
    if (s >> 255 != 0) s = type(uint256).max >> 1;
    return Signature(proof.r, bytes32(s | parity << 255));
}
