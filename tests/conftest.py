from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from crypto_utils import PrivateKeys

settings.register_profile(
    "tests", print_blob=True, deadline=None, max_examples=int(os.environ.get("EXAMPLES", "50")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
settings.load_profile("tests")


@pytest.fixture(scope="session")
def some_keys() -> list[PrivateKeys]:
    """Make RSA keys once a session: that is what takes long."""
    return [PrivateKeys.generate() for _ in range(3)]
