// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Adjudicator, Params} from "./Adjudicator.sol";
import {Book, Channel, Status} from "./Book.sol";
import {Dice} from "./Dice.sol";
import {Digests} from "./Signing.sol";
import {MoodyToken} from "./Tokens.sol";
import {vm} from "./Vm.sol";

/// Deposits for either side by anyone, of every asset; the first opens, some should not.
abstract contract Depositing is Book {
    uint256 private constant MAX_POT = 2 ** 95 - 1;
    uint256 private constant MAX_CHANNELS = 20;

    struct Payment {
        uint256 who;
        bool toB;
        uint256 amount;
        uint256 value;
    }

    function open(uint256 seed) external {
        Dice memory d = step(seed);
        depositIn(found(d), 1 + d.roll(1_000_000), d);
    }

    function deposit(uint256 seed) external {
        Dice memory d = step(seed);
        depositIn(pick(d, Status.Open), depositAmount(d), d);
    }

    function depositIn(uint256 n, uint256 amount, Dice memory d) private {
        Channel storage c = channels[n];
        Payment memory x = Payment(d.roll(CAST), d.oneIn(2), amount, c.asset == 0 ? amount : 0);
        if (d.oneIn(32)) x.value ^= 1;
        if (c.asset == 2 && d.oneIn(2)) withPermit(c, x, d);
        else plainly(c, x);
    }

    function plainly(Channel storage c, Payment memory x) internal {
        uint256 got = arriving(c, x, allowanceOf(x.who));
        bool expected = got != 0 && x.value == (c.asset == 0 ? x.amount : 0) && fits(c, x.toB, got);
        attempt(
            "deposit",
            expected,
            cast[x.who],
            x.value,
            abi.encodeCall(Adjudicator.deposit, (c.p, x.toB, x.amount))
        );
        if (expected) booked(c, x, got);
    }

    function withPermit(Channel storage c, Payment memory x, Dice memory d) private {
        uint256 deadline = nowS - d.roll(2);
        uint256 signer = d.oneIn(4) ? d.roll(CAST) : x.who;
        bool valid = signer == x.who && deadline == nowS;
        uint256 got = arriving(c, x, valid ? x.amount : allowanceOf(x.who));
        bool expected = got != 0 && fits(c, x.toB, got);
        bytes memory data = permitCall(c.p, x, signer, deadline);
        string memory name = valid ? "deposit with permit" : "deposit with a bad permit";
        attempt(name, expected, cast[x.who], 0, data);
        if (expected) booked(c, x, got);
    }

    function permitCall(Params memory p, Payment memory x, uint256 signer, uint256 deadline)
        private
        view
        returns (bytes memory)
    {
        bytes32 digest = moody.permitDigest(cast[x.who], address(court), x.amount, deadline);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keyOf(signer), digest);
        return abi.encodeCall(Adjudicator.deposit_with_permit, (p, x.toB, x.amount, deadline, v, r, s));
    }

    function allowanceOf(uint256 who) private view returns (uint256) {
        return moody.allowance(cast[who], address(court));
    }

    /// What a deposit brings; 0 if it fails.
    function arriving(Channel storage c, Payment memory x, uint256 allowed) private view returns (uint256) {
        if (x.amount > balance(c.asset, cast[x.who])) return 0;
        if (c.asset != 2) return x.amount;
        MoodyToken.Mood mood = moody.mood();
        if (allowed < x.amount || mood == MoodyToken.Mood.Odd || mood == MoodyToken.Mood.Burns) return 0;
        if (mood == MoodyToken.Mood.Denies || mood == MoodyToken.Mood.Lies) return 0;
        return mood == MoodyToken.Mood.Fee ? x.amount - x.amount / 10 : x.amount;
    }

    function fits(Channel storage c, bool toB, uint256 got) private view returns (bool) {
        if (got > MAX_POT) return false;
        if (c.status == Status.None) {
            uint256 period = c.p.config >> 216;
            return c.p.a != address(0) && c.p.a < c.p.b && period >= 600 && period <= 30 days;
        }
        int256 most = int256(MAX_POT);
        int256 mine = (toB ? c.depositB : c.depositA) + int256(got);
        return c.status == Status.Open && mine <= most && pot(c) + int256(got) <= most;
    }

    function booked(Channel storage c, Payment memory x, uint256 got) private {
        spent[c.asset][x.who] += x.amount;
        if (x.toB) c.depositB += int256(got);
        else c.depositA += int256(got);
        if (c.status == Status.None) count("opened");
        c.status = Status.Open;
    }

    // -- channels --

    /// Any channel, but rather one of that status.
    function pick(Dice memory d, Status status) internal returns (uint256 n) {
        if (channels.length == 0) return found(d);
        n = d.roll(channels.length);
        for (uint256 i = 0; i < 2 * channels.length && channels[n].status != status; i++) {
            n = d.roll(channels.length);
        }
        if (d.oneIn(8)) n = d.roll(channels.length);
    }

    /// Parameters of a new channel, some of which can never open.
    function found(Dice memory d) private returns (uint256) {
        if (channels.length == MAX_CHANNELS) return pick(d, Status.Open);
        uint256 a = d.roll(CAST);
        uint256 b = (a + 1 + d.roll(CAST - 1)) % CAST;
        if (cast[a] > cast[b]) (a, b) = (b, a);
        uint256 period = 600 + d.roll(1_000);
        Params memory p = Params(cast[a], cast[b], address(0), 0);
        uint256 asset = d.roll(ASSETS);
        p.asset = assets[asset];
        uint256 oddity = d.roll(40);
        if (oddity == 0) (p.a, p.b) = (p.b, p.a);
        if (oddity == 1) p.a = address(0);
        if (oddity == 2) p.b = p.a;
        if (oddity == 3) period = 599;
        if (oddity == 4) period = 30 days + 1;
        if (oddity == 5) period = 2 ** 40 - 1;
        p.config = period << 216 | uint200(d.roll(type(uint256).max)) << 16 | channels.length;
        return enter(p, asset, a, b);
    }

    /// A new page of the book.
    function enter(Params memory p, uint256 asset, uint256 a, uint256 b) internal returns (uint256) {
        Channel storage c = channels.push();
        (c.p, c.id, c.asset, c.a, c.b) = (p, Digests.channel(p, domain), asset, a, b);
        return channels.length - 1;
    }

    function depositAmount(Dice memory d) private pure returns (uint256) {
        uint256 shape = d.roll(40);
        if (shape == 0) return 0;
        if (shape == 1) return MAX_POT + d.roll(2);
        if (shape == 2) return type(uint256).max;
        if (shape == 3) return 1 + d.roll(20);
        return 1 + d.roll(1_000_000);
    }
}
