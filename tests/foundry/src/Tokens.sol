// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// A token with every bad habit, one at a time.
contract MoodyToken {
    enum Mood {
        Plain,
        Silent, // returns nothing, as USDT does
        Odd, // answers 2
        Fee, // a tenth of every transfer is gone
        Denies, // answers false and does nothing
        Lies, // answers true and does nothing
        Burns, // all the gas it gets
        CallsBack, // before it moves anything
        Bans // one receiver
    }

    bytes32 public immutable DOMAIN;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;
    mapping(address => uint256) public nonces;
    Mood public mood;
    address public banned;
    address private hook;
    bytes private hookData;
    bool private calling;
    bool public intruded;

    constructor() {
        DOMAIN = keccak256(abi.encode("moody", block.chainid, address(this)));
    }

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function behave(Mood now_, address banned_, address hook_, bytes calldata data) external {
        (mood, banned, hook, hookData) = (now_, banned_, hook_, data);
    }

    /// [EIP-2612] with a domain of its own.
    function permit(
        address owner,
        address spender,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        require(block.timestamp <= deadline, "permit: late");
        bytes32 digest = permitDigest(owner, spender, amount, deadline);
        require(ecrecover(digest, v, r, s) == owner, "permit: not by the owner");
        nonces[owner]++;
        allowance[owner][spender] = amount;
    }

    function permitDigest(address owner, address spender, uint256 amount, uint256 deadline)
        public
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(DOMAIN, owner, spender, amount, nonces[owner], deadline));
    }

    function transfer(address to, uint256 amount) external {
        move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        move(from, to, amount);
    }

    /// Ends the call by itself, because what is returned depends on the mood.
    function move(address from, address to, uint256 amount) private {
        if (mood == Mood.Denies) answer(0);
        if (mood == Mood.Lies) answer(1);
        require(mood != Mood.Bans || to != banned, "banned");
        if (mood == Mood.Burns) {
            while (true) {}
        }
        if (mood == Mood.CallsBack && !calling) {
            calling = true; // once, or it would call back for ever
            (bool worked,) = hook.call(hookData);
            if (worked) intruded = true;
            calling = false;
        }
        balanceOf[from] -= amount;
        balanceOf[to] += mood == Mood.Fee ? amount - amount / 10 : amount;
        if (mood == Mood.Odd) answer(2);
        if (mood != Mood.Silent) answer(1);
    }

    function answer(uint256 word) private pure {
        assembly {
            mstore(0, word)
            return(0, 32)
        }
    }
}

/// What stands at mallory's address: she signs with a key, and her account has code.
contract Trickster {
    enum Mood {
        Accepts,
        Refuses,
        Burns,
        CallsBack
    }

    Mood public mood;
    address private hook;
    bytes private hookData;
    uint256 public visits = 1; // of the hook that worked, from 1: there is not gas for more in a push

    function behave(Mood now_, address hook_, bytes calldata data) external {
        (mood, hook, hookData) = (now_, hook_, data);
        if (visits == 0) visits = 1;
    }

    receive() external payable {
        require(mood != Mood.Refuses, "no thanks");
        if (mood == Mood.Burns) {
            while (true) {}
        }
        if (mood == Mood.CallsBack) {
            (bool worked,) = hook.call(hookData);
            if (worked) visits++;
        }
    }
}
