"""`python -m tests.model`: every configuration, complete where it can be, with its states and its time."""

import sys

from tests.model.runs import LARGE, LOSING, SAFE, STANDING_STILL, UNHARMED, WALKS, walks


def main(chosen: list[str]) -> int:
    """Play the runs whose name holds one of the given words, or all; 1 if one is not as it should be."""
    wrong = 0

    def wanted(name: str) -> bool:
        return not chosen or any(word in name for word in chosen)

    for run in SAFE + LARGE:
        if wanted(run.name):
            found = run.search()
            as_known = not found.fault and found.complete and found.states == run.states
            wrong += not as_known
            print(
                f"{run.name:<52} {found.told()}{'' if as_known else f'  EXPECTED {run.states:,}'}", flush=True
            )
    for run in WALKS:
        if wanted(run.name):
            found = walks(run, runs=2_000, steps=80, seed=2)
            wrong += bool(found.fault)
            print(f"{run.name:<52} {found.told()} (random walks)", flush=True)
    for variant in LOSING + STANDING_STILL + UNHARMED:
        if wanted(variant.name):
            found = variant.search()
            wrong += not found.fault.startswith(variant.fault)
            print(f"{variant.name:<52} {found.told()}", flush=True)
            for label in found.trace:
                print(f"      {' '.join(map(str, label))}")
    return min(wrong, 1)


sys.exit(main(sys.argv[1:]))
