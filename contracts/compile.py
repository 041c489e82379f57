"""Compile the contracts and write their artifacts: `python -m contracts.compile`.

For development only: running a node needs the artifacts, not the compiler.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import vyper
from vyper.cli.vyper_compile import compile_files
from vyper.compiler.settings import OptimizationLevel, Settings

HERE = Path(__file__).parent
CONTRACTS = ("adjudicator", "test_token")


def compile_source(path: Path) -> dict[str, Any]:
    """ABI, bytecode (hex) and compiler of one Vyper file; modules are looked up beside it.

    Without metadata in the bytecode, so that it depends on nothing but source and compiler.
    """
    outputs = compile_files(
        [str(path)],
        ["abi", "bytecode", "bytecode_runtime"],
        paths=[str(path.parent), str(HERE)],
        include_sys_path=False,
        settings=Settings(optimize=OptimizationLevel.GAS, evm_version="prague"),
        no_bytecode_metadata=True,
    )
    (output,) = outputs.values()
    return {"compiler": f"vyper {vyper.__version__}", **output}


def source_hash() -> str:
    """sha256 over the names and contents of all Vyper sources of the folder, in order of name."""
    digest = sha256()
    for path in sorted(HERE.glob("*.vy")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def artifact_text(name: str) -> str:
    """The JSON of one artifact: ABI entries and the other fields on a line each, for readable diffs."""
    output = compile_source(HERE / f"{name}.vy")
    abi = ",\n".join("  " + json.dumps(entry, sort_keys=True) for entry in output["abi"])
    lines = [
        f'"name": "{name}"',
        f'"compiler": "{output["compiler"]}"',
        f'"source_sha256": "{source_hash()}"',
        f'"bytecode": "{output["bytecode"]}"',
        f'"bytecode_runtime": "{output["bytecode_runtime"]}"',
        f'"abi": [\n{abi}\n]',
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    for name in CONTRACTS:
        (HERE / f"{name}.json").write_text(artifact_text(name))


if __name__ == "__main__":
    main()
