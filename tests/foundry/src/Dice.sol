// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Claim, Claims} from "./Claims.sol";

/// Many choices from one number.
struct Dice {
    uint256 seed;
}

using {roll, oneIn, amount, claims} for Dice global;

function roll(Dice memory d, uint256 sides) pure returns (uint256) {
    d.seed = uint256(keccak256(abi.encode(d.seed)));
    return d.seed % sides;
}

function oneIn(Dice memory d, uint256 sides) pure returns (bool) {
    return d.roll(sides) == 0;
}

uint256 constant START = 1_800_000_000;
uint256 constant HOUR = 3600;
uint256 constant SECRETS = 4;
uint256 constant FEEDS = 3;
uint256 constant MARKS = 3;

/// Instants at which options expire and locks end: on the 10 s grid, hours apart.
function mark(uint256 n) pure returns (uint256) {
    return START + 4 * HOUR * (n + 1);
}

function preimage(uint256 n) pure returns (bytes32) {
    return keccak256(abi.encode("secret", n));
}

function lockOf(uint256 n) pure returns (bytes32) {
    return sha256(abi.encode(preimage(n)));
}

/// Mostly what deposits can bear; sometimes nothing, or the largest.
function amount(Dice memory d) pure returns (uint256) {
    uint256 shape = d.roll(20);
    if (shape == 0) return 0;
    if (shape == 1) return type(uint96).max;
    if (shape == 2) return 2 ** 95 - 1;
    if (shape < 8) return 1 + d.roll(10);
    return 1 + d.roll(300_000);
}

/// A price of 1 to 60 with few fractions, or an extreme one.
function anyPrice(Dice memory d) pure returns (uint256) {
    uint256 shape = d.roll(16);
    if (shape == 0) return 1 + d.roll(2);
    if (shape == 1) return type(uint128).max - d.roll(2);
    uint256 tidy = (1 + d.roll(60)) * 1e8;
    return shape < 6 ? tidy + d.roll(3) - 1 : tidy;
}

/// A list of claims as two parties may have signed it. Tidy ones are in canonical order; the others in any,
/// with unknown kinds, senseless terms and cut ends.
function claims(Dice memory d, bytes32[FEEDS] memory feeds, bool tidy) pure returns (bytes memory words) {
    uint256 transfers = d.roll(4);
    for (uint256 i = 0; i < transfers; i++) {
        words = abi.encodePacked(words, Claims.write(transfer(d)));
    }
    uint256 groups = d.roll(3);
    for (uint256 i = 0; i < groups; i++) {
        Claim memory like = option(d, feeds);
        // Groups of a tidy list differ by their expiries.
        if (tidy) like.expiry = mark(i);
        uint256 count = 1 + d.roll(4);
        for (uint256 j = 0; j < count; j++) {
            Claim memory c = option(d, feeds);
            if (tidy || !d.oneIn(3)) (c.feed, c.expiry) = (like.feed, like.expiry);
            if (tidy) alike(c, like);
            words = abi.encodePacked(words, Claims.write(c));
        }
    }
    if (tidy) return words;
    if (d.oneIn(3)) words = abi.encodePacked(words, Claims.write(transfer(d)));
    if (d.oneIn(4)) words = abi.encodePacked(words, keccak256(abi.encode(d.seed)));
    if (d.oneIn(4)) words = Claims.slice(words, 0, 32 * d.roll(words.length / 32 + 1));
}

/// Coin-settled options of a tidy list share their floor.
function alike(Claim memory c, Claim memory like) pure {
    bool coin = like.kind >= 5;
    if (coin != (c.kind >= 5)) {
        (c.kind, c.strike, c.bound) = (like.kind, like.strike, like.bound);
    } else if (coin) {
        c.bound = like.bound;
    }
}

function transfer(Dice memory d) pure returns (Claim memory c) {
    c.fromB = d.oneIn(2);
    c.amount = d.amount();
    lockIt(d, c);
}

function lockIt(Dice memory d, Claim memory c) pure {
    if (d.oneIn(4)) return;
    c.locked = true;
    c.lock = lockOf(d.roll(SECRETS));
    c.deadline = mark(d.roll(MARKS)) + d.roll(3) - 1;
}

function option(Dice memory d, bytes32[FEEDS] memory feeds) pure returns (Claim memory c) {
    c.kind = d.oneIn(40) ? 7 + d.roll(57) : 1 + d.roll(6);
    c.fromB = d.oneIn(2);
    c.amount = d.oneIn(2) ? 1 + d.roll(50_000) : d.amount();
    c.feed = feeds[d.roll(FEEDS)];
    c.expiry = mark(d.roll(MARKS));
    c.strike = anyPrice(d);
    if (c.kind == 1) c.bound = c.strike < 1e30 ? c.strike + anyPrice(d) % 1e30 : type(uint128).max;
    else if (c.kind != 3 && c.kind != 4) c.bound = d.oneIn(3) ? 0 : d.roll(3) * c.strike / 4 + 1;
    if (d.oneIn(16)) c.bound = anyPrice(d);
    if (d.oneIn(3)) return c;
    lockIt(d, c);
    if (c.locked && !d.oneIn(8)) c.deadline = c.expiry - d.roll(2);
}
