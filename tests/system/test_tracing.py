"""That tests below this folder are not traced: tests/conftest.py."""

from __future__ import annotations

import sys
import threading


def test_neither_this_thread_nor_a_new_one_is_traced() -> None:
    seen = [sys.gettrace()]
    thread = threading.Thread(target=lambda: seen.append(sys.gettrace()))
    thread.start()
    thread.join()
    assert seen == [None, None]
