"""Fuzz with atheris: `make fuzz`, or `python -m fuzz.run TARGET SECONDS`. What is found new stays in fuzz/corpus/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

CORPUS: Final = Path(__file__).with_name("corpus")
MAX_SIZE: Final = 32 * 1024  # bytes of an input


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris  # noqa: PLC0415 - only where it is used

    with atheris.instrument_imports():
        from fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented as it is loaded
    target, folder = TARGETS[name], CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (folder / f"seed{number}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_SIZE}",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], str(folder), f"-artifact_prefix={folder}/crash-", *options], target.run)
    atheris.Fuzz()


def main(arguments: list[str]) -> int:
    """Fuzz the target that is named, or each in a process of its own."""
    seconds = int(arguments[-1]) if arguments and arguments[-1].isdigit() else 60
    names = [name for name in arguments if not name.isdigit()]
    if len(names) == 1:
        fuzz(names[0], seconds)
        return 0
    from fuzz.targets import TARGETS  # noqa: PLC0415 - not instrumented here

    worst = 0
    for name in names or TARGETS:
        done = subprocess.run(
            [sys.executable, "-m", "fuzz.run", name, str(seconds)], check=False, timeout=seconds + 120
        )
        print(f"{name}: {'nothing found' if done.returncode == 0 else 'FAILED'} in {seconds} s", flush=True)
        worst = max(worst, done.returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
