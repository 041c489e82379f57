"""The demonstration, as whoever installs the package runs it."""

import os
import subprocess
import sys
from pathlib import Path


def processes_of(directory: Path) -> list[str]:
    """Command lines of the running processes that name a path below `directory`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        if str(directory) in command:
            found.append(command)
    return found


def test_the_demonstration_meets_every_balance_and_leaves_nothing_running(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "channeld", "demo"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-3_000:] + ended.stderr[-3_000:]
    for act in range(1, 8):
        assert f"Act {act}" in ended.stdout
    assert "Every balance was met" in ended.stdout and "NO:" not in ended.stdout
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
