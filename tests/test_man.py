"""The manual pages: as the command lines are, whole, and in a form that groff has nothing to say about."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import server
from client_options import make_parser
from errors import ExitCode
from outline import Outline, outline
from settings import SETTINGS
from tools.man import pages

PAGES = pages()
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ACTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"]


def client() -> str:
    """The client's page as a person types what stands in it."""
    (text,) = [text for place, text in PAGES.items() if place.name == "securechat-client.1"]
    return text.replace("\\-", "-")


@pytest.mark.parametrize("place", PAGES, ids=lambda place: place.name)
def test_the_pages_are_as_the_command_lines_are(place: Path) -> None:
    assert place.read_text(encoding="ascii") == PAGES[place], "type: make man"


@pytest.mark.parametrize("place", PAGES, ids=lambda place: place.name)
def test_every_page_has_every_section(place: Path) -> None:
    found = re.findall(r"^\.SH (.+)$", PAGES[place], re.MULTILINE)
    assert found == [name for name in SECTIONS if name != "ACTIONS" or "client" in place.name]


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff")
@pytest.mark.parametrize("place", PAGES, ids=lambda place: place.name)
def test_groff_has_nothing_to_say(place: Path) -> None:
    def said(text: str) -> str:
        run = subprocess.run(
            ["groff", "-man", "-ww", "-Tascii"], input=text, text=True, capture_output=True, check=True
        )
        return run.stderr

    assert said(PAGES[place]) == ""
    assert said(PAGES[place] + ".nothing\n") != ""  # it would have


@pytest.mark.skipif(shutil.which("man") is None or shutil.which("groff") is None, reason="there is no man")
@pytest.mark.parametrize("place", PAGES, ids=lambda place: place.name)
def test_man_shows_them(place: Path) -> None:
    run = subprocess.run(["man", place], text=True, capture_output=True, check=True)
    assert run.stderr == ""
    assert place.stem in run.stdout


def test_every_action_and_option_is_there() -> None:
    def look_for(level: Outline, path: str = "") -> None:
        for option in level.options:
            if option.name != "help":
                assert all(f"\\fB{flag}\\fR" in client() for flag in option.flags)
        for action in level.actions:
            assert f".SS \\fB{path}{action.name}\\fR" in client()
            look_for(action, f"{path}{action.name} ")

    look_for(outline(make_parser()))
    assert ".SS \\fBkeys revoke\\fR \\fI--certificate PATH\\fR" in client()


def test_every_exit_code_and_variable_is_there() -> None:
    for code in ExitCode:
        assert f".TP\n\\fB{int(code)}\\fR\n" in client()
    for setting in SETTINGS:
        assert f"\\fB{setting.variable}\\fR" in client()


def test_the_servers_defaults_are_there() -> None:
    (text,) = [text for place, text in PAGES.items() if place.name == "securechat-server.1"]
    for option in outline(server.make_parser()).options:
        assert option.name == "help" or option.flags[-1].replace("-", "\\-") in text
    assert "12345" in text
