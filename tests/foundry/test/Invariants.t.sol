// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Handler} from "../src/Handler.sol";
import {vm} from "../src/Vm.sol";

/// Random lives of many channels. Every call must succeed exactly if the book says so; after each, the
/// contract's storage is as the book says, it holds what it owes, and nobody got more than its due.
contract InvariantsTest {
    struct Selectors {
        address target;
        bytes4[] selectors;
    }

    Handler private handler;

    function setUp() external {
        handler = new Handler();
    }

    /// What the engine may call; some more often than others.
    function targetSelectors() external view returns (Selectors[] memory targets) {
        bytes4[17] memory all = [
            handler.open.selector,
            handler.deposit.selector,
            handler.agree.selector,
            handler.repeatAgreement.selector,
            handler.signState.selector,
            handler.challenge.selector,
            handler.challengeFor.selector,
            handler.respond.selector,
            handler.settle.selector,
            handler.settleBatch.selector,
            handler.registerSecret.selector,
            handler.registerSecrets.selector,
            handler.publish.selector,
            handler.claimCredit.selector,
            handler.claimCredits.selector,
            handler.wait.selector,
            handler.anger.selector
        ];
        targets = new Selectors[](1);
        targets[0].target = address(handler);
        targets[0].selectors = new bytes4[](all.length);
        for (uint256 i = 0; i < all.length; i++) {
            targets[0].selectors[i] = all[i];
        }
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_nobodyIsRobbed() external view {
        handler.check();
    }

    function afterInvariant() external {
        string memory path = vm.envOr("CHANNELD_FIRED", string(""));
        if (bytes(path).length != 0) handler.report(path);
    }
}
