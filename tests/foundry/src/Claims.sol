// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// One claim of a list, as its words say.
struct Claim {
    uint256 start; // its first byte within the list
    uint256 size; // bytes
    bool cut; // by the end of the list
    uint256 kind; // 0: a transfer
    bool locked;
    bool fromB;
    uint256 amount;
    bytes32 lock;
    uint256 deadline;
    bytes32 feed;
    uint256 expiry;
    uint256 strike;
    uint256 bound;
}

/// Lists of claims as bytes: read into claims, hashed as a chain, made from claims.
library Claims {
    function read(bytes memory words) internal pure returns (Claim[] memory list) {
        uint256 count = 0;
        for (uint256 start = 0; start < words.length; count++) {
            start += sizeAt(words, start);
        }
        list = new Claim[](count);
        uint256 from = 0;
        for (uint256 i = 0; i < count; i++) {
            list[i] = readAt(words, from);
            from += list[i].size;
        }
    }

    function readAt(bytes memory words, uint256 start) private pure returns (Claim memory c) {
        uint256 head = wordAt(words, start);
        c.start = start;
        c.size = sizeAt(words, start);
        c.kind = head >> 250;
        c.locked = head >> 249 & 1 == 1;
        c.fromB = head >> 248 & 1 == 1;
        c.expiry = uint40(head >> 136);
        c.deadline = uint40(head >> 96);
        c.amount = uint96(head);
        if (start + c.size > words.length) {
            c.cut = true;
            c.size = words.length - start;
            return c;
        }
        if (c.locked) c.lock = bytes32(wordAt(words, start + 32));
        if (c.kind != 0) {
            c.feed = bytes32(wordAt(words, start + c.size - 64));
            uint256 terms = wordAt(words, start + c.size - 32);
            c.strike = terms >> 128;
            c.bound = uint128(terms);
        }
    }

    function sizeAt(bytes memory words, uint256 start) private pure returns (uint256) {
        uint256 head = wordAt(words, start);
        return 32 + (head >> 249 & 1 == 1 ? 32 : 0) + (head >> 250 != 0 ? 64 : 0);
    }

    function wordAt(bytes memory words, uint256 start) private pure returns (uint256 word) {
        assembly {
            word := mload(add(add(words, 32), start))
        }
    }

    function write(Claim memory c) internal pure returns (bytes memory words) {
        uint256 head = c.kind << 250 | c.expiry << 136 | c.deadline << 96 | c.amount;
        if (c.fromB) head |= 1 << 248;
        if (c.locked) head |= 1 << 249;
        words = abi.encodePacked(head);
        if (c.locked) words = abi.encodePacked(words, c.lock);
        if (c.kind != 0) words = abi.encodePacked(words, c.feed, c.strike << 128 | c.bound);
    }

    /// The chained hash of a list.
    function chain(bytes memory words) internal pure returns (bytes32 link) {
        Claim[] memory list = read(words);
        for (uint256 i = 0; i < list.length; i++) {
            link = keccak256(abi.encodePacked(link, slice(words, list[i].start, list[i].size)));
        }
    }

    function slice(bytes memory words, uint256 start, uint256 size)
        internal
        pure
        returns (bytes memory part)
    {
        part = new bytes(size);
        for (uint256 i = 0; i < size; i += 32) {
            uint256 word = wordAt(words, start + i);
            assembly {
                mstore(add(add(part, 32), i), word)
            }
        }
    }
}
