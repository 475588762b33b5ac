"""Newcomers' traps end in three lines that say what to type, never in a traceback."""

from __future__ import annotations

import ast
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import preflight
from command_line import VERSION
from errors import ExitCode
from protocol import VERSIONS

ROOT = Path(__file__).resolve().parents[1]


def three_lines(run: subprocess.CompletedProcess[str]) -> list[str]:
    lines = run.stderr.splitlines()
    assert run.returncode == ExitCode.SETUP
    assert len(lines) == 3, run.stderr
    return lines


@pytest.mark.parametrize("program", ["server.py", "client.py"])
def test_a_python_without_the_libraries(program: str) -> None:
    """As a system's own Python is: here one whose site-packages are shut off."""
    run = subprocess.run([sys.executable, "-E", "-S", program], cwd=ROOT, text=True, capture_output=True, check=False)
    lines = three_lines(run)
    assert "cryptography is missing" in lines[1]
    assert f"make {program.removesuffix('.py')}" in lines[2]


def test_an_old_library(tmp_path: Path) -> None:
    """As Debian's cryptography 38 is."""
    for name, version in (("cryptography", "38.0.4"), ("msgspec", "0.22.9")):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (tmp_path / "pycryptodome.egg-info").mkdir()
    (tmp_path / "pycryptodome.egg-info" / "PKG-INFO").write_text("Name: pycryptodome\nVersion: 4.4.1\n")
    run = subprocess.run(
        [sys.executable, "-S", "server.py"], cwd=ROOT, text=True, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    lines = three_lines(run)
    assert "cryptography is 38.0.4, not 50.0" in lines[1]
    assert "msgspec" not in lines[1]
    assert "pycryptodome" not in lines[1]  # found by its metadata, for want of such a folder


def test_an_old_python(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 8, 18, "final", 0))
    with pytest.raises(SystemExit) as raised:
        preflight.check()
    assert raised.value.code == ExitCode.SETUP
    lines = capsys.readouterr().err.splitlines()
    assert (len(lines), "3.11 or newer" in lines[0], "3.8.18" in lines[1]) == (3, True, True)


@pytest.mark.parametrize("name", ["preflight.py", "server.py", "client.py"])
def test_an_old_python_can_read_as_far_as_the_message(name: str) -> None:
    ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 7))


def test_every_library_that_is_imported_is_pinned() -> None:
    assert set(preflight.pins()) >= {"cryptography", "pycryptodome", "msgspec", "prompt-toolkit", "sqlcipher3"}


@pytest.mark.parametrize("program", ["server.py", "client.py"])
def test_versions_are_told(program: str) -> None:
    run = subprocess.run(
        [sys.executable, program, "--version"], cwd=ROOT, text=True, capture_output=True, check=True
    ).stdout
    for part in ("SecureChat", VERSION, "protocol 1", "Python 3.", "cryptography 50."):
        assert part in run


@pytest.mark.parametrize("program", ["server.py", "client.py"])
def test_versions_are_told_to_programs_in_whichever_order(program: str) -> None:
    told = [
        subprocess.run([sys.executable, program, *flags], cwd=ROOT, capture_output=True, check=True).stdout
        for flags in (["--version", "--json"], ["--json", "--version"])
    ]
    assert told[0] == told[1]
    (line,) = told[0].splitlines()
    found = json.loads(line)
    assert (found["v"], found["type"], found["program"]) == (1, "version", program.removesuffix(".py"))
    assert (found["version"], found["protocol"]) == (VERSION, list(VERSIONS))
    assert found["python"] == platform.python_version()
    assert set(found["libraries"]) == set(preflight.pins())
    assert found["libraries"]["cryptography"] == metadata.version("cryptography")


def test_json_alone_asks_for_nothing() -> None:
    run = subprocess.run([sys.executable, "server.py", "--json"], cwd=ROOT, text=True, capture_output=True, check=False)
    assert (run.returncode, run.stdout) == (ExitCode.USAGE, "")
    assert "--json: here it goes with --version" in run.stderr


# ---------------------------------------------------------------- tools/bootstrap.sh


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what make needs."""
    for name in ("Makefile", "requirements.txt", "requirements.in"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    return tmp_path


def make(checkout: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run `make server` with a script in the place of Python."""
    python = checkout / "fake-python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return subprocess.run(
        ["make", "--no-print-directory", "server", f"PYTHON={python}"],
        cwd=checkout, text=True, capture_output=True, check=False, env={**os.environ, "MAKEFLAGS": ""},
    )  # fmt: skip


def shown(run: subprocess.CompletedProcess[str]) -> list[str]:
    assert run.returncode != 0
    return [line for line in run.stderr.splitlines() if not line.startswith("make")]


def test_make_with_an_old_python(checkout: Path) -> None:
    lines = shown(make(checkout, 'case "$1" in -c) exit 1;; --version) echo Python 3.8.18;; esac'))
    assert (len(lines), lines[1]) == (3, "Found: Python 3.8.18")


def test_make_without_venv(checkout: Path) -> None:
    """As on Debian without python3-venv: a half-made folder is left, and not taken for an environment."""
    lines = shown(make(checkout, 'case "$2" in venv) mkdir -p .venv/bin; echo no ensurepip >&2; exit 1;; esac'))
    assert len(lines) == 3
    assert "sudo apt install python3-venv" in lines[2]
    assert not (checkout / ".venv").exists()


def test_make_without_a_network(checkout: Path) -> None:
    pip = 'case "$3" in --version) exit 0;; *) echo "ERROR: Could not find a version that satisfies it"; exit 1;; esac'
    fake = f"mkdir -p .venv/bin; printf '%s\\n' '#!/bin/sh' '{pip}' > .venv/bin/python; chmod +x .venv/bin/python"
    lines = shown(make(checkout, f'case "$2" in venv) {fake};; esac'))
    assert len(lines) == 3
    assert "Could not find a version" in lines[1]
    assert not (checkout / ".venv" / "requirements.txt.installed").exists()
