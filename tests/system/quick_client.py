"""The real client, but that its files are under few rounds: a start costs half of it to derive keys from a password.

Tests of that protection start `client.py` itself. The variable PATIENCE_S has an action wait less long than usual for
what does not come.
"""

from __future__ import annotations

import os
import runpy
import sys
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
QUICK_ITERATIONS = 1000


def derive_quickly() -> None:
    """Have this process read and write files of few rounds; what it imports later writes key files so, too."""
    from sqlcipher3 import dbapi2 as sqlcipher  # noqa: PLC0415

    import crypto_utils  # noqa: PLC0415 - the program below must say first where it is

    crypto_utils.PBKDF2_MIN_ITERATIONS = QUICK_ITERATIONS  # type: ignore[misc]
    crypto_utils.encrypt_private_keys = partial(crypto_utils.encrypt_private_keys, iterations=QUICK_ITERATIONS)
    connection = sqlcipher.connect(":memory:")
    connection.execute(f"PRAGMA cipher_default_kdf_iter = {QUICK_ITERATIONS}")  # of the process
    connection.close()


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    derive_quickly()
    import one_shot

    one_shot.TIMEOUT_S = int(os.environ.get("PATIENCE_S", one_shot.TIMEOUT_S))  # type: ignore[misc]
    runpy.run_path(str(ROOT / "client.py"), run_name="__main__")
