"""The real client, but that it takes key files of few rounds: a start costs half of it to derive four keys.

The tests that are about that, and those that register somebody, start `client.py` itself.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
QUICK_ITERATIONS = 1000

if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    import crypto_utils

    crypto_utils.PBKDF2_MIN_ITERATIONS = QUICK_ITERATIONS  # type: ignore[misc]
    runpy.run_path(str(ROOT / "client.py"), run_name="__main__")
