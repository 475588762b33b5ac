from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from shutil import disk_usage
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from sqlcipher3 import dbapi2 as sqlcipher

import crypto_utils
from crypto_utils import PrivateKeys
from messenger import account as accounts
from messenger import opening
from messenger.suites import own_prekeys
from tests.system.programs import CLIENT, FORKED, LIFE, forget_settings
from tests.trial import Outcome, Trial, players, summed, table, write_results

settings.register_profile(
    "tests", print_blob=True, deadline=None, max_examples=int(os.environ.get("EXAMPLES", "50")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
settings.load_profile("tests")
forget_settings()
if sys.platform == "linux":
    FORKED.update({CLIENT, LIFE, "server.py"})

RESULTS = Path("soak.jsonl")
LONGEST = {"R-38", "R-05", "R-04", "R-01", "R-03"}  # of the soak: they begin, or everybody waits for one at the end
HERE = Path(__file__).parent
MEMORY = Path("/dev/shm")  # each file there is as private as below /tmp
MEMORY_SIZE = 2 * 1024**3  # bytes that must be free there; a run takes some 120 MB
UNTRACED = {"attacks", "cli", "faults", "messenger", "system"}


@pytest.fixture(scope="session")
def some_keys() -> list[PrivateKeys]:
    """Make RSA keys once a session: that is what takes long."""
    return [PrivateKeys.generate() for _ in range(3)]


# ---------------------------------------------------------------- fault tests: those of docs/RELIABILITY.md


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="only the fault tests, in their large size")
    parser.addoption("--seed", type=int, help="repeat a fault test with the seed that it printed")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the files of a short run in memory where there is one: a quarter of its time would be waiting for the disk.

    What is asked of the disk itself, is asked of the calls (R-02), and by the soak.
    """
    if not config.getoption("--soak") and os.access(MEMORY, os.W_OK) and disk_usage(MEMORY).free > MEMORY_SIZE:
        os.environ.setdefault("TMPDIR", str(MEMORY))
        tempfile.tempdir = None  # asked for already, by what catches the output


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note which fault each test plays; for the soak, keep those that do, or that use `trial`."""
    played = players()
    for item in items:
        test = item.nodeid.partition("[")[0]
        if fault := played.get(test) or played.get(test.partition("::")[0]):
            item.user_properties.append(("fault", fault))
    if config.getoption("--soak"):
        items[:] = [item for item in items if item.user_properties or "trial" in getattr(item, "fixturenames", ())]
        items.sort(key=lambda item: dict(item.user_properties).get("fault") not in LONGEST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Do not trace most tests: what must be covered wholly is so by its own, and all would take a quarter longer.

    Where tests run in several processes, the marker `no_cover` of pytest-cov 7.1 stops one of two tracers.
    """
    covered = item.config.pluginmanager.hasplugin("_cov")  # a debugger traces, too, and shall
    if not covered or item.path.relative_to(HERE).parts[0] not in UNTRACED:
        return (yield)
    tracer, of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
        threading.settrace(of_threads)


@pytest.fixture
def trial(request: pytest.FixtureRequest) -> Trial:
    seed = request.config.getoption("--seed")
    made = Trial(random.SystemRandom().randrange(2**32) if seed is None else seed, request.config.getoption("--soak"))
    print(f"to repeat: --seed {made.seed}{' --soak' if made.soak else ''}")
    request.node.user_properties.append(("trial", made.figures))
    return made


def outcome(report: pytest.TestReport) -> Outcome:
    noted = dict(report.user_properties)
    figures: dict[str, Any] = noted.get("trial", {})  # type: ignore[assignment]
    return Outcome(report.nodeid, str(noted.get("fault", "")), report.outcome, report.duration, figures)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--soak"):
        return
    kinds = ("passed", "failed", "skipped", "error")  # an error is a test that failed before or after itself
    outcomes = summed([outcome(report) for kind in kinds for report in terminalreporter.stats.get(kind, [])])
    write_results(outcomes, RESULTS)
    terminalreporter.section(f"soak; one JSON line a test in {RESULTS}")
    for line in table(outcomes):
        terminalreporter.write_line(line)


QUICK_ITERATIONS = 1000


@pytest.fixture
def quick_kdf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let key files have few rounds, and write them so: what is tested is not the protection."""
    monkeypatch.setattr(crypto_utils, "PBKDF2_MIN_ITERATIONS", QUICK_ITERATIONS)
    for module in (accounts, opening):
        monkeypatch.setattr(
            module,
            "encrypt_private_keys",
            lambda keys, word: crypto_utils.encrypt_private_keys(keys, word, iterations=QUICK_ITERATIONS),
        )


@pytest.fixture
def few_prekeys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let devices of this process leave few prekeys: making a hundred takes as long as the rest of a small test."""
    monkeypatch.setattr(own_prekeys, "ONE_TIME", 8)
    monkeypatch.setattr(own_prekeys, "FEW", 4)


@pytest.fixture
def quick_database() -> Iterator[None]:
    """Let this process derive the keys of client databases in few rounds; those of a test are of no use to another."""
    connection = sqlcipher.connect(":memory:")
    (usual,) = connection.execute("PRAGMA cipher_default_kdf_iter").fetchone()
    connection.execute(f"PRAGMA cipher_default_kdf_iter = {QUICK_ITERATIONS}")
    yield
    connection.execute(f"PRAGMA cipher_default_kdf_iter = {usual}")
    connection.close()
