"""Run the Foundry harness: `python -m tests.foundry.run [options of forge test]`.

Fetches forge and a Solidity compiler from npm into .ci/node/foundry, at the versions named here, and skips
with a message where npm is absent. Fails if a test fails, or if anything that the invariant test can do has
never worked or was never refused.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HOME = ROOT / ".ci/node/foundry"
FORGE = HOME / "node_modules/.bin/forge"
FIRED = HOME / "fired.txt"
MORE_ROUNDS = 8
"""A round of the invariant test that left something out is followed by others, with other seeds."""
PACKAGES = ("@foundry-rs/forge@1.7.1", "solc@0.8.37")

ALWAYS_WORKS = {
    "anger",
    "opened",
    "price in time",
    "price too late",
    "register a secret",
    "register secrets",
    "settle a batch",
    "settled in a batch",
    "settled in parts",
    "sign a state",
    "wait",
    "withdrew what it earned",
}
"""What is never refused: batches skip, registering again changes nothing, the others are no calls."""

CAN_BE_REFUSED = {
    "challenge",
    "challenge with a permit",
    "challenge with nothing",
    "claim a credit",
    "claim credits",
    "close",
    "close in a dispute",
    "deposit",
    "deposit with a bad permit",
    "deposit with permit",
    "publish a price",
    "publish a price of RedStone",
    "respond",
    "settle",
    "settle a part",
    "settle an empty list",
    "settle claims",
    "withdraw",
}

UNREACHED = {
    "payout: too little gas": "each call here has 30M gas",
    "price: threshold is no majority": "the feeds here are well made",
    "price: no grace": "the feeds here are well made",
    "price: unknown scheme": "the feeds here are well made",
    "price: not a signer of the feed": "the feeds here are well made",
    "redstone: unknown scheme": "the feeds here are well made",
    "redstone: no grace": "the feeds here are well made",
    "redstone: not every signer": "the feeds here are well made",
    "redstone: signers must ascend": "the feeds here are well made",
    "redstone: no price": "the feeds here are well made",
    "withdraw: too often": "it needs two million withdrawals",
}
"""Refusals that this harness cannot bring about; tests/contracts does."""


def main(options: list[str]) -> int:
    if shutil.which("npm") is None:
        print("no npm: the Foundry harness is skipped")
        return 0
    if not _installed():
        install = "npm install --silent --no-fund --no-audit --no-save --no-package-lock --prefix"
        subprocess.run([*install.split(), str(HOME), *PACKAGES], check=True)
    FIRED.unlink(missing_ok=True)
    failed = _forge(*options)
    if failed or options:
        return failed
    for seed in range(1, MORE_ROUNDS + 1):
        if failed or not _missing():
            break
        failed = _forge("--match-contract", "InvariantsTest", "--fuzz-seed", str(seed))
    return failed or _summary()


def _forge(*options: str) -> int:
    environment = os.environ | {"CHANNELD_FIRED": str(FIRED)}
    return subprocess.run([FORGE, "test", *options], cwd=HERE, env=environment, check=False).returncode


def _installed() -> bool:
    packages = (package.rpartition("@") for package in PACKAGES)
    manifests = [(HOME / "node_modules" / name / "package.json", version) for name, _, version in packages]
    return all(path.exists() and f'"version": "{version}"' in path.read_text() for path, version in manifests)


def _summary() -> int:
    worked, refused, reasons = _fired()
    print(f"\n{'in the invariant test':35} {'worked':>8} {'refused':>8}")
    for name in sorted(worked | refused):
        print(f"{name:35} {worked[name]:8} {refused[name]:8}")
    known = _reasons_of_the_sources()
    seen = set(reasons) & known
    print(f"refusals of the contract that were seen: {len(seen)} of {len(known)}")
    for name in _missing():
        print(f"never happened: {name}", file=sys.stderr)
    return 1 if _missing() else 0


def _missing() -> list[str]:
    """What no round has done or seen yet."""
    worked, refused, reasons = _fired()
    known = _reasons_of_the_sources()
    missing = [name for name in sorted(ALWAYS_WORKS | CAN_BE_REFUSED) if not worked[name]]
    missing += [f"{name} (refused)" for name in sorted(CAN_BE_REFUSED) if not refused[name]]
    return missing + sorted(known - reasons.keys() - UNREACHED.keys())


def _fired() -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Successes and refusals by name, and refusals by reason, over all runs."""
    worked, refused, reasons = Counter[str](), Counter[str](), Counter[str]()
    for line in FIRED.read_text().splitlines():
        for entry in filter(None, line.split(";")):
            name, _, counts = entry.partition("=")
            times, _, times_refused = counts.partition("/")
            if name.startswith("! "):
                reasons[name[2:]] += int(times)
            else:
                worked[name] += int(times)
                refused[name] += int(times_refused)
    return worked, refused, reasons


def _reasons_of_the_sources() -> set[str]:
    sources = [path for path in (ROOT / "contracts").glob("*.vy") if path.name != "test_token.vy"]
    pattern = re.compile(r'^\s*(?:assert .*|\)), "([^"]+)"', re.MULTILINE)
    return {reason for path in sources for reason in pattern.findall(path.read_text())}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
