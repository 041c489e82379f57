// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Adjudicator, Signature} from "./Adjudicator.sol";
import {Dice, HOUR, MARKS, SECRETS, anyPrice, lockOf, mark, preimage} from "./Dice.sol";
import {Settling} from "./Settling.sol";
import {Digests, compact} from "./Signing.sol";

/// Secrets and prices, in time, late and early; prices of both schemes, some not signed as they should be.
abstract contract Registering is Settling {
    struct Publication {
        uint256 feed;
        uint256 instant;
        uint256[3] values;
        uint256 oddity;
    }

    function registerSecret(uint256 seed) external {
        Dice memory d = step(seed);
        uint256 n = d.roll(SECRETS);
        bytes memory data = abi.encodeCall(Adjudicator.register_secret, (preimage(n)));
        attempt("register a secret", true, cast[d.roll(CAST)], 0, data);
        shown(n);
    }

    function registerSecrets(uint256 seed) external {
        Dice memory d = step(seed);
        bytes32[] memory secrets = new bytes32[](d.roll(4));
        for (uint256 i = 0; i < secrets.length; i++) {
            uint256 n = d.roll(SECRETS);
            secrets[i] = preimage(n);
            shown(n);
        }
        bytes memory data = abi.encodeCall(Adjudicator.register_secrets, (secrets));
        attempt("register secrets", true, cast[d.roll(CAST)], 0, data);
    }

    function shown(uint256 n) private {
        if (shownAt[lockOf(n)] == 0) shownAt[lockOf(n)] = nowS;
    }

    function publish(uint256 seed) external {
        Dice memory d = step(seed);
        Publication memory x;
        x.feed = d.roll(3);
        x.instant = mark(d.roll(MARKS));
        x.oddity = d.roll(12);
        uint256 value = anyPrice(d);
        x.values = [value, value, value];
        if (x.feed < 2) publishOurs(x, d);
        else publishRedstone(x, d);
    }

    function publishOurs(Publication memory x, Dice memory d) private {
        uint256[3] memory keys = oracleKeys();
        uint256 first = d.roll(2);
        uint256 second = first + 1 + (first == 0 ? d.roll(2) : 0);
        if (x.oddity == 0) second = first;
        if (x.oddity == 1) (first, second) = (second, first);
        Signature[] memory proofs_ = new Signature[](x.oddity == 2 ? 1 : x.oddity == 3 ? 3 : 2);
        uint256 value = x.oddity == 4 ? 0 : x.values[0];
        for (uint256 i = 0; i < proofs_.length; i++) {
            uint256 signer = i == 0 ? first : i == 1 ? second : 2;
            uint256 said = x.oddity == 5 && i == 1 ? value + 1 : value;
            proofs_[i] = compact(keys[signer], Digests.price(feeds[x.feed], x.instant, said));
        }
        if (x.oddity == 6) proofs_[0] = sign(MALLORY, Digests.price(feeds[x.feed], x.instant, value));
        bool done = publishedAt[feeds[x.feed]][x.instant].price != 0;
        bool expected = done || (x.oddity > 6 && nowS >= x.instant);
        bytes memory data = abi.encodeCall(
            Adjudicator.publish_price, (definitions[x.feed], uint40(x.instant), uint128(value), proofs_)
        );
        attempt("publish a price", expected, cast[d.roll(CAST)], 0, data);
        if (expected && !done) published(x, value);
    }

    function publishRedstone(Publication memory x, Dice memory d) private {
        uint256[3] memory keys = oracleKeys();
        uint256 middle = x.values[0];
        if (middle > 10) x.values[d.roll(3)] -= d.roll(10);
        if (middle < type(uint128).max - 10) x.values[d.roll(3)] += d.roll(10);
        Signature[] memory proofs_ = new Signature[](3);
        uint256[] memory values = new uint256[](3);
        for (uint256 i = 0; i < 3; i++) {
            values[i] = x.values[i];
            proofs_[i] = compact(keys[i], Digests.redstone("ETH", x.instant, values[i]));
        }
        if (x.oddity == 0) values[d.roll(3)]++;
        if (x.oddity == 1) (proofs_[0], proofs_[1]) = (proofs_[1], proofs_[0]);
        if (x.oddity == 2) proofs_[2] = sign(MALLORY, Digests.redstone("ETH", x.instant, values[2]));
        if (x.oddity == 3) proofs_[2] = compact(keys[2], Digests.redstone("ETH", x.instant + 10, values[2]));
        bool done = publishedAt[feeds[x.feed]][x.instant].price != 0;
        bool expected = done || (x.oddity > 3 && nowS >= x.instant);
        bytes memory data = abi.encodeCall(
            Adjudicator.publish_redstone, (definitions[x.feed], uint40(x.instant), values, proofs_)
        );
        attempt("publish a price of RedStone", expected, cast[d.roll(CAST)], 0, data);
        if (expected && !done) published(x, median(x.values));
    }

    function published(Publication memory x, uint256 price) private {
        publishedAt[feeds[x.feed]][x.instant] = Published(nowS, price);
        uint256 grace = (x.feed + 1) * HOUR;
        count(nowS <= x.instant + grace ? "price in time" : "price too late");
    }

    function median(uint256[3] memory v) private pure returns (uint256) {
        if ((v[0] <= v[1]) == (v[1] <= v[2])) return v[1];
        return (v[1] <= v[0]) == (v[0] <= v[2]) ? v[0] : v[2];
    }
}
