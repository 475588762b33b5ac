"""A client that lives until it is killed, or has done what it was for.

It is a real one: engine, database, session, TLS. What it did stands in a file, as a line that was written survives it.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from messenger.account import AccountFiles, unlock
from messenger.database import Database
from messenger.engine import Messenger
from messenger.events import MessageReceived
from messenger.keyring import Keyring
from messenger.line import Output
from messenger.preferences import Preferences
from messenger.server_address import locate
from session import Session, wall_time
from tests.system.programs import PASSWORD
from tests.system.quick_client import derive_quickly

LIFE_S = 900  # of one that nobody kills: no test is longer


class Life:
    """One client, until it is killed or has done what it was for."""

    def __init__(self, home: Path, user_id: str, server: str, journal: Path) -> None:
        self._file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        keys = home / "keys"
        account = unlock(AccountFiles(keys, user_id), PASSWORD.encode())
        database = Database(home / "data" / f"{user_id}.db", PASSWORD.encode())
        self.messenger = Messenger(Keyring(account, database), database, Preferences(requests=False))
        self.session = Session(self.messenger, locate(server, keys), keys, persistent=True)

    def note(self, *words: str) -> None:
        os.write(self._file, (" ".join(words) + "\n").encode())

    def run(self, done: Callable[[], bool], timeout_s: float) -> None:
        self.perform(Output(events=self.messenger.resume()))
        self.session.run(done, perform=self.perform, timeout_s=timeout_s)

    def perform(self, output: Output) -> None:
        self.session.send(output.frames)
        received = [event for event in output.events if isinstance(event, MessageReceived)]
        for event in received:
            self.note("shown", event.text)
        if received:
            self.perform(self.messenger.shown([(event.peer, event.id) for event in received], now=wall_time()))

    # ------------------------------------------------------------ what a life can be for

    def write(self, prefix: str) -> None:
        """Write to Bob until killed."""
        threading.Thread(target=self._type, args=(prefix,), daemon=True).start()
        self.run(lambda: False, LIFE_S)

    def _type(self, prefix: str) -> None:
        number = 0
        while True:
            self.session.submit(lambda text=f"{prefix}.{number}": self._write_one(text))  # type: ignore[misc]
            number += 1
            time.sleep(random.expovariate(200))

    def _write_one(self, text: str) -> None:
        self.note("writes", text)
        output = self.messenger.writing.send_text("bob", text, now=wall_time())[1]
        self.note("wrote", text)  # on disk: from here on it must arrive
        self.perform(output)

    def read(self, _argument: str) -> None:
        """Take in what comes until killed."""
        self.run(lambda: False, LIFE_S)

    def finish(self, timeout_s: str) -> None:
        """Do what is left to do."""
        self.run(lambda: self.messenger.settled, float(timeout_s))


def main() -> None:
    home, user_id, server, journal, role, argument = sys.argv[1:]
    derive_quickly()
    life = Life(Path(home), user_id, server, Path(journal))
    print("begins", flush=True)
    getattr(life, role)(argument)


if __name__ == "__main__":
    main()
