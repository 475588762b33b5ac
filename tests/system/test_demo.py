from __future__ import annotations

import subprocess
import sys

from tests.system.programs import ROOT


def test_readme_shows_what_the_demo_prints() -> None:
    played = subprocess.run(
        [sys.executable, "tests/demo.py"], cwd=ROOT, text=True, capture_output=True, check=True, timeout=60
    )
    assert f"```text\n{played.stdout}```" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_two_commands_stand_in_the_first_fifteen_lines() -> None:
    head = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:15]
    assert [line.split("#")[0].strip() for line in head if line.startswith("make")] == ["make demo", "make test"]
