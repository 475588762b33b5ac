"""What the documents say of the project's own files, held against them."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from errors import EXIT_MEANINGS, ExitCode
from link import LinkLimits
from relay.limits import Limits

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("keys/*.md")])


@cache
def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_test_that_is_named_is_there(document: Path) -> None:
    """`tests/x.py::test_y`, and `::test_z` for another of the file that was named last."""
    path: Path | None = None
    for name, test in re.findall(r"`(tests/[\w/]+\.py)?(?:::(test_\w+))?`", document.read_text(encoding="utf-8")):
        path = ROOT / name if name else path
        if test:
            assert path is not None
            assert test in functions(path), f"{path.relative_to(ROOT)}::{test}"
        elif name:
            assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_every_exit_code_is_explained_as_the_manual_does() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Exit codes")[2].partition("## More")[0]
    rows = re.findall(r"\| ([0-9]+) \| ([^|]+?) (?=\|)", table)
    assert {int(code): meaning for code, meaning in rows} == {**EXIT_MEANINGS}
    assert set(EXIT_MEANINGS) == set(ExitCode)


def test_all_thirty_eight_failures_are_accounted_for() -> None:
    text = (ROOT / "docs" / "PROMISES.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| .+? \| (.+) \|$", text, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 39))
    assert all("::test_" in keeper for _, keeper in rows)


def test_every_limit_has_somebody_who_reaches_it_and_somebody_who_does_not() -> None:
    text = (ROOT / "docs" / "RELIABILITY.md").read_text(encoding="utf-8").partition("## The limits")[2]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", text, re.MULTILINE)
    assert [name for name, _, _ in rows] == [each.name for each in (*fields(Limits), *fields(LinkLimits))]
    for name, who, who_not in rows:
        assert "::test_" in who, name
        assert "::test_" in who_not or who_not.startswith("the same"), name
