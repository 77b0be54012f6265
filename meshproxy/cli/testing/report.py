"""What came of the cases, for people and machines: text, JUnit's XML, GitHub annotations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from meshproxy.admin.decision_text import render_text
from meshproxy.cli.findings import escaped
from meshproxy.cli.testing.cases import Case
from meshproxy.cli.testing.coverage import Covered
from meshproxy.cli.testing.expect import Mismatch
from meshproxy.plan.explain import Decision

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Result:
    """One case, what was decided (None: nothing could be), and what was not as expected."""

    case: Case
    decision: Decision | None
    mismatches: tuple[Mismatch, ...]

    @property
    def differences(self) -> str:
        return "".join(f"{each.origin}: {each}\n" for each in self.mismatches)

    def ladder(self, *, color: bool = False) -> str:
        return render_text(self.decision, color=color) if self.decision is not None else ""


def render(results: Sequence[Result], covered: Covered, form: str, *, color: bool = False) -> str:
    """All of it in the form `text`, `junit` or `github`."""
    return _FORMS[form](results, covered, color)


def _text(results: Sequence[Result], covered: Covered, color: bool) -> str:
    def paint(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if color else text

    lines = []
    for result in results:
        if not result.mismatches:
            lines.append(f"{paint('✓', '32')} {result.case.name}")
            continue
        lines += [f"{paint('✗', '31')} {paint(result.case.name, '1')}  {paint(str(result.case.origin), '2')}"]
        for text, indent in ((result.differences, "    "), (result.ladder(color=color), "    | ")):
            lines += [f"{indent}{line}".rstrip() for line in text.splitlines()]
        lines.append("")
    failed = sum(bool(result.mismatches) for result in results)
    cases = f"{len(results)} case{'' if len(results) == 1 else 's'}"
    lines.append(f"{cases}, {paint(f'{failed} failed', '31') if failed else 'none failed'}")
    lines.append(f"{covered.percent:.1f}% of the rules reached ({covered.total - len(covered.missed)}/{covered.total})")
    for missed in covered.missed:
        lines.append(f"  not reached: {missed}  {paint(str(missed.origin), '2')}")
        lines += [f"    {why}" for why in missed.why]
    return "".join(f"{line}\n" for line in lines)


def _junit(results: Sequence[Result], covered: Covered, _color: bool) -> str:
    failed = sum(bool(result.mismatches) for result in results)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="meshproxy test" tests="{len(results)}" failures="{failed}">',
    ]
    for file in dict.fromkeys(result.case.origin.file for result in results):
        own = [result for result in results if result.case.origin.file == file]
        failures = sum(bool(result.mismatches) for result in own)
        lines.append(
            f'<testsuite name={_quoted(file)} tests="{len(own)}" failures="{failures}" errors="0" skipped="0">'
        )
        lines.append(f'<properties><property name="coverage" value="{covered.percent:.1f}"/></properties>')
        lines += map(_junit_case, own)
        lines.append("</testsuite>")
    return "".join(f"{line}\n" for line in (*lines, "</testsuites>"))


def _junit_case(result: Result) -> str:
    origin = result.case.origin
    head = f"<testcase name={_quoted(result.case.name)} classname={_quoted(origin.file)} file={_quoted(origin.file)}"
    head += f' line="{origin.line}" time="0"'
    if not result.mismatches:
        return f"{head}/>"
    message = "; ".join(map(str, result.mismatches))
    body = escape(_NO_XML.sub("�", f"{result.differences}\n{result.ladder()}"))
    return f"{head}><failure message={_quoted(message)}>{body}</failure></testcase>"


def _quoted(text: str) -> str:
    return quoteattr(_NO_XML.sub("�", text))


def _github(results: Sequence[Result], covered: Covered, _color: bool) -> str:
    lines = []
    for result in results:
        for each in result.mismatches[:1]:
            message = "".join((result.differences, "\n", result.ladder()))
            lines.append(_annotation("error", each.origin.file, each.origin.line, result.case.name, message))
    for missed in covered.missed:
        text = f"{missed}: {'; '.join(missed.why)}"
        lines.append(_annotation("notice", missed.origin.file, missed.origin.line, "no case reached this rule", text))
    return "".join(lines)


def _annotation(level: str, file: str, line: int, title: str, message: str) -> str:
    properties = {"file": file, "line": line, "title": title}
    written = ",".join(f"{key}={escaped(str(value), ':,')}" for key, value in properties.items())
    return f"::{level} {written}::{escaped(message)}\n"


_FORMS: Mapping[str, Callable[[Sequence[Result], Covered, bool], str]] = {
    "text": _text,
    "junit": _junit,
    "github": _github,
}
FORMS = tuple(_FORMS)
