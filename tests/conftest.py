from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from crypto_utils import PrivateKeys
from tests.trial import Outcome, Trial, table, write_results

settings.register_profile(
    "tests", print_blob=True, deadline=None, max_examples=int(os.environ.get("EXAMPLES", "50")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
settings.load_profile("tests")

RESULTS = Path("soak.jsonl")


@pytest.fixture(scope="session")
def some_keys() -> list[PrivateKeys]:
    """Make RSA keys once a session: that is what takes long."""
    return [PrivateKeys.generate() for _ in range(3)]


# ---------------------------------------------------------------- fault tests: those that use `trial`


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="only the fault tests, in their large size")
    parser.addoption("--seed", type=int, help="repeat a fault test with the seed that it printed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--soak"):
        items[:] = [item for item in items if "trial" in getattr(item, "fixturenames", ())]


@pytest.fixture
def trial(request: pytest.FixtureRequest) -> Trial:
    seed = request.config.getoption("--seed")
    made = Trial(random.SystemRandom().randrange(2**32) if seed is None else seed, request.config.getoption("--soak"))
    print(f"to repeat: --seed {made.seed}{' --soak' if made.soak else ''}")
    request.node.user_properties.append(("trial", made.figures))
    return made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--soak"):
        return
    outcomes = [
        Outcome(report.nodeid, report.outcome, report.duration, dict(report.user_properties)["trial"])
        for kind in ("passed", "failed")
        for report in terminalreporter.stats.get(kind, [])
        if report.when == "call" and "trial" in dict(report.user_properties)
    ]
    write_results(outcomes, RESULTS)
    terminalreporter.section(f"soak; one JSON line a test in {RESULTS}")
    for line in table(outcomes):
        terminalreporter.write_line(line)
