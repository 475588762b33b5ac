"""What completes the client's command line in a shell: scripts made from its parser.

A script knows actions, options and fixed values, and has the shell complete paths. It never starts the client, whose
names lie under a password.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from outline import Option, Outline


def script(program: Outline, shell: str, name: str) -> str:
    """Return the script for a shell.

    Args:
        program: The command line.
        shell: One of SHELLS.
        name: How the program is called there: its file, an alias, or a link to it.
    """
    function = "_" + re.sub("[^A-Za-z0-9]", "_", name)
    return SHELLS[shell](program).replace("@NAME@", name).replace("@FUNCTION@", function)


def _levels(level: Outline, path: str = "") -> Iterator[tuple[str, Outline]]:
    """Yield the program and each of its actions, with what is typed to get there: words with a space each."""
    yield path, level
    for action in level.actions:
        yield from _levels(action, f"{path}{action.name} ")


def _flags(options: Iterable[Option]) -> list[str]:
    return [flag for option in options for flag in (*option.flags, option.off) if flag]


def _valued(program: Outline) -> Iterator[tuple[str, Option]]:
    """Yield each flag that takes a value, as it is typed, and its option."""
    for path, level in _levels(program):
        for option in level.options:
            if option.metavar:
                yield from ((path + flag, option) for flag in option.flags)


def _quoted(text: str) -> str:
    """Return a text as one word of any of the shells."""
    return "'" + text.replace("'", r"'\''") + "'"


def _words(choices: Iterable[object]) -> str:
    return _quoted(" ".join(map(str, choices)))


# ---------------------------------------------------------------- bash

_BASH: Final = r"""# bash completion: eval "$(@NAME@ completion bash)"
@FUNCTION@() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} path= value= words= flags= each i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        each=${COMP_WORDS[i]}
        if [[ $each == = ]]; then value=1; continue; fi  # bash makes three words of --flag=value
        if [[ -n $value ]]; then value=; continue; fi
        case "$path$each" in
            @VALUED@) value=1 ;;
            @ACTIONS@) path="$path$each " ;;
        esac
    done
    if [[ $word == = ]]; then
        word=
    elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD-2]}
    fi
    if [[ -n $value ]]; then
        case "$path$before" in
@VALUES@
        esac
    else
        case "$path" in
@WORDS@
        esac
        if [[ $word == -* ]]; then words=$flags; fi
    fi
    if [[ $words == / ]]; then
        compopt -o default 2>/dev/null
    else
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    fi
}
complete -F @FUNCTION@ @NAME@
"""


def _bash(program: Outline) -> str:
    values = [f"{_quoted(typed)}) words={_values(option)} ;;" for typed, option in _valued(program)]
    words = []
    for path, level in _levels(program):
        plain = [action.name for action in level.actions] or [
            value for each in level.operands for value in each.choices
        ]
        shown = "/" if any(each.is_path for each in level.operands) else _words(plain)
        words.append(f"{_quoted(path)}) words={shown} flags={_words(_flags(level.options))} ;;")
    return _walking(_BASH, program, "|").replace("@VALUES@", _block(values)).replace("@WORDS@", _block(words))


def _values(option: Option) -> str:
    """Return what can stand behind a flag: words, or / for a path."""
    return "/" if option.is_path else _words(option.choices)


def _walking(text: str, program: Outline, separator: str) -> str:
    """Fill in what tells the actions that were typed from everything else."""
    actions = [path[:-1] for path, _ in _levels(program) if path]
    valued = [typed for typed, _ in _valued(program)]
    return text.replace("@ACTIONS@", separator.join(map(_quoted, actions))).replace(
        "@VALUED@", separator.join(map(_quoted, valued))
    )


def _block(lines: Iterable[str]) -> str:
    return "\n".join(f"            {line}" for line in lines)


# ---------------------------------------------------------------- fish

_FISH: Final = """# fish completion: @NAME@ completion fish | source
function @FUNCTION@_at --description 'whether these actions were typed, and no more'
    set -l path ''
    set -l value 0
    for each in (commandline -opc)[2..-1]
        if test $value = 1
            set value 0
            continue
        end
        switch "$path$each"
            case @VALUED@
                set value 1
            case @ACTIONS@
                set path "$path$each "
        end
    end
    test "$path" = "$argv[1]"
end
complete -c @NAME@ -f
@LINES@
"""


def _fish(program: Outline) -> str:
    lines = []
    for path, level in _levels(program):
        begin = f"complete -c @NAME@ -n {_quoted(f'@FUNCTION@_at {_quoted(path)}')}"
        lines += [f"{begin} -a {action.name} -d {_quoted(action.help)}" for action in level.actions]
        for option in level.options:
            names = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags)
            takes = "" if not option.metavar else " -r -F" if option.is_path else f" -x -a {_words(option.choices)}"
            lines.append(f"{begin} {names}{takes} -d {_quoted(option.help)}")
            if option.off:
                lines.append(f"{begin} -l {option.off[2:]}")
        for operand in level.operands:
            lines += [f"{begin} -F"] if operand.is_path else []
            lines += [f"{begin} -a {_words(operand.choices)}"] if operand.choices else []
    return _walking(_FISH, program, " ").replace("@LINES@", "\n".join(lines))


# ---------------------------------------------------------------- zsh

_ZSH: Final = """#compdef @NAME@
# zsh completion: source <(@NAME@ completion zsh), or a file of $fpath
@FUNCTIONS@
if [[ $funcstack[1] == @FUNCTION@ ]]; then
    @FUNCTION@ "$@"
else
    compdef @FUNCTION@ @NAME@
fi
"""


def _zsh(program: Outline) -> str:
    return _ZSH.replace("@FUNCTIONS@", "\n".join(_zsh_function(path, level) for path, level in _levels(program)))


def _zsh_function(path: str, level: Outline) -> str:
    """Return the function that completes behind some actions; it hands what is behind the next one to that one's."""
    name = "@FUNCTION@" + "".join(f"_{action}" for action in path.split())
    specs = [spec for option in level.options for spec in _zsh_option(option)]
    specs += [_quoted(f"{'*' if each.several else ''}:{each.metavar}:{_zsh_values(each)}") for each in level.operands]
    if not level.actions:
        return f"{name}() {{\n    _arguments {_lines(specs)}\n}}"
    specs += [_quoted(f"1:{level.what}:->action"), _quoted("*:: :->rest")]
    described = [_quoted(f"{action.name}:{action.help}") for action in level.actions]
    return (
        f"{name}() {{\n    local curcontext=$curcontext state line\n    typeset -A opt_args\n"
        f"    local -a actions=({_lines(described)})\n    _arguments -C {_lines(specs)}\n"
        f"    case $state in\n        action) _describe {level.what.lower()} actions ;;\n"
        f'        rest) (( $+functions[{name}_$line[1]] )) && {name}_"$line[1]" ;;\n    esac\n}}'
    )


def _zsh_option(option: Option) -> Iterator[str]:
    told = f"[{option.help.translate({ord('['): '(', ord(']'): ')'})}]"
    for flag in option.flags:
        joined = "=" if flag.startswith("--") else "+"
        value = f":{option.metavar}:{_zsh_values(option)}"
        yield _quoted(f"{flag}{joined}{told}{value}" if option.metavar else f"{flag}{told}")
    if option.off:
        yield _quoted(option.off)


def _zsh_values(option: Option) -> str:
    if option.choices:
        return f"({' '.join(map(str, option.choices))})"
    return "_files" if option.is_path else " "


def _lines(specs: Iterable[str]) -> str:
    return "".join(f"\\\n        {spec} " for spec in specs).rstrip()


SHELLS: Final[dict[str, Callable[[Outline], str]]] = {"bash": _bash, "fish": _fish, "zsh": _zsh}
