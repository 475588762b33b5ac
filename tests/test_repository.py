"""What must not be in the tree, and what keeps it out."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

from command_line import VERSION
from server_key import generate_server_key, server_key_to_pem

ROOT = Path(__file__).resolve().parents[1]


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    return [path for name in names if name and (path := ROOT / name.decode()).is_file()]


def test_no_private_key_is_in_the_tree() -> None:
    """The seed's failure 13."""
    for path in tracked():
        assert not re.search(rb"-----BEGIN ([A-Z]+ )*PRIVATE KEY-----\n[A-Za-z0-9+/]{40}", path.read_bytes()), path


def test_keys_and_data_are_ignored() -> None:
    names = ["keys/server_private_key.pem", "keys/alice_private_key.pem", "data/relay.db", "homes/alice/data/alice.db"]
    ignored = subprocess.run(["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ignored.stdout.split() == names


def test_every_requirement_is_pinned_with_hashes() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text(encoding="utf-8")
        entries = [entry for entry in re.split(r"\n(?=[a-z])", text) if not entry.startswith("#")]
        assert entries
        for entry in entries:
            assert re.match(r"[a-z0-9.-]+(\[[a-z]+\])?==[0-9]", entry), entry
            assert "--hash=sha256:" in entry, entry
        assert "://" not in text


def test_one_version_in_every_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
    assert f"\n## {VERSION} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_hook_refuses_a_private_key(tmp_path: Path) -> None:
    def git(*arguments: str) -> int:
        return subprocess.run(["git", *arguments], cwd=tmp_path, capture_output=True, check=False).returncode

    git("init", "-q")
    for setting in (("user.name", "x"), ("user.email", "x@example.org"), ("core.hooksPath", str(ROOT / ".githooks"))):
        git("config", *setting)
    (tmp_path / "harmless.txt").write_text("-----BEGIN PUBLIC KEY-----\n")
    git("add", ".")
    assert git("commit", "-qm", "harmless") == 0
    (tmp_path / "key.txt").write_bytes(server_key_to_pem(generate_server_key()))
    git("add", ".")
    assert git("commit", "-qm", "secret") == 1
