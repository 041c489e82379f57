"""Hostile contracts, compiled when a test needs them."""

from functools import cache
from pathlib import Path

from contracts.artifacts import Artifact
from contracts.compile import compile_source


@cache
def hostile(name: str) -> Artifact:
    output = compile_source(Path(__file__).parent / f"{name}.vy")
    return Artifact(
        name=name,
        compiler=output["compiler"],
        source_sha256="",
        bytecode=bytes.fromhex(output["bytecode"][2:]),
        bytecode_runtime=bytes.fromhex(output["bytecode_runtime"][2:]),
        abi=tuple(output["abi"]),
    )
