"""`meshproxy completion bash|zsh`: completion generated from the verbs' own parsers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from meshproxy.cli.main import VERBS, parser_of
from meshproxy.cli.options import Parser

_EXAMPLES = """\
  source <(meshproxy completion bash)
  meshproxy completion bash > ~/.local/share/bash-completion/completions/meshproxy
  meshproxy completion zsh > "${fpath[1]}/_meshproxy"
"""
_PATHS = ("PATH", "FILE", "OLD", "NEW")


def main(argv: Sequence[str]) -> int:
    parser = Parser("completion", "Print the completion script of a shell.", _EXAMPLES)
    parser.add_argument("shell", choices=tuple(_SHELLS), help="which shell")
    args = parser.parse_args(argv)
    sys.stdout.write(_SHELLS[args.shell]({verb: parser_of(verb) for verb in VERBS}))
    return 0


Parsers = Mapping[str, argparse.ArgumentParser]


def _takes_path(action: argparse.Action) -> bool:
    """Whether a file may stand here."""
    return any(name in str(action.metavar) for name in _PATHS)


def _choices(action: argparse.Action) -> list[str]:
    return [str(choice) for choice in action.choices or ()]


def _valued(action: argparse.Action) -> bool:
    """Whether the next word is the action's value: what may also stand alone has it behind `=`."""
    return action.nargs is None or action.nargs == "+"


# ---- bash

_BASH = """\
# bash completion of meshproxy; source it, or put it where bash-completion looks
_meshproxy() {{
    local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}" verb="${{COMP_WORDS[1]}}"
    COMPREPLY=()
    # --flag=value is three words here
    if [[ $cur == = ]]; then
        cur="" prev="$prev="
    elif [[ $prev == = ]]; then
        prev="${{COMP_WORDS[COMP_CWORD-2]}}="
    fi
    if [[ $COMP_CWORD -eq 1 ]]; then
        COMPREPLY=($(compgen -W "{verbs}" -- "$cur"))
        return
    fi
    case "$verb" in
{cases}
    esac
}}
complete -o filenames -F _meshproxy meshproxy
"""
_BASH_VERB = """\
    {verb})
        case "$prev" in
{values}
        esac
        if [[ $cur == -* ]]; then
            COMPREPLY=($(compgen -W "{flags}" -- "$cur"))
        else
            {operand}
        fi
        ;;"""
_BASH_FILES = 'COMPREPLY=($(compgen -f -- "$cur"))'


def _bash(parsers: Parsers) -> str:
    cases = "\n".join(_bash_verb(verb, parser) for verb, parser in parsers.items())
    return _BASH.format(verbs=" ".join(parsers), cases=cases)


def _bash_verb(verb: str, parser: argparse.ArgumentParser) -> str:
    options = [action for action in parser._actions if action.option_strings]
    operands = [action for action in parser._actions if not action.option_strings]
    words = [word for action in operands for word in _choices(action)]
    operand = f'COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$cur"))' if words else ":"
    return _BASH_VERB.format(
        verb=verb,
        values="\n".join(f"        {line}" for action in options if action.nargs != 0 for line in _bash_value(action)),
        flags=" ".join(flag for action in options for flag in action.option_strings),
        operand=_BASH_FILES if any(map(_takes_path, operands)) else operand,
    )


def _bash_value(action: argparse.Action) -> Iterator[str]:
    """What may follow the flag; nothing is offered where only the user knows."""
    long = [f"{flag}=" for flag in action.option_strings if flag.startswith("--")]
    names = "|".join([*(action.option_strings if _valued(action) else ()), *long])
    if choices := _choices(action):
        yield f'{names}) COMPREPLY=($(compgen -W "{" ".join(choices)}" -- "$cur")); return ;;'
    elif _takes_path(action):
        yield f"{names}) {_BASH_FILES}; return ;;"
    else:
        yield f"{names}) return ;;"


# ---- zsh

_ZSH = """\
#compdef meshproxy
# zsh completion of meshproxy; put it into a directory of $fpath as _meshproxy
_meshproxy() {{
    local -a verbs
    verbs=(
{verbs}
    )
    if (( CURRENT == 2 )); then
        _describe verb verbs
        return
    fi
    local verb=$words[2]
    shift words
    (( CURRENT-- ))
    case $verb in
{cases}
    esac
}}
if [[ $funcstack[1] == _meshproxy ]]; then
    _meshproxy "$@"
else
    compdef _meshproxy meshproxy
fi
"""


def _zsh(parsers: Parsers) -> str:
    verbs = "\n".join(f"        {_quoted(f'{verb}:{about}')}" for verb, about in VERBS.items())
    cases = "\n".join(
        f"    {verb})\n        _arguments -s \\\n            {_specs(parser)}\n        ;;"
        for verb, parser in parsers.items()
    )
    return _ZSH.format(verbs=verbs, cases=cases)


def _specs(parser: argparse.ArgumentParser) -> str:
    return " \\\n            ".join(spec for action in parser._actions for spec in _zsh_specs(action))


def _zsh_specs(action: argparse.Action) -> Iterator[str]:
    about = (action.help or "").partition(" (default")[0].replace("%(default)s", str(action.default))
    about = about.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    offered = f"({' '.join(_choices(action))})" if _choices(action) else "_files" if _takes_path(action) else " "
    name = str(action.metavar or action.dest).split("|")[0].replace(":", "\\:").replace("[", "(").replace("]", ")")
    if not action.option_strings:
        # two that take all the rest are an error: those that take one word take the next
        yield _quoted(f"{':' if action.nargs is None else '*:'}{name}:{offered}")
        return
    before = "*" if isinstance(action, argparse._AppendAction) else f"({' '.join(action.option_strings)})"
    for flag in action.option_strings:
        behind, value = _zsh_value(action, f"{name}:{offered}", long=flag.startswith("--"))
        yield _quoted(f"{before}{flag}{behind}[{about}]{value}")


def _zsh_value(action: argparse.Action, value: str, *, long: bool) -> tuple[str, str]:
    """How the value of a flag stands behind it: `--flag=value` or `--flag value`, `-fvalue` or `-f value`."""
    if action.nargs == 0:
        return "", ""
    if not _valued(action):
        return "=-", f"::{value}"
    return "=" if long else "+", f":{value}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


_SHELLS: Mapping[str, Callable[[Parsers], str]] = {"bash": _bash, "zsh": _zsh}
