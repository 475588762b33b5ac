from __future__ import annotations

import subprocess
import sys

from tests.system.programs import ROOT

# `make demo` installs only what the programs need, so what only the tests need is hidden from it here.
PLAY = """
import runpy, sys
for line in open("requirements-dev.in"):
    sys.modules[line.strip().partition("[")[0].replace("-", "_")] = None
runpy.run_path("tests/demo.py", run_name="__main__")
"""


def test_readme_shows_what_the_demo_prints() -> None:
    played = subprocess.run(
        [sys.executable, "-c", PLAY], cwd=ROOT, text=True, capture_output=True, check=True, timeout=60
    )
    assert f"```text\n{played.stdout}```" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_two_commands_stand_in_the_first_fifteen_lines() -> None:
    head = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:15]
    assert [line.split("#")[0].strip() for line in head if line.startswith("make")] == ["make demo", "make test"]
