// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Adjudicator, Params, Signature} from "../src/Adjudicator.sol";
import {Claim, Claims} from "../src/Claims.sol";
import {Dice, mark} from "../src/Dice.sol";
import {Digests, compact} from "../src/Signing.sol";
import {Town} from "../src/Town.sol";
import {Valuation} from "../src/Valuation.sol";
import {vm} from "../src/Vm.sol";

/// What a group of options pays at a price, over the whole range of sizes, strikes, bounds and prices, is
/// what the table says: to the last unit, and never a revert.
contract PayoffsTest is Town, Valuation {
    int256 private constant SIDE = 2 ** 94 - 1;

    Params private p;
    uint256 private a;
    uint256 private b;

    constructor() {
        (a, b) = cast[0] < cast[1] ? (0, 1) : (1, 0);
        p = Params(cast[a], cast[b], address(0), 600 << 216);
        for (uint256 i = 0; i < 2; i++) {
            vm.prank(cast[i]);
            court.deposit{value: uint256(SIDE)}(p, i == b, uint256(SIDE));
        }
    }

    function testFuzz_anyOption(uint256 seed) external {
        settlesTo(Dice(seed), 1);
    }

    function testFuzz_anyGroup(uint256 seed) external {
        Dice memory d = Dice(seed);
        settlesTo(d, 2 + d.roll(5));
    }

    /// Every kind at, next to and between its strike and bound, and at the ends of the range.
    function test_everyEdge() external {
        uint128[6] memory levels = [1, 2, 1e8, 3e8, type(uint128).max - 1, type(uint128).max];
        for (uint256 kind = 1; kind <= 6; kind++) {
            for (uint256 i = 0; i < 36; i++) {
                Claim memory c;
                (c.kind, c.strike, c.bound) = (kind, levels[i / 6], levels[i % 6]);
                if (kind == 3 || kind == 4) c.bound = 0;
                c.amount = i % 2 == 0 ? type(uint96).max : 1;
                edges(c);
            }
        }
    }

    function edges(Claim memory c) private {
        uint256[8] memory prices =
            [c.strike - 1, c.strike, c.strike + 1, c.bound + 1, c.bound, 1, type(uint128).max, 2e8];
        for (uint256 i = 0; i < 8; i++) {
            if (prices[i] == 0 || prices[i] > type(uint128).max) continue;
            (c.feed, c.expiry) = (feeds[0], mark(0));
            c.fromB = i % 2 == 0;
            uint256 before = vm.snapshotState();
            settle(Claims.write(c), prices[i]);
            require(vm.revertToState(before), "no snapshot");
        }
    }

    function settlesTo(Dice memory d, uint256 count) private {
        bytes memory words;
        uint256 levels = 1 + d.roll(128);
        Claim memory c;
        for (uint256 i = 0; i < count; i++) {
            Claim memory next = anyOption(d, levels);
            if (i != 0 && (next.kind >= 5) == (c.kind >= 5) && d.oneIn(2)) next.bound = c.bound;
            c = next;
            words = abi.encodePacked(words, Claims.write(c));
        }
        uint256 price = d.oneIn(3) ? c.strike + d.roll(3) - 1 : upTo(d, levels);
        settle(words, price == 0 || price > type(uint128).max ? 1 : price);
    }

    /// Numbers of all lengths, not only the longest.
    function anyOption(Dice memory d, uint256 levels) private view returns (Claim memory c) {
        c.kind = 1 + d.roll(6);
        c.amount = upTo(d, d.roll(96) + 1);
        c.fromB = d.oneIn(2);
        (c.feed, c.expiry) = (feeds[0], mark(0));
        c.strike = upTo(d, levels);
        c.bound = upTo(d, levels);
        if (!d.oneIn(8) && (c.kind == 1 ? c.strike > c.bound : c.strike < c.bound)) {
            (c.strike, c.bound) = (c.bound, c.strike);
        }
        if ((c.kind == 3 || c.kind == 4) && !d.oneIn(8)) c.bound = 0;
    }

    function upTo(Dice memory d, uint256 bits) private pure returns (uint256) {
        return d.roll(2 ** bits);
    }

    function settle(bytes memory words, uint256 price) private {
        bytes32 feed = feeds[0];
        publishedAt[feed][mark(0)] = Published(mark(0), price);
        int256 toA = worth(words, mark(0) + 1).toA;
        // A net against it, so that what is paid shows the last unit and is not cut off by the deposits.
        int256 net = toA > type(int128).max ? type(int128).max : toA;
        if (net < type(int128).min) net = type(int128).min;
        bytes32 hash = Claims.chain(words);
        bytes32 id = Digests.channel(p, domain);
        Signature memory none;
        bytes32 salt = blockhash(height - 1);
        bytes32 digest = Digests.state(domain, id, 1, net, hash);
        vm.prank(cast[a]);
        court.challenge(p, 1, int128(net), hash, none, sign(b, digest));
        pass(mark(0) - nowS);
        publishIt(feed, price);
        pass(1);
        uint256 before = cast[a].balance;
        bytes memory call = abi.encodeCall(Adjudicator.settle_claims, (p, net, salt));
        (bool ok,) = address(court).call(abi.encodePacked(call, words));
        require(ok, "it cannot be settled");
        int256 due = SIDE - net + toA;
        due = due < 0 ? int256(0) : due > 2 * SIDE ? 2 * SIDE : due;
        require(cast[a].balance - before == uint256(due), "not what the table says");
    }

    function publishIt(bytes32 feed, uint256 price) private {
        uint256[ORACLES] memory keys = oracleKeys();
        Signature[] memory proofs = new Signature[](2);
        proofs[0] = compact(keys[0], Digests.price(feed, mark(0), price));
        proofs[1] = compact(keys[1], Digests.price(feed, mark(0), price));
        court.publish_price(definitions[0], uint40(mark(0)), uint128(price), proofs);
    }
}
