// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Adjudicator, Exit} from "./Adjudicator.sol";
import {Channel, Status} from "./Book.sol";
import {Dice, HOUR, MARKS, mark} from "./Dice.sol";
import {Registering} from "./Registering.sol";
import {Digests} from "./Signing.sol";
import {MoodyToken, Trickster} from "./Tokens.sol";
import {vm} from "./Vm.sol";

/// Everything that may happen in the town. Each step is a function with one number to choose by.
contract Handler is Registering {
    // -- credits --

    function claimCredit(uint256 seed) external {
        Dice memory d = step(seed);
        (uint256 asset, uint256 who) = creditor(d);
        uint256 to = d.oneIn(2) ? who : d.roll(CAST);
        uint256 owed = court.credits(assets[asset], cast[who]);
        bool expected = owed != 0 && takes(asset, to);
        bytes memory data = abi.encodeCall(Adjudicator.claim_credit, (assets[asset], cast[to]));
        attempt("claim a credit", expected, cast[who], 0, data);
        if (expected) moved(asset, who, to, owed);
    }

    function claimCredits(uint256 seed) external {
        Dice memory d = step(seed);
        (, uint256 who) = creditor(d);
        uint256 to = d.roll(CAST);
        uint256[ASSETS] memory owed;
        bool expected = true;
        address[] memory list = new address[](ASSETS);
        for (uint256 i = 0; i < ASSETS; i++) {
            list[i] = assets[i];
            owed[i] = court.credits(assets[i], cast[who]);
            if (owed[i] != 0 && !takes(i, to)) expected = false;
        }
        bytes memory data = abi.encodeCall(Adjudicator.claim_credits, (list, cast[to]));
        attempt("claim credits", expected, cast[who], 0, data);
        if (!expected) return;
        for (uint256 i = 0; i < ASSETS; i++) {
            moved(i, who, to, owed[i]);
        }
    }

    /// Somebody who is owed something, if there is anybody.
    function creditor(Dice memory d) private view returns (uint256 asset, uint256 who) {
        for (uint256 i = 0; i < 8; i++) {
            (asset, who) = (d.roll(ASSETS), d.roll(CAST));
            if (court.credits(assets[asset], cast[who]) != 0) break;
        }
    }

    /// Whether a payout without a limit of gas would arrive.
    function takes(uint256 asset, uint256 to) private view returns (bool) {
        if (asset == 0 && to == MALLORY) {
            Trickster.Mood mood = trickster().mood();
            return mood != Trickster.Mood.Refuses && mood != Trickster.Mood.Burns;
        }
        if (asset != 2) return true;
        MoodyToken.Mood now_ = moody.mood();
        if (now_ == MoodyToken.Mood.Bans) return moody.banned() != cast[to];
        return now_ != MoodyToken.Mood.Denies && now_ != MoodyToken.Mood.Burns && now_ != MoodyToken.Mood.Odd;
    }

    function moved(uint256 asset, uint256 who, uint256 to, uint256 amount) private {
        spent[asset][who] += amount;
        due[asset][to] += amount;
    }

    // -- time and tempers --

    /// To the next second, or to one at which something is decided, or next to it.
    function wait(uint256 seed) external {
        Dice memory d = step(seed);
        count("wait");
        uint256 shape = d.roll(7);
        if (shape == 0) return pass(1 + d.roll(60));
        uint256 next = nowS + 2_000;
        if (shape < 4 && channels.length != 0) {
            Channel storage c = channels[pick(d, Status.Disputed)];
            if (c.status == Status.Disputed) next = c.expiry;
        } else if (shape == 4) {
            next = mark(d.roll(MARKS));
        } else if (shape == 5) {
            next = mark(d.roll(MARKS)) + HOUR * (1 + d.roll(3));
        }
        next = next + d.roll(3) - 1;
        // Not too far at a time, or all options would be past before anything has happened.
        if (next > nowS && next < nowS + 6 * HOUR) pass(next - nowS);
    }

    function anger(uint256 seed) external {
        Dice memory d = step(seed);
        count("anger");
        bool ofToken = d.oneIn(2);
        bytes memory data = intrusion(d, ofToken);
        bool calls = d.oneIn(3);
        if (ofToken) {
            MoodyToken.Mood mood = calls ? MoodyToken.Mood.CallsBack : MoodyToken.Mood(d.roll(9));
            moody.behave(mood, cast[d.roll(CAST)], address(court), data);
        } else {
            Trickster.Mood mood = calls ? Trickster.Mood.CallsBack : Trickster.Mood(d.roll(4));
            trickster().behave(mood, address(court), data);
        }
    }

    /// A call that would succeed by itself, and must not from within another.
    function intrusion(Dice memory d, bool ofToken) private returns (bytes memory) {
        uint256 shape = d.roll(9);
        Channel storage c = channels[pick(d, shape > 3 ? Status.Disputed : Status.Open)];
        uint40 until = uint40(nowS + 1_000_000);
        if (shape < 2) {
            for (uint256 i = 0; i < 8 && ofToken && c.asset != 2; i++) {
                c = channels[pick(d, Status.Open)];
            }
            if (shape == 0) return abi.encodeCall(Adjudicator.deposit, (c.p, false, 7));
            return abi.encodeCall(Adjudicator.deposit_with_permit, (c.p, false, 7, 0, 27, 0, 0));
        }
        if (shape == 2) {
            bytes32 digest = Digests.close(domain, c.id, c.counter, 0, until);
            return abi.encodeCall(Adjudicator.close, (c.p, 0, until, sign(c.a, digest), sign(c.b, digest)));
        }
        if (shape == 3) {
            bytes32 digest = Digests.withdraw(domain, c.id, c.counter, 1, 0, until);
            return
                abi.encodeCall(Adjudicator.withdraw, (c.p, 1, 0, until, sign(c.a, digest), sign(c.b, digest)));
        }
        if (shape == 4) return abi.encodeCall(Adjudicator.settle, (c.p, c.net, c.salt));
        if (shape == 5) {
            return abi.encodePacked(abi.encodeCall(Adjudicator.settle_claims, (c.p, c.net, c.salt)), c.words);
        }
        // With nothing to do, and so with little gas.
        if (shape == 6) {
            return abi.encodeCall(Adjudicator.settle_batch, (cast[0], address(0), new Exit[](0)));
        }
        if (shape == 7) return abi.encodeCall(Adjudicator.claim_credits, (new address[](0), cast[0]));
        return abi.encodeCall(Adjudicator.claim_credit, (address(0), cast[0]));
    }

    // -- what must always be true --

    function check() external view {
        for (uint256 n = 0; n < channels.length; n++) {
            checkChannel(n);
        }
        for (uint256 asset = 0; asset < ASSETS; asset++) {
            checkAsset(asset);
        }
        require(!moody.intruded(), "a token got in");
        require(trickster().visits() == 1, "a payee got in");
    }

    function checkChannel(uint256 n) private view {
        Channel storage c = channels[n];
        uint256 slot = court.channels(c.id);
        uint256 dispute = court.disputes(c.id);
        require(slot == slotOf(c), "the slot is not as the book says");
        require(dispute == disputeOf(c), "the dispute is not as the book says");
        uint256 before = seenSlot[n];
        uint256 status = slot >> 232 & 3;
        require(status >= (before >> 232 & 3), "a status went back");
        require(before >> 232 != 3 || slot == 3 << 232, "a tombstone lives");
        if (status != 3) {
            require(slot >> 234 >= before >> 234, "a counter went down");
            require(dispute >> 192 >= seenDispute[n] >> 192, "a version went down");
            uint256 expiry = before >> 192 & type(uint40).max;
            require(expiry == 0 || (slot >> 192 & type(uint40).max) == expiry, "a window moved");
        }
    }

    function checkAsset(uint256 asset) private view {
        uint256 owed = 0;
        for (uint256 n = 0; n < channels.length; n++) {
            Channel storage c = channels[n];
            if (c.asset != asset || c.status == Status.None || c.status == Status.Closed) continue;
            uint256 slot = court.channels(c.id);
            owed += uint256(int256(int96(uint96(slot))) + int256(int96(uint96(slot >> 96))));
        }
        for (uint256 who = 0; who < CAST; who++) {
            owed += court.credits(assets[asset], cast[who]);
            uint256 most = PURSE + due[asset][who] - spent[asset][who];
            uint256 has = wealth(asset, cast[who]);
            require(has <= most, "somebody got more than its due");
            require(asset == 2 || has == most, "somebody got less than its due");
        }
        uint256 held = balance(asset, address(court));
        require(held >= owed, "it holds less than it owes");
        require(asset == 2 || held == owed, "it keeps something back");
    }

    // -- what has fired --

    function report(string calldata path) external {
        string memory line = "";
        for (uint256 i = 0; i < names.length; i++) {
            string memory name = names[i];
            line = string.concat(line, name, "=", vm.toString(fired[name]));
            line = string.concat(line, "/", vm.toString(refused[name]), ";");
        }
        vm.writeLine(path, line);
    }
}
