// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Params, Signature} from "./Adjudicator.sol";
import {Claims} from "./Claims.sol";
import {Dice} from "./Dice.sol";
import {Digests, twin} from "./Signing.sol";
import {Town} from "./Town.sol";
import {Valuation} from "./Valuation.sol";
import {vm} from "./Vm.sol";

enum Status {
    None,
    Open,
    Disputed,
    Closed
}

/// How a signed message was spoilt.
enum Flaw {
    None,
    Forged, // somebody else's key in the place of a party's
    Swapped, // each signature in the other's place
    HighS,
    OtherChannel,
    OtherDomain,
    OtherContent
}

/// A state that both sides would sign.
struct State {
    uint64 version;
    int128 net;
    bytes words;
    bool tidy; // the claims are in canonical order
}

struct Channel {
    Params p;
    bytes32 id;
    uint256 asset;
    uint256 a; // numbers of the cast
    uint256 b;
    Status status;
    int256 depositA;
    int256 depositB;
    uint256 counter;
    uint256 expiry;
    // in a dispute
    uint256 version;
    int256 net;
    bytes words;
    bytes32 salt;
    Whole whole;
}

/// A dispute as it stood when its last state was shown, and what a got in parts since.
struct Whole {
    int256 accountA; // before claims
    int256 pot;
    bytes words;
    bool tidy;
    int256 paidA;
}

/// What should be: a book kept beside the contract, and what has been tried.
abstract contract Book is Town, Valuation {
    Channel[] internal channels;
    mapping(uint256 => State[]) internal states;
    // by asset and number of the cast
    mapping(uint256 => mapping(uint256 => uint256)) internal due;
    mapping(uint256 => mapping(uint256 => uint256)) internal spent;
    // what was on the chain before the last step
    mapping(uint256 => uint256) internal seenSlot;
    mapping(uint256 => uint256) internal seenDispute;

    string[] internal names;
    mapping(string => uint256) internal fired;
    mapping(string => uint256) internal refused;

    /// The beginning of whatever is done. One number means something else in every block.
    function step(uint256 seed) internal returns (Dice memory) {
        for (uint256 n = 0; n < channels.length; n++) {
            seenSlot[n] = court.channels(channels[n].id);
            seenDispute[n] = court.disputes(channels[n].id);
        }
        pass(0);
        return Dice(uint256(keccak256(abi.encode(seed, height))));
    }

    // -- calls --

    /// Call the contract as somebody; it must succeed exactly if the book says so.
    function attempt(string memory name, bool expected, address sender, uint256 value, bytes memory data)
        internal
    {
        vm.prank(sender);
        (bool ok, bytes memory answer) = address(court).call{value: value, gas: 30_000_000}(data);
        if (fired[name] + refused[name] == 0) names.push(name);
        if (ok) fired[name]++;
        else refused[name]++;
        if (!ok) count(string.concat("! ", reason(answer)));
        require(ok || !expected, string.concat(name, " was refused: ", reason(answer)));
        require(!ok || expected, string.concat(name, " should have been refused"));
    }

    function reason(bytes memory answer) private pure returns (string memory) {
        if (answer.length < 68) return "without a reason";
        return abi.decode(Claims.slice(answer, 4, answer.length - 4), (string));
    }

    function count(string memory name) internal {
        if (fired[name] + refused[name] == 0) names.push(name);
        fired[name]++;
    }

    // -- signatures --

    /// What both sign, spoilt if asked for; a caller who is a party gives none of its own.
    function proofs(Channel storage c, uint256 caller, bytes32 digest, Flaw flaw)
        internal
        view
        returns (Signature memory byA, Signature memory byB)
    {
        byA = sign(flaw == Flaw.Forged && caller == c.b ? outsider(c) : c.a, digest);
        byB = sign(flaw == Flaw.Forged && caller != c.b ? outsider(c) : c.b, digest);
        if (flaw == Flaw.Swapped) (byA, byB) = (byB, byA);
        if (flaw == Flaw.HighS) (byA, byB) = (twin(byA), twin(byB));
        if (caller == c.a) delete byA;
        if (caller == c.b) delete byB;
    }

    /// Somebody who is not of this channel, mallory if possible.
    function outsider(Channel storage c) internal view returns (uint256 who) {
        for (who = MALLORY; who == c.a || who == c.b; who--) {}
    }

    /// The channel and the domain that a digest names, spoilt if asked for.
    function named(Channel storage c, Flaw flaw) internal view returns (bytes32 within, bytes32 id) {
        within = flaw == Flaw.OtherDomain ? Digests.domain(address(this)) : domain;
        id = flaw == Flaw.OtherChannel ? bytes32(uint256(c.id) ^ 1) : c.id;
    }

    // -- accounts --

    function pot(Channel storage c) internal view returns (int256) {
        return c.depositA + c.depositB;
    }

    function clamp(int256 amount, int256 most) internal pure returns (int256) {
        return amount < 0 ? int256(0) : amount > most ? most : amount;
    }

    function pay(Channel storage c, int256 toA, int256 toB) internal {
        due[c.asset][c.a] += uint256(toA);
        due[c.asset][c.b] += uint256(toB);
    }

    /// The end of a channel: a has paid b `net` in all.
    function bury(Channel storage c, int256 net) internal returns (int256 toA) {
        toA = clamp(c.depositA - net, pot(c));
        pay(c, toA, pot(c) - toA);
        (c.depositA, c.depositB, c.expiry, c.counter) = (0, 0, 0, 0);
        c.status = Status.Closed;
    }

    function slotOf(Channel storage c) internal view returns (uint256) {
        return uint256(uint96(int96(c.depositA))) | uint256(uint96(int96(c.depositB))) << 96 | c.expiry << 192
            | uint256(c.status) << 232 | c.counter << 234;
    }

    function disputeOf(Channel storage c) internal view returns (uint256) {
        if (c.status != Status.Disputed) return 0;
        bytes32 hash = Digests.stateStruct(c.id, c.version, c.net, Claims.chain(c.words));
        return c.version << 192 | uint256(uint192(uint256(keccak256(abi.encode(hash, c.salt)))));
    }
}
