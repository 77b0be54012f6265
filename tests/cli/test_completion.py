"""Completion scripts: what a shell offers, and that every verb's help has examples."""

import contextlib
import io
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest
from support.wait import PATIENCE

from meshproxy.cli.main import VERBS, main, parser_of

BASH = shutil.which("bash")
ZSH = shutil.which("zsh")
#: Tab writes to a file what would be offered, and offers nothing.
ZSH_RC = r"""
PS1=''; unset zle_bracketed_paste
autoload -Uz compinit
@LOAD@
compadd() {
  local -a seen
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return $?; fi
  builtin compadd -A seen "$@"
  (( $#seen )) && print -rl -- $seen >> @OUT@
  builtin compadd "$@"
}
captured() { _main_complete; print END >> @OUT@; compstate[insert]=''; compstate[list]='' }
zle -C captured complete-word captured
bindkey '^I' captured
bindkey '^U' kill-whole-line
print END >> @OUT@
"""


@pytest.fixture(scope="module")
def scripts():
    found = {}
    for shell in ("bash", "zsh"):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(["completion", shell]) == 0
        found[shell] = out.getvalue()
    return found


def offered(script, *words):
    """What bash offers for the last of `words`."""
    quoted = " ".join(f"'{word}'" for word in words)
    code = f'{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _meshproxy; echo "${{COMPREPLY[@]}}"'
    return subprocess.run([BASH, "-c", code], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.skipif(BASH is None, reason="bash is not on this machine")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["meshproxy", "ex"], {"explain", "export"}),
        (["meshproxy", ""], set(VERBS)),
        (["meshproxy", "explain", "--ga"], {"--gateway"}),
        (["meshproxy", "test", "-o", ""], {"text", "junit", "github"}),
        (["meshproxy", "run", "--guard-"], {"--guard-threshold", "--guard-requests"}),
        (["meshproxy", "completion", ""], {"bash", "zsh"}),
        (["meshproxy", "explain", "--namespace", ""], set()),
        (["meshproxy", "explain", "--output", "="], {"text", "json"}),
        (["meshproxy", "explain", "--output", "=", "j"], {"json"}),
        (["meshproxy", "explain", "--namespace", "=", "j"], set()),
        (["meshproxy", "run", "--guard", "=", ""], {"warn", "refuse"}),
        (["meshproxy", "run", "--guard", ""], set()),
        (["meshproxy", "check", "/etc/host"], None),
    ],
)
def test_bash_offers(scripts, words, found):
    got = set(offered(scripts["bash"], *words))
    if found is None:
        assert "/etc/hosts" in got
    else:
        assert got == found


@pytest.mark.skipif(BASH is None, reason="bash is not on this machine")
def test_bash_offers_every_flag_of_every_verb(scripts):
    for verb in VERBS:
        flags = {flag for action in parser_of(verb)._actions for flag in action.option_strings}
        assert set(offered(scripts["bash"], "meshproxy", verb, "-")) == flags


def test_zsh_knows_every_verb_and_flag(scripts):
    script = scripts["zsh"]
    assert script.startswith("#compdef meshproxy\n")
    for verb, about in VERBS.items():
        assert f"'{verb}:{about}'" in script
        case = script.partition(f"    {verb})\n")[2].partition(";;")[0]
        for action in parser_of(verb)._actions:
            assert all(re.search(rf"{flag}(=-?|\+)?\[", case) for flag in action.option_strings)


@pytest.mark.skipif(ZSH is None, reason="zsh is not on this machine")
@pytest.mark.parametrize("installed", ["in $fpath", "sourced"])
def test_zsh_offers(scripts, tmp_path, installed):
    """A shell at a terminal of its own is asked what Tab would offer, each line in turn."""
    asked = {
        "meshproxy ex": {"explain", "export"},
        "meshproxy ": set(VERBS),
        "meshproxy explain --ga": {"--gateway"},
        "meshproxy explain -o ": {"text", "json"},
        "meshproxy explain --output=j": {"json"},
        "meshproxy explain -o json --outp": set(),
        "meshproxy explain -f a --conf": {"--config"},
        "meshproxy run --guard=": {"warn", "refuse"},
        "meshproxy run --guard-": {"--guard-threshold", "--guard-requests"},
        "meshproxy completion ": {"bash", "zsh"},
        "meshproxy explain --namespace ": set(),
        "meshproxy check ": {"mesh", "mesh.yaml"},
        "meshproxy check mesh mesh.y": {"mesh.yaml"},
        "meshproxy explain -fm": {"mesh", "mesh.yaml"},
        "meshproxy diff ": {"mesh", "mesh.yaml"},
        "meshproxy diff mesh ": {"mesh", "mesh.yaml"},
        "meshproxy diff mesh mesh m": set(),
        "meshproxy run --access-log ": {"mesh", "mesh.yaml"},
    }
    functions, files = tmp_path / "functions", tmp_path / "files"
    functions.mkdir()
    (files / "mesh").mkdir(parents=True)
    (files / "mesh.yaml").touch()
    (functions / "_meshproxy").write_text(scripts["zsh"])
    load = f"fpath=({functions} $fpath); compinit -u -D"
    if installed == "sourced":
        load = f"compinit -u -D; source {functions}/_meshproxy"
    got, noise = offered_by_zsh(tmp_path, files, load, list(asked))
    assert got == asked
    assert "_arguments" not in noise


def offered_by_zsh(scratch, directory, load, lines):
    """What is offered at the end of each line, and all that the terminal showed."""
    (scratch / "rc").write_text(ZSH_RC.replace("@LOAD@", load).replace("@OUT@", str(scratch / "out")))
    shell, terminal = pty.fork()
    if shell == 0:
        os.chdir(directory)
        os.environ["TERM"] = "dumb"
        os.execv(ZSH, [ZSH, "-f", "-i"])
    try:
        shown = [asked_of_zsh(terminal, scratch / "out", f"source {scratch}/rc\n")]
        found = {}
        for line in lines:
            shown.append(asked_of_zsh(terminal, scratch / "out", f"{line}\t"))
            found[line] = set((scratch / "out").read_text().split()) - {"END"}
            os.write(terminal, b"\x15")
        return found, "".join(shown)
    finally:
        os.kill(shell, signal.SIGKILL)
        os.waitpid(shell, 0)
        os.close(terminal)


def asked_of_zsh(terminal, out, keys):
    """Types `keys`, waits for the answer to be written, gives what was shown meanwhile."""
    out.write_text("")
    os.write(terminal, keys.encode())
    shown, until = b"", time.monotonic() + PATIENCE
    while "END" not in out.read_text():
        assert time.monotonic() < until, (keys, shown)
        if select.select([terminal], [], [], 0.02)[0]:
            shown += os.read(terminal, 65536)
    return shown.decode(errors="replace")


def test_another_shell_is_bad_usage():
    with pytest.raises(SystemExit) as stopped:
        main(["completion", "fish"])
    assert stopped.value.code == 64


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_has_examples(verb):
    said = parser_of(verb).format_help()
    assert "examples:" in said
    assert f"meshproxy {verb}" in said.partition("examples:")[2] or verb == "completion"
