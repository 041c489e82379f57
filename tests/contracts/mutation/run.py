"""How many faults in the contract the tests find: `python -m tests.contracts.mutation.run`.

    --minutes N   stop after so long (15); 0: test every mutant, which takes hours
    --seed N      the order in which mutants are tried (random); a run that stops early is a random sample
    --only TEXT   mutants whose description contains TEXT
    --log FILE    append a line of JSON for each mutant

Each mutant is compiled and tried in a process of its own: first by the stories of tests/contracts, then, if
it survives, by the Foundry harness where that is installed (`make foundry`). Left out are the tests that
compare bytecode and gas with committed figures, which would see any change at all.
"""

import argparse
import gc
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import hypothesis
import pytest
import vyper.cli.vyper_compile
from vyper.compiler.settings import OptimizationLevel, Settings

import contracts.artifacts
from contracts.compile import HERE as SOURCES
from tests.contracts.hostile.build import hostile
from tests.contracts.mutation.mutants import Mutant, mutants_of
from tests.contracts.town import Town
from tests.foundry.run import FORGE
from tests.foundry.run import HERE as FOUNDRY
from tests.foundry.run import HOME as FOUNDRY_HOME

STORIES = (
    "test_settling_claims",
    "test_claim_lists",
    "test_partial_settlement",
    "test_many_pending",
    "test_disputes",
    "test_closing",
    "test_opening",
    "test_payouts",
    "test_prices",
    "test_redstone",
    "test_batches",
    "test_withdrawing",
    "test_tower_permits",
    "test_permit_deposits",
    "test_locks",
    "test_secrets",
    "test_digests",
    "test_valuation",
    "test_million",
)
"""The fastest that find most first."""

HOSTILE = ("hostile_token", "permit_token", "silent_token", "wallet")

TOO_LONG_S = 300
"""Of processor time, for one mutant; the stories take 30 s. A fault that never ends is found by waiting."""

KILLED, SURVIVED, SAME, INVALID = "killed", "survived", "same bytecode", "does not compile"
HAPPY, COMPILER_SAYS_NO, NOTHING_CHANGED, BROKEN = 0, 77, 78, 79


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant, and who found it."""

    mutant: Mutant
    fate: str
    by: str = ""


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    verdicts = []
    with _workshop() as folder:
        mutants = [each for path in sorted(folder.glob("*.vy")) for each in mutants_of(path)]
        mutants = [each for each in mutants if options.only in str(each)]
        random.Random(options.seed).shuffle(mutants)
        print(f"{len(mutants)} mutants, seed {options.seed}", flush=True)
        original = _compiled(folder)
        _write_artifact(folder, original)
        killer = _killed_by_foundry if FORGE.exists() else None
        if killer is None:
            print("without the Foundry harness: run `make foundry` first")
        for name in HOSTILE:
            hostile(name)  # compiled once for all
        Town()  # loads the EVM
        sound = _in_a_child(lambda: _stories(folder, b"")) == HAPPY
        assert sound and not (killer and killer(folder)), "the contract itself fails: repair that first"
        ends_s = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
        for mutant in mutants:
            if time.monotonic() > ends_s:
                break
            verdict = _tried(mutant, folder, original, killer)
            verdicts.append(verdict)
            _tell(verdict, options.log)
    return _summary(verdicts, len(mutants))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--only", default="")
    parser.add_argument("--log", type=Path)
    return parser.parse_args(arguments)


@contextmanager
def _workshop() -> Iterator[Path]:
    """A copy of the sources, in which one at a time is changed."""
    FOUNDRY_HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOUNDRY_HOME, prefix="mutant-") as name:
        folder = Path(name)
        for source in SOURCES.glob("*.vy"):
            if source.name != "test_token.vy":
                shutil.copy(source, folder)
        yield folder


def _compiled(folder: Path) -> bytes:
    """The creation code; VyperException if there is none."""
    outputs = vyper.cli.vyper_compile.compile_files(
        [str(folder / "adjudicator.vy")],
        ["bytecode"],
        paths=[str(folder)],
        include_sys_path=False,
        settings=Settings(optimize=OptimizationLevel.GAS, evm_version="prague"),
        no_bytecode_metadata=True,
    )
    (output,) = outputs.values()
    return bytes.fromhex(output["bytecode"][2:])


def _write_artifact(folder: Path, code: bytes) -> None:
    (folder / "adjudicator.json").write_text(json.dumps({"bytecode": "0x" + code.hex()}))


def _tried(mutant: Mutant, folder: Path, original: bytes, second: Callable[[Path], bool] | None) -> Verdict:
    mutant.path.write_text(mutant.source())
    try:
        code = _in_a_child(lambda: _stories(folder, original))
        if code == COMPILER_SAYS_NO:
            return Verdict(mutant, INVALID)
        if code == NOTHING_CHANGED:
            return Verdict(mutant, SAME)
        assert code != BROKEN, f"this program has failed, not the mutant: {mutant}"
        if code != HAPPY:
            return Verdict(mutant, KILLED, "stories")
        if second is not None and second(folder):
            return Verdict(mutant, KILLED, "foundry")
        return Verdict(mutant, SURVIVED)
    finally:
        mutant.path.write_text(mutant.text)


def _in_a_child(work: Callable[[], int]) -> int:
    """Its exit code; negative if it was stopped by a signal, as when it takes too long."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (TOO_LONG_S, TOO_LONG_S))
        code = BROKEN
        gc.disable()  # faster, and a child does not live long
        try:
            with open(os.devnull, "w") as silence:
                os.dup2(silence.fileno(), 1)
                code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _stories(folder: Path, original: bytes) -> int:
    """Compile what is in the folder, put it in the place of the committed artifact, and run the tests."""
    try:
        code = _compiled(folder)
    except Exception:  # the compiler itself breaks down at some
        return COMPILER_SAYS_NO
    if code == original:
        return NOTHING_CHANGED
    _write_artifact(folder, code)
    changed = replace(contracts.artifacts.adjudicator(), bytecode=code)
    load = contracts.artifacts._load
    instead = cache(lambda name: changed if name == "adjudicator" else load(name))
    contracts.artifacts._load = instead
    # Finding a counter-example is enough; making it small takes longer than everything else.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutation", phases=phases, database=None, derandomize=True)
    hypothesis.settings.load_profile("mutation")
    files = [str(Path(__file__).parents[1] / f"{name}.py") for name in STORIES]
    return int(pytest.main(["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", *files]))


def _killed_by_foundry(folder: Path) -> bool:
    environment = os.environ | {
        "CHANNELD_ADJUDICATOR": str(folder / "adjudicator.json"),
        "FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT": "0",
        "FOUNDRY_INVARIANT_FAILURE_PERSIST_DIR": str(folder / "failures"),
        "FOUNDRY_FUZZ_FAILURE_PERSIST_DIR": str(folder / "failures"),
    }
    done = subprocess.run(
        [FORGE, "test", "--fail-fast"], cwd=FOUNDRY, env=environment, capture_output=True, check=False
    )
    return done.returncode != 0


def _tell(verdict: Verdict, log: Path | None) -> None:
    if verdict.fate == SURVIVED:
        print(f"survived: {verdict.mutant}", flush=True)
    if log is not None:
        with log.open("a") as file:
            entry = {"mutant": str(verdict.mutant), "fate": verdict.fate, "by": verdict.by}
            file.write(json.dumps(entry) + "\n")


def _summary(verdicts: list[Verdict], of: int) -> int:
    fates = Counter(verdict.fate for verdict in verdicts)
    killers = Counter(verdict.by for verdict in verdicts if verdict.fate == KILLED)
    real = fates[KILLED] + fates[SURVIVED]
    print(f"tried {len(verdicts)} of {of}: {dict(fates)}, killed by {dict(killers)}")
    if real == 0:
        return 0
    print(f"killed {fates[KILLED]} of {real}: {fates[KILLED] / real:.1%}")
    return 0 if fates[KILLED] / real >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
