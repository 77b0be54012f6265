"""Completion scripts: what a shell offers, and that every verb's help has examples."""

import contextlib
import io
import shutil
import subprocess

import pytest

from meshproxy.cli.main import VERBS, main, parser_of

BASH = shutil.which("bash")


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
            assert all(f"{flag}[" in case for flag in action.option_strings)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not on this machine")
def test_zsh_can_read_its_script(scripts):
    subprocess.run(["zsh", "-n"], input=scripts["zsh"], text=True, check=True)


def test_another_shell_is_bad_usage():
    with pytest.raises(SystemExit) as stopped:
        main(["completion", "fish"])
    assert stopped.value.code == 64


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_has_examples(verb):
    said = parser_of(verb).format_help()
    assert "examples:" in said
    assert f"meshproxy {verb}" in said.partition("examples:")[2] or verb == "completion"
