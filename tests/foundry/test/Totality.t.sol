// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Adjudicator, Params, Signature} from "../src/Adjudicator.sol";
import {Channel, Flaw, State, Status} from "../src/Book.sol";
import {Claims} from "../src/Claims.sol";
import {Dice} from "../src/Dice.sol";
import {Handler} from "../src/Handler.sol";
import {Digests} from "../src/Signing.sol";

/// Whatever two signatures have agreed to can be settled in the end, and pays what it should on the way.
contract TotalityTest is Handler {
    uint256 private constant PERIOD = 600;
    uint256 private constant MAX_WORDS = 96;

    /// Any bytes at all as a list of claims.
    function testFuzz_anyWordsSettle(uint256 seed, bytes calldata raw) external {
        Dice memory d = step(seed);
        bytes memory words = abi.encodePacked(raw);
        uint256 whole = words.length / 32 < MAX_WORDS ? words.length / 32 : MAX_WORDS;
        live(d, State(1, netOf(d, known()), Claims.slice(words, 0, 32 * whole), false));
    }

    /// Lists like those that are signed, and such with something wrong in them.
    function testFuzz_anyClaimsSettle(uint256 seed) external {
        Dice memory d = step(seed);
        Channel storage c = known();
        bool tidy = d.oneIn(2);
        live(d, State(1, netOf(d, c), d.claims(feeds, tidy), tidy));
    }

    /// Long lists: groups of more options than are netted.
    /// forge-config: default.fuzz.runs = 100
    function testFuzz_longListsSettle(uint256 seed) external {
        Dice memory d = step(seed);
        bytes memory words;
        uint256 size = 24 * 96 + d.roll(10 * 96);
        while (words.length < size) {
            words = abi.encodePacked(words, d.claims([feeds[0], feeds[0], feeds[0]], false));
        }
        live(d, State(1, netOf(d, known()), words, false));
    }

    /// A channel with money of both sides.
    function known() private returns (Channel storage c) {
        (uint256 a, uint256 b) = cast[0] < cast[1] ? (0, 1) : (1, 0);
        c = channels[enter(Params(cast[a], cast[b], address(0), PERIOD << 216), 0, a, b)];
        plainly(c, Payment(a, false, 500_000, 500_000));
        plainly(c, Payment(b, true, 300_000, 300_000));
    }

    /// Challenge, let things happen, settle again and again; after the end of time nothing may be left.
    function live(Dice memory d, State memory s) private {
        Channel storage c = channels[0];
        bytes32 hash = Claims.chain(s.words);
        (Signature memory byA, Signature memory byB) =
            proofs(c, c.a, Digests.state(domain, c.id, s.version, s.net, hash), Flaw.None);
        bytes memory data = abi.encodeCall(Adjudicator.challenge, (c.p, s.version, s.net, hash, byA, byB));
        attempt("challenge", true, cast[c.a], 0, data);
        start(c, s);
        pass(PERIOD);
        for (uint256 i = 0; i < 8 && c.status != Status.Closed; i++) {
            this.registerSecret(d.roll(type(uint256).max));
            this.publish(d.roll(type(uint256).max));
            this.wait(d.roll(type(uint256).max));
            settleOnce(c);
        }
        pass(2 ** 41);
        if (c.status != Status.Closed) settleOnce(c);
        require(c.status == Status.Closed, "it cannot be settled");
        this.check();
    }

    function settleOnce(Channel storage c) private {
        bytes memory call = abi.encodeCall(Adjudicator.settle_claims, (c.p, c.net, c.salt));
        settleClaims(c, true, cast[c.b], abi.encodePacked(call, c.words));
    }
}
