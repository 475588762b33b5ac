"""That a fault test can be repeated, and what `make soak` writes of it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

from tests.trial import ROOT, Outcome, Trial, commit, players, summed, table, write_results

WAITING = {"R-10", "R-13", "R-14", "R-15", "R-20", "R-24", "R-30", "R-33", "R-35", "R-37"}  # PostgreSQL, groups, files

HONEST = "tests/faults/test_honest.py::test_an_honest_client_reaches_no_limit"  # the absence of a fault


def test_a_sample(trial: Trial) -> None:
    """What the tests below look at."""
    trial.note(drawn=trial.random.randrange(10**9), size=trial.size(5, 50))


def soak(folder: Path, *options: str) -> tuple[str, dict[str, object]]:
    """Run the sample as `make soak` would; return what is printed and what is written."""
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-n", "0", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [*command, "--soak", *options, f"{ROOT}/tests/test_trial.py"], cwd=folder, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    (line,) = (folder / "soak.jsonl").read_text().splitlines()
    return ran.stdout, json.loads(line)


def test_the_soak_writes_a_line_and_a_table_and_can_be_repeated(tmp_path: Path) -> None:
    printed, first = soak(tmp_path)
    assert first["test"] == "tests/test_trial.py::test_a_sample"
    assert (first["outcome"], first["size"]) == ("passed", 50)
    assert first["commit"] == commit()
    assert re.search(rf"^\|  \| test_a_sample \| passed \| \d+ \| seed {first['seed']}, ", printed, re.MULTILINE)
    _, again = soak(tmp_path, "--seed", str(first["seed"]))
    assert again["drawn"] == first["drawn"]
    _, other = soak(tmp_path, "--seed", str(int(str(first["seed"])) + 1))
    assert other["drawn"] != first["drawn"]


def test_a_size_for_each_of_the_two() -> None:
    quick, long = Trial(1, soak=False), Trial(1, soak=True)
    assert (quick.size(20, 200), long.size(20, 200)) == (20, 200)
    assert (quick.figures["size"], long.figures["size"]) == (20, 200)


def test_one_case_that_fails_is_a_test_that_fails(tmp_path: Path) -> None:
    cases = [
        Outcome("tests/x.py::test_b[one]", "R-02", "passed", 1.0, {}),
        Outcome("tests/x.py::test_a", "R-03", "passed", 1.0, {"seed": 7}),
        Outcome("tests/x.py::test_b[two]", "R-02", "failed", 2.5, {}),
    ]
    assert summed(cases) == [
        Outcome("tests/x.py::test_b", "R-02", "failed", 3.5, {"cases": 2}),
        Outcome("tests/x.py::test_a", "R-03", "passed", 1.0, {"seed": 7}),
    ]
    write_results(summed(cases), tmp_path / "lines")
    lines = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    assert [(line["figure"], line["outcome"], line["seed"]) for line in lines] == [
        ("R-02", "failed", None), ("R-03", "passed", 7),
    ]  # fmt: skip
    assert table(summed(cases))[2] == "| R-02 | test_b | failed | 4 | cases 2 |"


def test_every_fault_is_played_and_every_trial_plays_one() -> None:
    played = players()
    assert set(played.values()) | WAITING == {f"R-{number:02}" for number in range(1, 41)}
    assert not set(played.values()) & WAITING
    for path in (ROOT / "tests").rglob("test_*.py"):
        if path.name == Path(__file__).name:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and "trial" in {each.arg for each in node.args.args}:
                assert f"{path.relative_to(ROOT)}::{node.name}" in {*played, HONEST}
