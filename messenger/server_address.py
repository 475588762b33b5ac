"""Where the server is, and how its key is known."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crypto_utils import RSAPublicKey, fingerprint, public_key_from_pem, public_key_to_pem
from errors import KeyFileError, SetupError, UntrustedKeyError, UsageError
from key_files import read_key_file, write_key_file

DEFAULT_PORT: Final = 12345
_LINE: Final = re.compile(r"securechat://([0-9a-f]{64})@(.+)")
_HOST_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where to connect, and the fingerprint of the key that must answer there."""

    host: str
    port: int
    fingerprint: str  # 64 hexadecimal digits


def read_address(text: str) -> tuple[str, int, str | None]:
    """Return host, port, and the fingerprint that a `securechat://` line names, of what a person has written.

    Raises:
        UsageError: It is neither such a line nor `host:port`.
    """
    line = _LINE.fullmatch(text.strip())
    place = _HOST_PORT.fullmatch(line[2] if line else text.strip())
    if place is None or (place[2] and not 0 < int(place[2]) < 2**16):
        message = f"{text!r} is not the address of a server"
        raise UsageError(message, hint="give HOST:PORT, or the securechat:// line that the server prints at its start")
    return place[1].strip("[]"), int(place[2] or DEFAULT_PORT), line[1] if line else None


def locate(text: str, keys: Path) -> ServerAddress:
    """Understand `host:port` (the server's key is in the keys folder) or a `securechat://` line.

    Raises:
        UsageError: It is neither.
        SetupError: The key is not there and the line does not name it.
        UntrustedKeyError: The line names another key than the one that is there.
    """
    host, port, named = read_address(text)
    pinned = _pinned(keys)
    if named is not None and pinned is not None and named != pinned:
        message = f"{key_file(keys)} holds the key of another server than this securechat:// line names"
        raise UntrustedKeyError(
            message,
            hint=f"ask the operator which one is right: if it is the new line, remove {key_file(keys)};"
            " for another server use another --home",
        )
    expected = named or pinned
    if expected is None:
        message = f"the server's public key is not known ({key_file(keys)} is missing)"
        hint = "copy it there, or give --server the securechat:// line that the server prints at its start"
        raise SetupError(message, hint=hint)
    return ServerAddress(host, port, expected)


def key_file(keys: Path) -> Path:
    """Return where the server's public key is kept."""
    return keys / "server_public_key.pem"


def _pinned(keys: Path) -> str | None:
    try:
        return fingerprint(public_key_from_pem(read_key_file(key_file(keys), private=False)))
    except FileNotFoundError:
        return None
    except KeyFileError as error:
        message = f"{key_file(keys)}: {error}"
        hint = "remove it, and give --server the securechat:// line that the server prints at its start"
        raise KeyFileError(message, hint=hint) from error


def remember(key: RSAPublicKey, keys: Path) -> bool:
    """Keep the key of a server, which has held, for the next start.

    Returns:
        Whether it takes the place of another, which has signed it.
    """
    pinned = _pinned(keys)
    if pinned == fingerprint(key):
        return False
    write_key_file(key_file(keys), public_key_to_pem(key), mode=0o644)
    return pinned is not None
