// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Adjudicator, Exit} from "./Adjudicator.sol";
import {Channel, Status} from "./Book.sol";
import {Claims} from "./Claims.sol";
import {Dice} from "./Dice.sol";
import {Disputing} from "./Disputing.sol";
import {Worth} from "./Valuation.sol";

/// Settlements: whole, in parts, in batches; with the right list and with wrong ones.
abstract contract Settling is Disputing {
    uint256 private constant MAX_BATCH = 8;

    function settle(uint256 seed) external {
        Dice memory d = step(seed);
        Channel storage c = channels[pick(d, Status.Disputed)];
        int256 net = c.net;
        bytes32 salt = c.salt;
        bytes memory words = c.words;
        uint256 oddity = d.roll(24);
        if (oddity == 0) net++;
        if (oddity == 1) salt = bytes32(uint256(salt) ^ 1);
        if (oddity == 2) words = abi.encodePacked(words, uint256(1));
        if (oddity == 3 && words.length != 0) words = Claims.slice(words, 0, words.length - 32);
        if (oddity == 4) words = abi.encodePacked(words, uint8(0));
        bool right = oddity > 4 || (oddity == 3 && c.words.length == 0);
        bool ready = right && c.status == Status.Disputed && nowS >= c.expiry;
        address caller = cast[d.roll(CAST)];
        if (words.length == 0 && d.oneIn(2)) {
            attempt("settle", ready, caller, 0, abi.encodeCall(Adjudicator.settle, (c.p, net, salt)));
            if (ready) end(c, c.net);
        } else {
            bytes memory call = abi.encodeCall(Adjudicator.settle_claims, (c.p, net, salt));
            settleClaims(c, ready, caller, abi.encodePacked(call, words));
        }
    }

    function settleClaims(Channel storage c, bool ready, address caller, bytes memory data) internal {
        Worth memory w = worth(c.words, nowS);
        int256 base = c.depositA - c.net + w.toA;
        if (w.rest.length == 0) {
            attempt(c.words.length == 0 ? "settle an empty list" : "settle claims", ready, caller, 0, data);
            if (ready) end(c, c.net - w.toA);
            return;
        }
        int256 toA = clamp(base - int256(w.needA), pot(c));
        int256 toB = clamp(pot(c) - base - int256(w.needB), pot(c));
        bool expected = ready && (w.decided != 0 || toA + toB != 0);
        attempt("settle a part", expected, caller, 0, data);
        if (!expected) return;
        pay(c, toA, toB);
        int256 left = pot(c) - toA - toB;
        c.depositA = left;
        c.depositB = 0;
        c.net = left - (base - toA);
        c.words = w.rest;
        c.whole.paidA += toA;
        c.counter++;
    }

    function settleBatch(uint256 seed) external {
        Dice memory d = step(seed);
        uint256 hub = d.roll(CAST);
        uint256 asset = d.roll(ASSETS);
        Exit[] memory exits = new Exit[](MAX_BATCH);
        uint256 size = 0;
        for (uint256 i = d.roll(3); i < channels.length && size < MAX_BATCH; i++) {
            Channel storage c = channels[i];
            if (c.asset != asset || (c.a != hub && c.b != hub)) continue;
            exits[size++] = Exit(cast[c.a == hub ? c.b : c.a], c.p.config, c.net, c.salt);
            if (d.oneIn(8)) exits[size - 1].net++;
            else if (c.p.a < c.p.b && c.p.a != address(0)) settleInBatch(c);
        }
        assembly {
            mstore(exits, size)
        }
        bytes memory data = abi.encodeCall(Adjudicator.settle_batch, (cast[hub], assets[asset], exits));
        attempt("settle a batch", true, cast[d.roll(CAST)], 0, data);
    }

    function settleInBatch(Channel storage c) private {
        if (c.status != Status.Disputed || nowS < c.expiry || c.words.length != 0) return;
        count("settled in a batch");
        end(c, c.net);
    }

    /// The end of a dispute. In however many parts it was paid, the sum is what the list of the state that
    /// stood is worth now; only groups that did not stand together may have been rounded more often.
    function end(Channel storage c, int256 net) private {
        int256 whole = clamp(c.whole.accountA + worth(c.whole.words, nowS).toA, c.whole.pot);
        if (pot(c) != c.whole.pot) count("settled in parts");
        int256 difference = c.whole.paidA + bury(c, net) - whole;
        int256 least = c.whole.tidy ? int256(0) : int256(8);
        require(difference >= -least && difference <= least, "parts do not add up");
    }
}
