// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Adjudicator, Params, Signature, adjudicator, deployed} from "./Adjudicator.sol";
import {FEEDS, START} from "./Dice.sol";
import {Digests, compact} from "./Signing.sol";
import {MoodyToken, Trickster} from "./Tokens.sol";
import {vm} from "./Vm.sol";

interface PlainToken {
    function balanceOf(address who) external view returns (uint256);
    function mint(address to, uint256 amount) external;
    function approve(address spender, uint256 amount) external returns (bool);
}

/// The cast and the place. Everybody has money of three assets and trusts nobody.
abstract contract Town {
    uint256 internal constant CAST = 4;
    uint256 internal constant MALLORY = 3;
    uint256 internal constant CAROL = 2;
    uint256 internal constant ASSETS = 3;
    uint256 internal constant PURSE = 1e30;
    uint256 internal constant ORACLES = 3;

    Adjudicator internal court;
    bytes32 internal domain;
    address[CAST] internal cast;
    address[ASSETS] internal assets; // ETH, the committed test token, a moody one
    MoodyToken internal moody;
    bytes32[FEEDS] internal feeds;
    bytes[FEEDS] internal definitions; // two of our scheme, one of RedStone's
    uint256 internal nowS = START;
    uint256 internal height = 1000;

    constructor() {
        vm.warp(nowS);
        vm.roll(height);
        court = adjudicator();
        domain = Digests.domain(address(court));
        require(court.DOMAIN() == domain, "the domain is not that of the text");
        moody = new MoodyToken();
        assets = [address(0), deployed("test_token", "CHANNELD_TEST_TOKEN"), address(moody)];
        for (uint256 i = 0; i < CAST; i++) {
            cast[i] = vm.addr(keyOf(i));
            vm.deal(cast[i], PURSE);
            for (uint256 j = 1; j < ASSETS; j++) {
                PlainToken(assets[j]).mint(cast[i], PURSE);
                if (i == CAROL && j == 2) continue; // she uses permits
                vm.prank(cast[i]);
                PlainToken(assets[j]).approve(address(court), type(uint256).max);
            }
        }
        moody.mint(address(moody), PURSE);
        vm.prank(address(moody));
        moody.approve(address(court), type(uint256).max);
        vm.etch(cast[MALLORY], address(new Trickster()).code);
        trickster().behave(Trickster.Mood.Accepts, address(0), "");
        for (uint256 i = 0; i < FEEDS; i++) {
            definitions[i] = definition(i);
            feeds[i] = bytes32(uint256(keccak256(definitions[i])) >> 8 << 8 | (1 + i));
        }
    }

    function keyOf(uint256 who) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("cast", who)));
    }

    function trickster() internal view returns (Trickster) {
        return Trickster(payable(cast[MALLORY]));
    }

    /// The next block, so many seconds later.
    function pass(uint256 seconds_) internal {
        nowS += seconds_;
        height++;
        vm.warp(nowS);
        vm.roll(height);
    }

    // -- oracles --

    /// In ascending order of their addresses.
    function oracleKeys() internal pure returns (uint256[ORACLES] memory keys) {
        for (uint256 i = 0; i < ORACLES; i++) {
            keys[i] = uint256(keccak256(abi.encode("oracle", i)));
            for (uint256 j = i; j > 0 && vm.addr(keys[j]) < vm.addr(keys[j - 1]); j--) {
                (keys[j], keys[j - 1]) = (keys[j - 1], keys[j]);
            }
        }
    }

    /// Feed n has a grace of n + 1 hours.
    function definition(uint256 n) private pure returns (bytes memory) {
        uint256[ORACLES] memory keys = oracleKeys();
        bool ours = n < 2;
        uint256 meta = ours ? 0x08010200 : 0x08020300;
        meta |= n + 1; // decimals, scheme, threshold, grace
        return abi.encodePacked(
            bytes32("ETH"),
            meta,
            uint256(uint160(vm.addr(keys[0]))),
            uint256(uint160(vm.addr(keys[1]))),
            uint256(uint160(vm.addr(keys[2])))
        );
    }

    // -- money --

    function wealth(uint256 asset, address who) internal view returns (uint256) {
        return balance(asset, who) + court.credits(assets[asset], who);
    }

    function balance(uint256 asset, address who) internal view returns (uint256) {
        return asset == 0 ? who.balance : PlainToken(assets[asset]).balanceOf(who);
    }

    // -- signing --

    function sign(uint256 who, bytes32 digest) internal pure returns (Signature memory) {
        return compact(keyOf(who), digest);
    }
}
