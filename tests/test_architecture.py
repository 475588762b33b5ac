"""The import table of docs/ARCHITECTURE.md, held against the source."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GROUND = {
    "errors",
    "canonical_json",
    "protocol",
    "connection",
    "crypto_utils",
    "key_files",
    "identity",
    "process_lock",
    "merkle",
    "key_log",
    "log_tables",
    "records",
    "key_agreement",
    "prekeys",
    "acceptance",
}
GROUND |= {"preflight", "command_line"}
MAY_IMPORT = {
    "preflight": set(),
    "errors": set(),
    "records": set[str](),
    "canonical_json": {"errors"},
    "protocol": {"errors", "records", "canonical_json"},
    "key_agreement": {"errors"},
    "prekeys": {"errors", "records", "canonical_json", "crypto_utils", "identity", "key_agreement"},
    "connection": {"errors", "protocol"},
    "crypto_utils": {"errors"},
    "key_files": {"errors"},
    "server_key": {"errors", "records", "canonical_json", "crypto_utils", "key_files"},
    "identity": {"errors", "records", "canonical_json", "crypto_utils"},
    "merkle": {"errors", "crypto_utils"},
    "key_log": {"errors", "records", "canonical_json", "crypto_utils", "identity", "merkle"},
    "log_tables": {"records", "merkle", "key_log"},
    "acceptance": {"records", "canonical_json", "crypto_utils"},
    "command_line": {"errors", "preflight", "protocol"},
    "process_lock": {"errors"},
    "sql_file": {"errors"},
    "tls": {"errors", "crypto_utils", "server_key"},
    "link": {"errors", "protocol", "connection", "tls", "crypto_utils"},
    "transport": {"errors", "connection", "tls", "link"},
    "relay": {
        "errors",
        "protocol",
        "crypto_utils",
        "identity",
        "merkle",
        "key_log",
        "log_tables",
        "prekeys",
        "acceptance",
        "sql_file",
    },
    "messenger": {"errors", "protocol", "crypto_utils", "key_files", "identity", "key_log", "log_tables", "sql_file"}
    | {"acceptance"}
    | {"key_agreement", "prekeys"},
    "session": {"errors", "protocol", "crypto_utils", "identity", "link", "transport", "messenger"},
    "leaving": {"messenger"},
    "talk": {"errors", "messenger", "session", "leaving"},
    "one_shot": {"errors", "messenger", "session"},
    "local": {"errors", "messenger", "session", "one_shot"},
    "daemon": {"errors", "messenger", "session", "leaving"},
    "outline": {"errors"},
    "notifier": {"errors"},
    "settings": {"errors", "outline", "messenger", "notifier"},
    "completion": {"outline"},
    "client_options": {"command_line", "messenger", "outline", "settings", "completion"},
    "entrance": {"errors", "crypto_utils", "key_files", "identity", "messenger", "session"},
    "server": GROUND | {"server_key", "tls", "link", "transport", "relay"},
    "client": GROUND
    | {"client_options", "messenger", "session", "entrance", "talk", "one_shot", "local", "notifier", "daemon"},
}
for allowed in MAY_IMPORT.values():
    if "protocol" in allowed:  # what is said is made of what is signed, and both are written in one way
        allowed |= {"records", "canonical_json"}
# Who may touch the world: modules of the standard library that reach it, and who needs them.
WORLD = {
    "socket": {"link", "transport", "server"},
    "ssl": {"tls", "link", "transport"},
    "sqlite3": {"relay/storage/sqlite", "relay/storage/sqlite_rows"},
    "sqlcipher3": {"messenger/database"},
    "prompt_toolkit": {"messenger/ui/line"},
    "subprocess": {"server", "notifier"},
    "time": {"transport", "server", "talk", "session", "notifier", "leaving"},
    "random": {"session"},
    "tomllib": {"settings"},
}
SOURCES = sorted(
    path
    for folder in (ROOT, ROOT / "relay", ROOT / "messenger")
    for path in (folder.glob("*.py") if folder == ROOT else folder.rglob("*.py"))
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def test_every_room_is_in_the_table() -> None:
    assert {name_of(path).partition("/")[0] for path in SOURCES} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_only_what_the_table_allows(path: Path) -> None:
    room = name_of(path).partition("/")[0]
    ours = {name.partition(".")[0] for name in imports(path)} & set(MAY_IMPORT)
    assert ours - {room} <= MAY_IMPORT[room]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_touches_only_the_part_of_the_world_that_is_its_own(path: Path) -> None:
    for module in {name.partition(".")[0] for name in imports(path)} & set(WORLD):
        assert name_of(path) in WORLD[module], f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", [path for path in SOURCES if "relay/" in name_of(path)], ids=name_of)
def test_the_relay_has_no_door_to_plaintext(path: Path) -> None:
    code = re.sub(r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not re.search(r"\bopen_sealed\b|\bdecrypt\b|\bunwrap\b|messenger", code)


def test_nobody_imports_the_programs() -> None:
    for path in SOURCES:
        assert not imports(path) & {"server", "client"}
