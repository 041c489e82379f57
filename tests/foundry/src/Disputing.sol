// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Adjudicator, Signature} from "./Adjudicator.sol";
import {Agreeing} from "./Agreeing.sol";
import {Channel, Flaw, State, Status, Whole} from "./Book.sol";
import {Claims} from "./Claims.sol";
import {Dice} from "./Dice.sol";
import {Digests} from "./Signing.sol";

/// Challenges and responses with any state that was ever signed, by anyone, some of them spoilt.
abstract contract Disputing is Agreeing {
    uint256 private constant KEPT = 6;

    struct Showing {
        uint256 n;
        uint256 caller;
        State state;
        Flaw flaw;
    }

    /// Both sign a state, of any version and about anything.
    function signState(uint256 seed) external {
        Dice memory d = step(seed);
        uint256 n = pick(d, Status.Open);
        signIn(d, n, d.roll(12));
        count("sign a state");
    }

    function signIn(Dice memory d, uint256 n, uint256 above) private returns (State memory s) {
        s.version = d.oneIn(30) ? type(uint64).max - uint64(d.roll(2)) : uint64(above) + 1;
        s.net = netOf(d, channels[n]);
        s.tidy = !d.oneIn(3);
        if (!d.oneIn(3)) s.words = d.claims(feeds, s.tidy);
        if (states[n].length < KEPT) states[n].push(s);
        else states[n][d.roll(KEPT)] = s;
    }

    function challenge(uint256 seed) external {
        Dice memory d = step(seed);
        Showing memory x = showing(d, Status.Open);
        Channel storage c = channels[x.n];
        bool party = x.caller == c.a || x.caller == c.b;
        bool expected = c.status == Status.Open && party && valid(x);
        (Signature memory byA, Signature memory byB) = signatures(x);
        bytes memory data = abi.encodeCall(
            Adjudicator.challenge, (c.p, x.state.version, shownNet(x), shownClaims(x), byA, byB)
        );
        attempt(
            x.state.version == 0 ? "challenge with nothing" : "challenge", expected, cast[x.caller], 0, data
        );
        if (expected) start(c, x.state);
    }

    /// As somebody to whom a party may have given a permit.
    function challengeFor(uint256 seed) external {
        Dice memory d = step(seed);
        Showing memory x = showing(d, Status.Open);
        Channel storage c = channels[x.n];
        uint64 minimum = d.oneIn(8) ? 0 : uint64(1 + d.roll(3));
        uint40 until = uint40(d.oneIn(8) ? nowS - 1 : nowS + d.roll(1000));
        uint256 granter = d.oneIn(4) ? d.roll(CAST) : d.oneIn(2) ? c.a : c.b;
        address holder = cast[d.oneIn(6) ? d.roll(CAST) : x.caller];
        Signature memory permit = sign(granter, Digests.start(domain, c.id, holder, minimum, until));
        bool permitted = (granter == c.a || granter == c.b) && holder == cast[x.caller] && minimum != 0
            && nowS <= until && x.state.version >= minimum;
        bool expected = c.status == Status.Open && permitted && valid(x);
        bytes memory data = permittedCall(x, minimum, until, permit);
        attempt("challenge with a permit", expected, cast[x.caller], 0, data);
        if (expected) start(c, x.state);
    }

    function permittedCall(Showing memory x, uint64 minimum, uint40 until, Signature memory permit)
        private
        view
        returns (bytes memory)
    {
        Channel storage c = channels[x.n];
        (Signature memory byA, Signature memory byB) = signatures(x);
        return abi.encodeCall(
            Adjudicator.challenge_for,
            (c.p, x.state.version, shownNet(x), shownClaims(x), byA, byB, minimum, until, permit)
        );
    }

    function respond(uint256 seed) external {
        Dice memory d = step(seed);
        Showing memory x = showing(d, Status.Disputed);
        Channel storage c = channels[x.n];
        bool inTime = c.status == Status.Disputed && nowS < c.expiry;
        bool expected = inTime && x.state.version > c.version && valid(x);
        (Signature memory byA, Signature memory byB) = signatures(x);
        bytes memory data = abi.encodeCall(
            Adjudicator.respond, (c.p, x.state.version, shownNet(x), shownClaims(x), byA, byB)
        );
        attempt("respond", expected, cast[x.caller], 0, data);
        if (expected) stand(c, x.state);
    }

    // -- what is shown --

    function showing(Dice memory d, Status status) private returns (Showing memory x) {
        x.n = pick(d, status);
        Channel storage c = channels[x.n];
        State[] storage signed = states[x.n];
        uint256 shape = d.roll(8);
        if (shape < 3) x.state = signIn(d, x.n, d.roll(3) + (c.version & 0xff));
        else if (shape < 7 && signed.length != 0) x.state = signed[d.roll(signed.length)];
        x.caller = d.oneIn(4) ? d.roll(CAST) : d.oneIn(2) ? c.a : c.b;
        if (d.oneIn(6)) x.flaw = Flaw(1 + d.roll(6));
    }

    /// Whether the contract can take it for signed by both. Version 0 needs no signature, only its content.
    function valid(Showing memory x) private pure returns (bool) {
        return x.flaw == Flaw.None || (x.state.version == 0 && x.flaw != Flaw.OtherContent);
    }

    function shownNet(Showing memory x) private pure returns (int128) {
        return x.flaw == Flaw.OtherContent ? x.state.net ^ 1 : x.state.net;
    }

    function shownClaims(Showing memory x) private pure returns (bytes32) {
        return Claims.chain(x.state.words);
    }

    function signatures(Showing memory x) private view returns (Signature memory, Signature memory) {
        Channel storage c = channels[x.n];
        (bytes32 within, bytes32 id) = named(c, x.flaw);
        bytes32 digest = Digests.state(within, id, x.state.version, x.state.net, Claims.chain(x.state.words));
        return proofs(c, x.caller, digest, x.flaw);
    }

    // -- what it does --

    function start(Channel storage c, State memory s) internal {
        c.status = Status.Disputed;
        c.expiry = nowS + (c.p.config >> 216);
        stand(c, s);
    }

    function stand(Channel storage c, State memory s) private {
        c.version = s.version;
        c.net = s.net;
        c.words = s.words;
        c.salt = blockhash(height - 1);
        c.whole = Whole(c.depositA - s.net, pot(c), s.words, s.tidy, 0);
    }
}
