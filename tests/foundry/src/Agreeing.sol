// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Adjudicator, Signature} from "./Adjudicator.sol";
import {Channel, Flaw, Status} from "./Book.sol";
import {Depositing} from "./Depositing.sol";
import {Dice} from "./Dice.sol";
import {Digests} from "./Signing.sol";

/// Closes and withdrawals that both have signed: fresh ones, spoilt ones, and any signed before.
abstract contract Agreeing is Depositing {
    uint256 private constant KEPT = 12;

    /// What both have signed at some time, and for which counter.
    struct Agreement {
        uint256 n;
        bool closes;
        uint256 counter;
        int128 net;
        uint96 toA;
        uint96 toB;
        uint40 until;
    }

    Agreement[KEPT] private kept;
    uint256 private keptSoFar;

    function agree(uint256 seed) external {
        Dice memory d = step(seed);
        Agreement memory x = fresh(d);
        kept[keptSoFar++ % KEPT] = x;
        use(d, x);
    }

    /// Use something signed earlier, perhaps used before.
    function repeatAgreement(uint256 seed) external {
        Dice memory d = step(seed);
        if (keptSoFar == 0) return;
        use(d, kept[d.roll(keptSoFar < KEPT ? keptSoFar : KEPT)]);
    }

    function fresh(Dice memory d) private returns (Agreement memory x) {
        x.closes = d.oneIn(4);
        x.n = pick(d, x.closes && d.oneIn(2) ? Status.Disputed : Status.Open);
        Channel storage c = channels[x.n];
        x.counter = c.counter;
        if (d.oneIn(10)) x.counter = d.roll(4);
        x.until = uint40(d.oneIn(8) ? nowS - 1 : nowS + d.roll(20_000));
        x.net = netOf(d, c);
        // Some of the pot; one side may take more than it deposited.
        uint256 pot_ = uint256(pot(c));
        x.toA = uint96(d.roll(pot_ / 2 + 2));
        x.toB = uint96(d.roll(pot_ / 2 + 2));
        if (d.oneIn(10)) x.toA = uint96(pot_ - x.toB % (pot_ + 1));
        if (d.oneIn(20)) x.toB = type(uint96).max;
    }

    function netOf(Dice memory d, Channel storage c) internal view returns (int128) {
        uint256 shape = d.roll(12);
        if (shape == 0) return type(int128).max;
        if (shape == 1) return type(int128).min;
        int256 least = -c.depositB;
        return int128(least + int256(d.roll(uint256(pot(c)) + 1)));
    }

    function use(Dice memory d, Agreement memory x) private {
        uint256 caller = d.roll(CAST);
        Flaw flaw = d.oneIn(5) ? Flaw(1 + d.roll(6)) : Flaw.None;
        Channel storage c = channels[x.n];
        // A party that calls may always sign anew: what it is said to have signed is what it calls with.
        (bytes32 within, bytes32 id) = named(c, flaw);
        int128 net = flaw == Flaw.OtherContent ? x.net ^ 1 : x.net;
        uint96 toA = flaw == Flaw.OtherContent ? x.toA ^ 1 : x.toA;
        bytes32 digest = x.closes
            ? Digests.close(within, id, x.counter, net, x.until)
            : Digests.withdraw(within, id, x.counter, toA, x.toB, x.until);
        (Signature memory byA, Signature memory byB) = proofs(c, caller, digest, flaw);
        bool agreed = flaw == Flaw.None && x.counter == c.counter && nowS <= x.until;
        if (x.closes) useClose(c, x, agreed, caller, byA, byB);
        else useWithdrawal(c, x, agreed, caller, byA, byB);
    }

    function useClose(
        Channel storage c,
        Agreement memory x,
        bool agreed,
        uint256 caller,
        Signature memory byA,
        Signature memory byB
    ) private {
        bool expected = agreed && (c.status == Status.Open || c.status == Status.Disputed);
        bytes memory data = abi.encodeCall(Adjudicator.close, (c.p, x.net, x.until, byA, byB));
        attempt(c.status == Status.Disputed ? "close in a dispute" : "close", expected, cast[caller], 0, data);
        if (expected) bury(c, x.net);
    }

    function useWithdrawal(
        Channel storage c,
        Agreement memory x,
        bool agreed,
        uint256 caller,
        Signature memory byA,
        Signature memory byB
    ) private {
        int256 toA = int256(uint256(x.toA));
        int256 toB = int256(uint256(x.toB));
        bool expected = agreed && c.status == Status.Open && toA + toB <= pot(c);
        bytes memory data = abi.encodeCall(Adjudicator.withdraw, (c.p, x.toA, x.toB, x.until, byA, byB));
        attempt("withdraw", expected, cast[caller], 0, data);
        if (!expected) return;
        if (toA > c.depositA || toB > c.depositB) count("withdrew what it earned");
        pay(c, toA, toB);
        c.depositA -= toA;
        c.depositB -= toB;
        c.counter++;
    }
}
