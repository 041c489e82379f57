// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Claim, Claims} from "./Claims.sol";

uint256 constant SCALE = 1e8;
uint256 constant MAX_PRICE = type(uint128).max;
uint256 constant MAX_NETTED = 24;

/// What a list is worth at some moment.
struct Worth {
    int256 toA; // what decided claims move to a's account
    uint256 needA; // what the pending ones can still cost a at worst
    uint256 needB;
    bytes rest; // the pending ones
    uint256 decided; // how many are not pending
}

/// The worth of claim lists, from the table of docs/protocol.md and as plainly as can be: every price that
/// matters is tried, nothing is packed or walked in order. It keeps its own record of secrets and prices.
abstract contract Valuation {
    enum Fate {
        Dead,
        Live,
        Pending
    }

    struct Published {
        uint256 time;
        uint256 price;
    }

    mapping(bytes32 => uint256) internal shownAt;
    mapping(bytes32 => mapping(uint256 => Published)) internal publishedAt;

    function worth(bytes memory words, uint256 now_) internal view returns (Worth memory w) {
        Claim[] memory list = Claims.read(words);
        Claim[] memory run = new Claim[](list.length);
        uint256 inRun = 0;
        for (uint256 i = 0; i < list.length; i++) {
            Claim memory c = list[i];
            Fate fate = isVoid(c) ? Fate.Dead : lockFate(c, now_);
            if (fate == Fate.Dead) {
                w.decided++;
            } else if (c.kind == 0) {
                transfer(w, c, fate, words);
            } else {
                if (inRun != 0 && !together(run[0], c)) {
                    closeRun(w, run, inRun, now_);
                    inRun = 0;
                }
                run[inRun++] = c;
                if (priceFate(c, now_) == Fate.Pending) keep(w, c, words);
                else w.decided++;
            }
        }
        if (inRun != 0) closeRun(w, run, inRun, now_);
    }

    function transfer(Worth memory w, Claim memory c, Fate fate, bytes memory words) private pure {
        if (fate == Fate.Live) {
            w.decided++;
            w.toA += c.fromB ? int256(c.amount) : -int256(c.amount);
        } else {
            keep(w, c, words);
            if (c.fromB) w.needB += c.amount;
            else w.needA += c.amount;
        }
    }

    function keep(Worth memory w, Claim memory c, bytes memory words) private pure {
        w.rest = abi.encodePacked(w.rest, Claims.slice(words, c.start, c.size));
    }

    function closeRun(Worth memory w, Claim[] memory run, uint256 count, uint256 now_) private view {
        Fate fate = priceFate(run[0], now_);
        if (fate == Fate.Live) {
            uint256 price = publishedAt[run[0].feed][run[0].expiry].price;
            int256 sum = 0;
            for (uint256 i = 0; i < count; i++) {
                sum += signed(run[i], price);
            }
            w.toA += sum / int256(denominator(run[0], price));
        } else if (fate == Fate.Pending) {
            uint256 netted = count < MAX_NETTED ? count : MAX_NETTED;
            w.needA += worst(run, netted, false, now_);
            w.needB += worst(run, netted, true, now_);
            for (uint256 i = netted; i < count; i++) {
                if (run[i].fromB) w.needB += most(run[i]) + 1;
                else w.needA += most(run[i]) + 1;
            }
        }
    }

    // -- fates --

    function isVoid(Claim memory c) internal pure returns (bool) {
        if (c.cut) return true;
        if (c.kind == 0) return false;
        if (c.kind > 6 || c.amount == 0 || c.strike == 0) return true;
        if (c.locked && c.deadline > c.expiry) return true;
        if (c.kind == 1) return c.bound <= c.strike;
        if (c.kind == 3 || c.kind == 4) return c.bound != 0;
        if (c.kind == 6 && c.bound == 0) return true;
        return c.bound >= c.strike;
    }

    function lockFate(Claim memory c, uint256 now_) internal view returns (Fate) {
        if (!c.locked) return Fate.Live;
        uint256 shown = shownAt[c.lock];
        if (shown != 0) return shown <= c.deadline ? Fate.Live : Fate.Dead;
        return now_ <= c.deadline ? Fate.Pending : Fate.Dead;
    }

    function priceFate(Claim memory c, uint256 now_) internal view returns (Fate) {
        uint256 last = c.expiry + uint256(uint8(uint256(c.feed))) * 3600;
        Published memory p = publishedAt[c.feed][c.expiry];
        if (p.price != 0 && p.time <= last && now_ > c.expiry) return Fate.Live;
        return now_ <= last ? Fate.Pending : Fate.Dead;
    }

    function isCoin(Claim memory c) private pure returns (bool) {
        return c.kind == 5 || c.kind == 6;
    }

    function together(Claim memory c, Claim memory d) internal pure returns (bool) {
        if (c.feed != d.feed || c.expiry != d.expiry || isCoin(c) != isCoin(d)) return false;
        return !isCoin(c) || c.bound == d.bound;
    }

    // -- payoffs --

    /// The numerator of the table: never negative.
    function numerator(Claim memory c, uint256 s) internal pure returns (uint256) {
        uint256 k = c.strike;
        if (c.kind == 1) {
            uint256 seen = s < c.bound ? s : c.bound;
            return seen > k ? c.amount * (seen - k) : 0;
        }
        if (c.kind == 3) return s >= k ? c.amount * SCALE : 0;
        if (c.kind == 4) return s < k ? c.amount * SCALE : 0;
        uint256 p = s > c.bound ? s : c.bound;
        if (c.kind == 5) return p > k ? c.amount * (p - k) : 0;
        return p < k ? c.amount * (k - p) : 0;
    }

    function denominator(Claim memory c, uint256 s) internal pure returns (uint256) {
        if (!isCoin(c)) return SCALE;
        return s > c.bound ? s : c.bound;
    }

    function signed(Claim memory c, uint256 price) private pure returns (int256) {
        int256 num = int256(numerator(c, price));
        return c.fromB ? num : -num;
    }

    // -- reserves --

    /// What a side can have to pay for the first options of a pending run, over all prices and secrets.
    function worst(Claim[] memory run, uint256 count, bool sideB, uint256 now_)
        private
        view
        returns (uint256 need)
    {
        bool[] memory sure = new bool[](count);
        for (uint256 i = 0; i < count; i++) {
            sure[i] = lockFate(run[i], now_) == Fate.Live;
        }
        need = max(need, costAt(run, sure, sideB, isCoin(run[0]) ? 1 : 0));
        need = max(need, costAt(run, sure, sideB, MAX_PRICE));
        for (uint256 i = 0; i < count; i++) {
            need = max(need, costAt(run, sure, sideB, run[i].strike));
            need = max(need, costAt(run, sure, sideB, run[i].strike - 1));
            need = max(need, costAt(run, sure, sideB, run[i].bound));
        }
    }

    function costAt(Claim[] memory run, bool[] memory sure, bool sideB, uint256 price)
        private
        pure
        returns (uint256)
    {
        if (price == 0 && isCoin(run[0])) return 0;
        int256 cost = 0;
        for (uint256 i = 0; i < sure.length; i++) {
            int256 num = int256(numerator(run[i], price));
            if (run[i].fromB == sideB) cost += num;
            else if (sure[i]) cost -= num;
        }
        return cost > 0 ? uint256(cost) / denominator(run[0], price) : 0;
    }

    /// The most that one option can pay, rounded down.
    function most(Claim memory c) internal pure returns (uint256 best) {
        uint256[4] memory prices = [c.strike - 1, c.strike, c.bound, MAX_PRICE];
        for (uint256 i = 0; i < 4; i++) {
            if (prices[i] == 0 && isCoin(c)) continue;
            best = max(best, numerator(c, prices[i]) / denominator(c, prices[i]));
        }
    }

    function max(uint256 x, uint256 y) private pure returns (uint256) {
        return x > y ? x : y;
    }
}
