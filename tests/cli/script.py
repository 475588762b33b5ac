"""Terminal sessions that are written down: `tests/cli/*.txt`, in the manner of Go's testscript.

A script is one story, a command a line: `#` begins a remark, words are quoted as in a shell, `$NAME` is a variable.
Behind the last command stand files that it needs, each below a line `-- name --`. It is played in a folder, $WORK, in
which are the files of a server, `main`, and the homes of alice and bob, who are registered there.

    server NAME [OPTION...]      run server.py in the folder NAME, on a free port; sets $SERVER and $PORT
    stop NAME                    end it
    client [@WHO] [WORD...] [&]  run client.py as WHO, in the home WHO; with & the story goes on while it runs
    await REGEX                  until that client has written such a line
    type LINE...                 on its standard input
    wait                         until it has ended, now that its input has
    kill SIGNAL                  the same, by a signal: TERM, INT
    code WHO                     set $CODE to the verification code that the server shows
    exit CODE                    is how the last program has ended
    stdout REGEX, stderr REGEX   is in what it has written
    capture NAME REGEX           set a variable to the first group that is in its standard output
    stdin FILE                   is what the next client reads
    cmp A B, cp A B              two files; A may be stdout or stderr
    chmod MODE FILE, rm FOLDER, exists FILE
    env NAME=VALUE               set a variable, for the programs, too

`!` before a program has it fail; without it, it must end with 0. `!` before a text or a file has it not be there. A
traceback is never right.
"""

from __future__ import annotations

import difflib
import re
import shlex
import shutil
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path
from subprocess import TimeoutExpired

from tests.system.programs import CLIENT, PASSWORD, Program, Server

MAY_FAIL = {"server", "client", "wait", "kill", "stdout", "stderr", "exists"}
WITH_REGEX = {"await", "stdout", "stderr", "capture"}  # in which the value of a variable stands for itself


@dataclass(frozen=True)
class Step:
    """A line of a script."""

    place: str  # the file, the line and what stands there
    wanted: bool  # no ! before it
    command: str
    words: list[str]


def read_script(path: Path) -> tuple[list[Step], dict[str, str]]:
    """Return the steps of a script, and its files."""
    story, *sections = re.split(r"^-- (\S+) --\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    steps = []
    for number, line in enumerate(story.splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            message = f"{path}:{number}: {line}\n{error}"
            raise AssertionError(message) from None
        wanted = words[:1] != ["!"]
        if command := words[0 if wanted else 1 :]:
            steps.append(Step(f"{path}:{number}: {line}", wanted, command[0], command[1:]))
    return steps, dict(zip(sections[::2], sections[1::2], strict=True))


class Stage:
    """Where a script is played."""

    def __init__(self, work: Path, *, client: str = CLIENT) -> None:
        """Prepare it; `work` is the folder, `client` what to run as a client."""
        self._work = work
        self._client = client
        self._variables = {"WORK": str(work), "ESC": "\x1b"}
        self._servers: dict[str, Server] = {}
        self._last: Program | None = None  # that has ended
        self._background: Program | None = None
        self._stdin: Path | None = None
        self._programs = ExitStack()

    def play(self, steps: list[Step], files: dict[str, str]) -> None:
        """Play a script.

        Raises:
            AssertionError: A line does not hold; the text begins with the file and the line.
        """
        for name, text in files.items():
            self._write(name, text)
        with self._programs:
            for step in [*steps, Step(f"{steps[-1].place} (the end)", True, "end", [])]:
                try:
                    self._do(step)
                except (AssertionError, OSError, TypeError, ValueError, re.error, TimeoutExpired) as error:
                    message = f"{step.place}\n{error}"
                    raise AssertionError(message) from None

    def _write(self, name: str, text: str) -> None:
        (self._work / name).write_text(text, encoding="utf-8")
        (self._work / name).chmod(0o600)  # as a password's file must be

    def _do(self, step: Step) -> None:
        command: Callable[..., None] | None = getattr(self, f"do_{step.command}", None)
        assert command is not None, "there is no such command"
        assert step.wanted or step.command in MAY_FAIL, "it cannot have a !"
        words = [self._expanded(word, as_regex=step.command in WITH_REGEX) for word in step.words]
        command(*words, **({"wanted": step.wanted} if step.command in MAY_FAIL else {}))

    def _expanded(self, word: str, *, as_regex: bool) -> str:
        def value(name: re.Match[str]) -> str:
            assert name[1] in self._variables, f"there is no variable {name[0]}"
            return re.escape(self._variables[name[1]]) if as_regex else self._variables[name[1]]

        return re.sub(r"\$([A-Z]\w*)", value, word)

    def do_end(self) -> None:
        """See that nothing was begun that is not ended, and stop the servers."""
        assert self._background is None, "a client still runs: wait, or kill it"
        assert self._stdin is None, "no client has read what was laid out"
        for name in list(self._servers):
            self.do_stop(name)

    # ------------------------------------------------------------ programs

    def do_server(self, name: str, *options: str, wanted: bool) -> None:
        if wanted:
            self._servers[name] = server = self._programs.enter_context(Server(self._work / name, *options))
            self._variables |= {"SERVER": server.address, "PORT": str(server.port)}
        else:
            with Program("server.py", "--home", str(self._work / name), "--port", "0", *options) as program:
                self._ended(program, program.end(), wanted=False)

    def do_stop(self, name: str) -> None:
        assert name in self._servers, "no such server runs"
        server = self._servers.pop(name)
        self._ended(server, server.end(signal.SIGTERM), wanted=True)

    def do_client(self, *words: str, wanted: bool) -> None:
        who, words = (words[0][1:], words[1:]) if words and words[0].startswith("@") else ("", words)
        arguments = [self._client, *self._options(who), *words]
        if arguments[-1] == "&":
            assert self._background is None, "another one still runs: wait, or kill it"
            assert wanted, "how it ends is seen when it has: ! wait"
            program = Program(*arguments[:-1], stdin=True, environment=self._variables)
            self._background = self._programs.enter_context(program)
            return
        source, self._stdin = self._stdin or Path("/dev/null"), None
        with source.open() as stdin, Program(*arguments, stdin=stdin, environment=self._variables) as program:
            self._ended(program, program.end(), wanted=wanted)

    def _options(self, who: str) -> list[str]:
        server = ["--server", self._variables["SERVER"]] if "SERVER" in self._variables else []
        password = self._work / who / "password"
        if who and not password.exists():
            password.parent.mkdir(exist_ok=True)
            self._write(f"{who}/password", f"{PASSWORD}\n")
        person = ["--user", who, "--password-file", str(password)] if who else []
        return ["--home", str(self._work / (who or "nobody")), *person, *server]

    def _ended(self, program: Program, code: int, *, wanted: bool) -> None:
        self._last = program
        assert (code == 0) == wanted, f"it ended with {code}:\n" + "\n".join(program.lines)

    def _running(self) -> Program:
        assert self._background is not None, "no client runs"
        return self._background

    def do_await(self, pattern: str) -> None:
        self._running().expect(pattern)

    def do_type(self, *lines: str) -> None:
        self._running().type(*lines)

    def do_wait(self, number: signal.Signals | None = None, *, wanted: bool) -> None:
        program, self._background = self._running(), None
        self._ended(program, program.end(number), wanted=wanted)

    def do_kill(self, name: str, *, wanted: bool) -> None:
        self.do_wait(signal.Signals[f"SIG{name}"], wanted=wanted)

    def do_code(self, who: str) -> None:
        assert self._servers, "no server runs"
        self._variables["CODE"] = next(reversed(self._servers.values())).code_for(who)

    # ------------------------------------------------------------ what has come of it

    def _text(self, name: str) -> str:
        if name not in {"stdout", "stderr"}:
            return (self._work / name).read_text(encoding="utf-8")
        assert self._last is not None, "no program has ended yet"
        return "".join(f"{line}\n" for line in (self._last.out if name == "stdout" else self._last.err))

    def do_exit(self, code: str) -> None:
        said = self._text("stderr")
        found = self._last and self._last.process.returncode
        assert found == int(code), f"it ended with {found}:\n{said}"

    def _said(self, name: str, pattern: str, *, wanted: bool) -> None:
        found = re.search(pattern, self._text(name), re.MULTILINE) is not None
        assert found == wanted, f"{name} was:\n{self._text(name)}"

    do_stdout = partialmethod(_said, "stdout")
    do_stderr = partialmethod(_said, "stderr")

    def do_capture(self, name: str, pattern: str) -> None:
        found = re.search(pattern, self._text("stdout"), re.MULTILINE)
        assert found is not None, f"stdout was:\n{self._text('stdout')}"
        self._variables[name] = found[1]

    def do_cmp(self, left: str, right: str) -> None:
        one, other = (self._text(name).splitlines() for name in (left, right))
        assert one == other, "\n".join(difflib.unified_diff(other, one, right, left, lineterm=""))

    def do_exists(self, name: str, *, wanted: bool) -> None:
        assert (self._work / name).exists() == wanted, f"there is {'no' if wanted else 'a'} file {name}"

    # ------------------------------------------------------------ files and variables

    def do_stdin(self, name: str) -> None:
        self._stdin = self._work / name

    def do_cp(self, source: str, target: str) -> None:
        self._write(target, self._text(source))

    def do_rm(self, name: str) -> None:
        shutil.rmtree(self._work / name)

    def do_chmod(self, mode: str, name: str) -> None:
        (self._work / name).chmod(int(mode, 8))

    def do_env(self, setting: str) -> None:
        name, _, value = setting.partition("=")
        self._variables[name] = value
