"""`python -m bench NAME [options] [--json]`: run one benchmark, or all of them.

Each prints its conditions and figures. With --json standard output is one JSON object and nothing else; the
tables go to standard error, for whoever waits.
"""

import importlib
import json
import sys
from contextlib import redirect_stdout

NAMES = (
    "gas",
    "solvency",
    "core",
    "routing",
    "transport",
    "journal",
    "chain",
    "payments",
    "pushes",
    "hostile",
    "scale",
)


def main(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    rest = [argument for argument in arguments if argument != "--json"]
    name = rest[0] if rest else "all"
    if name in ("-h", "--help"):
        print(f"{__doc__}\nNAME: {', '.join(NAMES)}, or all. NAME --help shows its options, if it has any.")
        return 0
    if name not in (*NAMES, "all"):
        print(f"expected one of {', '.join(NAMES)} or all, got {name}", file=sys.stderr)
        return 2
    chosen = NAMES if name == "all" else (name,)
    results = {}
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        for each in chosen:
            print(f"== {each}", flush=True)
            results[each] = importlib.import_module(f"bench.{each}").run(rest[1:])
    if as_json:
        print(json.dumps(results if name == "all" else results[name]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
